//! Jobs in a small world in memory: plan, apply, let pods end in any order, lose half of what was to be done, and plan again.

use std::sync::Arc;

use json_patch::merge;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::plan::{FINALIZER, Plan, plan, pod};
use crate::view::{Job, Pod};

struct World {
    job: Value,
    pods: Vec<Value>,
    made: usize,
    now: Timestamp,
    said: Vec<String>,
}

impl World {
    fn new(spec: Value) -> Self {
        let mut job = json!({
            "metadata": {"name": "j", "namespace": "ns", "uid": "job"},
            "spec": {"completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "template": {"metadata": {"labels": {"job-name": "j"}}, "spec": {"containers": [{"name": "c"}]}}},
            "status": {},
        });
        for (key, value) in spec.as_object().unwrap() {
            job["spec"][key] = value.clone();
        }
        Self { job, pods: Vec::new(), made: 0, now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1), said: Vec::new() }
    }

    fn job(&self) -> Job {
        serde_json::from_str(&self.job.to_string()).unwrap()
    }

    fn plan(&self) -> Plan {
        let pods: Vec<Arc<Pod>> = self.pods.iter().map(|pod| Arc::new(serde_json::from_value(pod.clone()).unwrap())).collect();
        plan(&self.job(), &pods, self.now)
    }

    /// Carries out the first `steps` writes of a plan.
    fn apply(&mut self, plan: &Plan, mut steps: usize) {
        let mut may = || {
            let may = steps > 0;
            steps = steps.saturating_sub(1);
            may
        };
        if let Some(status) = plan.status.as_ref().filter(|_| may()) {
            merge(&mut self.job, status);
            self.said.extend(plan.events.iter().map(|said| said.reason.clone()));
        } else if plan.status.is_some() {
            return;
        }
        for released in &plan.release {
            if may() {
                for pod in self.pods.iter_mut().filter(|pod| pod["metadata"]["uid"] == released.metadata.uid.as_str()) {
                    pod["metadata"]["finalizers"] = json!([]);
                }
            }
        }
        for deleted in &plan.delete {
            if may() {
                for pod in self.pods.iter_mut().filter(|pod| pod["metadata"]["uid"] == deleted.metadata.uid.as_str()) {
                    pod["metadata"]["deletionTimestamp"] = json!("2025-01-01T00:00:00Z");
                }
            }
        }
        for index in &plan.create {
            if may() {
                self.made += 1;
                let job = self.job();
                let template = crate::deployment::template::parse(&job.spec.template);
                let mut pod = pod(&job, &template, json!({"uid": "job", "controller": true}), *index);
                pod["metadata"]["uid"] = format!("pod-{}", self.made).into();
                pod["status"] = json!({"phase": "Running"});
                self.pods.push(pod);
            }
        }
        // The nodes let go of what is deleted; the server removes what nothing holds.
        for pod in self.pods.iter_mut().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running") {
            pod["status"]["phase"] = "Failed".into();
        }
        self.pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null() || pod["metadata"]["finalizers"] != json!([]));
    }

    fn end_pod(&mut self, which: usize, phase: &str) {
        let running: Vec<usize> = (0..self.pods.len()).filter(|index| self.pods[*index]["status"]["phase"] == "Running").collect();
        if let Some(index) = running.get(which % running.len().max(1)) {
            self.pods[*index]["status"]["phase"] = phase.into();
        }
    }

    fn settle(&mut self) {
        for _ in 0..50 {
            let plan = self.plan();
            if plan == (Plan { check_after: plan.check_after, ..Plan::default() }) {
                return;
            }
            self.apply(&plan, usize::MAX);
        }
        panic!("does not settle: {:?}", self.plan());
    }

    fn conditions(&self) -> Vec<String> {
        let all = self.job["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.iter().filter(|condition| condition["status"] == "True").map(|condition| condition["type"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn three_completions_two_at_a_time() {
    let mut world = World::new(json!({"completions": 3, "parallelism": 2}));
    world.settle();
    assert_eq!((world.pods.len(), &world.job["status"]["active"]), (2, &json!(2)));
    assert_eq!(world.pods[0]["metadata"]["finalizers"], json!([FINALIZER]));
    for _ in 0..3 {
        world.end_pod(0, "Succeeded");
        world.settle();
    }
    assert_eq!(world.conditions(), ["SuccessCriteriaMet", "Complete"]);
    assert_eq!((&world.job["status"]["succeeded"], &world.job["status"]["active"]), (&json!(3), &Value::Null));
    assert_eq!(world.said, ["Completed"]);
}

#[test]
fn over_the_backoff_limit() {
    let mut world = World::new(json!({"backoffLimit": 1}));
    for _ in 0..2 {
        world.settle();
        world.end_pod(0, "Failed");
        world.now += SignedDuration::from_hours(1);
    }
    world.settle();
    assert_eq!(world.conditions(), ["FailureTarget", "Failed"]);
    assert_eq!((&world.job["status"]["failed"], world.made), (&json!(2), 2));
    assert_eq!(world.said, ["BackoffLimitExceeded"]);
}

#[test]
fn a_failed_pod_is_replaced_after_a_while() {
    let mut world = World::new(json!({}));
    world.settle();
    world.end_pod(0, "Failed");
    let at = crate::view::meta::rfc3339(world.now);
    world.pods[0]["status"]["conditions"] = json!([{"type": "Ready", "status": "False", "lastTransitionTime": at}]);
    world.settle();
    assert_eq!((world.made, world.plan().check_after.map(|wait| wait.as_secs())), (1, Some(10)));
    world.now += SignedDuration::from_secs(11);
    world.settle();
    assert_eq!(world.made, 2);
}

#[test]
fn suspended_and_resumed() {
    let mut world = World::new(json!({"suspend": true}));
    world.settle();
    assert_eq!((world.conditions(), world.made), (vec!["Suspended".to_owned()], 0));
    world.job["spec"]["suspend"] = false.into();
    world.settle();
    assert_eq!((world.conditions(), world.made), (vec![], 1));
    assert_eq!(world.said, ["Suspended", "Resumed"]);
}

#[test]
fn past_its_deadline() {
    let mut world = World::new(json!({"activeDeadlineSeconds": 30}));
    world.settle();
    assert_eq!(world.plan().check_after.map(|wait| wait.as_secs()), Some(30));
    world.now += SignedDuration::from_secs(31);
    world.settle();
    assert_eq!(world.conditions(), ["FailureTarget", "Failed"]);
    assert_eq!(world.said, ["DeadlineExceeded"]);
}

#[test]
fn each_index_once() {
    let mut world = World::new(json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"}));
    world.settle();
    let indexes: Vec<&Value> = world.pods.iter().map(|pod| &pod["metadata"]["annotations"][super::indexes::INDEX]).collect();
    assert_eq!(indexes, [&json!("0"), &json!("1"), &json!("2")]);
    assert_eq!(world.pods[1]["spec"]["hostname"], "j-1");
    world.end_pod(2, "Succeeded");
    world.settle();
    assert_eq!(world.job["status"]["completedIndexes"], "2");
    world.end_pod(0, "Succeeded");
    world.end_pod(0, "Succeeded");
    world.settle();
    assert_eq!((&world.job["status"]["completedIndexes"], &world.job["status"]["succeeded"]), (&json!("0-2"), &json!(3)));
}

proptest! {
    /// Whatever is lost in between (the controller dies after any write), every success counts once and it completes.
    #[test]
    fn counts_every_success_once(completions in 1i32..8, parallelism in 1i32..5, steps in prop::collection::vec((0usize..6, 0usize..5), 0..40)) {
        let mut world = World::new(json!({"completions": completions, "parallelism": parallelism}));
        for (kept, which) in steps {
            let plan = world.plan();
            world.apply(&plan, kept);
            world.end_pod(which, "Succeeded");
        }
        for _ in 0..100 {
            world.settle();
            world.end_pod(0, "Succeeded");
        }
        world.settle();
        prop_assert_eq!(&world.job["status"]["succeeded"], &json!(completions));
        prop_assert_eq!(world.made, usize::try_from(completions).unwrap());
        prop_assert_eq!(world.conditions(), ["SuccessCriteriaMet", "Complete"]);
    }
}
