//! What a pod asks for. See `component-helpers/resource/helpers.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Stored;

use crate::quantity::Quantity;

/// Amounts by resource name: `cpu`, `memory`, `ephemeral-storage`, `example.com/gpu`.
pub type Amounts = BTreeMap<String, Quantity>;

/// What the scheduler reserves for the pod: the larger of what its containers ask for together and what each init container asks for
/// beside the sidecars started before it, plus the overhead. Resources of the pod itself (`spec.resources`) win.
pub fn pod_requests(pod: &Pod) -> Amounts {
    pod.spec.as_ref().map(|spec| spec_amounts(spec, |resources| resources.requests.as_ref())).unwrap_or_default()
}

/// The same of limits. A container without a limit contributes none.
pub fn pod_limits(pod: &Pod) -> Amounts {
    pod.spec.as_ref().map(|spec| spec_amounts(spec, |resources| resources.limits.as_ref())).unwrap_or_default()
}

/// Whether an init container is a sidecar, which goes on running beside the others.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The amounts of a stored resource list.
pub fn amounts(stored: Option<&BTreeMap<String, Stored>>) -> Amounts {
    stored.into_iter().flatten().map(|(name, quantity)| (name.clone(), Quantity::from(quantity))).collect()
}

/// Adds `more` to `sum`, name by name.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, quantity) in more {
        let entry = sum.entry(name.clone()).or_insert(Quantity::ZERO);
        *entry = entry.plus(*quantity);
    }
}

/// Raises `most` to at least `other`, name by name.
pub fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, quantity) in other {
        let entry = most.entry(name.clone()).or_insert(*quantity);
        if *quantity > *entry {
            *entry = *quantity;
        }
    }
}

fn spec_amounts<'a>(spec: &'a PodSpec, which: impl Fn(&'a ResourceRequirements) -> Option<&'a BTreeMap<String, Stored>>) -> Amounts {
    let of = |container: &'a Container| amounts(container.resources.as_ref().and_then(&which));
    let mut running = Amounts::new();
    for container in &spec.containers {
        add(&mut running, &of(container));
    }
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in spec.init_containers.iter().flatten() {
        let mut beside = of(container);
        if is_sidecar(container) {
            add(&mut running, &beside);
            add(&mut sidecars, &beside);
            beside = sidecars.clone();
        } else {
            add(&mut beside, &sidecars);
        }
        raise(&mut starting, &beside);
    }
    raise(&mut running, &starting);
    for (name, quantity) in amounts(spec.resources.as_ref().and_then(which)) {
        if name == "cpu" || name == "memory" || name.starts_with("hugepages-") {
            running.insert(name, quantity);
        }
    }
    add(&mut running, &amounts(spec.overhead.as_ref()));
    running
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(json: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"spec": json})).expect("a pod")
    }

    fn container(cpu: &str) -> serde_json::Value {
        serde_json::json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})
    }

    fn sidecar(cpu: &str) -> serde_json::Value {
        let mut sidecar = container(cpu);
        sidecar["restartPolicy"] = "Always".into();
        sidecar
    }

    #[test]
    fn sums_and_maxima() {
        for (spec, millis) in [
            (serde_json::json!({"containers": [container("1"), container("500m")]}), 1500),
            (serde_json::json!({"containers": [container("1")], "initContainers": [container("3")]}), 3000),
            (serde_json::json!({"containers": [container("1")], "initContainers": [sidecar("2"), container("3")]}), 5000),
            (serde_json::json!({"containers": [container("4")], "initContainers": [container("3"), sidecar("2")]}), 6000),
            (serde_json::json!({"containers": [container("1")], "overhead": {"cpu": "100m"}}), 1100),
            (serde_json::json!({"containers": [container("1")], "resources": {"requests": {"cpu": "2"}}}), 2000),
        ] {
            assert_eq!(pod_requests(&pod(spec.clone()))["cpu"].millis(), millis, "{spec}");
        }
    }
}
