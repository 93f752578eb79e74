//! What to do about a ReplicaSet's pods: make some, delete some, or wait. See `manageReplicas` in `pkg/controller/replicaset/replica_set.go`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::rank;
use crate::view::replicas::ReplicasStatus;
use crate::view::{Pod, Replicas};

/// No more pods are made or deleted in one go: `BurstReplicas`.
pub const BURST: usize = 500;

/// What to do about the number of pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Manage {
    /// There are as many as there should be.
    Nothing,
    /// Make so many.
    Create(usize),
    /// Delete these.
    Delete(Vec<Arc<Pod>>),
}

/// Compares the active pods with what is wanted. A set on its way out is left as it is: the garbage collector sees to its pods.
pub fn manage(set: &Replicas, active: &[Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) -> Manage {
    let wanted = usize::try_from(set.spec.replicas).unwrap_or(0);
    if set.metadata.is_deleting() || active.len() == wanted {
        Manage::Nothing
    } else if active.len() < wanted {
        Manage::Create((wanted - active.len()).min(BURST))
    } else {
        Manage::Delete(rank::choose(active.to_vec(), related, (active.len() - wanted).min(BURST), now))
    }
}

/// The sizes of the batches in which `total` pods are made (`slowStartBatch`): 1, 2, 4, …, so that what fails for one is not tried for 500.
pub fn slow_start(total: usize) -> impl Iterator<Item = usize> {
    let mut left = total;
    let mut size = 1;
    std::iter::from_fn(move || {
        let batch = size.min(left);
        left -= batch;
        size = batch * 2;
        (batch > 0).then_some(batch)
    })
}

/// A pod of the set's template: `controller.GetPodFromTemplate`. The API server draws the rest of the name.
pub fn pod_from_template(set_name: &str, template: &Value, owner: Value) -> Value {
    let mut metadata = json!({ "generateName": format!("{set_name}-"), "ownerReferences": [owner] });
    for key in ["labels", "annotations", "finalizers"] {
        match &template["metadata"][key] {
            Value::Null => {}
            value => metadata[key] = value.clone(),
        }
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

/// When to look again although nothing happens: when the next ready pod becomes available.
pub fn next_check(set: &Replicas, status: &ReplicasStatus, active: &[Arc<Pod>], now: Timestamp) -> Option<Duration> {
    if set.spec.min_ready_seconds <= 0 || status.ready_replicas == status.available_replicas {
        return None;
    }
    let wait = SignedDuration::from_secs(i64::from(set.spec.min_ready_seconds));
    let due = active.iter().filter_map(|pod| pod.ready_since()).map(|since| (since + wait).duration_since(now));
    let soonest = due.filter(|left| left.is_positive()).min().unwrap_or(SignedDuration::from_secs(1));
    Some(Duration::try_from(soonest).unwrap_or(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn set(replicas: i32) -> Replicas {
        let json = format!(
            r#"{{"metadata":{{"name":"web","uid":"u"}},"spec":{{"replicas":{replicas},"selector":{{"matchLabels":{{"app":"a"}}}},
               "template":{{"metadata":{{"labels":{{"app":"a"}}}},"spec":{{}}}}}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn pods(count: usize) -> Vec<Arc<Pod>> {
        let pod = |number| serde_json::from_value(json!({"metadata": {"name": format!("p{number}"), "uid": format!("{number}")}})).unwrap();
        (0..count).map(|number| Arc::new(pod(number))).collect()
    }

    #[test]
    fn slow_start_doubles() {
        let cases: [(usize, &[usize]); 5] = [(0, &[]), (1, &[1]), (3, &[1, 2]), (10, &[1, 2, 4, 3]), (7, &[1, 2, 4])];
        for (total, expected) in cases {
            assert_eq!(slow_start(total).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn pod_takes_what_the_template_has() {
        let template = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}, "name": "ignored"}, "spec": {"x": 1}});
        let pod = pod_from_template("web", &template, json!({"uid": "u"}));
        let expected = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": {"x": 1},
            "metadata": {"generateName": "web-", "labels": {"a": "b"}, "annotations": {"c": "d"}, "ownerReferences": [{"uid": "u"}]},
        });
        assert_eq!(pod, expected);
    }

    #[test]
    fn leaves_a_leaving_set_alone() {
        let mut leaving = set(3);
        leaving.metadata.deletion_timestamp = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(manage(&leaving, &[], &[], Timestamp::UNIX_EPOCH), Manage::Nothing);
    }

    proptest! {
        /// Done once, and nothing is left to do (but for bursts): the plan converges and never overshoots.
        #[test]
        fn converges(wanted in 0i32..700, have in 0usize..700) {
            let (set, active) = (set(wanted), pods(have));
            let now = Timestamp::UNIX_EPOCH;
            let wanted = usize::try_from(wanted).unwrap();
            let after = match manage(&set, &active, &[], now) {
                Manage::Nothing => have,
                Manage::Create(count) => have + count,
                Manage::Delete(pods) => have - pods.len(),
            };
            prop_assert!(after.abs_diff(wanted) == have.abs_diff(wanted).saturating_sub(BURST));
        }
    }
}
