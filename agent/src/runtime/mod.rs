//! What runs containers, as the agent sees it: plain data and one trait, [`Runtime`].
//!
//! The agent decides *what* must be true (`sync/plan.rs`), a runtime makes it so. Everything a runtime is told is resolved: images are
//! names, users are numbers, mounts are paths on this machine. Everything it answers is plain data that `status.rs` turns into a PodStatus.
//! Two runtimes exist: `docker` and `sim`.
//!
//! Read [`Runtime`] first, then the specs (what we ask for), then the observations (what we are told).

pub mod docker;
pub mod sim;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
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

/// Who a pod is, for names and labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PodId {
    /// metadata.uid.
    pub uid: String,
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.name.
    pub name: String,
}

/// Whose Linux namespace a pod or container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamespaceMode {
    /// The pod's own, shared by its containers.
    #[default]
    Pod,
    /// Each container its own (PID, unless shareProcessNamespace).
    Container,
    /// The machine's.
    Node,
}

/// A pod's sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SandboxSpec {
    /// The pod.
    pub pod: PodId,
    /// How many sandboxes this pod has had before.
    pub attempt: u32,
    /// The UTS hostname (at most 63 bytes), or none with the node's network.
    pub hostname: Option<String>,
    /// The static address; none with the node's network.
    pub ip: Option<Ipv4Addr>,
    /// Network: `Pod` or `Node`.
    pub network: NamespaceMode,
    /// IPC: `Pod` or `Node`.
    pub ipc: NamespaceMode,
    /// PID: `Pod` (shareProcessNamespace), `Container` or `Node`.
    pub pid: NamespaceMode,
    /// Ports to publish on the node's address (never with the node's network).
    pub ports: Vec<PortMapping>,
    /// Sysctls by name.
    pub sysctls: BTreeMap<String, String>,
    /// Whether any container is privileged (`/dev`, sysctls of the sandbox).
    pub privileged: bool,
    /// The pod's labels, to be put on the sandbox beside the runtime's own.
    pub labels: BTreeMap<String, String>,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// On the node.
    pub host_port: u16,
    /// In the pod.
    pub container_port: u16,
    /// How.
    pub protocol: Protocol,
    /// The address on the node; none: the node's InternalIP.
    pub host_ip: Option<Ipv4Addr>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerSpec {
    /// The pod.
    pub pod: PodId,
    /// The container's name.
    pub name: String,
    /// How often it was started before: part of its name in Docker, and the restart count.
    pub attempt: u32,
    /// The image, as [`Image::id`] says.
    pub image_id: String,
    /// The image as the pod names it.
    pub image: String,
    /// Replaces the image's entrypoint; empty: the image's.
    pub command: Vec<String>,
    /// Replaces the image's arguments; empty: the image's, unless `command` is given.
    pub args: Vec<String>,
    /// The environment, resolved, in order; the image's own comes before it.
    pub env: Vec<(String, String)>,
    /// Empty: the image's.
    pub working_dir: String,
    /// What is mounted where, in order.
    pub mounts: Vec<Mount>,
    /// Device paths to pass in (volumeDevices): host path, container path.
    pub devices: Vec<(PathBuf, String)>,
    /// Who it runs as and what it may do.
    pub security: SecuritySpec,
    /// What it may use.
    pub resources: ResourceSpec,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep stdin open.
    pub stdin: bool,
    /// Close stdin after the first attach.
    pub stdin_once: bool,
    /// Replaces the image's stop signal (`SIGUSR1`).
    pub stop_signal: Option<String>,
    /// PID namespace: `Pod`, `Container` or `Node`.
    pub pid: NamespaceMode,
    /// For an ephemeral container: the container whose PID namespace it joins (its runtime id).
    pub target: Option<String>,
    /// A hash of the container's part of the pod spec: another one means that it must be made anew.
    pub hash: String,
    /// Facts that must outlive the agent; kept as labels, given back in [`ObservedContainer::labels`].
    pub labels: BTreeMap<String, String>,
}

/// A bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// On this machine.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// What mounts inside it are seen on the other side.
    pub propagation: Propagation,
}

/// Mount propagation as `volumeMounts[].mountPropagation` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// `None`.
    #[default]
    Private,
    /// `HostToContainer`.
    HostToContainer,
    /// `Bidirectional`.
    Bidirectional,
}

/// Who a container runs as and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecuritySpec {
    /// runAsUser; none: the image's user.
    pub uid: Option<i64>,
    /// runAsGroup; none: the user's group.
    pub gid: Option<i64>,
    /// supplementalGroups and fsGroup.
    pub groups: Vec<i64>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// Added to the default ones, without the `CAP_` prefix.
    pub add_capabilities: Vec<String>,
    /// Taken away (`ALL` takes all).
    pub drop_capabilities: Vec<String>,
    /// The container's own file system is read-only.
    pub read_only_root: bool,
    /// allowPrivilegeEscalation: false.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Paths of /proc are not masked (procMount: Unmasked).
    pub unmasked_proc: bool,
}

/// The system call filter of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// Nothing is filtered: Kubernetes' default for a pod that says nothing.
    #[default]
    Unconfined,
    /// The runtime's default profile.
    RuntimeDefault,
    /// A profile, as JSON text.
    Profile(String),
}

/// What a container may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceSpec {
    /// CFS shares; 0: the runtime's default.
    pub cpu_shares: i64,
    /// CFS quota in microseconds a period; 0: none.
    pub cpu_quota: i64,
    /// CFS period in microseconds; 0: the default, 100000.
    pub cpu_period: i64,
    /// Bytes; 0: no limit.
    pub memory_limit: i64,
    /// -1000 to 1000, as kubelet's policy gives it.
    pub oom_score_adj: i64,
}

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
    /// As [`SandboxSpec::attempt`].
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
    /// As [`ContainerSpec::attempt`].
    pub attempt: u32,
    /// The image as `containerStatuses[].image` shows it.
    pub image: String,
    /// The image as `containerStatuses[].imageID` shows it.
    pub image_id: String,
    /// As [`ContainerSpec::hash`].
    pub hash: String,
    /// As [`ContainerSpec::labels`].
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it does.
    pub state: ContainerState,
    /// Who its first process is, where the runtime knows.
    pub user: Option<ObservedUser>,
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

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecResult {
    /// Exit code.
    pub code: i32,
    /// Output, as far as it was kept.
    pub output: Vec<u8>,
}

/// Which part of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// Go on while the container lives.
    pub follow: bool,
    /// Prefix each line with its RFC 3339 time, nanoseconds included.
    pub timestamps: bool,
    /// The last lines only.
    pub tail: Option<i64>,
    /// At most this many bytes.
    pub limit: Option<i64>,
    /// Lines since then only.
    pub since: Option<Timestamp>,
    /// Which of the two streams.
    pub stream: LogStream,
}

/// Which streams of a container a log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogStream {
    /// Both.
    #[default]
    All,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A command with its streams, or an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecRequest {
    /// Empty for attach.
    pub command: Vec<String>,
    /// Connect stdin.
    pub stdin: bool,
    /// Connect stdout.
    pub stdout: bool,
    /// Connect stderr.
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

/// A running exec or attachment.
pub struct Session {
    /// Where input goes. Dropping the sender closes stdin.
    pub input: tokio::sync::mpsc::Sender<SessionInput>,
    /// What comes back; ends after [`SessionOutput::End`].
    pub output: BoxStream<'static, Result<SessionOutput, RuntimeError>>,
}

/// What goes into a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionInput {
    /// Bytes for stdin.
    Stdin(Bytes),
    /// stdin is closed; output goes on.
    StdinEnd,
    /// The terminal has another size.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
}

/// What comes out of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOutput {
    /// Bytes of stdout (of the terminal, with one).
    Stdout(Bytes),
    /// Bytes of stderr.
    Stderr(Bytes),
    /// The last: the command's exit code.
    End(i32),
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
