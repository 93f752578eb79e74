//! What a runtime is asked for: sandboxes and containers, with everything resolved.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

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
    /// The image, as [`Image::id`](super::Image::id) says.
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
    /// Facts that must outlive the agent; kept as labels, given back in [`ObservedContainer::labels`](super::ObservedContainer::labels).
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
