//! DaemonSets, and the revisions of their templates.

use serde::Deserialize;
use serde_json::Value;

use super::deployment::IntOrPercent;
use super::meta::Meta;
use super::replicas::Template;
use super::selector::LabelSelector;

/// A DaemonSet.
#[derive(Clone, Debug, Deserialize)]
pub struct DaemonSet {
    /// Name, labels.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: DaemonSetSpec,
    /// What is said to be.
    #[serde(default)]
    pub status: DaemonSetStatus,
}

/// `apps/v1.DaemonSetSpec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSetSpec {
    /// Whose pods.
    #[serde(default)]
    pub selector: LabelSelector,
    /// Of what.
    pub template: Template,
    /// How to get from one template to the next.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,
    /// How long a pod must be ready to count as available.
    #[serde(default)]
    pub min_ready_seconds: i32,
    /// How many old revisions are kept.
    #[serde(default)]
    pub revision_history_limit: Option<i32>,
}

/// `apps/v1.DaemonSetUpdateStrategy`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStrategy {
    /// `RollingUpdate` or `OnDelete`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How far it may go.
    pub rolling_update: Option<RollingUpdate>,
}

/// `apps/v1.RollingUpdateDaemonSet`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdate {
    /// On how many nodes the pod may be missing.
    pub max_unavailable: Option<IntOrPercent>,
    /// On how many nodes there may be two: not acted on yet.
    pub max_surge: Option<IntOrPercent>,
}

/// `apps/v1.DaemonSetStatus`, without conditions, of which there are none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonSetStatus {
    /// Nodes that should run the pod and do.
    pub current_number_scheduled: i32,
    /// Nodes that should not run it and do.
    pub number_misscheduled: i32,
    /// Nodes that should run it.
    pub desired_number_scheduled: i32,
    /// Nodes whose pod is ready.
    pub number_ready: i32,
    /// Nodes whose pod has been ready for `minReadySeconds`.
    pub number_available: i32,
    /// The others of those that should.
    pub number_unavailable: i32,
    /// Nodes whose pod is of the current template.
    pub updated_number_scheduled: i32,
    /// The generation that these numbers are about.
    pub observed_generation: i64,
    /// How many name collisions the template's hash has had.
    pub collision_count: Option<i32>,
}

/// `apps/v1.ControllerRevision`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ControllerRevision {
    /// Name, labels, owner.
    pub metadata: Meta,
    /// Its number, counted from 1.
    pub revision: i64,
    /// A patch that makes the owner what it was.
    pub data: Value,
}
