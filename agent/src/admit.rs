//! Whether a node takes a pod that has been assigned to it (`lifecycle/predicate.go`): the scheduler has asked the same, but whoever
//! sets spec.nodeName by hand has not.

use crate::pod;
use crate::status::Failed;
use k8s_openapi::api::core::v1::{Node, Pod};
use skiff_proto::quantity::Quantity;
use skiff_proto::rules::affinity::{NodeLabels, required_matches};
use skiff_proto::rules::requests::pod_requests;
use skiff_proto::rules::taints::untolerated;
use std::collections::BTreeMap;

/// What the node is.
pub struct NodeView<'a> {
    /// The Node object, once it has been read.
    pub node: Option<&'a Node>,
    /// What it has to give.
    pub allocatable: &'a BTreeMap<String, Quantity>,
}

/// Why the pod is refused, or none. `others` are the pods that use the node now.
pub fn refuse(pod: &Pod, others: &[&Pod], view: &NodeView<'_>) -> Option<Failed> {
    let found = resources(pod, others, view)
        .or_else(|| {
            affinity(pod, view).map(|()| ("NodeAffinity".into(), "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector".into()))
        })
        .or_else(|| {
            ports(pod, others).map(|()| ("NodePorts".into(), "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports".into()))
        })
        .or_else(|| taints(pod, view).map(|()| ("UnexpectedAdmissionError".into(), "node(s) had untolerated taint(s)".into())));
    found.map(|(reason, message)| Failed { reason, message })
}

/// Why a pod that runs here cannot have the resources it asks for now: never (`Infeasible`), or not yet (`Deferred`).
pub fn refuse_resize(pod: &Pod, others: &[&Pod], allocatable: &BTreeMap<String, Quantity>) -> Option<(&'static str, String)> {
    for name in ["cpu", "memory"] {
        let of = |pod: &Pod| pod_requests(pod).get(name).copied().unwrap_or(Quantity::ZERO);
        let capacity = allocatable.get(name).copied().unwrap_or(Quantity::ZERO);
        let number = |quantity: Quantity| if name == "cpu" { quantity.millis() } else { quantity.units() };
        let asked = of(pod);
        if asked.nanos() > capacity.nanos() {
            let message = format!("Node didn't have enough capacity: {name}, requested: {}, capacity: {}", number(asked), number(capacity));
            return Some(("Infeasible", message));
        }
        let all = others.iter().fold(asked, |sum, other| sum.plus(of(other)));
        if all.nanos() > capacity.nanos() {
            return Some(("Deferred", format!("Node didn't have enough resource: {name}")));
        }
    }
    None
}

fn resources(pod: &Pod, others: &[&Pod], view: &NodeView<'_>) -> Option<(String, String)> {
    let pods = view.allocatable.get("pods").map_or(i64::MAX, |pods| pods.units());
    let used = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if used + 1 > pods {
        return Some(("OutOfpods".into(), shortage("pods", 1, used, pods)));
    }
    let mut sums: BTreeMap<String, Quantity> = BTreeMap::new();
    for (name, value) in others.iter().flat_map(|other| pod_requests(other)) {
        let sum = sums.entry(name).or_insert(Quantity::ZERO);
        *sum = sum.plus(value);
    }
    for (name, asked) in pod_requests(pod) {
        let known = view.allocatable.get(&name).copied();
        let capacity = known.unwrap_or(Quantity::ZERO);
        let used = sums.get(&name).copied().unwrap_or(Quantity::ZERO);
        // Resources nobody has are refused only where they are somebody's (`example.com/gpu`); others are the scheduler's.
        if asked.is_zero() || used.plus(asked).nanos() <= capacity.nanos() || (known.is_none() && !name.contains('/')) {
            continue;
        }
        let number = |quantity: Quantity| if name == "cpu" { quantity.millis() } else { quantity.units() };
        return Some((format!("OutOf{name}"), shortage(&name, number(asked), number(used), number(capacity))));
    }
    None
}

fn shortage(name: &str, asked: i64, used: i64, capacity: i64) -> String {
    format!("Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {capacity}")
}

/// Some where the node's labels are not what the pod requires.
fn affinity(pod: &Pod, view: &NodeView<'_>) -> Option<()> {
    let node = view.node?;
    let spec = pod::spec(pod);
    let empty = BTreeMap::new();
    let labels = NodeLabels { name: node.metadata.name.as_deref().unwrap_or_default(), labels: node.metadata.labels.as_ref().unwrap_or(&empty) };
    let required = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    if required_matches(spec.node_selector.as_ref(), required, labels) { None } else { Some(()) }
}

/// Some where a host port is taken.
fn ports(pod: &Pod, others: &[&Pod]) -> Option<()> {
    let of = |pod: &Pod| -> Vec<(String, i32, String)> {
        let all = pod::regular_containers(pod).iter().flat_map(|container| container.ports.iter().flatten());
        let published = all.filter_map(|port| {
            let number = port.host_port.filter(|number| *number != 0)?;
            let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".into());
            Some((port.protocol.clone().unwrap_or_else(|| "TCP".into()), number, ip))
        });
        published.collect()
    };
    let taken: Vec<_> = others.iter().flat_map(|other| of(other)).collect();
    let clash = |(protocol, number, ip): &(String, i32, String)| {
        taken.iter().any(|(other, port, at)| protocol == other && number == port && (ip == at || ip == "0.0.0.0" || at == "0.0.0.0"))
    };
    of(pod).iter().any(clash).then_some(())
}

/// Some where the node evicts pods like this one (only `NoExecute` counts for a kubelet).
fn taints(pod: &Pod, view: &NodeView<'_>) -> Option<()> {
    let taints = view.node?.spec.as_ref()?.taints.as_ref()?;
    let tolerations = pod::spec(pod).tolerations.as_deref().unwrap_or_default();
    untolerated(taints, tolerations, &["NoExecute"]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn resizes() {
        let allocatable = [("cpu".to_owned(), Quantity::from_units(2)), ("memory".to_owned(), Quantity::from_bytes(1 << 30))].into();
        let asks = |cpu: &str| pod(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}));
        let other = asks("1500m");
        let cases = [
            ("500m", None),
            ("501m", Some(("Deferred", "Node didn't have enough resource: cpu".to_owned()))),
            ("3", Some(("Infeasible", "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000".to_owned()))),
        ];
        for (cpu, expected) in cases {
            assert_eq!(refuse_resize(&asks(cpu), &[&other], &allocatable), expected, "{cpu}");
        }
    }

    #[test]
    fn refusals() {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "node-1", "labels": {"disk": "ssd"}},
            "spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}}))
        .unwrap();
        let allocatable = [("cpu", Quantity::from_units(2)), ("memory", Quantity::from_bytes(1 << 30)), ("pods", Quantity::from_units(3))];
        let allocatable = allocatable.map(|(name, value)| (name.to_owned(), value)).into();
        let view = NodeView { node: Some(&node), allocatable: &allocatable };
        let tolerant = json!([{"operator": "Exists"}]);
        let asks = |cpu: &str| json!({"tolerations": [{"operator": "Exists"}], "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]});
        let other = pod(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1500m"}}, "ports": [{"containerPort": 1, "hostPort": 80}]}]}));
        let cases = [
            (asks("500m"), None),
            (asks("501m"), Some("OutOfcpu")),
            (json!({"tolerations": tolerant, "containers": [], "nodeSelector": {"disk": "ssd"}}), None),
            (json!({"tolerations": tolerant, "containers": [], "nodeSelector": {"disk": "hdd"}}), Some("NodeAffinity")),
            (
                json!({"tolerations": tolerant, "containers": [], "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["ssd"]}]}]}}}}),
                Some("NodeAffinity"),
            ),
            (json!({"tolerations": tolerant, "containers": [{"name": "c", "ports": [{"containerPort": 9, "hostPort": 80}]}]}), Some("NodePorts")),
            (json!({"containers": []}), Some("UnexpectedAdmissionError")),
        ];
        for (spec, expected) in cases {
            let refused = refuse(&pod(spec.clone()), &[&other], &view);
            assert_eq!(refused.as_ref().map(|failed| failed.reason.as_str()), expected, "{spec}");
        }
        let refused = refuse(&pod(asks("1")), &[&other], &view).unwrap();
        assert_eq!(refused.message, "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000");
        let full = refuse(&pod(asks("1m")), &[&pod(json!({"containers": []})); 3], &view).unwrap();
        assert_eq!((full.reason.as_str(), full.message.as_str()), ("OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"));
    }
}
