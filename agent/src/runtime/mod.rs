//! What runs containers, as the agent sees it: plain data and one trait, [`Runtime`].
//!
//! The agent decides *what* must be true (`sync/plan.rs`), a runtime makes it so. Everything a runtime is told is resolved: images are
//! names, users are numbers, mounts are paths on this machine. Everything it answers is plain data that `status.rs` turns into a PodStatus.
//! Two runtimes exist: `docker` and `sim`.
//!
//! Read [`Runtime`] first, then `spec.rs` (what we ask for), then `observed.rs` (what we are told); `session.rs` is what streams carry.

pub mod docker;
mod observed;
mod session;
pub mod sim;
mod spec;

pub use self::observed::*;
pub use self::session::*;
pub use self::spec::*;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A container runtime of one node of one cluster. It never sees, lists or touches what another node or cluster owns.
///
/// After a call that changes something has succeeded, the next [`Runtime::pod`] shows the change. Calls for one pod come one at a time,
/// except [`Runtime::start_sandbox`], which runs beside [`Runtime::create_container`] of the same pod, and the streaming calls.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Name and version as `nodeInfo.containerRuntimeVersion` shows it: `docker://20.10.24`.
    async fn version(&self) -> Result<String, RuntimeError>;

    /// Whether there is a network to reach pods by. Where there is none, probes over it succeed for as long as their container runs.
    fn has_network(&self) -> bool {
        true
    }

    /// Whether containers see files of this machine. Where they do not, what a volume would hold is worked out all the same, so that what
    /// is missing is told; nothing is written.
    fn has_files(&self) -> bool {
        true
    }

    /// Every pod of this node of which anything is left. Asked at start and after [`RuntimeEvent::Resync`].
    async fn pods(&self) -> Result<Vec<ObservedPod>, RuntimeError>;

    /// One pod, or none where nothing is left of it. Cheap: from the runtime's cache of what its events said.
    async fn pod(&self, uid: &str) -> Result<Option<ObservedPod>, RuntimeError>;

    /// What changed since, so that nobody polls. Called once; the stream ends only with the runtime.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;

    /// Makes a pod's sandbox (network, shared namespaces) and answers its id. Containers can be created in it from then on, not started.
    async fn create_sandbox(&self, spec: &SandboxSpec) -> Result<String, RuntimeError>;
    /// Starts a sandbox: from then on containers can be started in it.
    async fn start_sandbox(&self, id: &str) -> Result<(), RuntimeError>;
    /// Stops a sandbox. Its containers have been stopped before. Stopping a stopped or lost one is no error.
    async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError>;
    /// Removes a sandbox and whatever container is left in it. Removing a lost one is no error.
    async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError>;

    /// Makes a container in a sandbox and answers its id.
    async fn create_container(&self, sandbox: &str, spec: &ContainerSpec) -> Result<String, RuntimeError>;
    /// Starts it. [`RuntimeError::StartFailed`] where its command cannot be run: the container is then [`ContainerState::Exited`].
    async fn start_container(&self, id: &str) -> Result<(), RuntimeError>;
    /// Sends the stop signal, waits up to `grace`, then kills. Returns when it is dead. A stopped or lost one is no error.
    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), RuntimeError>;
    /// Removes a container, killing it where it runs. A lost one is no error.
    async fn remove_container(&self, id: &str) -> Result<(), RuntimeError>;

    /// Gives a running container other resources, in place.
    async fn update_container(&self, id: &str, resources: &ResourceSpec) -> Result<(), RuntimeError>;

    /// The image as it is here, or none. Names are as written in the pod (`nginx` means `docker.io/library/nginx:latest`).
    async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError>;
    /// Fetches an image from its registry.
    async fn pull_image(&self, name: &str) -> Result<Image, RuntimeError>;
    /// The images here, for `node.status.images`.
    async fn images(&self) -> Result<Vec<ListedImage>, RuntimeError>;

    /// Runs a command in a container to its end, as probes and hooks need it. Output is stdout and stderr, interleaved, at most `limit` bytes of it.
    /// [`RuntimeError::Timeout`] when it takes longer than `timeout`.
    async fn exec(&self, id: &str, command: &[String], timeout: Duration, limit: usize) -> Result<ExecResult, RuntimeError>;

    /// A container's log.
    async fn logs(&self, id: &str, options: &LogOptions) -> Result<BoxStream<'static, Result<Bytes, RuntimeError>>, RuntimeError>;
    /// Runs a command with its streams connected (`kubectl exec`).
    async fn exec_stream(&self, id: &str, request: &ExecRequest) -> Result<Session, RuntimeError>;
    /// Connects to the streams of a container's own command (`kubectl attach`). `request.command` is empty.
    async fn attach(&self, id: &str, request: &ExecRequest) -> Result<Session, RuntimeError>;
    /// A TCP connection to a port inside the pod's network namespace, loopback included (`kubectl port-forward`).
    async fn dial(&self, sandbox: &str, port: u16) -> Result<Box<dyn Connection>, RuntimeError>;
    /// What the containers of this node use now.
    async fn stats(&self) -> Result<Vec<ContainerUsage>, RuntimeError>;
    /// What each container of a pod takes of the node's disk, in bytes, by its name: what it wrote into its own layer, and its log.
    async fn disk_usage(&self, uid: &str) -> Result<BTreeMap<String, u64>, RuntimeError>;
}

/// A byte stream in both directions.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// What a runtime could not do. Its display is what events and statuses show.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum RuntimeError {
    /// The runtime itself cannot be reached; retried, and the node is not Ready meanwhile.
    #[error("{0}")]
    Unavailable(String),
    /// No such container, sandbox or image.
    #[error("{0}")]
    NotFound(String),
    /// A name that is no image reference (`InvalidImageName`). Kubelet: `couldn't parse image name "x": invalid reference format…`.
    #[error("{0}")]
    InvalidImage(String),
    /// A registry refused or could not be reached (`ErrImagePull`).
    #[error("{0}")]
    Pull(String),
    /// A container cannot be made from this spec (`CreateContainerError`).
    #[error("{0}")]
    CreateFailed(String),
    /// A container's command cannot be run (`RunContainerError`); the container is dead with `StartError`, usually exit code 128.
    #[error("{0}")]
    StartFailed(String),
    /// It took longer than allowed.
    #[error("{0}")]
    Timeout(String),
    /// Asked for something this runtime cannot do. The message names the field.
    #[error("{0}")]
    Unsupported(String),
    /// Anything else the runtime answered.
    #[error("{0}")]
    Failed(String),
}

/// Something changed without our asking, or because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// Something of this pod (by uid): a container started, died, was killed for memory, was removed. Look with [`Runtime::pod`].
    Pod(String),
    /// Events may have been missed (the runtime was away): look at everything with [`Runtime::pods`].
    Resync,
    /// The runtime cannot be reached. A [`RuntimeEvent::Resync`] follows when it can.
    Down(String),
}
