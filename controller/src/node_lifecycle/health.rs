//! Since when a node is silent. See `tryUpdateNodeHealth` in `pkg/controller/nodelifecycle/node_lifecycle_controller.go`.
//!
//! Nobody's wall clock is trusted: a node is silent since this process last *saw* its lease or its heartbeat change, measured on our own
//! monotonic clock. When this process starts, is cut off from the API server, or was not running for a while, every node's silence begins
//! anew: what we could not have seen is no evidence.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::view::{Lease, Node};

/// A point on the monotonic clock: since some fixed start.
pub type Instant = Duration;

/// What was last seen of each node, and when.
#[derive(Clone, Debug, Default)]
pub struct Health {
    seen: BTreeMap<String, Sign>,
    /// No silence began before this.
    floor: Instant,
}

#[derive(Clone, Debug, PartialEq)]
struct Sign {
    life: Life,
    at: Instant,
}

/// What changes while an agent lives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Life {
    uid: String,
    lease: String,
    renewed: String,
    heartbeat: Option<Timestamp>,
}

impl Life {
    /// The signs of a node and its lease.
    pub fn of(node: &Node, lease: Option<&Lease>) -> Self {
        Self {
            uid: node.metadata.uid.clone(),
            lease: lease.map(|lease| lease.metadata.uid.clone()).unwrap_or_default(),
            renewed: lease.map(|lease| lease.spec.renew_time.clone()).unwrap_or_default(),
            heartbeat: node.condition("Ready").and_then(|ready| ready.last_heartbeat_time),
        }
    }
}

impl Health {
    /// Takes in what is seen of a node now.
    pub fn observe(&mut self, node: &str, life: Life, now: Instant) {
        match self.seen.get_mut(node) {
            Some(sign) if sign.life == life => {}
            Some(sign) => *sign = Sign { life, at: now },
            None => {
                self.seen.insert(node.to_owned(), Sign { life, at: now });
            }
        }
    }

    /// How long the node has been silent.
    pub fn silence(&self, node: &str, now: Instant) -> Duration {
        let since = self.seen.get(node).map_or(now, |sign| sign.at).max(self.floor);
        now.saturating_sub(since)
    }

    /// Nothing could be seen until `until`: no silence counts before it.
    pub fn restart(&mut self, until: Instant) {
        self.floor = self.floor.max(until);
    }

    /// Forgets nodes that are no more.
    pub fn keep_only(&mut self, exists: impl Fn(&str) -> bool) {
        self.seen.retain(|node, _| exists(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn life(renewed: &str) -> Life {
        let lease: Lease = serde_json::from_value(json!({"spec": {"renewTime": renewed}})).unwrap();
        Life::of(&Node::default(), Some(&lease))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_counted_from_what_was_seen() {
        let mut health = Health::default();
        health.observe("a", life("1"), seconds(10));
        assert_eq!(health.silence("a", seconds(10)), seconds(0), "an old lease is no silence that we saw");
        health.observe("a", life("1"), seconds(13));
        assert_eq!(health.silence("a", seconds(13)), seconds(3));
        health.observe("a", life("2"), seconds(14));
        assert_eq!(health.silence("a", seconds(15)), seconds(1));
        health.restart(seconds(40));
        assert_eq!(health.silence("a", seconds(42)), seconds(2), "cut off until 40");
        assert_eq!(health.silence("a", seconds(40)), seconds(0));
    }
}
