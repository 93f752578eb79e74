//! What to do about a Job: count the pods that ended, decide whether it is done, and keep the right number running.
//! See `syncJob`, `trackJobStatusAndRemoveFinalizers` and `manageJob` in `pkg/controller/job/job_controller.go`.
//!
//! No pod is counted twice, whatever stops in between: a pod that ends keeps its finalizer until the status names it as uncounted, and moves
//! to the counters only once the finalizer is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::indexes;
use crate::replicaset::status::condition_json;
use crate::view::job::{JobStatus, Uncounted};
use crate::view::meta::rfc3339;
use crate::view::replicas::Condition;
use crate::view::{Job, Pod};

/// The finalizer that keeps an ended pod until it is counted.
pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// The first wait after a failure: `DefaultJobPodFailureBackOff`.
const BACKOFF: SignedDuration = SignedDuration::from_secs(10);
/// The longest: `MaxJobPodFailureBackOff`.
const BACKOFF_MOST: SignedDuration = SignedDuration::from_mins(10);
/// No more pods are made or deleted in one go: `MaxPodCreateDeletePerSync`.
const BURST: usize = 500;

/// An event to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// `Warning` or `Normal`.
    pub warning: bool,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// What to do. The status is written first, so that what it counts is safe; events follow it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Merge patch of the status.
    pub status: Option<Value>,
    /// What the patch makes true.
    pub events: Vec<Said>,
    /// Pods whose finalizer goes.
    pub release: Vec<Arc<Pod>>,
    /// Pods to delete.
    pub delete: Vec<Arc<Pod>>,
    /// Indexes of pods to make; `None` where pods have none.
    pub create: Vec<Option<i32>>,
    /// When to look again although nothing happens.
    pub check_after: Option<Duration>,
}

/// The field of a Job that nobody acts on yet: such a Job runs nothing, and says so.
pub fn unsupported(job: &Job) -> Option<&'static str> {
    let fields = [
        ("spec.podFailurePolicy", job.spec.pod_failure_policy.is_some()),
        ("spec.successPolicy", job.spec.success_policy.is_some()),
        ("spec.backoffLimitPerIndex", job.spec.backoff_limit_per_index.is_some()),
    ];
    fields.into_iter().find(|(_, is_set)| *is_set).map(|(field, _)| field)
}

/// When a finished Job is to go: `None` while it is to stay.
pub fn expires(job: &Job) -> Option<Timestamp> {
    let ttl = SignedDuration::from_secs(job.spec.ttl_seconds_after_finished?);
    let end = job.condition("Complete").or_else(|| job.condition("Failed"))?;
    Some(end.last_transition_time? + ttl)
}

/// Decides. `pods` are the Job's own.
pub fn plan(job: &Job, pods: &[Arc<Pod>], now: Timestamp) -> Plan {
    if job.is_finished() {
        let release = pods.iter().filter(|pod| has_finalizer(pod)).cloned().collect();
        return Plan { release, ..Plan::default() };
    }
    let mut sync = Sync::new(job, pods, now);
    sync.count();
    sync.start();
    sync.judge();
    sync.manage();
    sync.end()
}

/// A plan in the making.
struct Sync<'a> {
    job: &'a Job,
    pods: &'a [Arc<Pod>],
    now: Timestamp,
    status: JobStatus,
    active: Vec<Arc<Pod>>,
    terminating: usize,
    succeeded: i32,
    failed: i32,
    plan: Plan,
}

impl<'a> Sync<'a> {
    fn new(job: &'a Job, pods: &'a [Arc<Pod>], now: Timestamp) -> Self {
        let active = pods.iter().filter(|pod| pod.is_active()).cloned().collect();
        let terminating = pods.iter().filter(|pod| pod.is_terminating()).count();
        Self { job, pods, now, status: job.status.clone(), active, terminating, succeeded: 0, failed: 0, plan: Plan::default() }
    }

    /// `isPodFailed`: also a pod that is deleted under us, unless only pods that have ended are replaced.
    fn has_failed(&self, pod: &Pod) -> bool {
        let leaves = pod.metadata.is_deleting() && pod.status.phase != "Succeeded" && self.job.spec.pod_replacement_policy != "Failed";
        pod.status.phase == "Failed" || leaves
    }

    fn count(&mut self) {
        let mut uncounted = self.status.uncounted_terminated_pods.take().unwrap_or_default();
        let held: BTreeSet<&str> = self.pods.iter().filter(|pod| has_finalizer(pod)).map(|pod| pod.metadata.uid.as_str()).collect();
        let known: BTreeSet<String> = uncounted.succeeded.iter().chain(&uncounted.failed).cloned().collect();
        let settle = |uids: &mut Vec<String>| {
            let before = uids.len();
            uids.retain(|uid| held.contains(uid.as_str()));
            i32::try_from(before - uids.len()).unwrap_or(i32::MAX)
        };
        self.status.succeeded += settle(&mut uncounted.succeeded);
        self.status.failed += settle(&mut uncounted.failed);
        let mut completed = indexes::parse(&self.status.completed_indexes);
        let total = self.job.spec.completions.unwrap_or(i32::MAX);
        for pod in self.pods.iter().filter(|pod| has_finalizer(pod)) {
            let (succeeded, failed) = (pod.status.phase == "Succeeded", self.has_failed(pod));
            if !succeeded && !failed {
                continue;
            }
            if !known.contains(&pod.metadata.uid) {
                let index = indexes::of(pod).filter(|index| *index < total);
                // A second success of an index, or a pod without one, changes nothing.
                let counts = !self.job.is_indexed() || index.is_some_and(|index| !completed.contains(&index));
                match (succeeded, counts) {
                    (true, true) => uncounted.succeeded.push(pod.metadata.uid.clone()),
                    (true, false) => {}
                    (false, _) => uncounted.failed.push(pod.metadata.uid.clone()),
                }
                completed.extend(index.filter(|_| succeeded && self.job.is_indexed()));
            }
            self.plan.release.push(pod.clone());
        }
        if self.job.is_indexed() {
            self.status.completed_indexes = indexes::format(&completed);
        }
        self.succeeded = self.status.succeeded + len(&uncounted.succeeded);
        self.failed = self.status.failed + len(&uncounted.failed);
        self.status.uncounted_terminated_pods = Some(uncounted);
    }

    /// Suspends, resumes, and notes when it began.
    fn start(&mut self) {
        let suspended = self.job.condition("Suspended").is_some();
        if self.job.spec.suspend && !suspended {
            self.set("Suspended", "True", "JobSuspended", "Job suspended");
            self.say(false, "Suspended", "Job suspended");
            self.status.start_time = None;
        } else if !self.job.spec.suspend && suspended {
            self.set("Suspended", "False", "JobResumed", "Job resumed");
            self.say(false, "Resumed", "Job resumed");
            self.status.start_time = Some(self.now);
        } else if !self.job.spec.suspend && self.status.start_time.is_none() {
            self.status.start_time = Some(self.now);
        }
    }

    /// Whether it has failed or succeeded.
    fn judge(&mut self) {
        if self.job.is("FailureTarget") || self.job.is("SuccessCriteriaMet") {
            return;
        }
        if let Some((reason, message)) = self.failure() {
            self.set("FailureTarget", "True", reason, message);
            return;
        }
        let complete = match self.job.spec.completions {
            None => self.succeeded > 0 && self.active.is_empty(),
            Some(wanted) => self.succeeded >= wanted && self.active.is_empty(),
        };
        if complete && !self.job.spec.suspend {
            self.set("SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods");
        }
    }

    fn failure(&mut self) -> Option<(&'static str, &'static str)> {
        let new_failures = self.failed > self.job.status.failed;
        if new_failures && self.failed > self.job.spec.backoff_limit || self.restarted_too_often() {
            return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
        }
        if let (Some(start), Some(seconds), false) = (self.status.start_time, self.job.spec.active_deadline_seconds, self.job.spec.suspend) {
            let left = (start + SignedDuration::from_secs(seconds)).duration_since(self.now);
            if !left.is_positive() {
                return Some(("DeadlineExceeded", "Job was active longer than specified deadline"));
            }
            self.check_in(left);
        }
        None
    }

    /// `pastBackoffLimitOnFailure`: pods that restart their containers fail without ending.
    fn restarted_too_often(&self) -> bool {
        let restarts = |pod: &Arc<Pod>| {
            let all = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
            all.map(|status| status.restart_count).sum::<i32>()
        };
        let candidates = self.active.iter().filter(|pod| pod.spec.restart_policy == "OnFailure");
        let total: i32 = candidates.map(restarts).sum();
        if self.job.spec.backoff_limit == 0 { total > 0 } else { total >= self.job.spec.backoff_limit }
    }

    /// Makes and deletes pods, or finishes.
    fn manage(&mut self) {
        if self.job.metadata.is_deleting() {
            self.plan.release = self.pods.iter().filter(|pod| has_finalizer(pod)).cloned().collect();
            return;
        }
        if self.is_set("FailureTarget") || self.is_set("SuccessCriteriaMet") {
            self.plan.delete = self.active.clone();
            self.finish();
            return;
        }
        if self.job.spec.suspend {
            self.plan.delete = self.active.clone();
            return;
        }
        let wanted = match self.job.spec.completions {
            None if self.succeeded > 0 => len(&self.active),
            None => self.job.spec.parallelism,
            Some(completions) => (completions - self.succeeded).min(self.job.spec.parallelism),
        };
        let wanted = usize::try_from(wanted).unwrap_or(0);
        if self.active.len() > wanted {
            let excess = self.active.len() - wanted;
            self.plan.delete = crate::replicaset::rank::choose(self.active.clone(), &[], excess.min(BURST), self.now);
            return;
        }
        let waits_for = if self.job.spec.pod_replacement_policy == "Failed" { self.terminating } else { 0 };
        let missing = wanted.saturating_sub(self.active.len() + waits_for).min(BURST);
        if missing == 0 {
            return;
        }
        let left = self.backoff();
        if left.is_positive() {
            self.check_in(left);
            return;
        }
        self.plan.create = if self.job.is_indexed() { self.free_indexes(missing) } else { vec![None; missing] };
    }

    fn free_indexes(&self, count: usize) -> Vec<Option<i32>> {
        let mut taken = indexes::parse(&self.status.completed_indexes);
        taken.extend(self.active.iter().filter_map(|pod| indexes::of(pod)));
        let all = 0..self.job.spec.completions.unwrap_or(0);
        all.filter(|index| !taken.contains(index)).take(count).map(Some).collect()
    }

    /// How long to wait before a failed pod is replaced: twice as long with each failure since the last success.
    fn backoff(&self) -> SignedDuration {
        let ended = |pod: &Pod| pod.condition("Ready").and_then(|ready| ready.last_transition_time).or(pod.metadata.creation_timestamp);
        let last_success = self.pods.iter().filter(|pod| pod.status.phase == "Succeeded").filter_map(|pod| ended(pod)).max();
        let failures: Vec<Timestamp> = self
            .pods
            .iter()
            .filter(|pod| pod.status.phase == "Failed")
            .filter_map(|pod| ended(pod))
            .filter(|at| last_success.is_none_or(|success| *at > success))
            .collect();
        let Some(last) = failures.iter().max() else { return SignedDuration::ZERO };
        let doublings = u32::try_from(failures.len() - 1).unwrap_or(u32::MAX).min(10);
        let wait = (BACKOFF * 2i32.pow(doublings)).min(BACKOFF_MOST);
        (*last + wait).duration_since(self.now)
    }

    /// The last condition, once every pod has ended and is counted.
    fn finish(&mut self) {
        let uncounted = self.status.uncounted_terminated_pods.clone().unwrap_or_default();
        if !self.active.is_empty() || self.terminating > 0 || uncounted != Uncounted::default() {
            return;
        }
        let find = |status: &JobStatus, kind: &str| status.conditions.iter().find(|condition| condition.kind == kind && condition.status == "True").cloned();
        if let Some(target) = find(&self.status, "FailureTarget") {
            self.set("Failed", "True", &target.reason, &target.message);
            self.say(true, &target.reason, &target.message);
        } else if let Some(met) = find(&self.status, "SuccessCriteriaMet") {
            self.set("Complete", "True", &met.reason, &met.message);
            self.status.completion_time = Some(self.now);
            self.say(false, "Completed", "Job completed");
        }
    }

    fn is_set(&self, kind: &str) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == kind && condition.status == "True")
    }

    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let condition = Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            last_transition_time: Some(self.now),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        match self.status.conditions.iter_mut().find(|existing| existing.kind == kind) {
            Some(existing) => *existing = condition,
            None => self.status.conditions.push(condition),
        }
    }

    fn say(&mut self, warning: bool, reason: &str, message: &str) {
        self.plan.events.push(Said { warning, reason: reason.to_owned(), message: message.to_owned() });
    }

    fn check_in(&mut self, left: SignedDuration) {
        let left = Duration::try_from(left).unwrap_or_default() + Duration::from_millis(5);
        self.plan.check_after = Some(self.plan.check_after.map_or(left, |have| have.min(left)));
    }

    fn end(mut self) -> Plan {
        self.status.active = len(&self.active);
        self.status.ready = Some(len(&self.active.iter().filter(|pod| pod.is_ready()).collect::<Vec<_>>()));
        self.status.terminating = Some(i32::try_from(self.terminating).unwrap_or(i32::MAX));
        if self.status != self.job.status {
            self.plan.status = Some(patch(self.job, &self.status));
        }
        self.plan
    }
}

fn has_finalizer(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

fn len<T>(items: &[T]) -> i32 {
    i32::try_from(items.len()).unwrap_or(i32::MAX)
}

fn patch(job: &Job, status: &JobStatus) -> Value {
    let some = |number: i32| if number == 0 { Value::Null } else { number.into() };
    let list = |uids: &Vec<String>| if uids.is_empty() { Value::Null } else { json!(uids) };
    let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
    json!({
        "metadata": { "resourceVersion": job.metadata.resource_version, "uid": job.metadata.uid },
        "status": {
            "active": some(status.active), "ready": status.ready, "terminating": status.terminating,
            "succeeded": some(status.succeeded), "failed": some(status.failed),
            "startTime": status.start_time.map(rfc3339), "completionTime": status.completion_time.map(rfc3339),
            "completedIndexes": if status.completed_indexes.is_empty() { Value::Null } else { status.completed_indexes.as_str().into() },
            "uncountedTerminatedPods": { "succeeded": list(&uncounted.succeeded), "failed": list(&uncounted.failed) },
            "conditions": if status.conditions.is_empty() { Value::Null } else { status.conditions.iter().map(condition_json).collect() },
        },
    })
}

/// A pod of the Job's template: with the finalizer, and with its index where it has one.
pub fn pod(job: &Job, template: &Value, owner: Value, index: Option<i32>) -> Value {
    let mut pod = crate::replicaset::plan::pod_from_template(&job.metadata.name, template, owner);
    let metadata = &mut pod["metadata"];
    let mut finalizers: Vec<Value> = metadata["finalizers"].as_array().cloned().unwrap_or_default();
    finalizers.push(FINALIZER.into());
    metadata["finalizers"] = finalizers.into();
    let Some(index) = index else { return pod };
    metadata["generateName"] = format!("{}-{index}-", job.metadata.name).into();
    metadata["annotations"][indexes::INDEX] = index.to_string().into();
    metadata["labels"][indexes::INDEX] = index.to_string().into();
    let spec = &mut pod["spec"];
    spec["hostname"] = format!("{}-{index}", job.metadata.name).into();
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let variable =
                json!({ "name": "JOB_COMPLETION_INDEX", "valueFrom": { "fieldRef": { "fieldPath": format!("metadata.labels['{}']", indexes::INDEX) } } });
            match container["env"].as_array_mut() {
                Some(env) => env.push(variable),
                None => container["env"] = json!([variable]),
            }
        }
    }
    if spec["initContainers"].is_null()
        && let Some(spec) = spec.as_object_mut()
    {
        spec.remove("initContainers");
    }
    pod
}
