//! Which pods stand behind a service, at which address and ports. See `k8s.io/endpointslice/util` and `FindPort` in `k8s.io/endpointslice`.

use std::net::IpAddr;

use crate::view::service::{Port, ServicePort, TargetPort};
use crate::view::{Pod, Service};

/// The two address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// `IPv4`, `IPv6`: the service's word for it, and the slice's.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The family of an address, if it is one.
    pub fn of(address: &str) -> Option<Self> {
        match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(_) => Some(Self::V4),
            IpAddr::V6(_) => Some(Self::V6),
        }
    }

    /// The families that a service publishes, the first first; IPv4 where it does not say.
    pub fn of_service(service: &Service) -> Vec<Self> {
        let named = |name: &String| [Self::V4, Self::V6].into_iter().find(|family| family.name() == name);
        let families: Vec<Self> = service.spec.ip_families.iter().filter_map(named).collect();
        if families.is_empty() { vec![Self::V4] } else { families }
    }
}

/// `ShouldPodBeInEndpoints`: whether the pod is published at all, ready or not.
pub fn belongs(pod: &Pod, include_terminating: bool) -> bool {
    let has_address = !pod.status.pod_ip.is_empty() || !pod.status.pod_ips.is_empty();
    !pod.is_terminal() && has_address && (include_terminating || !pod.metadata.is_deleting())
}

/// Whether the service selects the pod.
pub fn is_selected(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.selector.as_ref();
    selector.is_some_and(|selector| selector.iter().all(|(key, value)| pod.metadata.labels.get(key) == Some(value)))
}

/// `ShouldSetHostname`: whether the pod is found by its hostname under this (headless) service.
pub fn hostname<'a>(pod: &'a Pod, service: &Service) -> Option<&'a str> {
    let named = !pod.spec.hostname.is_empty() && pod.spec.subdomain == service.metadata.name && pod.metadata.namespace == service.metadata.namespace;
    named.then_some(pod.spec.hostname.as_str())
}

/// The pod's address of one family.
pub fn address(pod: &Pod, family: Family) -> Option<&str> {
    let all = pod.status.pod_ips.iter().map(|one| one.ip.as_str()).chain([pod.status.pod_ip.as_str()]);
    all.into_iter().find(|address| Family::of(address) == Some(family))
}

/// `FindPort`: the pod's port that a service port means. A name that the pod does not have means none.
pub fn find_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(TargetPort::Number(number)) => Some(*number),
        Some(TargetPort::Name(name)) => {
            let sidecars = pod.spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
            let mut ports = pod.spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
            let protocol = |of: &str| if of.is_empty() { "TCP".to_owned() } else { of.to_owned() };
            ports.find(|have| have.name == *name && protocol(&have.protocol) == protocol(&port.protocol)).map(|have| have.container_port)
        }
    }
}

/// A service port on a pod, as it is published.
pub fn published(port: &ServicePort, number: i32) -> Port {
    Port { name: Some(port.name.clone()), port: Some(number), protocol: Some(port.protocol.clone()), app_protocol: port.app_protocol.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_ports() {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]}],
            "initContainers": [{"name": "s", "restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 9}]}, {"name": "i", "ports": [{"name": "init", "containerPort": 1}]}],
        }}))
        .unwrap();
        let cases = [
            (json!({"port": 80, "targetPort": 8000, "protocol": "TCP"}), Some(8000)),
            (json!({"port": 80, "targetPort": "web", "protocol": "TCP"}), Some(8080)),
            (json!({"port": 80, "targetPort": "web", "protocol": "UDP"}), None),
            (json!({"port": 80, "targetPort": "dns", "protocol": "UDP"}), Some(53)),
            (json!({"port": 80, "targetPort": "side", "protocol": "TCP"}), Some(9)),
            (json!({"port": 80, "targetPort": "init", "protocol": "TCP"}), None),
            (json!({"port": 80}), Some(80)),
        ];
        for (port, expected) in cases {
            assert_eq!(find_port(&pod, &serde_json::from_value(port.clone()).unwrap()), expected, "{port}");
        }
    }

    #[test]
    fn belongs_while_it_may_serve() {
        let pod = |json: serde_json::Value| serde_json::from_value::<Pod>(json).unwrap();
        let leaving = pod(json!({"metadata": {"deletionTimestamp": "2025-01-01T00:00:00Z"}, "status": {"phase": "Running", "podIP": "10.0.0.1"}}));
        assert!(!belongs(&leaving, false));
        assert!(belongs(&leaving, true));
        assert!(!belongs(&pod(json!({"status": {"phase": "Succeeded", "podIP": "10.0.0.1"}})), true));
        assert!(!belongs(&pod(json!({"status": {"phase": "Running"}})), true));
    }
}
