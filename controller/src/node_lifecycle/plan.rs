//! What to do about nodes: say that the silent are unknown, taint those that are not ready, and tell their pods.
//! See `monitorNodeHealth` and `handleDisruption` in `pkg/controller/nodelifecycle/node_lifecycle_controller.go`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::health::Instant;
use super::taints::{self, Evict};
use crate::config::Timings;
use crate::view::Node;
use crate::view::meta::rfc3339;

/// The conditions that only an agent can vouch for.
const VOUCHED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// A node and how long nothing was heard of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The node.
    pub node: Arc<Node>,
    /// For how long.
    pub silent: Duration,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask the server whether the node is really silent, and if so patch its status (strategic merge).
    Unknown {
        /// Which.
        node: String,
        /// Its conditions.
        patch: Value,
    },
    /// Patch the node's taints (merge).
    Taint {
        /// Which.
        node: String,
        /// Its taints.
        patch: Value,
        /// Whether its pods are evicted from now on.
        evicts: bool,
    },
    /// A node of that name is here: say so.
    Registered(String),
    /// A node of that name is gone (with this uid): say so.
    Removed(String, String),
    /// A node that was ready is not: say so.
    NotReady(String),
    /// The pods of the node are not ready either.
    MarkPods(String),
}

/// What is remembered from one pass to the next.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Uid and `Ready` status of each node at the last pass; no status at its first.
    nodes: BTreeMap<String, (String, String)>,
    /// When a node's pods were last set going.
    last_evicted: Option<Instant>,
    /// Whether no node was ready at the last pass.
    pub all_down: bool,
}

/// What one pass decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// In order.
    pub actions: Vec<Action>,
    /// Some node is ready again after none was: silence begins anew.
    pub restart_silence: bool,
}

/// Decides over all nodes. What a node's own patch changes is seen by the next pass.
pub fn plan(nodes: &[Seen], memory: &mut Memory, timings: &Timings, now: Instant, wall: Timestamp) -> Pass {
    let mut pass = Pass::default();
    let grace = timings.grace_period(nodes.len());
    let dead = |seen: &Seen| seen.silent > if seen.node.condition("Ready").is_some() { grace } else { timings.node_startup_grace_period };
    let ready = nodes.iter().filter(|seen| seen.node.is_ready() && !dead(seen)).count();
    let all_down = ready == 0 && !nodes.is_empty();
    pass.restart_silence = memory.all_down && !all_down;
    memory.all_down = all_down;
    arrivals(nodes, memory, &mut pass.actions);
    if pass.restart_silence {
        return pass;
    }
    for seen in nodes {
        if dead(seen)
            && let Some(patch) = unknown(&seen.node, wall)
        {
            pass.actions.push(Action::Unknown { node: seen.node.metadata.name.clone(), patch });
            continue;
        }
        // What is said to be unknown may be on its way back, where all silence began anew a moment ago: it has its time like any other.
        let is_waited_for = seen.node.condition("Ready").is_some_and(|ready| ready.status == "Unknown") && !dead(seen);
        let evict = match may_evict(memory, timings, nodes.len(), ready, now) {
            Evict::Now if is_waited_for => Evict::Later,
            evict => evict,
        };
        judge(seen, memory, evict, now, wall, &mut pass.actions);
    }
    pass
}

/// Whether another node's pods may be set going now.
fn may_evict(memory: &Memory, timings: &Timings, nodes: usize, ready: usize, now: Instant) -> Evict {
    let down = nodes - ready;
    // 11/20 is `--unhealthy-zone-threshold`; clusters of at most 50 nodes (`--large-cluster-size-threshold`) then stop evicting.
    let partly_down = timings.partial_disruption && down > 2 && down * 20 >= nodes * 11;
    let interval = if partly_down { timings.taint_interval * 10 } else { timings.taint_interval };
    if ready == 0 {
        Evict::Never
    } else if partly_down && nodes <= 50 || memory.last_evicted.is_some_and(|last| now.saturating_sub(last) < interval) {
        Evict::Later
    } else {
        Evict::Now
    }
}

/// Tells of nodes that came and went.
fn arrivals(nodes: &[Seen], memory: &mut Memory, actions: &mut Vec<Action>) {
    let here: BTreeMap<&str, &str> = nodes.iter().map(|seen| (seen.node.metadata.name.as_str(), seen.node.metadata.uid.as_str())).collect();
    let gone: Vec<String> = memory.nodes.keys().filter(|name| !here.contains_key(name.as_str())).cloned().collect();
    for name in gone {
        if let Some((uid, _)) = memory.nodes.remove(&name) {
            actions.push(Action::Removed(name, uid));
        }
    }
    for (name, uid) in here {
        if !memory.nodes.contains_key(name) {
            memory.nodes.insert(name.to_owned(), (uid.to_owned(), String::new()));
            actions.push(Action::Registered(name.to_owned()));
        }
    }
}

/// Taints, and what is told of readiness.
fn judge(seen: &Seen, memory: &mut Memory, evict: Evict, now: Instant, wall: Timestamp, actions: &mut Vec<Action>) {
    let (node, name) = (&seen.node, &seen.node.metadata.name);
    let wanted = taints::wanted(node, evict, &rfc3339(wall));
    if let Some(patch) = taints::patch(node, &wanted) {
        let evicts = taints::begins_to_evict(node, &wanted);
        if evicts {
            memory.last_evicted = Some(now);
        }
        actions.push(Action::Taint { node: name.clone(), patch, evicts });
    }
    let status = node.condition("Ready").map(|ready| ready.status.clone()).unwrap_or_default();
    let before = memory.nodes.insert(name.clone(), (node.metadata.uid.clone(), status.clone()));
    let before = before.as_ref().map(|(_, status)| status.as_str());
    match status.as_str() {
        "True" | "" => {}
        other => {
            if before == Some("True") {
                actions.push(Action::NotReady(name.clone()));
            }
            // An agent that still speaks looks after its pods itself once it was told; for one that does not, we go on telling.
            if other == "Unknown" || before.is_none_or(|before| before.is_empty() || before == "True") {
                actions.push(Action::MarkPods(name.clone()));
            }
        }
    }
}

/// The status patch that says that nothing is known of the node, or nothing where it says so already.
fn unknown(node: &Node, wall: Timestamp) -> Option<Value> {
    let mut conditions = Vec::new();
    for kind in VOUCHED {
        let created = node.metadata.creation_timestamp.map(rfc3339);
        match node.condition(kind) {
            None => conditions.push(json!({
                "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status.",
                "lastHeartbeatTime": created, "lastTransitionTime": rfc3339(wall),
            })),
            Some(condition) if condition.status != "Unknown" => conditions.push(json!({
                "type": kind, "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.",
                "lastHeartbeatTime": condition.last_heartbeat_time.map(rfc3339), "lastTransitionTime": rfc3339(wall),
            })),
            Some(_) => {}
        }
    }
    // The others follow Ready; while it stays as it is, nothing is written.
    let ready_changes = node.condition("Ready").is_none_or(|ready| ready.status != "Unknown");
    ready_changes
        .then(|| json!({ "metadata": { "resourceVersion": node.metadata.resource_version, "uid": node.metadata.uid }, "status": { "conditions": conditions } }))
}

/// When the next node may turn out dead: the time until then.
pub fn next_check(nodes: &[Seen], timings: &Timings) -> Duration {
    let grace = timings.grace_period(nodes.len());
    let until = |seen: &Seen| (grace + Duration::from_millis(5)).saturating_sub(seen.silent);
    let soonest = nodes.iter().filter(|seen| seen.node.is_ready()).map(until).min();
    soonest.unwrap_or(timings.node_monitor_period).min(timings.node_monitor_period).max(Duration::from_millis(50))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(name: &str, ready: &str) -> Arc<Node> {
        let conditions = json!([{"type": "Ready", "status": ready, "reason": "KubeletReady"}]);
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name, "uid": name}, "status": {"conditions": conditions}})).unwrap())
    }

    fn seen(nodes: &[(&str, &str, u64)]) -> Vec<Seen> {
        nodes.iter().map(|(name, ready, silent)| Seen { node: node(name, ready), silent: Duration::from_secs(*silent) }).collect()
    }

    fn actions(nodes: &[(&str, &str, u64)], memory: &mut Memory, timings: &Timings) -> Vec<String> {
        let pass = plan(&seen(nodes), memory, timings, Duration::from_secs(100), Timestamp::UNIX_EPOCH);
        let name = |action: &Action| match action {
            Action::Unknown { node, .. } => format!("unknown {node}"),
            Action::Taint { node, evicts, .. } => format!("taint {node} {evicts}"),
            Action::Registered(node) => format!("registered {node}"),
            Action::Removed(node, _) => format!("removed {node}"),
            Action::NotReady(node) => format!("not ready {node}"),
            Action::MarkPods(node) => format!("mark {node}"),
        };
        pass.actions.iter().map(name).collect()
    }

    #[test]
    fn a_node_dies_and_returns() {
        let mut memory = Memory::default();
        let fast = Timings::FAST;
        assert_eq!(actions(&[("a", "True", 0), ("b", "True", 1)], &mut memory, &fast), ["registered a", "registered b"]);
        assert_eq!(actions(&[("a", "True", 0), ("b", "True", 5)], &mut memory, &fast), ["unknown b"]);
        assert_eq!(actions(&[("a", "True", 0), ("b", "Unknown", 5)], &mut memory, &fast), ["taint b true", "not ready b", "mark b"]);
        assert_eq!(actions(&[("a", "True", 0), ("b", "True", 0)], &mut memory, &fast), [] as [&str; 0]);
        assert_eq!(actions(&[("a", "True", 0)], &mut memory, &fast), ["removed b"]);
    }

    #[test]
    fn nothing_is_evicted_while_no_node_is_ready() {
        let mut memory = Memory::default();
        actions(&[("a", "True", 0), ("b", "True", 0)], &mut memory, &Timings::FAST);
        assert_eq!(actions(&[("a", "True", 9), ("b", "True", 9)], &mut memory, &Timings::FAST), ["unknown a", "unknown b"]);
        let after = actions(&[("a", "Unknown", 9), ("b", "Unknown", 9)], &mut memory, &Timings::FAST);
        assert!(after.contains(&"taint a false".to_owned()), "{after:?}");
        assert!(!after.iter().any(|action| action.ends_with("true")), "{after:?}");
        let pass = plan(&seen(&[("a", "True", 0), ("b", "Unknown", 9)]), &mut memory, &Timings::FAST, Duration::from_secs(101), Timestamp::UNIX_EPOCH);
        assert!(pass.restart_silence && pass.actions.is_empty(), "{pass:?}");
        let back = |silent: u64| [("a", "True", 0), ("b", "Unknown", silent)];
        let taints = |actions: Vec<String>| actions.into_iter().filter(|action| action.starts_with("taint")).collect::<Vec<_>>();
        assert_eq!(taints(actions(&back(1), &mut memory, &Timings::FAST)), ["taint b false"], "the other has its time to come back too");
        assert_eq!(taints(actions(&back(5), &mut memory, &Timings::FAST)), ["taint b true"]);
    }

    #[test]
    fn large_clusters_are_patient() {
        assert_eq!(Timings::FAST.grace_period(100), Duration::from_secs(4));
        assert_eq!(Timings::FAST.grace_period(101), Duration::from_secs(40));
        assert_eq!(Timings::KUBERNETES.grace_period(5000), Duration::from_secs(50));
    }

    proptest! {
        /// Kubernetes' pace: in one instant at most one more node loses its pods, and none while every node is down.
        #[test]
        fn at_most_one_at_a_time(states in prop::collection::vec((0usize..3, 0u64..120), 1..8)) {
            let nodes: Vec<Seen> = states.iter().enumerate().map(|(number, (ready, silent))| Seen {
                node: node(&format!("n{number}"), ["True", "False", "Unknown"][*ready]), silent: Duration::from_secs(*silent),
            }).collect();
            let pass = plan(&nodes, &mut Memory::default(), &Timings::KUBERNETES, Duration::from_secs(100), Timestamp::UNIX_EPOCH);
            let evicting = pass.actions.iter().filter(|action| matches!(action, Action::Taint { evicts: true, .. })).count();
            let any_ready = nodes.iter().any(|seen| seen.node.is_ready() && seen.silent <= Timings::KUBERNETES.node_monitor_grace_period);
            prop_assert!(evicting <= usize::from(any_ready));
        }
    }
}
