//! What the controllers are told: how patient to be, and what to publish.

use std::sync::Arc;
use std::time::Duration;

use skiff_client::api::Api;
use skiff_client::clock::Clock;

/// How long the controllers wait before they give something up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often nodes are looked at: `--node-monitor-period`.
    pub node_monitor_period: Duration,
    /// How long a node may be silent: `--node-monitor-grace-period`.
    pub node_monitor_grace_period: Duration,
    /// How long a new node may take to say anything: `--node-startup-grace-period`.
    pub node_startup_grace_period: Duration,
    /// How long after one node's pods were set going another's may be: the inverse of `--node-eviction-rate`.
    pub taint_interval: Duration,
    /// Whether small clusters stop evicting when most of their nodes are down: `--unhealthy-zone-threshold`.
    pub partial_disruption: bool,
    /// How often pods are collected.
    pub pod_gc_period: Duration,
    /// How long a node must be gone before its pods go: `quarantineTime`.
    pub pod_gc_quarantine: Duration,
    /// Above this many nodes, [`Timings::LARGE`] holds for silence.
    pub large_cluster: usize,
}

impl Timings {
    /// As kube-controller-manager 1.35 starts.
    pub const KUBERNETES: Self = Self {
        node_monitor_period: Duration::from_secs(5),
        node_monitor_grace_period: Duration::from_secs(50),
        node_startup_grace_period: Duration::from_secs(60),
        taint_interval: Duration::from_secs(10),
        partial_disruption: true,
        pod_gc_period: Duration::from_secs(20),
        pod_gc_quarantine: Duration::from_secs(40),
        large_cluster: usize::MAX,
    };
    /// For one machine, where a second is long: agents renew each second.
    pub const FAST: Self = Self {
        node_monitor_period: Duration::from_millis(500),
        node_monitor_grace_period: Duration::from_secs(4),
        node_startup_grace_period: Duration::from_secs(20),
        taint_interval: Duration::ZERO,
        partial_disruption: false,
        pod_gc_period: Duration::from_secs(5),
        pod_gc_quarantine: Duration::from_secs(5),
        large_cluster: 100,
    };
    /// How long a node of a large `fast` cluster may be silent: its agents renew every 10 s.
    pub const LARGE: Duration = Duration::from_secs(40);

    /// How long a node of a cluster of this many may be silent.
    pub fn grace_period(&self, nodes: usize) -> Duration {
        if nodes > self.large_cluster { Self::LARGE.max(self.node_monitor_grace_period) } else { self.node_monitor_grace_period }
    }
}

/// Everything that [`crate::run`] needs.
pub struct Config {
    /// The API server, as `system:kube-controller-manager`.
    pub api: Arc<dyn Api>,
    /// How patient to be.
    pub timings: Timings,
    /// The certificate that every namespace's `kube-root-ca.crt` holds, PEM.
    pub root_ca_pem: String,
    /// How many finished pods are kept: `--terminated-pod-gc-threshold`.
    pub terminated_pod_gc_threshold: usize,
    /// Workers of each controller.
    pub workers: usize,
    /// What conditions and statuses are stamped with.
    pub clock: Clock,
}

impl Config {
    /// Kubernetes' limits, and few workers: the caches are local and the writes short.
    pub fn new(api: Arc<dyn Api>, timings: Timings, root_ca_pem: String) -> Self {
        Self { api, timings, root_ca_pem, terminated_pod_gc_threshold: 12_500, workers: 5, clock: Clock::system() }
    }
}
