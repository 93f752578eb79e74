//! What the scheduler keeps of pods and nodes: compact views, read once an event.

use std::collections::BTreeMap;

use serde::Deserialize;
use skiff_client::informer::{Cached, Key};
use skiff_proto::k8s_openapi::api::core::v1::{Affinity, Node, Pod, PodSpec, Taint, Toleration, TopologySpreadConstraint};
use skiff_proto::k8s_openapi::jiff::Timestamp;
use skiff_proto::rules::owner::controller_of;
use skiff_proto::rules::requests::{amounts, pod_requests};
use skiff_proto::v1;

use crate::resources::Resources;

/// What a container without a request counts for when nodes are compared: 100m CPU and 200 MB (`util/pod_resources.go`).
const DEFAULT_MILLI_CPU: i64 = 100;
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// A port of the node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// Empty or `0.0.0.0`: every address.
    pub ip: String,
    /// `TCP`
    pub protocol: String,
    /// The port.
    pub port: i32,
}

impl HostPort {
    /// Whether both cannot be taken on one node (`nodeports`, `HostPortInfo.CheckConflict`).
    pub fn conflicts(&self, other: &Self) -> bool {
        let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
        self.port == other.port && self.protocol == other.protocol && (any(&self.ip) || any(&other.ip) || self.ip == other.ip)
    }
}

/// The parts of a pod that few pods have.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    /// `spec.nodeSelector`
    pub node_selector: Option<BTreeMap<String, String>>,
    /// `spec.affinity`
    pub affinity: Option<Affinity>,
    /// `spec.topologySpreadConstraints`
    pub spread: Vec<TopologySpreadConstraint>,
    /// Host ports, of all containers.
    pub host_ports: Vec<HostPort>,
    /// Names of the claims that its volumes use.
    pub claims: Vec<String>,
    /// Names of what this scheduler cannot place yet, though it must: the pod waits and its event says so.
    pub unsupported: Vec<&'static str>,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct PodView {
    /// Namespace and name.
    pub key: Key,
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub revision: u64,
    /// `metadata.labels`
    pub labels: BTreeMap<String, String>,
    /// The uid of the owner that controls it; empty: none.
    pub owner: String,
    /// When it was created, seconds since the epoch.
    pub created: i64,
    /// When it was started by its node, seconds since the epoch; 0: not yet.
    pub started: i64,
    /// Being deleted.
    pub deleting: bool,
    /// Being deleted because it was preempted.
    pub preempted: bool,
    /// `Succeeded` or `Failed`.
    pub finished: bool,
    /// `spec.nodeName`; empty: not assigned.
    pub node: String,
    /// `spec.schedulerName`
    pub scheduler: String,
    /// Names of `spec.schedulingGates`.
    pub gates: Vec<String>,
    /// `spec.priority`
    pub priority: i32,
    /// Whether it may displace others.
    pub preempts: bool,
    /// `status.nominatedNodeName`
    pub nominated: String,
    /// What it asks for.
    pub requests: Resources,
    /// The same with defaults for containers that ask for nothing: milli-CPU and bytes.
    pub nonzero: (i64, i64),
    /// `spec.tolerations`
    pub tolerations: Vec<Toleration>,
    /// Images of all its containers, as written.
    pub images: Vec<String>,
    /// What few pods have.
    pub constraints: Option<Box<Constraints>>,
    /// `message` of its `PodScheduled` condition.
    pub told: String,
}

impl PodView {
    /// Whether it takes room on its node.
    pub fn is_on_node(&self) -> bool {
        !self.node.is_empty() && !self.finished
    }

    /// Its constraints, or none of them.
    pub fn constraints(&self) -> &Constraints {
        static NONE: Constraints =
            Constraints { node_selector: None, affinity: None, spread: Vec::new(), host_ports: Vec::new(), claims: Vec::new(), unsupported: Vec::new() };
        self.constraints.as_deref().unwrap_or(&NONE)
    }

    /// Of a whole pod.
    pub fn of(pod: &Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let status = pod.status.as_ref();
        let metadata = &pod.metadata;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let told = conditions.iter().find(|condition| condition.type_ == "PodScheduled").and_then(|condition| condition.message.clone());
        let preempted = conditions.iter().any(|one| one.type_ == "DisruptionTarget" && one.reason.as_deref() == Some("PreemptionByScheduler"));
        let seconds = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_second);
        Self {
            key: Key::new(metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default()),
            uid: text(&metadata.uid),
            revision: metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0),
            owner: controller_of(metadata).map(|owner| owner.uid.clone()).unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
            created: seconds(metadata.creation_timestamp.as_ref().map(|time| time.0)),
            started: seconds(status.and_then(|status| status.start_time.as_ref()).map(|time| time.0)),
            deleting: metadata.deletion_timestamp.is_some(),
            preempted,
            finished: skiff_proto::rules::readiness::is_finished(pod),
            node: text(&spec.node_name),
            scheduler: text(&spec.scheduler_name),
            gates: spec.scheduling_gates.iter().flatten().map(|gate| gate.name.clone()).collect(),
            priority: spec.priority.unwrap_or(0),
            preempts: spec.preemption_policy.as_deref() != Some("Never"),
            nominated: status.and_then(|status| status.nominated_node_name.clone()).unwrap_or_default(),
            requests: Resources::of(&pod_requests(pod)),
            nonzero: nonzero(&spec),
            images: spec.init_containers.iter().flatten().chain(&spec.containers).filter_map(|container| container.image.clone()).collect(),
            constraints: constraints(&spec).map(Box::new),
            tolerations: spec.tolerations.unwrap_or_default(),
            told: told.unwrap_or_default(),
        }
    }
}

impl Cached for PodView {
    fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
        Ok(Self::of(&serde_json::from_slice(&object.json)?))
    }
}

fn nonzero(spec: &PodSpec) -> (i64, i64) {
    let mut sum = (0, 0);
    for container in &spec.containers {
        let asked = Resources::of(&amounts(container.resources.as_ref().and_then(|resources| resources.requests.as_ref())));
        sum.0 += if asked.milli_cpu == 0 { DEFAULT_MILLI_CPU } else { asked.milli_cpu };
        sum.1 += if asked.memory == 0 { DEFAULT_MEMORY } else { asked.memory };
    }
    sum
}

fn constraints(spec: &PodSpec) -> Option<Constraints> {
    let ports = spec.containers.iter().chain(spec.init_containers.iter().flatten()).flat_map(|container| container.ports.iter().flatten());
    let host_ports: Vec<HostPort> = ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            Some(HostPort { ip: port.host_ip.clone().unwrap_or_default(), protocol, port: number })
        })
        .collect();
    let claim = |volume: &skiff_proto::k8s_openapi::api::core::v1::Volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone());
    let claims: Vec<String> = spec.volumes.iter().flatten().filter_map(claim).collect();
    let mut unsupported = Vec::new();
    if spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty()) {
        unsupported.push("spec.resourceClaims");
    }
    if spec.volumes.iter().flatten().any(|volume| volume.ephemeral.is_some()) {
        unsupported.push("spec.volumes[*].ephemeral");
    }
    let made = Constraints {
        node_selector: spec.node_selector.clone().filter(|selector| !selector.is_empty()),
        affinity: spec.affinity.clone(),
        spread: spec.topology_spread_constraints.clone().unwrap_or_default(),
        host_ports,
        claims,
        unsupported,
    };
    let none = made.node_selector.is_none()
        && made.affinity.is_none()
        && made.spread.is_empty()
        && made.host_ports.is_empty()
        && made.claims.is_empty()
        && made.unsupported.is_empty();
    (!none).then_some(made)
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// `metadata.name`
    pub name: String,
    /// `metadata.labels`
    pub labels: BTreeMap<String, String>,
    /// `spec.taints`
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`
    pub unschedulable: bool,
    /// `status.allocatable`
    pub allocatable: Resources,
    /// `status.allocatable.pods`
    pub max_pods: i64,
    /// Size of each image that is there, by each of its names.
    pub images: BTreeMap<String, i64>,
}

impl NodeView {
    /// Of a whole node.
    pub fn of(node: &Node) -> Self {
        let (spec, status) = (node.spec.clone().unwrap_or_default(), node.status.as_ref());
        let allocatable = amounts(status.and_then(|status| status.allocatable.as_ref()));
        let mut images = BTreeMap::new();
        for image in status.and_then(|status| status.images.as_deref()).unwrap_or_default() {
            for name in image.names.iter().flatten() {
                images.insert(name.clone(), image.size_bytes.unwrap_or(0));
            }
        }
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.taints.unwrap_or_default(),
            unschedulable: spec.unschedulable.unwrap_or(false),
            max_pods: allocatable.get("pods").map_or(0, |quantity| quantity.units()),
            allocatable: Resources::of(&allocatable),
            images,
        }
    }
}

impl Cached for NodeView {
    fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
        Ok(Self::of(&serde_json::from_slice(&object.json)?))
    }
}

/// The name of a claim or a namespace: that it is there is all that counts, and for namespaces their labels.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Labelled {
    /// `metadata`
    #[serde(default)]
    pub metadata: LabelledMetadata,
}

/// See [`Labelled`].
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LabelledMetadata {
    /// `metadata.labels`
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Cached for Labelled {
    fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(&object.json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_without_a_time_hide_nothing() {
        let condition = json!({"type": "Ready", "status": "True", "lastProbeTime": null, "lastHeartbeatTime": null, "lastTransitionTime": null});
        let object = |json: serde_json::Value| v1::Object { json: json.to_string().into(), ..v1::Object::default() };
        let pod = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {"containers": [{"name": "c"}]}, "status": {"conditions": [condition]}});
        let node = json!({"metadata": {"name": "n"}, "status": {"conditions": [condition], "allocatable": {"pods": "7"}}});
        assert!(PodView::read(&object(pod)).is_ok());
        assert_eq!(NodeView::read(&object(node)).unwrap().max_pods, 7);
    }
}
