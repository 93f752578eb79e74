//! What may be a pod, and what of it may change. See `ValidatePodCreate`, `ValidatePodUpdate`, `ValidatePodEphemeralContainersUpdate`.
//! Metadata is validated by the registry.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::FieldError;
use crate::kinds::check::required;
use crate::kinds::diff::unified;
use crate::kinds::json::{entries, has, is_empty, items, items_mut, present_mut, remove, set, text};
use crate::kinds::name;
use crate::kinds::path::Path;
use crate::kinds::workload::podspec::annotations::{APP_ARMOR, MIRROR, app_armor_fields, of_pod, seccomp_fields};
use crate::kinds::workload::podspec::containers::image_spaces;
use crate::kinds::workload::podspec::validate::pod_spec;
use crate::kinds::workload::podspec::{Options, affinity};

/// A new pod.
pub fn create(pod: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    metadata_and_spec(pod, &mut out);
    let (spec, path) = (&pod["spec"], Path::new("spec"));
    if !is_empty(&spec["ephemeralContainers"]) {
        out.push(FieldError::forbidden(path.child("ephemeralContainers"), "cannot be set on create"));
    }
    if !is_empty(&spec["nodeName"]) && !is_empty(&spec["schedulingGates"]) {
        out.push(FieldError::forbidden(path.child("nodeName"), "cannot be set until all schedulingGates have been cleared"));
    }
    seccomp_fields(pod, &path, &mut out);
    app_armor_fields(pod, &path, &mut out);
    out
}

/// `validatePodMetadataAndSpec`, without what the registry checks.
pub fn metadata_and_spec(pod: &Value, out: &mut Vec<FieldError>) {
    let (spec, path) = (&pod["spec"], Path::new("spec"));
    of_pod(pod, &Path::new("metadata.annotations"), out);
    pod_spec(spec, Some(pod), Options { is_pod: true }, &path, out);
    if is_empty(&spec["serviceAccountName"]) {
        for (index, volume) in items(&spec["volumes"]).iter().enumerate() {
            for (number, source) in items(&volume["projected"]["sources"]).iter().enumerate() {
                if has(source, "serviceAccountToken") {
                    let at = path.child("volumes").index(index).child("projected").child("sources").index(number).child("serviceAccountToken");
                    out.push(FieldError::forbidden(at, "must not be specified when serviceAccountName is not set"));
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for (index, container) in items(&spec[list]).iter().enumerate() {
            image_spaces(container, &path.child(list).index(index), out);
        }
    }
}

/// A changed pod: images, deadlines, tolerations, scheduling gates; while it is gated, also node selector and affinity.
pub fn update(pod: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    metadata_and_spec(pod, &mut out);
    annotation_updates(pod, old, &mut out);
    let (spec, before, path) = (&pod["spec"], &old["spec"], Path::new("spec"));
    for list in ["containers", "initContainers"] {
        if !container_updates(spec, before, list, &path.child(list), &mut out) {
            return out;
        }
    }
    if !deadline_update(spec, before, &path.child("activeDeadlineSeconds"), &mut out) {
        return out;
    }
    added_tolerations(spec, before, &path.child("tolerations"), &mut out);
    deleted_gates(spec, before, &path.child("schedulingGates"), &mut out);
    if spec == before {
        return out;
    }
    let munged = munge(spec, before, &path, &mut out);
    if munged != *before {
        const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        let told = format!("pod updates may not change fields other than {UPDATABLE}\n{}", unified(before, &munged));
        out.push(FieldError::forbidden(path, told));
    }
    out
}

/// `ValidatePodSpecificAnnotationUpdates`.
pub fn annotation_updates(pod: &Value, old: &Value, out: &mut Vec<FieldError>) {
    let path = Path::new("metadata.annotations");
    let (new, before) = (&pod["metadata"]["annotations"], &old["metadata"]["annotations"]);
    for (key, value) in entries(before) {
        if new.get(key) == Some(value) {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            out.push(FieldError::forbidden(path.key(key), "may not remove or update AppArmor annotations"));
        }
        if key == MIRROR {
            out.push(FieldError::forbidden(path.key(key), "may not remove or update mirror pod annotation"));
        }
    }
    for (key, _) in entries(new).filter(|(key, _)| before.get(key.as_str()).is_none()) {
        if key.starts_with(APP_ARMOR) {
            out.push(FieldError::forbidden(path.key(key), "may not add AppArmor annotations"));
        }
        if key == MIRROR {
            out.push(FieldError::forbidden(path.key(key), "may not add mirror pod annotation"));
        }
    }
    of_pod(pod, &path, out);
}

/// `ValidateContainerUpdates`; false if nothing more can be compared.
fn container_updates(spec: &Value, before: &Value, list: &str, path: &Path, out: &mut Vec<FieldError>) -> bool {
    let (new, old) = (items(&spec[list]), items(&before[list]));
    if new.len() != old.len() {
        out.push(FieldError::forbidden(path, "pod updates may not add or remove containers"));
        return false;
    }
    for (index, container) in new.iter().enumerate() {
        required(text(&container["image"]), &path.index(index).child("image"), out);
        image_spaces(container, &path.index(index), out);
    }
    true
}

/// A deadline may be set, and become shorter.
fn deadline_update(spec: &Value, before: &Value, path: &Path, out: &mut Vec<FieldError>) -> bool {
    let key = "activeDeadlineSeconds";
    match (spec[key].as_i64(), before[key].as_i64()) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            out.push(FieldError::invalid(path, new, name::range_error(0, i64::from(i32::MAX))));
            false
        }
        (Some(new), Some(old)) if old < new => {
            out.push(FieldError::invalid(path, new, "must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            out.push(FieldError::invalid(path, Value::Null, "must not update from a positive integer to nil value"));
            true
        }
        (Some(_) | None, _) => true,
    }
}

/// `validateOnlyAddedTolerations`.
fn added_tolerations(spec: &Value, before: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let without_seconds = |toleration: &Value| {
        let mut copy = toleration.clone();
        remove(&mut copy, "tolerationSeconds");
        copy
    };
    let new: Vec<Value> = items(&spec["tolerations"]).iter().map(without_seconds).collect();
    if items(&before["tolerations"]).iter().any(|old| !new.contains(&without_seconds(old))) {
        out.push(FieldError::forbidden(path, "existing toleration can not be modified except its tolerationSeconds"));
        return;
    }
    affinity::tolerations(&spec["tolerations"], path, out);
}

/// `validateOnlyDeletedSchedulingGates`.
fn deleted_gates(spec: &Value, before: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let old: Vec<&str> = items(&before["schedulingGates"]).iter().map(|gate| text(&gate["name"])).collect();
    let added: BTreeMap<&str, usize> =
        items(&spec["schedulingGates"]).iter().enumerate().map(|(index, gate)| (text(&gate["name"]), index)).filter(|(gate, _)| !old.contains(gate)).collect();
    for (gate, index) in added {
        let told = format!("only deletion is allowed, but found new scheduling gate '{gate}'");
        out.push(FieldError::forbidden(path.index(index).child("name"), told));
    }
}

/// The new specification with everything that may change put back to what it was.
fn munge(spec: &Value, before: &Value, path: &Path, out: &mut Vec<FieldError>) -> Value {
    let mut munged = spec.clone();
    for list in ["containers", "initContainers"] {
        let Some(containers) = present_mut(&mut munged, list) else { continue };
        for (container, old) in items_mut(containers).iter_mut().zip(items(&before[list])) {
            set(container, "image", old["image"].clone());
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        put_back(&mut munged, before, key);
    }
    let grace = "terminationGracePeriodSeconds";
    if before[grace].as_i64().is_some_and(|seconds| seconds < 0) && munged[grace].as_i64() == Some(1) {
        put_back(&mut munged, before, grace);
    }
    if !is_empty(&before["schedulingGates"]) {
        gated(&mut munged, before, path, out);
    }
    munged
}

fn put_back(munged: &mut Value, before: &Value, key: &str) {
    match before.get(key) {
        Some(old) => set(munged, key, old.clone()),
        None => drop(remove(munged, key)),
    }
}

/// While a pod waits at a gate, where it may run may be narrowed.
fn gated(munged: &mut Value, before: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (new, old) = (&munged["nodeSelector"], &before["nodeSelector"]);
    if entries(old).any(|(key, value)| new.get(key) != Some(value)) {
        let told = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        out.push(FieldError::invalid(path.child("nodeSelector"), new.clone(), told));
    }
    put_back(munged, before, "nodeSelector");
    let (new, old) = (munged["affinity"]["nodeAffinity"].clone(), &before["affinity"]["nodeAffinity"]);
    if new == *old {
        return;
    }
    narrowed_affinity(&new, old, &path.child("affinity").child("nodeAffinity"), out);
    let only_node = entries(&munged["affinity"]).all(|(key, _)| key == "nodeAffinity");
    if only_node && !has(before, "affinity") {
        remove(munged, "affinity");
    } else if !has(munged, "affinity") {
        set(munged, "affinity", serde_json::json!({"nodeAffinity": old}));
    } else if let Some(affinity) = present_mut(munged, "affinity") {
        put_back(affinity, &before["affinity"], "nodeAffinity");
    }
}

/// `validateNodeAffinityMutation`.
fn narrowed_affinity(new: &Value, old: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let key = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = items(&old[key]["nodeSelectorTerms"]);
    let wanted = items(&new[key]["nodeSelectorTerms"]);
    let at = path.child(key).child("nodeSelectorTerms");
    if !terms.is_empty() && terms.len() != wanted.len() {
        let shown: Vec<String> = wanted.iter().map(show_term).collect();
        let shown = if new[key].is_null() { "null".to_owned() } else { format!("[{}]", shown.join(",")) };
        out.push(FieldError::invalid_shown(at, shown, "no additions/deletions to non-empty NodeSelectorTerms list are allowed"));
        return;
    }
    for (index, (term, old)) in wanted.iter().zip(terms).enumerate() {
        let starts_with = |key: &str| items(&term[key]).starts_with(items(&old[key]));
        let was_empty = is_empty(&old["matchExpressions"]) && is_empty(&old["matchFields"]);
        let is_set = !is_empty(&term["matchExpressions"]) || !is_empty(&term["matchFields"]);
        if was_empty && is_set || !starts_with("matchExpressions") || !starts_with("matchFields") {
            out.push(FieldError::invalid_shown(at.index(index), show_term(term), "only additions are allowed (no mutations or deletions)"));
        }
    }
}

/// A node selector term as Go prints its internal struct.
fn show_term(term: &Value) -> String {
    let list = |key: &str| {
        if term[key].is_null() {
            return "null".to_owned();
        }
        let shown: Vec<String> = items(&term[key])
            .iter()
            .map(|one| {
                format!("{{\"Key\":{},\"Operator\":{},\"Values\":{}}}", Value::from(text(&one["key"])), Value::from(text(&one["operator"])), one["values"])
            })
            .collect();
        format!("[{}]", shown.join(","))
    };
    format!("{{\"MatchExpressions\":{},\"MatchFields\":{}}}", list("matchExpressions"), list("matchFields"))
}

/// Ephemeral containers are added, and neither changed nor removed.
pub fn ephemeral_update(pod: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    metadata_and_spec(pod, &mut out);
    annotation_updates(pod, old, &mut out);
    if has(&old["metadata"]["annotations"], MIRROR) {
        return vec![FieldError::forbidden("", "static pods do not support ephemeral containers")];
    }
    let path = Path::new("spec.ephemeralContainers");
    for before in items(&old["spec"]["ephemeralContainers"]) {
        let called = text(&before["name"]);
        match items(&pod["spec"]["ephemeralContainers"]).iter().rfind(|container| text(&container["name"]) == called) {
            None => out.push(FieldError::forbidden(&path, format!("existing ephemeral containers {called:?} may not be removed\n"))),
            Some(container) if container != before => {
                let told = format!("existing ephemeral containers {called:?} may not be changed\n{}", unified(before, container));
                out.push(FieldError::forbidden(&path, told));
            }
            Some(_) => {}
        }
    }
    out
}

/// `ValidatePodBinding`, of the object posted to `/binding`.
pub fn binding(binding: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let kind = text(&binding["target"]["kind"]);
    if !matches!(kind, "" | "Node") {
        out.push(FieldError::not_supported_as_listed("target.kind", kind, &["Node", "<empty>"]));
    }
    if is_empty(&binding["target"]["name"]) {
        out.push(FieldError::required("target.name", ""));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        let mut pod =
            json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": [{"name": "c", "image": "i:1"}], "activeDeadlineSeconds": 60}});
        crate::kinds::workload::podspec::default::pod(&mut pod);
        pod
    }

    fn told(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_plain_pod_is_valid() {
        assert_eq!(told(&create(&pod())), Vec::<String>::new());
    }

    #[test]
    fn images_deadlines_and_tolerations_change() {
        let mut new = pod();
        new["spec"]["containers"][0]["image"] = json!("i:2");
        new["spec"]["activeDeadlineSeconds"] = json!(30);
        new["spec"]["tolerations"] = json!([{"key": "k", "operator": "Exists"}]);
        assert_eq!(told(&update(&new, &pod())), Vec::<String>::new());
    }

    #[test]
    fn nothing_else_does() {
        let mut new = pod();
        new["spec"]["restartPolicy"] = json!("Never");
        let errors = told(&update(&new, &pod()));
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with("spec: Forbidden: pod updates may not change fields other than"), "{errors:?}");
        assert!(errors[0].contains("\n@@ -"), "{errors:?}");
        let mut new = pod();
        new["spec"]["activeDeadlineSeconds"] = json!(90);
        assert_eq!(told(&update(&new, &pod())), ["spec.activeDeadlineSeconds: Invalid value: 90: must be less than or equal to previous value"]);
    }

    #[test]
    fn a_gated_pod_may_be_narrowed() {
        let mut old = pod();
        old["spec"]["schedulingGates"] = json!([{"name": "x.y/z"}]);
        let mut new = old.clone();
        new["spec"]["nodeSelector"] = json!({"disk": "ssd"});
        assert_eq!(told(&update(&new, &old)), Vec::<String>::new());
        assert_eq!(
            told(&update(&old, &new)),
            ["spec.nodeSelector: Invalid value: null: only additions to spec.nodeSelector are allowed (no mutations or deletions)"]
        );
    }

    #[test]
    fn ephemeral_containers_only_come() {
        let mut old = pod();
        old["spec"]["ephemeralContainers"] = json!([{"name": "e", "image": "i"}]);
        crate::kinds::workload::podspec::default::pod(&mut old);
        assert_eq!(told(&ephemeral_update(&old, &pod())), Vec::<String>::new());
        assert_eq!(told(&ephemeral_update(&pod(), &old)), ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be removed\n"]);
    }
}
