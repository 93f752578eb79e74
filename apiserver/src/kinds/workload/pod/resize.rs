//! Which resources of a running pod may change. See `ValidatePodResize`.

use serde_json::Value;

use super::validate::metadata_and_spec;
use crate::error::FieldError;
use crate::kinds::json::{entries, has, is_empty, items, object_at, remove, set, text};
use crate::kinds::path::Path;
use crate::kinds::workload::podspec::annotations::MIRROR;
use crate::kinds::workload::podspec::default::is_sidecar;
use crate::kinds::workload::podspec::resources::qos_class;

/// The faults of a write of `/resize`.
pub fn update(pod: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    metadata_and_spec(pod, &mut out);
    if has(&old["metadata"]["annotations"], MIRROR) {
        return vec![FieldError::forbidden("", "static pods cannot be resized")];
    }
    if text(&old["spec"]["os"]["name"]) == "windows" {
        return vec![FieldError::forbidden("", "windows pods cannot be resized")];
    }
    let path = Path::new("spec");
    let was = match text(&old["status"]["qosClass"]) {
        "" => qos_class(&old["spec"]),
        class => class,
    };
    if was != qos_class(&pod["spec"]) {
        out.push(FieldError::invalid(&path, text(&pod["status"]["qosClass"]), "Pod QOS Class may not change as a result of resizing"));
    }
    let running = items(&old["status"]["containerStatuses"]).iter().find(|status| has(&status["state"], "running"));
    if running.is_some_and(|status| !has(status, "resources")) {
        out.push(FieldError::forbidden(&path, "Pod running on node without support for resize"));
    }
    let whole = |pod: &Value| !is_empty(&pod["spec"]["resources"]["requests"]) || !is_empty(&pod["spec"]["resources"]["limits"]);
    if whole(pod) || whole(old) {
        let told = "resize of pods with pod-level resources is forbidden when InPlacePodLevelResourcesVerticalScalingEnabled feature gate is disabled";
        out.push(FieldError::forbidden("", told));
        return out;
    }
    if !same_containers(pod, old, &path, &mut out) {
        return out;
    }
    removed(pod, old, &path, &mut out);
    immutable(pod, old, &path, &mut out);
    out
}

fn same_containers(pod: &Value, old: &Value, path: &Path, out: &mut Vec<FieldError>) -> bool {
    let before = out.len();
    for list in ["containers", "initContainers"] {
        let (new, was) = (items(&pod["spec"][list]), items(&old["spec"][list]));
        let at = path.child(list);
        if new.len() != was.len() {
            out.push(FieldError::forbidden(at, format!("{list} may not be added or removed on resize")));
            continue;
        }
        for (index, _) in new.iter().zip(was).enumerate().filter(|(_, (new, was))| new["name"] != was["name"]) {
            out.push(FieldError::forbidden(at.index(index).child("name"), format!("{list} may not be renamed or reordered on resize")));
        }
    }
    out.len() == before
}

/// What was asked for may change, not go.
fn removed(pod: &Value, old: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for list in ["initContainers", "containers"] {
        for (index, (new, was)) in items(&pod["spec"][list]).iter().zip(items(&old["spec"][list])).enumerate() {
            if list == "initContainers" && !is_sidecar(was) {
                continue;
            }
            let at = path.child(list).index(index).child("resources");
            for key in ["requests", "limits"] {
                if entries(&was["resources"][key]).any(|(name, _)| !has(&new["resources"][key], name)) {
                    out.push(FieldError::forbidden(at.child(key), format!("resource {key} cannot be removed")));
                }
            }
        }
    }
}

/// Only CPU and memory change, of regular containers and sidecars.
fn immutable(pod: &Value, old: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for (new, was) in items(&pod["spec"]["containers"]).iter().zip(items(&old["spec"]["containers"])) {
        if masked(new, was) != *was {
            out.push(FieldError::forbidden(path, "only cpu and memory resources are mutable"));
        }
    }
    for (new, was) in items(&pod["spec"]["initContainers"]).iter().zip(items(&old["spec"]["initContainers"])) {
        if is_sidecar(new) {
            if masked(new, was) != *was {
                out.push(FieldError::forbidden(path, "only cpu and memory resources for sidecar containers are mutable"));
            }
        } else if new != was {
            out.push(FieldError::forbidden(path, "resources for non-sidecar init containers are immutable"));
        }
    }
}

/// The new container with the old CPU and memory (and without claims, as Kubernetes compares).
fn masked(new: &Value, was: &Value) -> Value {
    let mut copy = new.clone();
    let Some(resources) = object_at(&mut copy, "resources") else { return copy };
    remove(resources, "claims");
    for key in ["limits", "requests"] {
        if let Some(list) = object_at(resources, key) {
            for name in ["cpu", "memory"] {
                remove(list, name);
                if let Some(amount) = was["resources"][key].get(name) {
                    set(list, name, amount.clone());
                }
            }
        }
        if is_empty(&resources[key]) {
            remove(resources, key);
        }
    }
    copy
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(resources: Value) -> Value {
        let mut pod = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}});
        crate::kinds::workload::podspec::default::pod(&mut pod);
        pod
    }

    fn told(new: Value, old: Value) -> Vec<String> {
        update(&pod(new), &pod(old)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn cpu_and_memory_change_within_a_class() {
        assert_eq!(told(json!({"requests": {"cpu": "2"}}), json!({"requests": {"cpu": "1"}})), Vec::<String>::new());
        assert_eq!(
            told(json!({}), json!({"requests": {"cpu": "1"}})),
            [
                "spec: Invalid value: \"\": Pod QOS Class may not change as a result of resizing",
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ]
        );
        assert_eq!(
            told(json!({"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}), json!({"requests": {"cpu": "1"}})),
            ["spec: Forbidden: only cpu and memory resources are mutable"]
        );
    }
}
