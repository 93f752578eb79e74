//! Reading pods: the questions that several files ask of a Pod, answered as kubelet's helpers do.

use crate::runtime::PodId;
use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, Pod, PodSpec, ResourceRequirements};
use skiff_proto::quantity::Quantity;

/// Which of a pod's three lists a container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// spec.initContainers
    Init,
    /// spec.containers
    Regular,
    /// spec.ephemeralContainers
    Ephemeral,
}

impl Kind {
    /// The part of an event's fieldPath.
    pub fn field(self) -> &'static str {
        match self {
            Kind::Init => "initContainers",
            Kind::Regular => "containers",
            Kind::Ephemeral => "ephemeralContainers",
        }
    }
}

/// Who a pod is.
pub fn id(pod: &Pod) -> PodId {
    PodId {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
    }
}

/// A pod's spec; every stored pod has one.
pub fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

/// Init containers in order.
pub fn init_containers(pod: &Pod) -> &[Container] {
    spec(pod).init_containers.as_deref().unwrap_or_default()
}

/// The containers.
pub fn regular_containers(pod: &Pod) -> &[Container] {
    &spec(pod).containers
}

/// The user a container is told to run as; none: its image's (`securitycontext.DetermineEffectiveRunAsUser`).
pub fn run_as_user(pod: &Pod, container: &Container) -> Option<i64> {
    let own = container.security_context.as_ref().and_then(|own| own.run_as_user);
    own.or_else(|| spec(pod).security_context.as_ref()?.run_as_user)
}

/// Ephemeral containers as containers (they have the same fields), each with the container whose processes it sees.
pub fn ephemeral_containers(pod: &Pod) -> Vec<(Container, Option<String>)> {
    let convert = |ephemeral: &k8s_openapi::api::core::v1::EphemeralContainer| {
        let value = serde_json::to_value(ephemeral).ok()?;
        Some((serde_json::from_value(value).ok()?, ephemeral.target_container_name.clone()))
    };
    spec(pod).ephemeral_containers.iter().flatten().filter_map(convert).collect()
}

/// A container by name, wherever it is.
pub fn find(pod: &Pod, name: &str) -> Option<(Kind, Container)> {
    let named = |containers: &[Container]| containers.iter().find(|container| container.name == name).cloned();
    if let Some(container) = named(regular_containers(pod)) {
        return Some((Kind::Regular, container));
    }
    if let Some(container) = named(init_containers(pod)) {
        return Some((Kind::Init, container));
    }
    ephemeral_containers(pod).into_iter().map(|(container, _)| container).find(|container| container.name == name).map(|container| (Kind::Ephemeral, container))
}

pub use skiff_proto::rules::requests::is_sidecar;

/// spec.restartPolicy.
pub fn restart_policy(pod: &Pod) -> &str {
    spec(pod).restart_policy.as_deref().unwrap_or("Always")
}

/// Whether a container that ended with `code` is to be started again (`podutil.ContainerShouldRestart`).
pub fn should_restart(pod: &Pod, container: &Container, code: i32) -> bool {
    let policy = match container.restart_policy.as_deref() {
        Some(policy) => {
            if let Some(rule) = container.restart_policy_rules.iter().flatten().find(|rule| matches(rule, code)) {
                return rule.action == "Restart";
            }
            policy
        }
        None => restart_policy(pod),
    };
    match policy {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

fn matches(rule: &ContainerRestartRule, code: i32) -> bool {
    rule.exit_codes.as_ref().is_some_and(|codes| {
        let listed = codes.values.iter().flatten().any(|value| *value == code);
        if codes.operator == "NotIn" { !listed } else { listed }
    })
}

/// Whether it uses the machine's network.
pub fn host_network(pod: &Pod) -> bool {
    spec(pod).host_network.unwrap_or(false)
}

/// Whether it has been told to go.
pub fn is_deleted(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// status.phase.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Whether it has ended for good.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// A quantity as a number; what does not parse has been refused by the API server long ago.
pub fn quantity(text: &k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> Quantity {
    text.0.parse().unwrap_or(Quantity::ZERO)
}

/// A container's request of a resource (the API server has defaulted it from the limit).
pub fn request(resources: Option<&ResourceRequirements>, name: &str) -> Option<Quantity> {
    resources?.requests.as_ref()?.get(name).map(quantity)
}

/// A container's limit of a resource.
pub fn limit(resources: Option<&ResourceRequirements>, name: &str) -> Option<Quantity> {
    resources?.limits.as_ref()?.get(name).map(quantity)
}

/// Quality of service (`component-helpers/qos.ComputePodQOS`): the API server has written it to the status; this is for a pod where it has not.
pub fn qos(pod: &Pod) -> String {
    if let Some(class) = pod.status.as_ref().and_then(|status| status.qos_class.clone()) {
        return class;
    }
    let containers = || regular_containers(pod).iter().chain(init_containers(pod));
    let says = |container: &Container, name: &str| {
        let resources = container.resources.as_ref();
        (request(resources, name).filter(|value| !value.is_zero()), limit(resources, name).filter(|value| !value.is_zero()))
    };
    let nothing = containers().all(|container| ["cpu", "memory"].iter().all(|name| says(container, name) == (None, None)));
    if nothing {
        return "BestEffort".into();
    }
    let fixed = |container: &Container, name: &str| {
        let (request, limit) = says(container, name);
        limit.is_some_and(|limit| request.is_none_or(|request| request.nanos() == limit.nanos()))
    };
    let guaranteed = containers().all(|container| ["cpu", "memory"].iter().all(|name| fixed(container, name)));
    if guaranteed { "Guaranteed".into() } else { "Burstable".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn restart_follows_rules_then_policy() {
        let cases = [
            (json!({"restartPolicy": "Always", "containers": [{"name": "c"}]}), 0, true),
            (json!({"restartPolicy": "OnFailure", "containers": [{"name": "c"}]}), 0, false),
            (json!({"restartPolicy": "OnFailure", "containers": [{"name": "c"}]}), 1, true),
            (json!({"restartPolicy": "Never", "containers": [{"name": "c"}]}), 1, false),
            (json!({"restartPolicy": "Never", "containers": [{"name": "c", "restartPolicy": "OnFailure"}]}), 1, true),
            (
                json!({"restartPolicy": "Never", "containers": [{"name": "c", "restartPolicy": "Never",
                "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]}]}),
                42,
                true,
            ),
            (
                json!({"restartPolicy": "Never", "containers": [{"name": "c", "restartPolicy": "Never",
                "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [42]}}]}]}),
                42,
                false,
            ),
        ];
        for (spec, code, expected) in cases {
            let pod = pod(spec.clone());
            assert_eq!(should_restart(&pod, &regular_containers(&pod)[0], code), expected, "{spec} {code}");
        }
    }

    #[test]
    fn quality_of_service() {
        let cases = [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
            (json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}), "Burstable"),
        ];
        for (resources, expected) in cases {
            assert_eq!(qos(&pod(json!({"containers": [{"name": "c", "resources": resources}]}))), expected);
        }
    }
}
