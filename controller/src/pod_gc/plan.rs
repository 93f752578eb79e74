//! Which pods nobody will ever clean up: of nodes that are gone, never bound and asked to go, or finished and too many.
//! See `pkg/controller/podgc/gc_controller.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::view::{Node, Pod};

/// A point on the monotonic clock.
type Instant = Duration;

/// Why a pod is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// There are more finished pods than are kept.
    TooManyFinished,
    /// Its node is gone.
    NodeGone,
    /// It was asked to go before it was bound to a node.
    NeverBound,
    /// It was asked to go, and its node is said to be out of service.
    OutOfService,
}

/// Which nodes pods are bound to that are not there, and since when.
#[derive(Clone, Debug, Default)]
pub struct Missing {
    since: BTreeMap<String, Instant>,
}

/// The pods to collect, each once, and when to look again for nodes that may yet come back.
pub fn plan(
    pods: &[Arc<Pod>],
    nodes: &[Arc<Node>],
    missing: &mut Missing,
    threshold: usize,
    quarantine: Duration,
    now: Instant,
) -> (Vec<(Why, Arc<Pod>)>, Option<Duration>) {
    let here: BTreeMap<&str, &Node> = nodes.iter().map(|node| (node.metadata.name.as_str(), node.as_ref())).collect();
    let bound: BTreeSet<&str> = pods.iter().map(|pod| pod.spec.node_name.as_str()).filter(|name| !name.is_empty()).collect();
    missing.since.retain(|name, _| bound.contains(name.as_str()) && !here.contains_key(name.as_str()));
    for name in bound.iter().filter(|name| !here.contains_key(**name)) {
        missing.since.entry((*name).to_owned()).or_insert(now);
    }
    let gone = |pod: &Pod| missing.since.get(&pod.spec.node_name).is_some_and(|since| now.saturating_sub(*since) >= quarantine);
    let out_of_service = |pod: &Pod| {
        let node = here.get(pod.spec.node_name.as_str());
        node.is_some_and(|node| !node.is_ready() && node.spec.taints.iter().any(|taint| taint.key == "node.kubernetes.io/out-of-service"))
    };
    let mut collected: Vec<(Why, Arc<Pod>)> = Vec::new();
    for pod in pods {
        if gone(pod) {
            collected.push((Why::NodeGone, pod.clone()));
        } else if pod.metadata.is_deleting() && pod.spec.node_name.is_empty() {
            collected.push((Why::NeverBound, pod.clone()));
        } else if pod.metadata.is_deleting() && out_of_service(pod) {
            collected.push((Why::OutOfService, pod.clone()));
        }
    }
    let names: BTreeSet<&str> = collected.iter().map(|(_, pod)| pod.metadata.uid.as_str()).collect();
    let surplus: Vec<_> = surplus(pods, threshold).into_iter().filter(|pod| !names.contains(pod.metadata.uid.as_str())).collect();
    collected.extend(surplus.into_iter().map(|pod| (Why::TooManyFinished, pod)));
    let next = missing.since.values().map(|since| (*since + quarantine).saturating_sub(now)).filter(|left| !left.is_zero()).min();
    (collected, next)
}

/// The finished pods beyond the threshold: evicted ones first, then the oldest. A threshold of 0 keeps all.
fn surplus(pods: &[Arc<Pod>], threshold: usize) -> Vec<Arc<Pod>> {
    let mut finished: Vec<Arc<Pod>> = pods.iter().filter(|pod| pod.is_terminal()).cloned().collect();
    if threshold == 0 || finished.len() <= threshold {
        return Vec::new();
    }
    let is_evicted = |pod: &Pod| pod.status.phase == "Failed" && pod.status.reason == "Evicted";
    finished.sort_by_key(|pod| (!is_evicted(pod), pod.metadata.created(), pod.metadata.name.clone()));
    finished.truncate(finished.len() - threshold);
    finished
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: &str, phase: &str, deleting: bool) -> Arc<Pod> {
        let mut json = json!({"metadata": {"name": name, "uid": name}, "spec": {"nodeName": node}, "status": {"phase": phase}});
        if deleting {
            json["metadata"]["deletionTimestamp"] = "2025-01-01T00:00:00Z".into();
        }
        Arc::new(serde_json::from_value(json).unwrap())
    }

    fn collected(pods: &[Arc<Pod>], missing: &mut Missing, threshold: usize, now: u64) -> Vec<(Why, String)> {
        let node: Arc<Node> = Arc::new(serde_json::from_value(json!({"metadata": {"name": "here"}})).unwrap());
        let (collected, _) = plan(pods, &[node], missing, threshold, Duration::from_secs(40), Duration::from_secs(now));
        collected.into_iter().map(|(why, pod)| (why, pod.metadata.name.clone())).collect()
    }

    #[test]
    fn collects_what_nobody_will() {
        let pods = [pod("a", "here", "Running", true), pod("b", "gone", "Running", false), pod("c", "", "Pending", true), pod("d", "", "Pending", false)];
        let mut missing = Missing::default();
        assert_eq!(collected(&pods, &mut missing, 0, 100), [(Why::NeverBound, "c".to_owned())]);
        assert_eq!(collected(&pods, &mut missing, 0, 139), [(Why::NeverBound, "c".to_owned())], "a node may come back");
        assert_eq!(collected(&pods, &mut missing, 0, 140), [(Why::NodeGone, "b".to_owned()), (Why::NeverBound, "c".to_owned())]);
    }

    #[test]
    fn keeps_so_many_finished_pods() {
        let pods: Vec<_> = ["a", "b", "c"].iter().map(|name| pod(name, "here", "Succeeded", false)).collect();
        assert_eq!(collected(&pods, &mut Missing::default(), 2, 0), [(Why::TooManyFinished, "a".to_owned())]);
        assert!(collected(&pods, &mut Missing::default(), 3, 0).is_empty());
    }
}
