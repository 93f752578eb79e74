//! What is accepted but probably not meant: sentences of the `Warning:` header. See `pkg/api/pod/warnings.go`.
//!
//! [`of_template`] for what makes pods, [`of_pod`] for pods; `paths` for volumes whose files collide, `ports` for ports that do.

mod paths;
mod ports;

use std::collections::BTreeSet;

use serde_json::Value;

use super::podspec::annotations::APP_ARMOR;
use super::podspec::resources::quantity;
use super::podspec::visit_containers;
use super::template::name_warning;
use crate::kinds::check::ip_warning;
use crate::kinds::json::{entries, has, int, is_empty, items, text};
use crate::kinds::name;
use crate::kinds::path::Path;
use crate::registry::strategy::{Context, Strategy};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// Of what has a template at `spec.template`: on create, and on changes that raise the generation. `named`: of its name too, on create.
pub fn of_workload(kind: &dyn Strategy, object: &Value, old: Option<&Value>, context: &Context, named: bool) -> Vec<String> {
    if !context.subresource.is_empty() || old.is_some_and(|old| !kind.raises_generation(object, old)) {
        return Vec::new();
    }
    let name = if named && old.is_none() { name_warning(object) } else { None };
    let template = of_template(&object["spec"]["template"], old.map(|old| &old["spec"]["template"]), &Path::new("spec").child("template"));
    name.into_iter().chain(template).collect()
}

/// `GetWarningsForPodTemplate`.
pub fn of_template(template: &Value, _old: Option<&Value>, path: &Path) -> Vec<String> {
    of(template, path, true)
}

/// `GetWarningsForPod`, and of the name, which is the host name.
pub fn of_pod(pod: &Value) -> Vec<String> {
    let faults = name::label(text(&pod["metadata"]["name"]));
    let told = "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended";
    let name = (!faults.is_empty()).then(|| format!("{told}: [{}]", faults.join(" ")));
    name.into_iter().chain(of(pod, &Path::default(), false)).collect()
}

/// `warningsForPodSpecAndMeta`, in its order.
fn of(pod: &Value, path: &Path, is_template: bool) -> Vec<String> {
    let (spec, at) = (&pod["spec"], path.child("spec"));
    let mut told = Vec::new();
    node_labels(spec, &at, &mut told);
    deprecated_annotations(pod, &path.child("metadata").child("annotations"), &mut told);
    deprecated_volumes(spec, &at.child("volumes"), &mut told);
    told.extend(paths::overlaps(spec));
    duplicates(spec, &at, &mut told);
    for key in ["memory", "ephemeral-storage"] {
        fraction(&spec["overhead"][key], &at.child("overhead").key(key), &mut told);
    }
    containers(pod, path, is_template, &mut told);
    told.extend(ports::clashes(spec, &at));
    if int(&spec["terminationGracePeriodSeconds"]) < 0 {
        told.push(format!("{}: must be >= 0; negative values are invalid and will be treated as 1", at.child("terminationGracePeriodSeconds")));
    }
    null_selectors(spec, &at.child("affinity"), &mut told);
    for (index, server) in items(&spec["dnsConfig"]["nameservers"]).iter().enumerate() {
        told.extend(ip_warning(text(server), &at.child("dnsConfig").child("nameservers").index(index)));
    }
    for (index, alias) in items(&spec["hostAliases"]).iter().enumerate() {
        told.extend(ip_warning(text(&alias["ip"]), &at.child("hostAliases").index(index).child("ip")));
    }
    told
}

/// Why a node's label should not be used, if it should not. See `pkg/api/node/util.go`.
pub fn deprecated_node_label(label: &str) -> Option<&'static str> {
    Some(match label {
        "beta.kubernetes.io/arch" => "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
        "beta.kubernetes.io/os" => "deprecated since v1.14; use \"kubernetes.io/os\" instead",
        "failure-domain.beta.kubernetes.io/region" => "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
        "failure-domain.beta.kubernetes.io/zone" => "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
        "beta.kubernetes.io/instance-type" => "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
        "app.kubernetes.io/created-by" => "deprecated since v1.9",
        "scheduler.alpha.kubernetes.io/preferAvoidPods" => "deprecated since v1.22; use Taints and Tolerations instead",
        "node-role.kubernetes.io/master" => "use \"node-role.kubernetes.io/control-plane\" instead",
        _ => return None,
    })
}

fn node_labels(spec: &Value, path: &Path, told: &mut Vec<String>) {
    for (key, _) in entries(&spec["nodeSelector"]) {
        told.extend(deprecated_node_label(key).map(|why| format!("{}: {why}", path.child("nodeSelector").key(key))));
    }
    let (node, at) = (&spec["affinity"]["nodeAffinity"], path.child("affinity").child("nodeAffinity"));
    for (index, term) in items(&node[REQUIRED]["nodeSelectorTerms"]).iter().enumerate() {
        selector_term(term, false, &at.child(REQUIRED).child("nodeSelectorTerms").index(index), told);
    }
    for (index, term) in items(&node[PREFERRED]).iter().enumerate() {
        selector_term(&term["preference"], true, &at.child(PREFERRED).index(index).child("preference"), told);
    }
    for (index, constraint) in items(&spec["topologySpreadConstraints"]).iter().enumerate() {
        let (topology, at) = (text(&constraint["topologyKey"]), path.child("topologySpreadConstraints").index(index));
        told.extend(deprecated_node_label(topology).map(|why| format!("{}: {topology} is {why}", at.child("topologyKey"))));
        if !has(constraint, "labelSelector") {
            told.push(format!("{}: a null labelSelector results in matching no pod", at.child("labelSelector")));
        }
    }
}

fn selector_term(term: &Value, values: bool, path: &Path, told: &mut Vec<String>) {
    for (index, expression) in items(&term["matchExpressions"]).iter().enumerate() {
        let (key, at) = (text(&expression["key"]), path.child("matchExpressions").index(index));
        told.extend(deprecated_node_label(key).map(|why| format!("{}: {key} is {why}", at.child("key"))));
        if !values {
            continue;
        }
        for (number, value) in items(&expression["values"]).iter().map(text).enumerate() {
            let faults = name::label_value(value);
            told.extend(faults.into_iter().map(|fault| format!("{}: {value} is invalid, {fault}", at.child("values").index(number))));
        }
    }
}

fn deprecated_annotations(pod: &Value, path: &Path, told: &mut Vec<String>) {
    for (key, why) in [
        ("scheduler.alpha.kubernetes.io/critical-pod", "non-functional in v1.16+; use the \"priorityClassName\" field instead"),
        ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
        ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ] {
        if has(&pod["metadata"]["annotations"], key) {
            told.push(format!("{}: {why}", path.key(key)));
        }
    }
}

fn deprecated_volumes(spec: &Value, path: &Path, told: &mut Vec<String>) {
    for (index, volume) in items(&spec["volumes"]).iter().enumerate() {
        for (key, shown, why) in [
            ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
            ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
            ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
            ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
            ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
            ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
            ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
            ("ephemeral", "", ""),
            ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
            ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
        ] {
            if !has(volume, key) {
                continue;
            }
            if key == "ephemeral" {
                let at = path.index(index).child("ephemeral").child("volumeClaimTemplate").child("spec");
                claim(&volume[key]["volumeClaimTemplate"]["spec"], &at, told);
            } else {
                told.push(format!("{}: {why}", path.index(index).child(shown)));
            }
        }
    }
}

/// `GetWarningsForPersistentVolumeClaimSpec`.
pub fn claim(spec: &Value, path: &Path, told: &mut Vec<String>) {
    for key in ["requests", "limits"] {
        fraction(&spec["resources"][key]["storage"], &path.child("resources").child(key).key("storage"), told);
    }
}

fn fraction(amount: &Value, path: &Path, told: &mut Vec<String>) {
    if !amount.is_null() && quantity(amount).millis() % 1000 != 0 {
        told.push(format!("{path}: fractional byte value {:?} is invalid, must be an integer", text(amount)));
    }
}

/// Host aliases and pull secrets that are there twice.
fn duplicates(spec: &Value, path: &Path, told: &mut Vec<String>) {
    for (list, key, what) in [("hostAliases", "ip", "ip"), ("imagePullSecrets", "name", "name")] {
        let mut seen = BTreeSet::new();
        for (index, one) in items(&spec[list]).iter().enumerate() {
            if !seen.insert(text(&one[key])) {
                told.push(format!("{}: duplicate {what} {:?}", path.child(list).index(index).child(key), text(&one[key])));
            }
        }
    }
    for (index, secret) in items(&spec["imagePullSecrets"]).iter().enumerate() {
        if is_empty(&secret["name"]) {
            told.push(format!("{}: invalid empty name \"\"", path.child("imagePullSecrets").index(index).child("name")));
        }
    }
}

fn containers(pod: &Value, path: &Path, is_template: bool, told: &mut Vec<String>) {
    let (spec, annotations) = (&pod["spec"], &pod["metadata"]["annotations"]);
    let at = path.child("metadata").child("annotations");
    let seccomp = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
    if !has(&spec["securityContext"], "seccompProfile") && has(annotations, SECCOMP_POD) {
        told.push(format!("{}: {seccomp}", at.key(SECCOMP_POD)));
    }
    for (container, place) in visit_containers(spec, &path.child("spec")) {
        let called = text(&container["name"]);
        let key = format!("{SECCOMP_CONTAINER}{called}");
        if !has(&container["securityContext"], "seccompProfile") && has(annotations, &key) {
            told.push(format!("{}: {seccomp}", at.key(&key)));
        }
        let key = format!("{APP_ARMOR}{called}");
        let own = has(&container["securityContext"], "appArmorProfile");
        if is_template && !own && has(annotations, &key) && !names(&spec["securityContext"]["appArmorProfile"], text(&annotations[&key])) {
            told.push(format!("{}: deprecated since v1.30; use the \"appArmorProfile\" field instead", at.key(&key)));
        }
        for resource in ["memory", "ephemeral-storage"] {
            for list in ["limits", "requests"] {
                fraction(&container["resources"][list][resource], &place.child("resources").child(list).key(resource), told);
            }
        }
        hidden_variables(container, &place.child("env"), told);
    }
}

/// Whether an AppArmor field says what an annotation says.
fn names(profile: &Value, annotation: &str) -> bool {
    match text(&profile["type"]) {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => annotation == "runtime/default",
        "Localhost" => annotation.strip_prefix("localhost/") == profile["localhostProfile"].as_str(),
        _ => false,
    }
}

/// A variable defined twice, unless the second builds upon the first.
fn hidden_variables(container: &Value, path: &Path, told: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, variable) in items(&container["env"]).iter().enumerate() {
        let (called, value) = (text(&variable["name"]), text(&variable["value"]));
        if seen.insert(called) {
            continue;
        }
        let reference = format!("$({called})");
        if has(variable, "valueFrom") || value == reference || !value.contains(&reference) {
            told.push(format!("{}: hides previous definition of {called:?}, which may be dropped when using apply", path.index(index)));
        }
    }
}

fn null_selectors(spec: &Value, path: &Path, told: &mut Vec<String>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (rules, at) = (&spec["affinity"][kind], path.child(kind));
        for (index, term) in items(&rules[REQUIRED]).iter().enumerate() {
            if !has(term, "labelSelector") {
                told.push(format!("{}: a null labelSelector results in matching no pod", at.child(REQUIRED).index(index).child("labelSelector")));
            }
        }
        for (index, term) in items(&rules[PREFERRED]).iter().enumerate() {
            if !has(&term["podAffinityTerm"], "labelSelector") {
                let at = at.child(PREFERRED).index(index).child("podAffinityTerm").child("labelSelector");
                told.push(format!("{at}: a null labelSelector results in matching no pod"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_of_pods() {
        let told = |spec: Value| of_pod(&json!({"metadata": {"name": "p"}, "spec": spec}));
        assert_eq!(told(json!({"containers": [{"name": "c"}]})), Vec::<String>::new());
        assert_eq!(
            told(json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A", "value": "$(A)3"}]}]})),
            ["spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply"]
        );
        assert_eq!(
            told(json!({"nodeSelector": {"beta.kubernetes.io/os": "linux"}, "containers": []})),
            ["spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead"]
        );
        assert_eq!(
            told(json!({"containers": [{"name": "c", "resources": {"requests": {"memory": "1m"}}}]})),
            ["spec.containers[0].resources.requests[memory]: fractional byte value \"1m\" is invalid, must be an integer"]
        );
    }
}
