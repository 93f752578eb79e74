//! The Endpoints object of a service. See `syncService` in `pkg/controller/endpoint/endpoints_controller.go` and `RepackSubsets` in
//! `pkg/api/v1/endpoints/util.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::members::{Family, address, belongs, find_port, hostname, published};
use crate::view::service::{Address, Endpoints, Port, Reference, Subset};
use crate::view::{Labels, Pod, Service};

/// The label by which our Endpoints are told from others'.
const MANAGED_BY: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");
/// The label of what belongs to a headless service.
pub const HEADLESS: &str = "service.kubernetes.io/headless";
/// Says that there were more addresses than an Endpoints object holds.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// How many it holds.
const CAPACITY: usize = 1000;

/// What to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Publish {
    /// Nothing: it is so.
    Nothing,
    /// Make this object.
    Create(Value),
    /// Patch it (merge).
    Update(Value),
}

/// Compares what is published with the pods that the service selects.
pub fn plan(service: &Service, pods: &[Arc<Pod>], current: Option<&Endpoints>) -> Publish {
    let mut subsets = subsets(service, pods);
    let truncated = truncate(&mut subsets, CAPACITY);
    let labels = labels(service);
    let Some(current) = current else {
        let mut metadata = json!({ "name": service.metadata.name, "namespace": service.metadata.namespace, "labels": labels });
        if truncated {
            metadata["annotations"] = json!({ OVER_CAPACITY: "truncated" });
        }
        let mut object = json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata });
        if !subsets.is_empty() {
            object["subsets"] = json!(subsets);
        }
        return Publish::Create(object);
    };
    let says_truncated = current.metadata.annotations.get(OVER_CAPACITY).is_some();
    if normal(&current.subsets) == subsets && current.metadata.labels == Labels::from(labels.clone()) && says_truncated == truncated {
        return Publish::Nothing;
    }
    let mut patch = json!({
        "metadata": { "uid": current.metadata.uid, "labels": replaced(&current.metadata.labels, &labels) },
        "subsets": if subsets.is_empty() { Value::Null } else { json!(subsets) },
    });
    if says_truncated || truncated {
        patch["metadata"]["annotations"] = json!({ OVER_CAPACITY: truncated.then_some("truncated") });
    }
    Publish::Update(patch)
}

/// The merge patch value that turns one label map into another: what is not wanted is null.
pub fn replaced(current: &Labels, wanted: &BTreeMap<String, String>) -> Value {
    let mut patch: serde_json::Map<String, Value> = current.iter().map(|(key, _)| (key.to_owned(), Value::Null)).collect();
    patch.extend(wanted.iter().map(|(key, value)| (key.clone(), value.as_str().into())));
    Value::Object(patch)
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.to_map();
    labels.remove(HEADLESS);
    if service.is_headless() {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    labels
}

/// Addresses grouped so that each subset's every address has each of its ports.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> Vec<Subset> {
    let everyone = service.spec.publish_not_ready_addresses;
    let family = Family::of_service(service).first().copied().unwrap_or(Family::V4);
    // Ports of each address, with whether it is ready there; no port where a headless service names none.
    let mut ports: BTreeMap<(Address, bool), BTreeSet<Option<Port>>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| belongs(pod, everyone)) {
        let Some(ip) = address(pod, family) else { continue };
        let entry = (endpoint_address(pod, ip, service), everyone || pod.is_ready());
        if service.spec.ports.is_empty() {
            if service.is_headless() {
                ports.entry(entry).or_default().insert(None);
            }
            continue;
        }
        for port in &service.spec.ports {
            if let Some(number) = find_port(pod, port) {
                ports.entry(entry.clone()).or_default().insert(Some(core(published(port, number))));
            }
        }
    }
    group(ports)
}

fn group(ports: BTreeMap<(Address, bool), BTreeSet<Option<Port>>>) -> Vec<Subset> {
    let mut subsets: BTreeMap<Vec<Port>, Subset> = BTreeMap::new();
    for ((address, ready), ports) in ports {
        let ports: Vec<Port> = ports.into_iter().flatten().collect();
        let subset = subsets.entry(ports.clone()).or_insert_with(|| Subset { ports, ..Subset::default() });
        if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses }.push(address);
    }
    subsets.into_values().collect()
}

/// The same subsets, grouped and ordered as we do: what somebody else wrote in another order is not rewritten.
fn normal(subsets: &[Subset]) -> Vec<Subset> {
    let mut ports: BTreeMap<(Address, bool), BTreeSet<Option<Port>>> = BTreeMap::new();
    for subset in subsets {
        let ready = subset.addresses.iter().map(|address| (address.clone(), true));
        for entry in ready.chain(subset.not_ready_addresses.iter().map(|address| (address.clone(), false))) {
            let entry = ports.entry(entry).or_default();
            entry.extend(subset.ports.iter().cloned().map(core).map(Some));
            if subset.ports.is_empty() {
                entry.insert(None);
            }
        }
    }
    group(ports)
}

/// Endpoints leave an empty name out.
fn core(port: Port) -> Port {
    Port { name: port.name.filter(|name| !name.is_empty()), ..port }
}

fn endpoint_address(pod: &Pod, ip: &str, service: &Service) -> Address {
    Address {
        ip: ip.to_owned(),
        hostname: hostname(pod, service).unwrap_or_default().to_owned(),
        node_name: Some(pod.spec.node_name.clone()),
        target_ref: Some(reference(pod)),
    }
}

/// The reference to a pod, as endpoints carry it.
pub fn reference(pod: &Pod) -> Reference {
    Reference {
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        api_version: String::new(),
    }
}

/// Keeps `capacity` addresses, ready ones first. Answers whether any had to go. (Upstream shares the loss among subsets; so many
/// addresses are for slices to hold.)
fn truncate(subsets: &mut [Subset], capacity: usize) -> bool {
    let total: usize = subsets.iter().map(|subset| subset.addresses.len() + subset.not_ready_addresses.len()).sum();
    let mut left = capacity;
    for subset in subsets.iter_mut() {
        subset.addresses.truncate(left);
        left -= subset.addresses.len();
    }
    for subset in subsets.iter_mut() {
        subset.not_ready_addresses.truncate(left);
        left -= subset.not_ready_addresses.len();
    }
    total > capacity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(json: Value) -> Service {
        let mut base = json!({
            "metadata": {"name": "web", "namespace": "ns", "labels": {"a": "b"}},
            "spec": {"selector": {"app": "a"}, "clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]},
        });
        for (key, value) in json.as_object().unwrap() {
            base["spec"][key] = value.clone();
        }
        serde_json::from_value(base).unwrap()
    }

    fn pod(name: &str, ip: &str, ready: bool) -> Arc<Pod> {
        let json = json!({
            "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": {"app": "a"}}, "spec": {"nodeName": "node-1"},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        });
        Arc::new(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn publishes_ready_and_unready() {
        let pods = [pod("p2", "10.0.0.2", false), pod("p1", "10.0.0.1", true)];
        let Publish::Create(object) = plan(&service(json!({})), &pods, None) else { panic!("not made") };
        let target = |name: &str| json!({"kind": "Pod", "namespace": "ns", "name": name, "uid": name});
        assert_eq!(object["metadata"]["labels"], json!({"a": "b", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}));
        assert_eq!(
            object["subsets"],
            json!([{
                "addresses": [{"ip": "10.0.0.1", "nodeName": "node-1", "targetRef": target("p1")}],
                "notReadyAddresses": [{"ip": "10.0.0.2", "nodeName": "node-1", "targetRef": target("p2")}],
                "ports": [{"port": 8080, "protocol": "TCP"}],
            }])
        );
        let written: Endpoints = serde_json::from_value(object).unwrap();
        assert_eq!(plan(&service(json!({})), &pods, Some(&written)), Publish::Nothing);
        let Publish::Update(patch) = plan(&service(json!({})), &[], Some(&written)) else { panic!("not emptied") };
        assert_eq!(patch["subsets"], Value::Null);
    }

    #[test]
    fn a_service_without_pods_has_an_empty_object() {
        let Publish::Create(object) = plan(&service(json!({"clusterIP": "None"})), &[], None) else { panic!("not made") };
        assert_eq!((&object["subsets"], &object["metadata"]["labels"][HEADLESS]), (&Value::Null, &json!("")));
    }

    #[test]
    fn publishes_everyone_where_told_to() {
        let Publish::Create(object) = plan(&service(json!({"publishNotReadyAddresses": true})), &[pod("p", "10.0.0.2", false)], None) else {
            panic!("not made")
        };
        assert_eq!(object["subsets"][0]["addresses"][0]["ip"], "10.0.0.2");
    }

    #[test]
    fn truncates_ready_last() {
        let address = |ip: &str| Address { ip: ip.to_owned(), ..Address::default() };
        let mut subsets = [Subset { addresses: vec![address("1"), address("2")], not_ready_addresses: vec![address("3")], ports: vec![] }];
        assert!(!truncate(&mut subsets.clone(), 3));
        assert!(truncate(&mut subsets, 2));
        assert_eq!((subsets[0].addresses.len(), subsets[0].not_ready_addresses.len()), (2, 0));
    }
}
