//! EndpointSlices that mirror an Endpoints object which somebody wrote by hand for a service without selector.
//! See `pkg/controller/endpointslicemirroring`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::plan::{MANAGED_BY, Mold, SERVICE_NAME, Step, Wanted, fit};
use crate::endpoints::members::Family;
use crate::view::service::{Address, Endpoint, EndpointConditions, Endpoints, Port};
use crate::view::{EndpointSlice, Service};

/// The label value of the slices that we keep.
pub const CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
/// The label by which an Endpoints object asks not to be mirrored.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// How many addresses of a subset are mirrored: `--mirroring-max-endpoints-per-subset`.
const CAPACITY: usize = 1000;

/// Compares the mirror with what is mirrored. `existing` are the slices that we keep for this service.
pub fn plan(service: Option<&Service>, endpoints: Option<&Endpoints>, existing: &[Arc<EndpointSlice>]) -> Vec<Step> {
    let mirrored = endpoints.filter(|endpoints| service.is_some_and(|service| service.spec.selector.is_none()) && should_mirror(endpoints));
    match mirrored {
        None => existing.iter().map(|slice| Step::Delete(slice.metadata.name.clone(), slice.metadata.uid.clone())).collect(),
        Some(endpoints) => fit(&mold(endpoints), &wanted(endpoints), existing),
    }
}

fn should_mirror(endpoints: &Endpoints) -> bool {
    endpoints.metadata.labels.get(SKIP) != Some("true") && endpoints.metadata.annotations.get(LEADER).is_none() && !endpoints.metadata.is_deleting()
}

fn wanted(endpoints: &Endpoints) -> Wanted {
    let mut wanted = Wanted::new();
    for subset in &endpoints.subsets {
        let ports: Vec<Port> = subset.ports.iter().map(|port| Port { name: Some(port.name.clone().unwrap_or_default()), ..port.clone() }).collect();
        let ready = subset.addresses.iter().map(|address| (address, true));
        let all = ready.chain(subset.not_ready_addresses.iter().map(|address| (address, false)));
        for (address, ready) in all.take(CAPACITY) {
            if let Some(family) = Family::of(&address.ip) {
                wanted.entry((family.name(), ports.clone())).or_default().insert(endpoint(address, ready));
            }
        }
    }
    wanted
}

fn endpoint(address: &Address, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: EndpointConditions { ready: Some(ready), serving: None, terminating: None },
        hostname: Some(address.hostname.clone()).filter(|hostname| !hostname.is_empty()),
        node_name: address.node_name.clone(),
        zone: None,
        target_ref: address.target_ref.clone(),
    }
}

fn mold(endpoints: &Endpoints) -> Mold {
    let meta = &endpoints.metadata;
    let mut labels = meta.labels.to_map();
    labels.insert(SERVICE_NAME.to_owned(), meta.name.clone());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    let annotations: BTreeMap<String, String> = meta.annotations.to_map().into_iter().filter(|(key, _)| key != TRIGGER_TIME).collect();
    let owner = json!({ "apiVersion": "v1", "kind": "Endpoints", "name": meta.name, "uid": meta.uid, "controller": true, "blockOwnerDeletion": true });
    Mold { namespace: meta.namespace.clone(), prefix: format!("{}-", meta.name), labels, annotations, owner, owner_uid: meta.uid.clone(), capacity: CAPACITY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn endpoints(labels: Value) -> Endpoints {
        serde_json::from_value(json!({
            "metadata": {"name": "ext", "namespace": "ns", "uid": "e", "labels": labels, "annotations": {"x": "y", TRIGGER_TIME: "now"}},
            "subsets": [{"addresses": [{"ip": "1.2.3.4"}, {"ip": "not an address"}], "notReadyAddresses": [{"ip": "::1", "hostname": "h"}], "ports": [{"port": 80, "protocol": "TCP"}]}],
        }))
        .unwrap()
    }

    #[test]
    fn mirrors_what_is_written_by_hand() {
        let by_hand: Service = serde_json::from_value(json!({"metadata": {"name": "ext"}})).unwrap();
        let steps = plan(Some(&by_hand), Some(&endpoints(json!({"k": "v"}))), &[]);
        let [Step::Create(v4), Step::Create(v6)] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!(v4["metadata"]["labels"], json!({"k": "v", SERVICE_NAME: "ext", MANAGED_BY: CONTROLLER}));
        assert_eq!(v4["metadata"]["annotations"], json!({"x": "y"}));
        assert_eq!(v4["ports"], json!([{"name": "", "port": 80, "protocol": "TCP"}]));
        assert_eq!(v4["endpoints"], json!([{"addresses": ["1.2.3.4"], "conditions": {"ready": true}}]));
        assert_eq!(v6["endpoints"], json!([{"addresses": ["::1"], "conditions": {"ready": false}, "hostname": "h"}]));
    }

    #[test]
    fn a_selector_or_a_label_ends_the_mirror() {
        let by_hand: Service = serde_json::from_value(json!({"metadata": {"name": "ext"}})).unwrap();
        let selecting: Service = serde_json::from_value(json!({"metadata": {"name": "ext"}, "spec": {"selector": {"a": "b"}}})).unwrap();
        let mirror = [Arc::new(EndpointSlice { metadata: crate::view::Meta { name: "ext-1".to_owned(), ..Default::default() }, ..Default::default() })];
        let gone = [Step::Delete("ext-1".to_owned(), String::new())];
        assert_eq!(plan(Some(&selecting), Some(&endpoints(json!({}))), &mirror), gone);
        assert_eq!(plan(Some(&by_hand), Some(&endpoints(json!({SKIP: "true"}))), &mirror), gone);
        assert_eq!(plan(Some(&by_hand), None, &mirror), gone);
    }
}
