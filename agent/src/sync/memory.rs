//! What a pod's worker remembers between two plans: why containers wait, when what failed may be tried again, what the probes said.
//! All of it can be lost with the agent: it is made anew from what is running.

use crate::clock::{after, between};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// `state.waiting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// `CrashLoopBackOff`
    pub reason: String,
    /// The sentence.
    pub message: String,
}

impl Waiting {
    /// Waiting for this reason.
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }
}

/// What the probes of one running container found last; none where a probe has not decided yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Probed {
    /// The startup probe.
    pub startup: Option<bool>,
    /// The readiness probe.
    pub readiness: Option<bool>,
    /// The liveness probe.
    pub liveness: Option<bool>,
}

/// By container id.
pub type Probes = BTreeMap<String, Probed>;

/// An exponential delay, as client-go's `flowcontrol.Backoff`: it doubles each time, and starts anew after twice its longest of quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// How long to wait.
    pub delay: Duration,
    /// When it was last lengthened.
    pub since: Timestamp,
}

impl Delay {
    /// The next delay after a failure at `now`.
    pub fn next(previous: Option<Delay>, now: Timestamp, (first, most): (Duration, Duration)) -> Delay {
        let delay = match previous {
            Some(previous) if between(previous.since, now) <= most * 2 => (previous.delay * 2).min(most),
            _ => first,
        };
        Delay { delay, since: now }
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Why a container could not be started last time, by container name.
    pub waiting: BTreeMap<String, Waiting>,
    /// Do not try that container again before.
    pub retry: BTreeMap<String, Timestamp>,
    /// Delays of crashing containers, by container name.
    pub crash: BTreeMap<String, Delay>,
    /// Delays of images that cannot be pulled, with the last error, by image.
    pub pull: BTreeMap<String, (Delay, String)>,
    /// Termination messages, by container id.
    pub messages: BTreeMap<String, String>,
    /// The pod itself (its volumes, its sandbox) may not be tried again before.
    pub retry_pod: Option<Timestamp>,
    /// The volumes have been set up.
    pub mounted: bool,
    /// The probes.
    pub probes: Probes,
    /// The resources that running containers have been given, by container id.
    pub applied: BTreeMap<String, ResourceRequirements>,
    /// Why containers do not have the resources that the pod asks for now.
    pub resize: Option<Resize>,
}

/// A change of resources that has not been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resize {
    /// `Infeasible`, `Deferred`: the condition PodResizePending; `Error`: PodResizeInProgress.
    pub reason: String,
    /// The sentence.
    pub message: String,
}

impl Memory {
    /// Until when a container that ended at `finished` must wait, or none if it may start at once.
    pub fn crash_until(&self, name: &str, finished: Timestamp, now: Timestamp, limits: (Duration, Duration)) -> Option<(Timestamp, Duration)> {
        let delay = self.crash.get(name)?;
        if between(delay.since, now) > limits.1 * 2 {
            return None;
        }
        let until = after(finished, delay.delay);
        (until > now).then_some((until, delay.delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_are_forgotten() {
        let limits = (Duration::from_secs(10), Duration::from_secs(300));
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut delay = None;
        let mut seen = Vec::new();
        for _ in 0..7 {
            let next = Delay::next(delay, now, limits);
            seen.push(next.delay.as_secs());
            now = after(now, next.delay);
            delay = Some(next);
        }
        assert_eq!(seen, [10, 20, 40, 80, 160, 300, 300]);
        now = after(now, Duration::from_secs(601));
        assert_eq!(Delay::next(delay, now, limits).delay.as_secs(), 10);
    }
}
