//! What a pod gets because of other objects and of the cluster's settings: `Priority`, `DefaultTolerationSeconds`, `RuntimeClass`,
//! and, for a node, `TaintNodesByCondition`.
//!
//! See `plugin/pkg/admission/{priority,defaulttolerationseconds,runtimeclass,nodetaint}/admission.go`.

use serde_json::{Value, json};
use skiff_proto::status::Status;

use super::Admission;
use crate::error::failure;
use crate::kinds::json::{flag, int, items, text};
use crate::registry::call::Call;
use crate::registry::meta;

const CLASSES: &str = "priorityclasses.scheduling.k8s.io";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// A new pod.
pub fn create(admission: &Admission, call: &Call<'_>, pod: &mut Value) -> Result<(), Status> {
    priority(call, pod)?;
    default_tolerations(&mut pod["spec"], admission.toleration_seconds);
    runtime_class(call, pod)
}

/// A changed pod: what was filled in at creation stays filled in.
pub fn update(admission: &Admission, pod: &mut Value, old: &Value) {
    for key in ["priority", "preemptionPolicy"] {
        if pod["spec"][key].is_null() && !old["spec"][key].is_null() {
            pod["spec"][key] = old["spec"][key].clone();
        }
    }
    default_tolerations(&mut pod["spec"], admission.toleration_seconds);
}

/// `spec.priority` and `preemptionPolicy` from the class that is named, or from the default class.
fn priority(call: &Call<'_>, pod: &mut Value) -> Result<(), Status> {
    let name = text(&pod["spec"]["priorityClassName"]).to_owned();
    let forbid = |why: &str| Err(failure::forbidden("pods", meta::get(pod, "name"), why));
    let class = if name.is_empty() { default_class(call) } else { class_named(call, &name) };
    let (value, policy) = match &class {
        Some(class) => (int(&class["value"]), text(&class["preemptionPolicy"]).to_owned()),
        None if name.is_empty() => (0, String::new()),
        None => return forbid(&format!("no PriorityClass with name {name} was found")),
    };
    if let (true, Some(class)) = (name.is_empty(), &class) {
        pod["spec"]["priorityClassName"] = class["metadata"]["name"].clone();
    }
    let given = &pod["spec"]["priority"];
    if !given.is_null() && int(given) != value {
        let why = format!(
            "the integer value of priority ({}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name",
            int(given)
        );
        return Err(failure::forbidden("pods", meta::get(pod, "name"), &why));
    }
    pod["spec"]["priority"] = Value::from(value);
    let policy = if policy.is_empty() { "PreemptLowerPriority".to_owned() } else { policy };
    let given = text(&pod["spec"]["preemptionPolicy"]);
    if !given.is_empty() && given != policy {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(failure::forbidden("pods", meta::get(pod, "name"), &why));
    }
    pod["spec"]["preemptionPolicy"] = Value::from(policy);
    Ok(())
}

fn class_named(call: &Call<'_>, name: &str) -> Option<Value> {
    let version = call.server.store.find(CLASSES, "", name)?;
    serde_json::from_slice(&version.json).ok() // the registry wrote it: it parses
}

/// The default class; of several, the one of the lowest value.
fn default_class(call: &Call<'_>) -> Option<Value> {
    let listing = call.server.store.list(CLASSES, None);
    let classes = listing.items.iter().filter(|version| contains(&version.json, b"\"globalDefault\":true"));
    let classes = classes.filter_map(|version| serde_json::from_slice::<Value>(&version.json).ok());
    classes.filter(|class| flag(&class["globalDefault"])).min_by_key(|class| int(&class["value"]))
}

fn contains(json: &[u8], part: &[u8]) -> bool {
    json.windows(part.len()).any(|window| window == part)
}

/// Only one class may be the default.
pub fn validate_priority_class(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    if call.resource.storage_key() != CLASSES || !flag(&object["globalDefault"]) {
        return Ok(());
    }
    match default_class(call) {
        Some(other) if meta::get(&other, "name") != meta::get(object, "name") => {
            let why = format!("PriorityClass {} is already marked as default. Only one default can exist", meta::get(&other, "name"));
            Err(failure::forbidden(CLASSES, meta::get(object, "name"), &why))
        }
        Some(_) | None => Ok(()),
    }
}

/// Tolerations of a node's death for `seconds`, unless the pod has its own.
fn default_tolerations(spec: &mut Value, seconds: i64) {
    for key in [NOT_READY, UNREACHABLE] {
        let tolerated = items(&spec["tolerations"]).iter().any(|one| {
            let (have, effect) = (text(&one["key"]), text(&one["effect"]));
            (have == key || have.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if tolerated {
            continue;
        }
        let toleration = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        match spec["tolerations"].as_array_mut() {
            Some(all) => all.push(toleration),
            None => spec["tolerations"] = json!([toleration]),
        }
    }
}

/// Overhead and placement of the pod's runtime class.
fn runtime_class(call: &Call<'_>, pod: &mut Value) -> Result<(), Status> {
    let name = text(&pod["spec"]["runtimeClassName"]).to_owned();
    let forbid = |pod: &Value, why: &str| Err(failure::forbidden("pods", meta::get(pod, "name"), why));
    let overhead = pod["spec"]["overhead"].clone();
    if name.is_empty() {
        if !overhead.is_null() {
            return forbid(pod, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
        }
        return Ok(());
    }
    let found = call.server.store.find("runtimeclasses.node.k8s.io", "", &name);
    let Some(class) = found.and_then(|version| serde_json::from_slice::<Value>(&version.json).ok()) else {
        return forbid(pod, &format!("pod rejected: RuntimeClass \"{name}\" not found"));
    };
    let fixed = &class["overhead"]["podFixed"];
    match (fixed.is_null(), overhead.is_null()) {
        (true, true) => {}
        (true, false) => return forbid(pod, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"),
        (false, true) => pod["spec"]["overhead"] = fixed.clone(),
        (false, false) if overhead == *fixed => {}
        (false, false) => return forbid(pod, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"),
    }
    let scheduling = &class["scheduling"];
    for (key, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let have = &pod["spec"]["nodeSelector"][key];
        if !have.is_null() && have != value {
            return forbid(
                pod,
                &format!("conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}", text(value), text(have)),
            );
        }
        pod["spec"]["nodeSelector"][key] = value.clone();
    }
    for toleration in items(&scheduling["tolerations"]) {
        if items(&pod["spec"]["tolerations"]).contains(toleration) {
            continue;
        }
        match pod["spec"]["tolerations"].as_array_mut() {
            Some(all) => all.push(toleration.clone()),
            None => pod["spec"]["tolerations"] = json!([toleration]),
        }
    }
    Ok(())
}

/// A new node takes no pods before it is known to be ready.
pub fn taint_new_node(node: &mut Value) {
    let taint = json!({"key": NOT_READY, "effect": "NoSchedule"});
    if items(&node["spec"]["taints"]).iter().any(|one| one["key"] == NOT_READY && one["effect"] == "NoSchedule") {
        return;
    }
    match node["spec"]["taints"].as_array_mut() {
        Some(all) => all.push(taint),
        None => node["spec"]["taints"] = json!([taint]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_tolerations_win() {
        let table = [
            (json!({}), 2),
            (json!({"tolerations": [{"operator": "Exists"}]}), 1),
            (json!({"tolerations": [{"key": NOT_READY, "operator": "Exists", "effect": "NoExecute"}]}), 2),
            (json!({"tolerations": [{"key": NOT_READY, "operator": "Exists", "effect": "NoSchedule"}]}), 3),
        ];
        for (mut spec, count) in table {
            default_tolerations(&mut spec, 300);
            assert_eq!(items(&spec["tolerations"]).len(), count, "{spec}");
            let once = spec.clone();
            default_tolerations(&mut spec, 300);
            assert_eq!(spec, once);
        }
    }

    #[test]
    fn a_new_node_is_tainted_once() {
        let mut node = json!({"spec": {}});
        taint_new_node(&mut node);
        taint_new_node(&mut node);
        assert_eq!(node["spec"]["taints"], json!([{"key": NOT_READY, "effect": "NoSchedule"}]));
    }
}
