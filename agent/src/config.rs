//! What an agent must be told.

use crate::clock::Clock;
use crate::runtime::Runtime;
use skiff_client::api::Api;
use skiff_client::grpc::Credentials;
use skiff_proto::quantity::Quantity;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One node.
#[derive(Clone)]
pub struct Config {
    /// `node-1`.
    pub node_name: String,
    /// The way to the API server.
    pub api: Arc<dyn Api>,
    /// What runs containers.
    pub runtime: Arc<dyn Runtime>,
    /// Where this node keeps its pods' files: `<dir>/pods/<uid>/…`. Only this agent writes there.
    pub data_dir: PathBuf,
    /// The node's InternalIP.
    pub node_ip: Ipv4Addr,
    /// Where pods get their addresses from: the first address of the block and the length of its prefix.
    pub pod_cidr: (Ipv4Addr, u8),
    /// `capacity` and `allocatable`: cpu, memory, ephemeral-storage, pods.
    pub capacity: BTreeMap<String, Quantity>,
    /// Labels to register with besides kubelet's own.
    pub labels: BTreeMap<String, String>,
    /// How long things take.
    pub timings: Timings,
    /// Where the `Node` service listens and who it is; none: not served.
    pub serve: Option<(SocketAddr, Credentials)>,
    /// Written to pods' resolv.conf where their dnsPolicy is ClusterFirst; none: the machine's own.
    pub cluster_dns: Option<Ipv4Addr>,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// The time of day.
    pub clock: Clock,
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// Between two renewals of the node's Lease.
    pub lease_renewal: Duration,
    /// How long a Lease is good for.
    pub lease_duration: Duration,
    /// Between two node statuses where nothing changed.
    pub node_status: Duration,
    /// Between two looks at whether the images changed; what else may change says so itself.
    pub node_check: Duration,
    /// The first and the longest delay before a crashed container is started again.
    pub crash: (Duration, Duration),
    /// The first and the longest delay before an image is pulled again.
    pub pull: (Duration, Duration),
    /// Before something that failed for another reason (a missing ConfigMap, a mount) is tried again.
    pub retry: Duration,
    /// Between two reads of the ConfigMaps and Secrets that are mounted.
    pub volume_refresh: Duration,
    /// Between two measurements of what a limited pod takes of the disk: `evictionMonitoringPeriod`.
    pub storage_check: Duration,
}

impl Timings {
    /// As kubelet's defaults.
    pub const KUBERNETES: Self = Self {
        lease_renewal: Duration::from_secs(10),
        lease_duration: Duration::from_secs(40),
        node_status: Duration::from_secs(300),
        node_check: Duration::from_secs(60),
        crash: (Duration::from_secs(10), Duration::from_secs(300)),
        pull: (Duration::from_secs(10), Duration::from_secs(300)),
        retry: Duration::from_secs(10),
        volume_refresh: Duration::from_secs(60),
        storage_check: Duration::from_secs(10),
    };

    /// For a laptop: failures are seen, and recovered from, in seconds.
    pub const FAST: Self = Self {
        lease_renewal: Duration::from_secs(1),
        lease_duration: Duration::from_secs(4),
        crash: (Duration::from_secs(2), Duration::from_secs(60)),
        pull: (Duration::from_secs(4), Duration::from_secs(60)),
        retry: Duration::from_secs(2),
        volume_refresh: Duration::from_secs(10),
        storage_check: Duration::from_secs(2),
        ..Self::KUBERNETES
    };
}
