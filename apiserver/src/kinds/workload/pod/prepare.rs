//! What the server, not the client, decides of a pod. See `pkg/registry/core/pod/strategy.go` (`PrepareFor*`).

use serde_json::{Value, json};

use crate::kinds::json::{has, int, is_empty, items, items_mut, object_at, present_mut, remove, set, text};
use crate::kinds::workload::podspec::drop_fields::drop_disabled;
use crate::kinds::workload::podspec::resources::qos_class;

/// A new pod is Pending, has a QoS class, and selectors that follow its own labels.
pub fn create(pod: &mut Value, now: &str) {
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(&pod["spec"])});
    if !is_empty(&pod["spec"]["schedulingGates"]) {
        status["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": null,
            "lastTransitionTime": now,
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    set(pod, "status", status);
    if let Some(spec) = present_mut(pod, "spec") {
        drop_disabled(spec, &Value::Null);
    }
    merge_label_keys(pod);
}

/// A change: through `/status` the specification and owners stay, through `/ephemeralcontainers` and `/resize` everything but those.
pub fn update(pod: &mut Value, old: &Value, subresource: &str) {
    match subresource {
        "status" => status_update(pod, old),
        "ephemeralcontainers" => {
            let containers = pod["spec"].get("ephemeralContainers").cloned();
            keep_all_but_metadata(pod, old);
            match containers {
                Some(_) => put(pod, "ephemeralContainers", containers),
                None => drop(present_mut(pod, "spec").map(|spec| remove(spec, "ephemeralContainers"))), // which validation refuses
            }
        }
        "resize" => resize(pod, old),
        _ => {}
    }
    if let Some(spec) = present_mut(pod, "spec") {
        drop_disabled(spec, &old["spec"]);
    }
}

fn put(pod: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(spec), Some(value)) = (present_mut(pod, "spec"), value) {
        set(spec, key, value);
    }
}

/// Specification, status and most of the metadata are the old ones (`ResetObjectMetaForStatus`).
fn keep_all_but_metadata(pod: &mut Value, old: &Value) {
    for key in ["spec", "status"] {
        if let Some(kept) = old.get(key) {
            set(pod, key, kept.clone());
        }
    }
    keep_metadata(pod, old, &["deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generation", "labels", "annotations", "ownerReferences"]);
}

fn keep_metadata(pod: &mut Value, old: &Value, keys: &[&str]) {
    let Some(metadata) = object_at(pod, "metadata") else { return };
    for key in keys {
        match old["metadata"].get(*key) {
            Some(kept) => set(metadata, key, kept.clone()),
            None => drop(remove(metadata, key)),
        }
    }
}

fn status_update(pod: &mut Value, old: &Value) {
    if let Some(spec) = old.get("spec") {
        set(pod, "spec", spec.clone());
    }
    keep_metadata(pod, old, &["ownerReferences", "deletionTimestamp"]);
    let Some(status) = object_at(pod, "status") else { return };
    if text(&status["qosClass"]).is_empty()
        && let Some(class) = old["status"].get("qosClass")
    {
        set(status, "qosClass", class.clone());
    }
    keep_observed_generations(status, &old["status"]);
}

/// `preserveOldObservedGeneration`: who does not know the field does not clear it.
fn keep_observed_generations(status: &mut Value, old: &Value) {
    if int(&status["observedGeneration"]) == 0 && has(old, "observedGeneration") {
        set(status, "observedGeneration", old["observedGeneration"].clone());
    }
    let mut before: Vec<(&str, i64)> =
        items(&old["conditions"]).iter().map(|condition| (text(&condition["type"]), int(&condition["observedGeneration"]))).collect();
    let Some(conditions) = present_mut(status, "conditions") else { return };
    for condition in items_mut(conditions) {
        let Some(position) = before.iter().position(|(kind, _)| *kind == text(&condition["type"])) else { continue };
        let (_, generation) = before.remove(position);
        if int(&condition["observedGeneration"]) == 0 && generation != 0 {
            set(condition, "observedGeneration", generation);
        }
    }
}

/// `dropNonResizeUpdates`: of a resize, only resources and resize policies count. Containers that were added, removed, renamed or moved are left
/// for validation to refuse.
fn resize(pod: &mut Value, old: &Value) {
    let names = |pod: &Value, list: &str| -> Vec<String> { items(&pod["spec"][list]).iter().map(|container| text(&container["name"]).to_owned()).collect() };
    let same_length = ["containers", "initContainers"].iter().all(|list| names(pod, list).len() == names(old, list).len());
    if !same_length {
        return;
    }
    let merged: Vec<(&str, Option<Value>)> = ["containers", "initContainers"]
        .into_iter()
        .map(|list| {
            if names(pod, list) != names(old, list) {
                return (list, pod["spec"].get(list).cloned());
            }
            let mut kept = old["spec"].get(list).cloned();
            let new = items(&pod["spec"][list]);
            for (container, asked) in kept.iter_mut().flat_map(items_mut).zip(new) {
                for key in ["resources", "resizePolicy"] {
                    match asked.get(key) {
                        Some(value) => set(container, key, value.clone()),
                        None => drop(remove(container, key)),
                    }
                }
            }
            (list, kept)
        })
        .collect();
    keep_all_but_metadata(pod, old);
    for (list, containers) in merged {
        put(pod, list, containers);
    }
}

/// `mutatePodAffinity`, `mutateTopologySpreadConstraints`: `matchLabelKeys` become expressions over the pod's own labels.
fn merge_label_keys(pod: &mut Value) {
    let labels = pod["metadata"]["labels"].clone();
    let Some(spec) = present_mut(pod, "spec") else { return };
    if let Some(affinity) = present_mut(spec, "affinity") {
        for kind in ["podAffinity", "podAntiAffinity"] {
            let Some(rules) = present_mut(affinity, kind) else { continue };
            if let Some(terms) = present_mut(rules, "preferredDuringSchedulingIgnoredDuringExecution") {
                for term in items_mut(terms).iter_mut().filter_map(|weighted| present_mut(weighted, "podAffinityTerm")) {
                    merge_into(term, &labels);
                }
            }
            if let Some(terms) = present_mut(rules, "requiredDuringSchedulingIgnoredDuringExecution") {
                items_mut(terms).iter_mut().for_each(|term| merge_into(term, &labels));
            }
        }
    }
    if let Some(constraints) = present_mut(spec, "topologySpreadConstraints") {
        items_mut(constraints).iter_mut().for_each(|constraint| merge_into(constraint, &labels));
    }
}

fn merge_into(term: &mut Value, labels: &Value) {
    let mut added = Vec::new();
    for (keys, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in items(&term[keys]).iter().map(text) {
            if let Some(value) = labels.get(key) {
                added.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    if added.is_empty() {
        return;
    }
    let Some(selector) = present_mut(term, "labelSelector") else { return };
    let mut expressions = items(&selector["matchExpressions"]).to_vec();
    expressions.append(&mut added);
    set(selector, "matchExpressions", expressions);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pod_is_pending() {
        let mut pod = json!({"spec": {"containers": [{"name": "a"}]}, "status": {"phase": "Running", "podIP": "1.2.3.4"}});
        create(&mut pod, "2026-01-02T03:04:05Z");
        assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    }

    #[test]
    fn gates_are_told_in_a_condition() {
        let mut pod = json!({"spec": {"containers": [], "schedulingGates": [{"name": "x.y/z"}]}});
        create(&mut pod, "2026-01-02T03:04:05Z");
        assert_eq!(pod["status"]["conditions"][0]["reason"], "SchedulingGated");
    }

    #[test]
    fn label_keys_become_expressions() {
        let mut pod = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [], "topologySpreadConstraints": [
            {"labelSelector": {}, "matchLabelKeys": ["app", "absent"]}, {"matchLabelKeys": ["app"]}]}});
        create(&mut pod, "2026-01-02T03:04:05Z");
        let constraints = &pod["spec"]["topologySpreadConstraints"];
        assert_eq!(constraints[0]["labelSelector"]["matchExpressions"], json!([{"key": "app", "operator": "In", "values": ["web"]}]));
        assert!(constraints[1].get("labelSelector").is_none());
    }

    #[test]
    fn a_status_write_keeps_the_rest() {
        let old = json!({"metadata": {"ownerReferences": [{"uid": "u"}]}, "spec": {"nodeName": "n"},
            "status": {"qosClass": "Burstable", "conditions": [{"type": "Ready", "observedGeneration": 3}]}});
        let mut new = json!({"metadata": {}, "spec": {"nodeName": "other"}, "status": {"phase": "Running", "conditions": [{"type": "Ready"}]}});
        update(&mut new, &old, "status");
        assert_eq!(new["spec"], old["spec"]);
        assert_eq!(new["metadata"], old["metadata"]);
        assert_eq!(new["status"]["qosClass"], "Burstable");
        assert_eq!(new["status"]["conditions"][0]["observedGeneration"], 3);
    }

    #[test]
    fn a_resize_changes_resources_only() {
        let old = json!({"metadata": {}, "spec": {"containers": [{"name": "a", "image": "i", "resources": {}}]}, "status": {"phase": "Running"}});
        let mut new = json!({"metadata": {}, "spec": {"containers": [{"name": "a", "image": "j", "resources": {"limits": {"cpu": "1"}}}]}});
        update(&mut new, &old, "resize");
        assert_eq!(new["spec"]["containers"], json!([{"name": "a", "image": "i", "resources": {"limits": {"cpu": "1"}}}]));
        assert_eq!(new["status"], old["status"]);
    }
}
