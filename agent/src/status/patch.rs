//! What must be written so that the API server has a status.

use super::conditions::is_ours;
use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Map, Value, json};

/// A strategic merge patch of the `status` subresource that makes `old` into `new`, or none where they are the same. Conditions of
/// others are not named, so that nobody's are lost; the uid makes sure that it is still the same pod.
pub fn between(uid: &str, old: &PodStatus, new: &PodStatus) -> Option<Vec<u8>> {
    let (old, new) = (fields(old), fields(new));
    let mut changed: Map<String, Value> =
        new.iter().filter(|(key, value)| old.get(*key) != Some(value)).map(|(key, value)| (key.clone(), value.clone())).collect();
    for key in old.keys().filter(|key| !new.contains_key(*key) && MADE.contains(&key.as_str())) {
        changed.insert(key.clone(), Value::Null);
    }
    for (key, merge_key) in [("podIPs", "ip"), ("hostIPs", "ip")] {
        if let (Some(Value::Array(list)), Some(Value::Array(before))) = (changed.get_mut(key), old.get(key)) {
            let gone = before.iter().filter(|item| !list.contains(item)).map(|item| json!({"$patch": "delete", merge_key: item[merge_key]}));
            let gone: Vec<Value> = gone.collect();
            list.extend(gone);
        }
    }
    if let (Some(Value::Array(list)), Some(Value::Array(before))) = (changed.get_mut("conditions"), old.get("conditions")) {
        list.iter_mut().for_each(|condition| clear_what_is_gone(condition, before));
        let gone = before.iter().filter(|old| !list.iter().any(|new| new["type"] == old["type"]));
        let gone: Vec<Value> = gone.map(|old| json!({"$patch": "delete", "type": old["type"]})).collect();
        list.extend(gone);
    }
    if changed.is_empty() {
        return None;
    }
    Some(json!({"metadata": {"uid": uid}, "status": changed}).to_string().into_bytes())
}

/// Conditions are merged one by one: what the old one of this type said and the new one does not has to be taken back.
fn clear_what_is_gone(condition: &mut Value, before: &[Value]) {
    let old = before.iter().find(|old| old["type"] == condition["type"]).and_then(Value::as_object);
    if let (Some(old), Value::Object(new)) = (old, condition) {
        for key in old.keys() {
            new.entry(key.clone()).or_insert(Value::Null);
        }
    }
}

/// The fields that an agent makes; others are somebody else's.
const MADE: [&str; 14] = [
    "conditions",
    "containerStatuses",
    "ephemeralContainerStatuses",
    "hostIP",
    "hostIPs",
    "initContainerStatuses",
    "message",
    "observedGeneration",
    "phase",
    "podIP",
    "podIPs",
    "qosClass",
    "reason",
    "startTime",
];

fn fields(status: &PodStatus) -> Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(status) else { return Map::new() };
    fields.retain(|key, _| MADE.contains(&key.as_str()));
    if let Some(Value::Array(conditions)) = fields.get_mut("conditions") {
        conditions.retain(|condition| condition["type"].as_str().is_some_and(is_ours));
        conditions.sort_by_key(|condition| condition["type"].to_string());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn says_what_changed_and_nothing_of_others() {
        let cases = [
            (json!({"phase": "Pending"}), json!({"phase": "Pending"}), None),
            (json!({"phase": "Pending", "nominatedNodeName": "n"}), json!({"phase": "Running"}), Some(json!({"phase": "Running"}))),
            (json!({"phase": "Failed", "reason": "x"}), json!({"phase": "Failed"}), Some(json!({"reason": null}))),
            (
                json!({"conditions": [{"type": "Mine", "status": "True"}, {"type": "Ready", "status": "False"}]}),
                json!({"conditions": [{"type": "Ready", "status": "True"}]}),
                Some(json!({"conditions": [{"type": "Ready", "status": "True"}]})),
            ),
            (
                json!({"conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]}),
                json!({"conditions": [{"type": "Ready", "status": "True"}]}),
                Some(json!({"conditions": [{"type": "Ready", "status": "True", "reason": null}]})),
            ),
            (
                json!({"conditions": [{"type": "PodResizePending", "status": "True"}, {"type": "Ready", "status": "True"}]}),
                json!({"conditions": [{"type": "Ready", "status": "True"}]}),
                Some(json!({"conditions": [{"type": "Ready", "status": "True"}, {"$patch": "delete", "type": "PodResizePending"}]})),
            ),
            (
                json!({"podIPs": [{"ip": "10.0.0.1"}]}),
                json!({"podIPs": [{"ip": "10.0.0.2"}]}),
                Some(json!({"podIPs": [{"ip": "10.0.0.2"}, {"$patch": "delete", "ip": "10.0.0.1"}]})),
            ),
        ];
        for (old, new, expected) in cases {
            let patch = between("u", &status(old), &status(new)).map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
            assert_eq!(patch, expected.map(|status| json!({"metadata": {"uid": "u"}, "status": status})));
        }
    }
}
