//! What a runtime tells: what is there, in which state, and what it uses.

use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{ContainerSpec, PodId};

/// What is left of a pod on this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedPod {
    /// The pod.
    pub pod: PodId,
    /// Its sandboxes, newest first.
    pub sandboxes: Vec<ObservedSandbox>,
    /// Its containers, of every attempt, newest first.
    pub containers: Vec<ObservedContainer>,
}

/// A sandbox that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSandbox {
    /// The runtime's name for it.
    pub id: String,
    /// As [`SandboxSpec::attempt`](super::SandboxSpec::attempt).
    pub attempt: u32,
    /// Whether containers can run in it.
    pub state: SandboxState,
    /// Its address; none with the node's network.
    pub ip: Option<Ipv4Addr>,
    /// Whether it uses the node's network.
    pub host_network: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whether a sandbox serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxState {
    /// Made, never started.
    Created,
    /// Running.
    Ready,
    /// Dead: its containers cannot be started again.
    NotReady,
}

/// A container that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    /// The runtime's name for it (Docker: 64 hex digits). Statuses show `docker://<id>`.
    pub id: String,
    /// The sandbox it was made in; empty where that is not known.
    pub sandbox: String,
    /// The container's name in the pod.
    pub name: String,
    /// As [`ContainerSpec::attempt`](ContainerSpec::attempt).
    pub attempt: u32,
    /// The image as `containerStatuses[].image` shows it.
    pub image: String,
    /// The image as `containerStatuses[].imageID` shows it.
    pub image_id: String,
    /// As [`ContainerSpec::hash`](ContainerSpec::hash).
    pub hash: String,
    /// As [`ContainerSpec::labels`](ContainerSpec::labels).
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it does.
    pub state: ContainerState,
    /// Who its first process is, where the runtime knows.
    pub user: Option<ObservedUser>,
}

impl ObservedContainer {
    /// One that was made a moment ago and has not been started.
    pub fn created(id: String, sandbox: &str, spec: &ContainerSpec, at: Timestamp) -> Self {
        Self {
            id,
            sandbox: sandbox.to_owned(),
            name: spec.name.clone(),
            attempt: spec.attempt,
            image: spec.image.clone(),
            image_id: spec.image_id.clone(),
            hash: spec.hash.clone(),
            labels: spec.labels.clone(),
            created_at: at,
            state: ContainerState::Created,
            user: None,
        }
    }
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Running.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// Dead.
    Exited(Exit),
}

impl ContainerState {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        matches!(self, ContainerState::Running { .. })
    }
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Exit code; 128 + signal where a signal killed it.
    pub code: i32,
    /// Why.
    pub reason: ExitReason,
    /// What the runtime says of it (start errors); empty otherwise. The termination message is read by the agent.
    pub message: String,
    /// Started.
    pub started_at: Timestamp,
    /// Ended.
    pub finished_at: Timestamp,
}

/// `state.terminated.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// Exit code 0.
    Completed,
    /// Any other exit code.
    Error,
    /// The kernel killed it for its memory.
    OomKilled,
    /// Its command could not be run.
    StartError,
    /// The runtime lost it.
    ContainerStatusUnknown,
}

impl ExitReason {
    /// As the status shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            ExitReason::Completed => "Completed",
            ExitReason::Error => "Error",
            ExitReason::OomKilled => "OOMKilled",
            ExitReason::StartError => "StartError",
            ExitReason::ContainerStatusUnknown => "ContainerStatusUnknown",
        }
    }
}

/// Who a process is (`containerStatuses[].user.linux`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedUser {
    /// User.
    pub uid: i64,
    /// Primary group.
    pub gid: i64,
    /// All groups.
    pub groups: Vec<i64>,
}

/// An image that is here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The runtime's name for it: `sha256:…`.
    pub id: String,
    /// Bytes, for the `Pulled` event.
    pub size: i64,
    /// The image's own user: empty (root), a number or a name, without its group.
    pub user: String,
    /// Directories the image declares as volumes are the runtime's affair; this is its default stop signal, if any.
    pub stop_signal: Option<String>,
}

/// An image for `node.status.images`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// Its tags and digests.
    pub names: Vec<String>,
    /// Bytes.
    pub size: i64,
}

/// What a container uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUsage {
    /// The pod.
    pub pod: PodId,
    /// The container's name.
    pub container: String,
    /// CPU time since its start.
    pub cpu_nanos: u64,
    /// Working set.
    pub memory_bytes: u64,
}
