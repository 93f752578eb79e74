//! The EndpointSlices of a service. See `k8s.io/endpointslice`'s `reconciler.go` and `utils.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::endpoints::members::{Family, address, belongs, find_port, hostname, published};
use crate::endpoints::plan::{HEADLESS, reference, replaced};
use crate::view::service::{Endpoint, EndpointConditions, Port};
use crate::view::{EndpointSlice, Labels, Node, Pod, Service};

/// The label that names a slice's service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that says who keeps a slice.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Us.
pub const CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// How many endpoints a slice holds: `--max-endpoints-per-slice`.
pub const CAPACITY: usize = 100;

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make this slice.
    Create(Value),
    /// Patch the slice of this name (merge).
    Update(String, Value),
    /// Delete the slice of this name and uid.
    Delete(String, String),
}

/// What every slice of an owner looks like, but for its endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Mold {
    /// The namespace.
    pub namespace: String,
    /// `web-`.
    pub prefix: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// All annotations.
    pub annotations: BTreeMap<String, String>,
    /// The reference to the owner.
    pub owner: Value,
    /// The owner's uid.
    pub owner_uid: String,
    /// How many endpoints a slice may hold.
    pub capacity: usize,
}

/// Endpoints by what slices keep apart: family and ports.
pub type Wanted = BTreeMap<(&'static str, Vec<Port>), BTreeSet<Endpoint>>;

/// Compares the slices of a service with the pods that it selects. `node` finds a node by name.
pub fn plan(service: &Service, pods: &[Arc<Pod>], existing: &[Arc<EndpointSlice>], node: impl Fn(&str) -> Option<Arc<Node>>) -> Vec<Step> {
    let families = Family::of_service(service);
    let mut wanted = Wanted::new();
    for family in &families {
        for pod in pods.iter().filter(|pod| belongs(pod, true)) {
            let node = node(&pod.spec.node_name);
            // A pod whose node is unknown is not reachable, unless its address is to be published whatever happens.
            if node.is_none() && !service.spec.publish_not_ready_addresses {
                continue;
            }
            if let Some(address) = address(pod, *family) {
                let endpoints = wanted.entry((family.name(), ports(service, pod))).or_default();
                endpoints.insert(endpoint(service, pod, address, node.as_deref()));
            }
        }
    }
    let mold = mold(service);
    let mut steps = Vec::new();
    for family in families {
        let of_family: Vec<Arc<EndpointSlice>> = existing.iter().filter(|slice| slice.address_type == family.name()).cloned().collect();
        let wanted: Wanted = wanted.iter().filter(|((name, _), _)| *name == family.name()).map(|(key, endpoints)| (key.clone(), endpoints.clone())).collect();
        let mut of_these = fit(&mold, &wanted, &of_family);
        placeholder(&mold, family, &wanted, &of_family, &mut of_these);
        steps.extend(of_these);
    }
    // Slices of a family that the service no longer has.
    let kept: BTreeSet<&str> = Family::of_service(service).into_iter().map(Family::name).collect();
    steps.extend(existing.iter().filter(|slice| !kept.contains(slice.address_type.as_str())).map(delete));
    steps
}

/// Fits endpoints into slices, changing as few as possible: what is there stays where it is, what is new fills slices that change anyway,
/// then one that has room for all of it, then new ones.
pub fn fit(mold: &Mold, wanted: &Wanted, existing: &[Arc<EndpointSlice>]) -> Vec<Step> {
    let mut steps = Vec::new();
    let of_key = |slice: &EndpointSlice, key: &(&str, Vec<Port>)| slice.address_type == key.0 && sorted(&slice.ports) == sorted(&key.1);
    for (key, endpoints) in wanted {
        let slices: Vec<&Arc<EndpointSlice>> = existing.iter().filter(|slice| of_key(slice, key)).collect();
        steps.extend(fit_one(mold, key, endpoints, &slices));
    }
    let has_no_key = |slice: &Arc<EndpointSlice>| !wanted.keys().any(|key| of_key(slice, key));
    steps.extend(existing.iter().filter(|slice| has_no_key(slice)).map(delete));
    steps
}

fn fit_one(mold: &Mold, key: &(&'static str, Vec<Port>), wanted: &BTreeSet<Endpoint>, slices: &[&Arc<EndpointSlice>]) -> Vec<Step> {
    let mut left: BTreeMap<String, Endpoint> = wanted.iter().map(|endpoint| (identity(endpoint), endpoint.clone())).collect();
    let mut contents: Vec<Vec<Endpoint>> =
        slices.iter().map(|slice| slice.endpoints.iter().filter_map(|have| left.remove(&identity(have))).collect()).collect();
    let changes = |index: usize, contents: &[Vec<Endpoint>]| contents[index] != slices[index].endpoints;
    let mut left: Vec<Endpoint> = left.into_values().collect();
    for index in 0..slices.len() {
        if changes(index, &contents) && !contents[index].is_empty() {
            let room = mold.capacity.saturating_sub(contents[index].len()).min(left.len());
            contents[index].extend(left.drain(..room));
        }
    }
    if !left.is_empty()
        && left.len() < mold.capacity
        && let Some(roomy) = contents.iter_mut().find(|content| content.len() + left.len() <= mold.capacity)
    {
        roomy.append(&mut left);
    }
    let mut steps = Vec::new();
    for (slice, content) in slices.iter().zip(contents) {
        if content.is_empty() {
            steps.push(delete(slice));
        } else if let Some(patch) = patch(mold, slice, &content) {
            steps.push(Step::Update(slice.metadata.name.clone(), patch));
        }
    }
    steps.extend(left.chunks(mold.capacity).map(|chunk| create(mold, key.0, &key.1, chunk)));
    steps
}

/// A service without endpoints still has one slice, without endpoints and ports, so that watchers see that it is looked after.
fn placeholder(mold: &Mold, family: Family, wanted: &Wanted, existing: &[Arc<EndpointSlice>], steps: &mut Vec<Step>) {
    if wanted.values().any(|endpoints| !endpoints.is_empty()) {
        return;
    }
    if let [only] = existing
        && only.endpoints.is_empty()
        && only.ports.is_empty()
    {
        *steps = patch(mold, only, &[]).map(|patch| Step::Update(only.metadata.name.clone(), patch)).into_iter().collect();
        return;
    }
    steps.push(create(mold, family.name(), &[], &[]));
}

fn create(mold: &Mold, family: &str, ports: &[Port], endpoints: &[Endpoint]) -> Step {
    let mut metadata = json!({ "generateName": mold.prefix, "namespace": mold.namespace, "labels": mold.labels, "ownerReferences": [mold.owner] });
    if !mold.annotations.is_empty() {
        metadata["annotations"] = json!(mold.annotations);
    }
    Step::Create(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": family, "ports": ports, "endpoints": endpoints,
    }))
}

fn delete(slice: &Arc<EndpointSlice>) -> Step {
    Step::Delete(slice.metadata.name.clone(), slice.metadata.uid.clone())
}

fn patch(mold: &Mold, slice: &EndpointSlice, endpoints: &[Endpoint]) -> Option<Value> {
    let (labels, annotations) = (Labels::from(mold.labels.clone()), Labels::from(mold.annotations.clone()));
    let owned = slice.metadata.owner_references.iter().any(|owner| owner.uid == mold.owner_uid);
    let annotated = mold.annotations.iter().all(|(key, value)| slice.metadata.annotations.get(key) == Some(value));
    if slice.endpoints == endpoints && slice.metadata.labels == labels && owned && annotated {
        return None;
    }
    let mut patch = json!({
        "metadata": { "uid": slice.metadata.uid, "labels": replaced(&slice.metadata.labels, &mold.labels), "ownerReferences": [mold.owner] },
        "endpoints": endpoints,
    });
    if !annotations.is_empty() {
        patch["metadata"]["annotations"] = json!(mold.annotations);
    }
    Some(patch)
}

/// `setEndpointSliceLabels` and `newEndpointSlice`.
fn mold(service: &Service) -> Mold {
    let mut labels = service.metadata.labels.to_map();
    labels.remove(HEADLESS);
    if service.is_headless() {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME.to_owned(), service.metadata.name.clone());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    let owner = json!({
        "apiVersion": "v1", "kind": "Service", "name": service.metadata.name, "uid": service.metadata.uid, "controller": true, "blockOwnerDeletion": true,
    });
    Mold {
        namespace: service.metadata.namespace.clone(),
        prefix: format!("{}-", service.metadata.name),
        labels,
        annotations: BTreeMap::new(),
        owner,
        owner_uid: service.metadata.uid.clone(),
        capacity: CAPACITY,
    }
}

/// `getEndpointPorts`.
fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    service.spec.ports.iter().filter_map(|port| Some(published(port, find_port(pod, port)?))).collect()
}

/// `podToEndpoint`.
fn endpoint(service: &Service, pod: &Pod, address: &str, node: Option<&Node>) -> Endpoint {
    let (serving, terminating) = (pod.is_ready(), pod.metadata.is_deleting());
    let zone = node.and_then(|node| node.metadata.labels.get("topology.kubernetes.io/zone")).filter(|zone| !zone.is_empty());
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: EndpointConditions {
            ready: Some(service.spec.publish_not_ready_addresses || serving && !terminating),
            serving: Some(serving),
            terminating: Some(terminating),
        },
        hostname: hostname(pod, service).map(str::to_owned),
        node_name: (!pod.spec.node_name.is_empty()).then(|| pod.spec.node_name.clone()),
        zone: zone.map(str::to_owned),
        target_ref: Some(reference(pod)),
    }
}

/// What makes two endpoints the same one although their conditions differ.
fn identity(endpoint: &Endpoint) -> String {
    let target = endpoint.target_ref.as_ref().map(|target| target.uid.as_str()).unwrap_or_default();
    format!("{} {target} {}", endpoint.addresses.first().map(String::as_str).unwrap_or_default(), endpoint.node_name.as_deref().unwrap_or_default())
}

fn sorted(ports: &[Port]) -> Vec<Port> {
    let named = |port: &Port| Port { name: Some(port.name.clone().unwrap_or_default()), ..port.clone() };
    let mut ports: Vec<Port> = ports.iter().map(named).collect();
    ports.sort();
    ports
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
