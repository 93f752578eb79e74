//! Jobs.

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::meta::{Meta, or_default};
use super::replicas::{Condition, Template};
use super::selector::LabelSelector;

/// A Job.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// Name, labels.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: JobSpec,
    /// What came of it.
    #[serde(default)]
    pub status: JobStatus,
}

/// `batch/v1.JobSpec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    /// How many pods at a time.
    #[serde(default = "one")]
    pub parallelism: i32,
    /// How many pods must succeed; absent: one is enough, and the others decide when they are done.
    #[serde(default)]
    pub completions: Option<i32>,
    /// How long it may take.
    #[serde(default)]
    pub active_deadline_seconds: Option<i64>,
    /// How many pods may fail.
    #[serde(default = "six")]
    pub backoff_limit: i32,
    /// Whose pods.
    #[serde(default)]
    pub selector: LabelSelector,
    /// Of what.
    pub template: Template,
    /// After how many seconds a finished Job goes.
    #[serde(default)]
    pub ttl_seconds_after_finished: Option<i64>,
    /// `NonIndexed` or `Indexed`.
    #[serde(default)]
    pub completion_mode: String,
    /// Whether nothing runs.
    #[serde(default)]
    pub suspend: bool,
    /// `TerminatingOrFailed` or `Failed`: when a pod is replaced.
    #[serde(default)]
    pub pod_replacement_policy: String,
    /// Another controller that looks after it.
    #[serde(default)]
    pub managed_by: Option<String>,
    /// Not acted on: see [`super::super::job::plan::unsupported`].
    #[serde(default)]
    pub pod_failure_policy: Option<Value>,
    /// Not acted on.
    #[serde(default)]
    pub success_policy: Option<Value>,
    /// Not acted on.
    #[serde(default)]
    pub backoff_limit_per_index: Option<i32>,
}

/// `batch/v1.JobStatus`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobStatus {
    /// `Suspended`, `SuccessCriteriaMet`, `Complete`, `FailureTarget`, `Failed`.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// When it (last) began.
    pub start_time: Option<Timestamp>,
    /// When it was complete.
    pub completion_time: Option<Timestamp>,
    /// Pods that run or are about to.
    pub active: i32,
    /// Active pods that are ready.
    pub ready: Option<i32>,
    /// Pods on their way out.
    pub terminating: Option<i32>,
    /// Pods that succeeded and are counted.
    pub succeeded: i32,
    /// Pods that failed and are counted.
    pub failed: i32,
    /// `0-2,4`.
    pub completed_indexes: String,
    /// Pods that ended and whose finalizer is about to go.
    pub uncounted_terminated_pods: Option<Uncounted>,
}

/// `batch/v1.UncountedTerminatedPods`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Uncounted {
    /// Uids of pods that succeeded.
    #[serde(deserialize_with = "or_default")]
    pub succeeded: Vec<String>,
    /// Uids of pods that failed.
    #[serde(deserialize_with = "or_default")]
    pub failed: Vec<String>,
}

impl Job {
    /// Whether each pod has an index of its own.
    pub fn is_indexed(&self) -> bool {
        self.spec.completion_mode == "Indexed"
    }

    /// Whether one of its conditions is `True`.
    pub fn is(&self, kind: &str) -> bool {
        self.condition(kind).is_some()
    }

    /// One of its conditions, if it is `True`.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind && condition.status == "True")
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }
}

fn one() -> i32 {
    1
}

fn six() -> i32 {
    6
}
