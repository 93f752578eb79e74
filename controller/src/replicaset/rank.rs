//! Which pods go first when there are too many. See `ActivePodsWithRanks` in `pkg/controller/controller_utils.go`.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use crate::view::{Object, Pod};

/// The annotation that says how much a pod's deletion costs among its siblings.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `count` pods to delete: `getPodsToDelete`. `related` are the active pods of every ReplicaSet with the same owner: of two pods the
/// one with more of them on its node goes first.
pub fn choose(mut pods: Vec<Arc<Pod>>, related: &[Arc<Pod>], count: usize, now: Timestamp) -> Vec<Arc<Pod>> {
    if count < pods.len() {
        let mut crowd: BTreeMap<&str, usize> = BTreeMap::new();
        for pod in related.iter().filter(|pod| pod.is_active()) {
            *crowd.entry(&pod.spec.node_name).or_default() += 1;
        }
        pods.sort_by_cached_key(|pod| rank(pod, crowd.get(pod.spec.node_name.as_str()).copied().unwrap_or(0), now));
        pods.truncate(count);
    }
    pods
}

/// What is compared, first to last; smaller goes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    assigned: bool,
    phase: u8,
    ready: bool,
    deletion_cost: i32,
    crowd: Reverse<usize>,
    ready_age: i64,
    restarts: Reverse<(i32, i32)>,
    age: i64,
    uid: String,
}

/// Upstream compares ready times before restarts, and equal powers of two by uid at once; ours is the same order made total: where both
/// ages round to one power of two, the later criteria speak before the uid does.
fn rank(pod: &Pod, crowd: usize, now: Timestamp) -> Rank {
    Rank {
        assigned: !pod.spec.node_name.is_empty(),
        phase: match pod.status.phase.as_str() {
            "Pending" => 0,
            "Unknown" => 1,
            "Running" => 2,
            _ => 0,
        },
        ready: pod.is_ready(),
        deletion_cost: deletion_cost(pod),
        crowd: Reverse(crowd),
        ready_age: if pod.is_ready() { age(pod.ready_since(), now) } else { 0 },
        restarts: Reverse(restarts(pod)),
        age: age(pod.meta().creation_timestamp, now),
        uid: pod.meta().uid.clone(),
    }
}

/// The age's power of two, in nanoseconds (`logarithmicRankDiff`): the younger goes first, roughly. Without a time: first of all.
fn age(since: Option<Timestamp>, now: Timestamp) -> i64 {
    let Some(since) = since else { return -2 };
    let nanos = now.as_nanosecond() - since.as_nanosecond();
    match nanos.cmp(&0) {
        Ordering::Greater => i64::from(nanos.ilog2()),
        Ordering::Equal | Ordering::Less => -1,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    pod.meta().annotations.get(DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

/// Most restarts of a container, and of a sidecar.
fn restarts(pod: &Pod) -> (i32, i32) {
    let regular = pod.status.container_statuses.iter().map(|status| status.restart_count).max().unwrap_or(0);
    let is_sidecar = |name: &str| pod.spec.init_containers.iter().any(|container| container.name == name && container.restart_policy == "Always");
    let sidecars = pod.status.init_container_statuses.iter().filter(|status| is_sidecar(&status.name));
    (regular, sidecars.map(|status| status.restart_count).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pod(json: serde_json::Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json).unwrap())
    }

    fn ready(name: &str, node: &str, since: &str) -> serde_json::Value {
        serde_json::json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": since}, "spec": {"nodeName": node},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]},
        })
    }

    fn now() -> Timestamp {
        "2025-01-01T12:00:00Z".parse().unwrap()
    }

    /// Each pair: the first is deleted before the second.
    #[test]
    fn order() {
        let base = ready("b", "n1", "2025-01-01T10:00:00Z");
        let change = |pointer: &str, value: serde_json::Value| {
            let mut changed = ready("a", "n1", "2025-01-01T10:00:00Z");
            *changed.pointer_mut(pointer).unwrap() = value;
            changed
        };
        let mut costly = ready("a", "n1", "2025-01-01T10:00:00Z");
        costly["metadata"]["annotations"] = serde_json::json!({DELETION_COST: "10"});
        let mut restarted = ready("z", "n1", "2025-01-01T10:00:00Z");
        restarted["status"]["containerStatuses"] = serde_json::json!([{"name": "c", "restartCount": 3}]);
        let pairs = [
            (change("/spec/nodeName", "".into()), base.clone()),
            (change("/status/phase", "Pending".into()), base.clone()),
            (change("/status/conditions/0/status", "False".into()), base.clone()),
            (base.clone(), costly),
            (restarted, base.clone()),
            (ready("z", "n1", "2025-01-01T11:59:00Z"), base.clone()),
            (ready("a", "n1", "2025-01-01T10:00:00Z"), base),
        ];
        for (first, second) in pairs {
            for pods in [vec![first.clone(), second.clone()], vec![second.clone(), first.clone()]] {
                let chosen = choose(pods.into_iter().map(pod).collect(), &[], 1, now());
                assert_eq!(chosen[0], pod(first.clone()));
            }
        }
    }

    #[test]
    fn crowded_node_first() {
        let pods: Vec<_> = [("a", "n1"), ("b", "n2"), ("c", "n2")].iter().map(|(name, node)| pod(ready(name, node, "2025-01-01T10:00:00Z"))).collect();
        assert_eq!(choose(pods.clone(), &pods, 1, now())[0].meta().name, "b");
    }

    proptest! {
        /// The order is total: which pods go does not depend on how the cache lists them.
        #[test]
        fn choice_does_not_depend_on_listing(
            specs in prop::collection::vec((0u8..3, 0u8..2, -2i32..2, 0i64..200, 0i32..3), 1..12), count in 0usize..12, rotate in 0usize..12,
        ) {
            let pods: Vec<_> = specs.iter().enumerate().map(|(number, (node, is_ready, cost, minutes, restarts))| {
                let since = now() - k8s_openapi::jiff::SignedDuration::from_mins(*minutes);
                let mut json = ready(&format!("p{number}"), &format!("n{node}"), &crate::view::meta::rfc3339(since));
                json["status"]["conditions"][0]["status"] = if *is_ready == 1 { "True" } else { "False" }.into();
                json["metadata"]["annotations"] = serde_json::json!({DELETION_COST: cost.to_string()});
                json["status"]["containerStatuses"] = serde_json::json!([{"name": "c", "restartCount": restarts}]);
                pod(json)
            }).collect();
            let mut turned = pods.clone();
            turned.rotate_left(rotate % pods.len());
            let names = |pods: Vec<Arc<Pod>>| pods.iter().map(|pod| pod.meta().name.clone()).collect::<std::collections::BTreeSet<_>>();
            let chosen = names(choose(pods.clone(), &pods, count, now()));
            prop_assert_eq!(chosen.len(), count.min(pods.len()));
            prop_assert_eq!(chosen, names(choose(turned, &pods, count, now())));
        }
    }
}
