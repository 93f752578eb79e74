//! What a Deployment's status should say: counts, availability, progress. See `calculateStatus` in `sync.go` and `progress.go` of
//! `pkg/controller/deployment`.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::sets::{REVISION, Set};
use super::size::max_unavailable;
use crate::view::deployment::{DeploymentCondition, DeploymentStatus};
use crate::view::meta::rfc3339;
use crate::view::{Deployment, Object};

/// Type of the condition that says whether enough pods are available.
const AVAILABLE: &str = "Available";
/// Type of the condition that says whether the rollout gets anywhere.
pub const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
/// The rollout is done.
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
/// The rollout is stuck.
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
/// The rollout is paused.
const PAUSED: &str = "DeploymentPaused";

/// A condition as of `now`.
pub fn condition(kind: &str, status: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        last_update_time: Some(now),
        last_transition_time: Some(now),
        reason: reason.to_owned(),
        message,
    }
}

impl DeploymentStatus {
    /// One of its conditions.
    pub fn condition(&self, kind: &str) -> Option<&DeploymentCondition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// `SetDeploymentCondition`: nothing where status and reason are so already; the transition time is kept where only the reason changes.
    pub fn set(&mut self, mut condition: DeploymentCondition) {
        if let Some(current) = self.condition(&condition.kind) {
            if current.status == condition.status && current.reason == condition.reason {
                return;
            }
            if current.status == condition.status {
                condition.last_transition_time = current.last_transition_time;
            }
        }
        self.remove(&condition.kind.clone());
        self.conditions.push(condition);
    }

    /// Takes a condition away.
    pub fn remove(&mut self, kind: &str) {
        self.conditions.retain(|condition| condition.kind != kind);
    }
}

/// Whether lack of progress is to be told.
pub fn has_deadline(deployment: &Deployment) -> bool {
    deployment.spec.progress_deadline_seconds.is_some_and(|seconds| seconds != i32::MAX)
}

/// `checkPausedConditions`: says that a rollout is paused or resumed.
pub fn note_pause(deployment: &Deployment, status: &mut DeploymentStatus, now: Timestamp) {
    if !has_deadline(deployment) {
        return;
    }
    let reason = status.condition(PROGRESSING).map(|condition| condition.reason.as_str());
    if reason == Some(TIMED_OUT) {
        return;
    }
    let was_paused = reason == Some(PAUSED);
    if deployment.spec.paused && !was_paused {
        status.set(condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused".to_owned(), now));
    } else if !deployment.spec.paused && was_paused {
        status.set(condition(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed".to_owned(), now));
    }
}

/// `calculateStatus`: what the sets' numbers add up to. `before` carries the conditions so far.
pub fn counted(deployment: &Deployment, before: &DeploymentStatus, sets: &[Set], new: Option<usize>, now: Timestamp) -> DeploymentStatus {
    let sum = |count: fn(&Set) -> i32| sets.iter().map(count).sum::<i32>();
    let available = sum(|set| set.status.available_replicas);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: sum(|set| set.status.replicas),
        updated_replicas: new.map_or(0, |new| sets[new].status.replicas),
        ready_replicas: sum(|set| set.status.ready_replicas),
        available_replicas: available,
        unavailable_replicas: (sum(|set| set.replicas) - available).max(0),
        terminating_replicas: terminating(sets),
        conditions: before.conditions.clone(),
        collision_count: before.collision_count,
    };
    status.set(if available >= deployment.spec.replicas - max_unavailable(deployment) {
        condition(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned(), now)
    } else {
        condition(AVAILABLE, "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.".to_owned(), now)
    });
    status
}

/// Pods on their way out, if every set that was ever looked at says how many.
fn terminating(sets: &[Set]) -> Option<i32> {
    let told = sets.iter().filter(|set| set.status.observed_generation != 0 || set.status.terminating_replicas.is_some());
    told.map(|set| set.status.terminating_replicas).sum()
}

/// `DeploymentComplete`.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = deployment.spec.replicas;
    status.updated_replicas == wanted
        && status.replicas == wanted
        && status.available_replicas == wanted
        && status.observed_generation >= deployment.metadata.generation
}

/// `syncRolloutStatus`: the counts, and how the rollout goes.
pub fn rolled_out(deployment: &Deployment, before: &DeploymentStatus, sets: &[Set], new: Option<usize>, now: Timestamp) -> DeploymentStatus {
    let mut status = counted(deployment, before, sets, new, now);
    if !has_deadline(deployment) {
        status.remove(PROGRESSING);
    }
    let current = before.condition(PROGRESSING);
    let was_complete = status.replicas == status.updated_replicas && current.is_some_and(|condition| condition.reason == NEW_SET_AVAILABLE);
    if has_deadline(deployment) && !was_complete {
        let whose = new.map_or_else(|| format!("Deployment {:?}", deployment.metadata.name), |new| format!("ReplicaSet {:?}", sets[new].name));
        if is_complete(deployment, &status) {
            status.set(condition(PROGRESSING, "True", NEW_SET_AVAILABLE, format!("{whose} has successfully progressed."), now));
        } else if has_progressed(&deployment.status, &status) {
            let mut progressing = condition(PROGRESSING, "True", "ReplicaSetUpdated", format!("{whose} is progressing."), now);
            if let Some(current) = current.filter(|current| current.status == "True") {
                progressing.last_transition_time = current.last_transition_time;
            }
            status.remove(PROGRESSING);
            status.set(progressing);
        } else if has_timed_out(deployment, &status, now) {
            status.set(condition(PROGRESSING, "False", TIMED_OUT, format!("{whose} has timed out progressing."), now));
        }
    }
    match replica_failure(sets, new) {
        Some(failure) => status.set(failure),
        None => status.remove(REPLICA_FAILURE),
    }
    status
}

/// `DeploymentProgressing`: more new pods, fewer old ones, more ready or more available.
fn has_progressed(before: &DeploymentStatus, now: &DeploymentStatus) -> bool {
    now.updated_replicas > before.updated_replicas
        || now.replicas - now.updated_replicas < before.replicas - before.updated_replicas
        || now.ready_replicas > before.ready_replicas
        || now.available_replicas > before.available_replicas
}

/// `DeploymentTimedOut`.
fn has_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let Some(condition) = status.condition(PROGRESSING) else { return false };
    match condition.reason.as_str() {
        NEW_SET_AVAILABLE => false,
        TIMED_OUT => true,
        _ => deadline(deployment, condition).is_some_and(|deadline| deadline < now),
    }
}

/// When the lack of progress is to be told.
fn deadline(deployment: &Deployment, condition: &DeploymentCondition) -> Option<Timestamp> {
    let seconds = deployment.spec.progress_deadline_seconds?;
    Some(condition.last_update_time? + SignedDuration::from_secs(i64::from(seconds)))
}

/// The failure of the new set, else of any.
fn replica_failure(sets: &[Set], new: Option<usize>) -> Option<DeploymentCondition> {
    let of_new = new.map(|new| &sets[new]).into_iter();
    let failure = of_new.chain(sets).flat_map(|set| &set.status.conditions).find(|condition| condition.kind == REPLICA_FAILURE)?;
    Some(DeploymentCondition {
        kind: REPLICA_FAILURE.to_owned(),
        status: failure.status.clone(),
        last_update_time: failure.last_transition_time,
        last_transition_time: failure.last_transition_time,
        reason: failure.reason.clone(),
        message: failure.message.clone(),
    })
}

/// When to look again although nothing happens: just after the deadline. See `requeueStuckDeployment`.
pub fn next_check(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<Duration> {
    let condition = status.condition(PROGRESSING).filter(|_| has_deadline(deployment))?;
    if is_complete(deployment, status) || matches!(condition.reason.as_str(), TIMED_OUT | NEW_SET_AVAILABLE) {
        return None;
    }
    let left = deadline(deployment, condition)?.duration_since(now).max(SignedDuration::ZERO);
    Some(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(100))
}

/// The merge patch of status and revision, or nothing where they are so already. Zeroes are left out, as Kubernetes leaves them out.
pub fn patch(deployment: &Deployment, status: &DeploymentStatus, revision: Option<&str>) -> Option<Value> {
    let revision = revision.filter(|revision| deployment.metadata.annotations.get(REVISION) != Some(revision));
    if deployment.status == *status && revision.is_none() {
        return None;
    }
    let some = |number: i32| if number == 0 { Value::Null } else { number.into() };
    let mut patch = json!({
        "metadata": { "resourceVersion": deployment.meta().resource_version, "uid": deployment.meta().uid },
        "status": {
            "observedGeneration": if status.observed_generation == 0 { Value::Null } else { status.observed_generation.into() },
            "replicas": some(status.replicas),
            "updatedReplicas": some(status.updated_replicas),
            "readyReplicas": some(status.ready_replicas),
            "availableReplicas": some(status.available_replicas),
            "unavailableReplicas": some(status.unavailable_replicas),
            "terminatingReplicas": status.terminating_replicas,
            "collisionCount": status.collision_count,
            "conditions": status.conditions.iter().map(condition_json).collect::<Value>(),
        },
    });
    if let Some(revision) = revision {
        patch["metadata"]["annotations"] = json!({ REVISION: revision });
    }
    Some(patch)
}

fn condition_json(condition: &DeploymentCondition) -> Value {
    let mut json = json!({ "type": condition.kind, "status": condition.status });
    for (key, time) in [("lastUpdateTime", condition.last_update_time), ("lastTransitionTime", condition.last_transition_time)] {
        json[key] = time.map(rfc3339).into();
    }
    for (key, text) in [("reason", &condition.reason), ("message", &condition.message)] {
        if !text.is_empty() {
            json[key] = text.as_str().into();
        }
    }
    json
}
