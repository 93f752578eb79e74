//! What a pod asks for as a whole: the sum over its containers, resources of the pod itself, and its QoS class.
//!
//! See `component-helpers/resource/helpers.go`, `pkg/apis/core/v1/defaults.go` (`defaultPodRequests`), `pkg/apis/core/helper/qos/qos.go`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skiff_proto::quantity::Quantity;

use super::default::is_sidecar;
use crate::kinds::json::{default, entries, has, is_empty, items, object_at, present_mut};

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts of a resource list. What is no quantity was refused by the schema, and counts as nothing.
pub fn amounts(list: &Value) -> Amounts {
    entries(list).map(|(name, amount)| (name.clone(), quantity(amount))).collect()
}

/// The quantity in a JSON string; nothing if it is none.
pub fn quantity(amount: &Value) -> Quantity {
    amount.as_str().and_then(|text| text.parse().ok()).unwrap_or(Quantity::ZERO)
}

/// `AggregateContainerRequests` (`key` is `requests`), `AggregateContainerLimits` (`limits`): containers run side by side, with sidecars;
/// an init container runs with the sidecars before it.
pub fn aggregate(spec: &Value, key: &str) -> Amounts {
    let of = |container: &Value| amounts(&container["resources"][key]);
    let mut total = Amounts::new();
    for container in items(&spec["containers"]) {
        add(&mut total, &of(container));
    }
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in items(&spec["initContainers"]) {
        let mut own = of(container);
        if is_sidecar(container) {
            add(&mut total, &own);
            add(&mut sidecars, &own);
            own.clone_from(&sidecars);
        } else {
            add(&mut own, &sidecars);
        }
        max(&mut starting, own);
    }
    max(&mut total, starting);
    total
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.entry(name.clone()).or_insert(Quantity::ZERO);
        *sum = sum.plus(*amount);
    }
}

fn max(total: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        let most = total.entry(name).or_insert(amount);
        *most = (*most).max(amount);
    }
}

/// Whether a resource may be asked for by a pod as a whole.
pub fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// `defaultHugePagePodLimits` and `defaultPodRequests`: where a pod as a whole asks for something, the rest follows from its containers.
pub fn default_pod_level(spec: &mut Value) {
    let pod = &spec["resources"];
    if pod.is_null() || is_empty(&pod["limits"]) && is_empty(&pod["requests"]) {
        return;
    }
    let limits: Vec<(String, Quantity)> = aggregate(spec, "limits")
        .into_iter()
        .filter(|(name, _)| name.starts_with("hugepages-") && !has(&pod["requests"], name) && !has(&pod["limits"], name))
        .collect();
    let asked: Vec<(String, Quantity)> = aggregate(spec, "requests").into_iter().filter(|(name, _)| matches!(name.as_str(), "cpu" | "memory")).collect();
    let Some(pod) = present_mut(spec, "resources") else { return };
    if !limits.is_empty()
        && let Some(list) = object_at(pod, "limits")
    {
        limits.iter().for_each(|(name, amount)| default(list, name, amount.to_string()));
    }
    if is_empty(&pod["limits"]) {
        return;
    }
    let from_limits: Vec<(String, Value)> =
        entries(&pod["limits"]).filter(|(name, _)| is_pod_level(name)).map(|(name, amount)| (name.clone(), amount.clone())).collect();
    if (!asked.is_empty() || !from_limits.is_empty())
        && let Some(requests) = object_at(pod, "requests")
    {
        asked.iter().for_each(|(name, amount)| default(requests, name, amount.to_string()));
        from_limits.into_iter().for_each(|(name, amount)| default(requests, &name, amount));
    }
}

/// `ComputePodQOS`: `Guaranteed`, `Burstable` or `BestEffort`.
pub fn qos_class(spec: &Value) -> &'static str {
    let counts = |name: &str| matches!(name, "cpu" | "memory");
    let positive = |list: &Value| -> Amounts { amounts(list).into_iter().filter(|(name, amount)| counts(name) && *amount > Quantity::ZERO).collect() };
    let pod = json!([{ "resources": spec["resources"] }]);
    let whole = has(spec, "resources");
    let lists: Vec<&Value> = if whole { vec![&pod] } else { vec![&spec["containers"], &spec["initContainers"]] };
    let (mut requests, mut limits, mut guaranteed) = (Amounts::new(), Amounts::new(), true);
    for container in lists.into_iter().flat_map(items) {
        let resources = &container["resources"];
        add(&mut requests, &positive(&resources["requests"]));
        let own = positive(&resources["limits"]);
        let both = own.len() == 2;
        if !(both || whole && is_empty(&resources["limits"])) {
            guaranteed = false;
        }
        add(&mut limits, &own);
    }
    if requests.is_empty() && limits.is_empty() {
        return "BestEffort";
    }
    let equal = requests.iter().all(|(name, amount)| limits.get(name) == Some(amount));
    if guaranteed && equal && requests.len() == limits.len() { "Guaranteed" } else { "Burstable" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qos_classes() {
        let container = |resources: Value| json!({"containers": [{"name": "a", "resources": resources}]});
        for (spec, class) in [
            (container(json!({})), "BestEffort"),
            (container(json!({"requests": {"cpu": "0"}})), "BestEffort"),
            (container(json!({"requests": {"cpu": "1"}})), "Burstable"),
            (container(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}})), "Burstable"),
            (container(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}})), "Guaranteed"),
            (container(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}})), "Burstable"),
            (container(json!({"requests": {"example.com/gpu": "1"}})), "BestEffort"),
        ] {
            assert_eq!(qos_class(&spec), class, "{spec}");
        }
    }

    #[test]
    fn sidecars_count_beside_init_containers() {
        let spec = json!({
            "initContainers": [
                {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
                {"name": "i", "resources": {"requests": {"cpu": "5"}}}
            ],
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "2"}}}]
        });
        assert_eq!(aggregate(&spec, "requests")["cpu"].to_string(), "6");
    }

    #[test]
    fn requests_of_a_pod_follow_its_containers_then_its_limits() {
        let mut spec = json!({"resources": {"limits": {"cpu": "4", "memory": "1Gi"}}, "containers": [{"resources": {"requests": {"cpu": "1"}}}]});
        default_pod_level(&mut spec);
        assert_eq!(spec["resources"]["requests"], json!({"cpu": "1", "memory": "1Gi"}));
    }
}
