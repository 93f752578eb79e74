//! Pods, as those who count, rank, evict, mark and publish them see them.

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use super::meta::Meta;

/// A compact pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Name, labels, owners.
    pub metadata: Meta,
    /// Where it runs and what it tolerates.
    pub spec: PodSpec,
    /// How it is.
    pub status: PodStatus,
}

/// The part of `core/v1.PodSpec` that reconcilers read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Empty until it is scheduled.
    pub node_name: String,
    /// Its name in DNS, for endpoints.
    pub hostname: String,
    /// Its subdomain: the headless service that publishes its hostname.
    pub subdomain: String,
    /// `Always`, `OnFailure`, `Never`.
    pub restart_policy: String,
    /// Only the node that a daemon's pod is for.
    pub affinity: Option<Affinity>,
    /// Which taints it bears.
    pub tolerations: Vec<Toleration>,
    /// For named service ports.
    pub containers: Vec<Container>,
    /// For sidecars' ports and restarts.
    pub init_containers: Vec<Container>,
}

/// The part of `core/v1.Affinity` that names one node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity {
    node_affinity: NodeAffinity,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: NodeSelector,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSelector {
    node_selector_terms: Vec<Term>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Term {
    match_fields: Vec<Field>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Field {
    key: String,
    values: Vec<String>,
}

/// The part of `core/v1.Container` that reconcilers read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// What a service's named target port may mean.
    pub ports: Vec<ContainerPort>,
    /// `Always` marks a sidecar among init containers.
    pub restart_policy: String,
}

/// `core/v1.ContainerPort`, without host ports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// May be empty.
    pub name: String,
    /// The port's number.
    pub container_port: i32,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
}

/// `core/v1.Toleration`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Empty: every taint.
    pub key: String,
    /// `Exists`, or `Equal` where empty.
    pub operator: String,
    /// For `Equal`.
    pub value: String,
    /// Empty: every effect.
    pub effect: String,
    /// How long; absent: for ever.
    pub toleration_seconds: Option<i64>,
}

/// The part of `core/v1.PodStatus` that reconcilers read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: String,
    /// `Evicted` for pods that the kubelet evicted.
    pub reason: String,
    /// Only type, status and time are kept.
    pub conditions: Vec<PodCondition>,
    /// Empty until its sandbox runs.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// Every address.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<PodIp>,
    /// Restart counts.
    pub container_statuses: Vec<ContainerStatus>,
    /// Restart counts of sidecars.
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// `core/v1.PodCondition`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    /// `Ready`, `PodScheduled`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// When `status` last changed.
    pub last_transition_time: Option<Timestamp>,
}

/// `core/v1.PodIP`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// The part of `core/v1.ContainerStatus` that reconcilers read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// The container.
    pub name: String,
    /// How often it was restarted.
    pub restart_count: i32,
}

impl Pod {
    /// The node that it is bound to or, for a daemon's pod that is not bound yet, that it is for: `GetTargetNodeName`.
    pub fn target_node(&self) -> &str {
        if !self.spec.node_name.is_empty() {
            return &self.spec.node_name;
        }
        let terms =
            self.spec.affinity.iter().flat_map(|affinity| &affinity.node_affinity.required_during_scheduling_ignored_during_execution.node_selector_terms);
        let fields = terms.flat_map(|term| &term.match_fields).filter(|field| field.key == "metadata.name");
        fields.flat_map(|field| &field.values).next().map_or("", String::as_str)
    }

    /// Ended for good: `podutil.IsPodTerminal`.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Neither ended nor asked to go: `controller.IsPodActive`.
    pub fn is_active(&self) -> bool {
        !self.is_terminal() && !self.metadata.is_deleting()
    }

    /// On its way out but not ended: `controller.IsPodTerminating`.
    pub fn is_terminating(&self) -> bool {
        !self.is_terminal() && self.metadata.is_deleting()
    }

    /// One of its conditions.
    pub fn condition(&self, kind: &str) -> Option<&PodCondition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether its `Ready` condition is `True`.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|ready| ready.status == "True")
    }

    /// Since when it is ready, if it is.
    pub fn ready_since(&self) -> Option<Timestamp> {
        self.condition("Ready").filter(|ready| ready.status == "True")?.last_transition_time
    }

    /// Ready for at least `min_ready_seconds`: `podutil.IsPodAvailable`.
    pub fn is_available(&self, min_ready_seconds: i32, now: Timestamp) -> bool {
        if !self.is_ready() {
            return false;
        }
        min_ready_seconds <= 0 || self.ready_since().is_some_and(|since| since.as_second() + i64::from(min_ready_seconds) <= now.as_second())
    }
}
