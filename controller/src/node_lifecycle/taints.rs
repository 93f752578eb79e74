//! The taints that a node's conditions call for. See `doNoScheduleTaintingPass` and `processTaintBaseEviction` in
//! `pkg/controller/nodelifecycle/node_lifecycle_controller.go`.

use serde_json::{Value, json};

use crate::view::Node;
use crate::view::node::Taint;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NO_SCHEDULE: &str = "NoSchedule";
/// The effect that evicts.
pub const NO_EXECUTE: &str = "NoExecute";

/// Which condition in which state calls for which taint: `nodeConditionToTaintKeyStatusMap`.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// Whether nodes that are not ready may lose their pods now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evict {
    /// Yes.
    Now,
    /// Not yet: others went only just before. What is tainted already stays so.
    Later,
    /// No: no node is ready, so that it is more likely we who are cut off. Taints that evict are taken back.
    Never,
}

/// The taints that the node should have: those that are not ours to judge, and ours as its conditions call for.
pub fn wanted(node: &Node, evict: Evict, now: &str) -> Vec<Taint> {
    let called_for = |effect: &str| {
        let status = |kind: &str| node.condition(kind).map(|condition| condition.status.as_str());
        let mut keys: Vec<&str> = BY_CONDITION.iter().filter(|(kind, state, _)| status(kind) == Some(state)).map(|(_, _, key)| *key).collect();
        match effect {
            NO_SCHEDULE if node.spec.unschedulable => keys.push(UNSCHEDULABLE),
            NO_EXECUTE => keys.retain(|key| [NOT_READY, UNREACHABLE].contains(key)),
            _ => {}
        }
        keys
    };
    let has = |key: &str, effect: &str| node.spec.taints.iter().any(|taint| taint.key == key && taint.effect == effect);
    let (no_schedule, mut no_execute) = (called_for(NO_SCHEDULE), called_for(NO_EXECUTE));
    let tainted = has(NOT_READY, NO_EXECUTE) || has(UNREACHABLE, NO_EXECUTE);
    if evict == Evict::Never || evict == Evict::Later && !tainted {
        no_execute.clear();
    }
    let mut taints: Vec<Taint> = node.spec.taints.iter().filter(|taint| !is_ours(taint) || wants(taint, &no_schedule, &no_execute)).cloned().collect();
    for (keys, effect) in [(no_schedule, NO_SCHEDULE), (no_execute, NO_EXECUTE)] {
        for key in keys.into_iter().filter(|key| !has(key, effect)) {
            taints.push(Taint { key: key.to_owned(), effect: effect.to_owned(), time_added: now.to_owned(), ..Taint::default() });
        }
    }
    taints
}

/// Whether the node gains a taint that evicts.
pub fn begins_to_evict(node: &Node, wanted: &[Taint]) -> bool {
    let evicts = |taints: &[Taint]| taints.iter().any(|taint| is_ours(taint) && taint.effect == NO_EXECUTE);
    !evicts(&node.spec.taints) && evicts(wanted)
}

/// The merge patch that makes the node's taints so, or nothing where they are.
pub fn patch(node: &Node, wanted: &[Taint]) -> Option<Value> {
    if node.spec.taints == wanted {
        return None;
    }
    let taints = if wanted.is_empty() { Value::Null } else { wanted.iter().map(to_json).collect() };
    Some(json!({ "metadata": { "resourceVersion": node.metadata.resource_version, "uid": node.metadata.uid }, "spec": { "taints": taints } }))
}

fn is_ours(taint: &Taint) -> bool {
    let by_condition = BY_CONDITION.iter().any(|(_, _, key)| *key == taint.key);
    match taint.effect.as_str() {
        NO_SCHEDULE => by_condition || taint.key == UNSCHEDULABLE,
        NO_EXECUTE => [NOT_READY, UNREACHABLE].contains(&taint.key.as_str()),
        _ => false,
    }
}

fn wants(taint: &Taint, no_schedule: &[&str], no_execute: &[&str]) -> bool {
    let keys = if taint.effect == NO_EXECUTE { no_execute } else { no_schedule };
    keys.contains(&taint.key.as_str())
}

fn to_json(taint: &Taint) -> Value {
    let mut json = json!({ "key": taint.key, "effect": taint.effect });
    for (field, text) in [("value", &taint.value), ("timeAdded", &taint.time_added)] {
        if !text.is_empty() {
            json[field] = text.as_str().into();
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, unschedulable: bool, taints: &[&str]) -> Node {
        let taints: Vec<Value> = taints.iter().map(|taint| taint.split_once(':').unwrap()).map(|(key, effect)| json!({"key": key, "effect": effect})).collect();
        let conditions = json!([{"type": "Ready", "status": ready}, {"type": "DiskPressure", "status": "False"}]);
        serde_json::from_value(json!({"spec": {"unschedulable": unschedulable, "taints": taints}, "status": {"conditions": conditions}})).unwrap()
    }

    #[test]
    fn conditions_call_for_taints() {
        let unreachable = ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"];
        let not_ready = ["node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"];
        let cases: [(&str, Node, Evict, &[&str]); 10] = [
            ("ready", node("True", false, &[]), Evict::Now, &[]),
            ("dead", node("Unknown", false, &[]), Evict::Now, &unreachable),
            ("dead, others too", node("Unknown", false, &[]), Evict::Never, &unreachable[..1]),
            ("dead, in its turn", node("Unknown", false, &[]), Evict::Later, &unreachable[..1]),
            ("dead before", node("Unknown", false, &unreachable), Evict::Later, &unreachable),
            ("dead before, now all are", node("Unknown", false, &unreachable), Evict::Never, &unreachable[..1]),
            ("back", node("True", false, &unreachable), Evict::Now, &[]),
            ("back, not ready", node("False", false, &unreachable), Evict::Later, &not_ready),
            ("cordoned", node("True", true, &[]), Evict::Now, &["node.kubernetes.io/unschedulable:NoSchedule"]),
            ("another's", node("True", false, &["a:NoExecute", "b:NoSchedule"]), Evict::Never, &["a:NoExecute", "b:NoSchedule"]),
        ];
        for (name, node, evict, expected) in cases {
            let wanted = wanted(&node, evict, "now");
            let mut have: Vec<String> = wanted.iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
            let mut expected: Vec<String> = expected.iter().map(|taint| (*taint).to_owned()).collect();
            have.sort();
            expected.sort();
            assert_eq!(have, expected, "{name}");
        }
    }

    #[test]
    fn nothing_is_patched_twice() {
        let node = node("Unknown", true, &["a:NoSchedule"]);
        let taints = wanted(&node, Evict::Now, "2025-01-01T00:00:00Z");
        assert!(begins_to_evict(&node, &taints));
        assert!(patch(&node, &taints).is_some());
        let after = Node { spec: crate::view::node::NodeSpec { taints: taints.clone(), ..node.spec.clone() }, ..node };
        assert_eq!(patch(&after, &wanted(&after, Evict::Now, "later")), None);
    }
}
