//! A pod's status, from its spec, what the runtime has of it and what its worker remembers: kubelet's `generateAPIPodStatus`, as one
//! pure function, [`make`].
//!
//! [`containers`] makes container statuses, [`phase`] the phase, [`conditions`] the conditions; [`patch`] what must be written.

pub mod conditions;
pub mod containers;
pub mod patch;
pub mod phase;

use crate::pod;
use crate::runtime::ObservedPod;
use crate::sync::memory::Memory;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::net::Ipv4Addr;

/// What a status is made from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The object, with the status the API server has.
    pub pod: &'a Pod,
    /// The status made last; the API server's where none was.
    pub old: &'a PodStatus,
    /// What the runtime has.
    pub observed: &'a ObservedPod,
    /// What the worker remembers.
    pub memory: &'a Memory,
    /// Why the pod failed as a whole, where it did.
    pub failed: Option<&'a Failed>,
    /// How far its end has come.
    pub stage: Stage,
    /// The node's address.
    pub node_ip: Ipv4Addr,
    /// `docker`: the scheme of container ids.
    pub scheme: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// How far a pod is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its containers are to run.
    Alive,
    /// Its containers have been stopped, or are being stopped, for good.
    Ending,
    /// Nothing of it runs any more.
    Ended,
}

/// Why a pod failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// `DeadlineExceeded`, `OutOfcpu`
    pub reason: String,
    /// The sentence.
    pub message: String,
}

/// See the module.
pub fn make(input: Input<'_>) -> PodStatus {
    let Input { pod, old, observed, .. } = input;
    let mut status = PodStatus {
        qos_class: Some(pod::qos(pod)),
        observed_generation: pod.metadata.generation,
        start_time: old.start_time.clone().or_else(|| pod.status.as_ref().and_then(|status| status.start_time.clone())).or(Some(time(input.now))),
        resource_claim_statuses: old.resource_claim_statuses.clone(),
        ..PodStatus::default()
    };
    containers::fill(&input, &mut status);
    addresses(&input, &mut status);
    if input.failed.is_some_and(|failed| failed.reason != DEADLINE) && observed.containers.is_empty() && observed.sandboxes.is_empty() {
        return rejected(&input, status);
    }
    status.phase = Some(phase::settle(&input, &status).to_owned());
    if status.phase == old.phase {
        status.reason = old.reason.clone();
        status.message = old.message.clone();
    }
    if let Some(failed) = input.failed {
        status.phase = Some("Failed".into());
        status.reason = Some(failed.reason.clone());
        status.message = Some(failed.message.clone());
    }
    conditions::fill(&input, &mut status);
    status
}

/// The reason of a pod that outlived its activeDeadlineSeconds.
pub const DEADLINE: &str = "DeadlineExceeded";

/// A pod that the node refused has no containers and no conditions but what others gave it (`rejectPod`).
fn rejected(input: &Input<'_>, status: PodStatus) -> PodStatus {
    let failed = input.failed;
    PodStatus {
        phase: Some("Failed".into()),
        reason: failed.map(|failed| failed.reason.clone()),
        message: failed.map(|failed| failed.message.clone()),
        container_statuses: None,
        init_container_statuses: None,
        ephemeral_container_statuses: None,
        host_ip: None,
        host_ips: None,
        conditions: input.pod.status.as_ref().and_then(|status| status.conditions.clone()),
        ..status
    }
}

fn addresses(input: &Input<'_>, status: &mut PodStatus) {
    let host = input.node_ip.to_string();
    status.host_ip = Some(host.clone());
    status.host_ips = Some(vec![HostIP { ip: host.clone() }]);
    let sandbox = crate::sync::rules::sandbox(input.observed).and_then(|sandbox| sandbox.ip).map(|ip| ip.to_string());
    let own = if pod::host_network(input.pod) { Some(host) } else { sandbox.or_else(|| input.old.pod_ip.clone()) };
    status.pod_ips = own.clone().map(|ip| vec![PodIP { ip }]);
    status.pod_ip = own;
}

/// A time as the API shows it: whole seconds.
pub fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
