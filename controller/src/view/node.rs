//! Nodes and the leases by which their agents say that they live.

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use super::meta::Meta;

/// A compact node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Name and labels.
    pub metadata: Meta,
    /// Taints.
    pub spec: NodeSpec,
    /// Conditions.
    pub status: NodeStatus,
}

/// The part of `core/v1.NodeSpec` that reconcilers read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Cordoned.
    pub unschedulable: bool,
    /// What keeps pods away.
    pub taints: Vec<Taint>,
}

/// `core/v1.Taint`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    /// `node.kubernetes.io/unreachable`.
    pub key: String,
    /// Mostly empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule`, `NoExecute`.
    pub effect: String,
    /// Since when, for `NoExecute`, as it was written.
    pub time_added: String,
}

/// The part of `core/v1.NodeStatus` that reconcilers read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// `Ready`, `MemoryPressure`, …
    pub conditions: Vec<NodeCondition>,
}

/// `core/v1.NodeCondition`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCondition {
    /// `Ready`, `MemoryPressure`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// When the agent last wrote it.
    pub last_heartbeat_time: Option<Timestamp>,
    /// When `status` last changed.
    pub last_transition_time: Option<Timestamp>,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

impl Node {
    /// One of its conditions.
    pub fn condition(&self, kind: &str) -> Option<&NodeCondition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether its `Ready` condition is `True`.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|ready| ready.status == "True")
    }
}

/// `coordination/v1.Lease`: only whether it changed matters, and its revision says that.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// The node's name, in `kube-node-lease`.
    pub metadata: Meta,
    /// When it was last renewed, as it was written.
    pub spec: LeaseSpec,
}

/// The part of `coordination/v1.LeaseSpec` that reconcilers read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// Compared, never read as a time: clocks of two machines differ.
    pub renew_time: String,
}
