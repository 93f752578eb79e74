//! What a ReplicaSet's status should say. See `pkg/controller/replicaset/replica_set_utils.go`.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::Flavor;
use crate::view::meta::rfc3339;
use crate::view::replicas::{Condition, ReplicasStatus};
use crate::view::{Object, Pod, Replicas};

/// The only condition there is.
const FAILURE: &str = "ReplicaFailure";

/// The status that these pods and the last attempt to change them give.
pub fn status(flavor: Flavor, set: &Replicas, active: &[Arc<Pod>], terminating: usize, failure: Option<&str>, now: Timestamp) -> ReplicasStatus {
    let labelled = |pod: &&Arc<Pod>| set.spec.template.labels.iter().all(|(key, value)| pod.metadata.labels.get(key) == Some(value));
    let available = |pod: &&Arc<Pod>| pod.is_available(set.spec.min_ready_seconds, now);
    ReplicasStatus {
        replicas: count(active.len()),
        fully_labeled_replicas: count(active.iter().filter(labelled).count()),
        ready_replicas: count(active.iter().filter(|pod| pod.is_ready()).count()),
        available_replicas: count(active.iter().filter(available).count()),
        terminating_replicas: match flavor {
            Flavor::ReplicaSet => Some(count(terminating)),
            Flavor::ReplicationController => None,
        },
        observed_generation: set.metadata.generation,
        conditions: conditions(set, active.len(), failure, now),
    }
}

/// The existing conditions, with `ReplicaFailure` only while pods cannot be made or deleted. An existing one is left as it is: it says
/// since when.
fn conditions(set: &Replicas, active: usize, failure: Option<&str>, now: Timestamp) -> Vec<Condition> {
    let mut conditions = set.status.conditions.clone();
    let standing = conditions.iter().any(|condition| condition.kind == FAILURE);
    match failure {
        None => conditions.retain(|condition| condition.kind != FAILURE),
        Some(message) if !standing => conditions.push(Condition {
            kind: FAILURE.to_owned(),
            status: "True".to_owned(),
            last_transition_time: Some(now),
            reason: if count(active) < set.spec.replicas { "FailedCreate" } else { "FailedDelete" }.to_owned(),
            message: message.to_owned(),
        }),
        Some(_) => {}
    }
    conditions
}

/// The merge patch that makes the status so, or nothing where it is already. Zeroes are left out, as Kubernetes leaves them out.
pub fn patch(set: &Replicas, status: &ReplicasStatus) -> Option<Value> {
    if set.status == *status {
        return None;
    }
    let some = |number: i32| if number == 0 { Value::Null } else { number.into() };
    Some(json!({
        "metadata": { "resourceVersion": set.meta().resource_version, "uid": set.meta().uid },
        "status": {
            "replicas": status.replicas,
            "fullyLabeledReplicas": some(status.fully_labeled_replicas),
            "readyReplicas": some(status.ready_replicas),
            "availableReplicas": some(status.available_replicas),
            "terminatingReplicas": status.terminating_replicas,
            "observedGeneration": if status.observed_generation == 0 { Value::Null } else { status.observed_generation.into() },
            "conditions": if status.conditions.is_empty() { Value::Null } else { status.conditions.iter().map(condition_json).collect() },
        },
    }))
}

/// A condition as Kubernetes writes it.
pub fn condition_json(condition: &Condition) -> Value {
    let mut json = json!({ "type": condition.kind, "status": condition.status, "lastTransitionTime": condition.last_transition_time.map(rfc3339) });
    for (key, text) in [("reason", &condition.reason), ("message", &condition.message)] {
        if !text.is_empty() {
            json[key] = text.as_str().into();
        }
    }
    json
}

/// A count as the API writes it.
fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
