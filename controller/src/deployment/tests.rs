//! Deployments in a small world in memory: plan, apply, let pods start and stop in any order, and plan again.

use std::sync::Arc;

use json_patch::merge;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::plan::{Plan, Step, View, plan};
use super::sets::REVISION;
use crate::view::{Deployment, Pod, Replicas};

/// A Deployment, its ReplicaSets as the API server would hold them, and how many of each one's pods are available.
struct World {
    deployment: Value,
    sets: Vec<Value>,
    now: Timestamp,
    revision: u64,
}

impl World {
    fn new(spec: Value) -> Self {
        let mut deployment = json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "d", "generation": 1, "resourceVersion": "1", "annotations": {"note": "x"}},
            "spec": {
                "replicas": 3, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "selector": {"matchLabels": {"app": "a"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
            },
        });
        merge(&mut deployment["spec"], &spec);
        Self { deployment, sets: Vec::new(), now: Timestamp::UNIX_EPOCH, revision: 1 }
    }

    fn set_image(&mut self, image: &str) {
        self.change(&json!({"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}));
    }

    fn change(&mut self, spec: &Value) {
        merge(&mut self.deployment["spec"], spec);
        let generation = self.deployment["metadata"]["generation"].as_i64().unwrap();
        self.deployment["metadata"]["generation"] = (generation + 1).into();
    }

    fn plan(&self) -> Plan {
        let deployment: Deployment = typed(&self.deployment);
        let sets: Vec<Arc<Replicas>> = self.sets.iter().map(|set| Arc::new(typed(set))).collect();
        // Every pod that a set counts, and those on their way out.
        let pods: Vec<Arc<Pod>> = self.sets.iter().flat_map(pods_of).collect();
        plan(&View { deployment: &deployment, sets: &sets, pods: &pods }, self.now)
    }

    fn apply(&mut self, plan: &Plan) {
        for step in &plan.steps {
            self.revision += 1;
            match step {
                Step::Create { name, object, .. } => {
                    assert!(self.sets.iter().all(|set| set["metadata"]["name"] != name.as_str()), "{name} is there already");
                    let mut set = object.clone();
                    let created = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(self.revision).unwrap());
                    merge(&mut set["metadata"], &json!({"uid": format!("uid-{name}"), "generation": 1, "creationTimestamp": created.to_string()}));
                    set["status"] = json!({});
                    self.sets.push(set);
                }
                Step::Update { name, patch, .. } => {
                    let set = self.sets.iter_mut().find(|set| set["metadata"]["name"] == name.as_str()).unwrap();
                    merge(set, patch);
                    set["metadata"]["generation"] = (set["metadata"]["generation"].as_i64().unwrap() + 1).into();
                }
                Step::Delete { name, .. } => self.sets.retain(|set| set["metadata"]["name"] != name.as_str()),
                Step::Status(patch) => merge(&mut self.deployment, patch),
            }
        }
    }

    /// What the ReplicaSet controller and the nodes do: each set gets its pods at once; `started` more of them become available.
    fn nodes_work(&mut self, started: &[usize]) {
        for (index, set) in self.sets.iter_mut().enumerate() {
            let wanted = set["spec"]["replicas"].as_i64().unwrap();
            let available = set["status"]["availableReplicas"].as_i64().unwrap_or(0);
            let more = i64::try_from(started.get(index).copied().unwrap_or(0)).unwrap();
            let available = (available + more).min(wanted);
            set["status"] = json!({
                "replicas": wanted, "readyReplicas": available, "availableReplicas": available, "terminatingReplicas": 0,
                "observedGeneration": set["metadata"]["generation"],
            });
        }
    }

    /// Plans and works until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.nodes_work(&[9999; 20]);
            let plan = self.plan();
            if plan.steps.is_empty() {
                return;
            }
            self.apply(&plan);
        }
        panic!("does not settle: {:?}", self.plan().steps);
    }

    fn sum(&self, field: &str) -> i64 {
        let pointer = format!("/{field}");
        self.sets.iter().map(|set| set.pointer(&pointer).and_then(Value::as_i64).unwrap_or(0)).sum()
    }

    fn condition(&self, kind: &str) -> (String, String) {
        let all = self.deployment["status"]["conditions"].as_array().unwrap();
        let condition = all.iter().find(|condition| condition["type"] == kind).unwrap();
        (condition["status"].as_str().unwrap().to_owned(), condition["reason"].as_str().unwrap().to_owned())
    }

    fn sizes(&self) -> Vec<i64> {
        self.sets.iter().map(|set| set["spec"]["replicas"].as_i64().unwrap()).collect()
    }
}

fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_str(&value.to_string()).unwrap()
}

fn pods_of(set: &Value) -> Vec<Arc<Pod>> {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set["metadata"]["name"], "uid": set["metadata"]["uid"], "controller": true}]);
    let count = set["status"]["replicas"].as_i64().unwrap_or(0);
    (0..count).map(|_| Arc::new(typed(&json!({"metadata": {"ownerReferences": owner}, "status": {"phase": "Running"}})))).collect()
}

#[test]
fn a_new_deployment_gets_a_set() {
    let mut world = World::new(json!({}));
    let plan = world.plan();
    let Step::Create { name, object, replicas } = &plan.steps[0] else { panic!("{plan:?}") };
    let hash = name.strip_prefix("web-").unwrap();
    assert_eq!(*replicas, 3);
    assert_eq!(object["spec"]["selector"], json!({"matchLabels": {"app": "a", "pod-template-hash": hash}}));
    assert_eq!(object["metadata"]["labels"], json!({"app": "a", "pod-template-hash": hash}));
    let annotations = json!({
        "note": "x", REVISION: "1", "deployment.kubernetes.io/desired-replicas": "3", "deployment.kubernetes.io/max-replicas": "4",
    });
    assert_eq!(object["metadata"]["annotations"], annotations);
    world.settle();
    assert_eq!(world.deployment["metadata"]["annotations"][REVISION], "1");
    assert_eq!(world.condition("Progressing"), ("True".to_owned(), "NewReplicaSetAvailable".to_owned()));
    assert_eq!(world.condition("Available"), ("True".to_owned(), "MinimumReplicasAvailable".to_owned()));
}

#[test]
fn undo_brings_the_old_set_back_under_a_new_revision() {
    let mut world = World::new(json!({}));
    world.settle();
    world.set_image("i:2");
    world.settle();
    assert_eq!(world.sizes(), [0, 3]);
    world.set_image("i:1");
    world.settle();
    assert_eq!(world.sizes(), [3, 0]);
    assert_eq!(world.sets[0]["metadata"]["annotations"][REVISION], "3");
    assert_eq!(world.sets[0]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(world.deployment["metadata"]["annotations"][REVISION], "3");
}

#[test]
fn forgets_beyond_the_history_limit() {
    let mut world = World::new(json!({"revisionHistoryLimit": 1}));
    for image in ["i:1", "i:2", "i:3", "i:4"] {
        world.set_image(image);
        world.settle();
    }
    assert_eq!(world.sizes(), [0, 3]);
    assert_eq!(world.sets[0]["metadata"]["annotations"][REVISION], "3");
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let mut world = World::new(json!({}));
    world.settle();
    world.change(&json!({"paused": true}));
    world.set_image("i:2");
    world.change(&json!({"replicas": 5}));
    world.settle();
    assert_eq!(world.sizes(), [5]);
    assert_eq!(world.condition("Progressing").1, "DeploymentPaused");
    world.change(&json!({"paused": null}));
    world.settle();
    assert_eq!(world.sizes(), [0, 5]);
    assert_eq!(world.condition("Progressing").1, "NewReplicaSetAvailable");
}

#[test]
fn recreate_waits_until_every_old_pod_is_gone() {
    let mut world = World::new(json!({"strategy": {"type": "Recreate", "rollingUpdate": null}}));
    world.settle();
    world.set_image("i:2");
    let plan = world.plan();
    assert!(plan.steps.iter().any(|step| matches!(step, Step::Update { scalings, .. } if scalings == &[(3, 0)])), "{plan:?}");
    world.apply(&plan);
    assert!(!world.plan().steps.iter().any(|step| matches!(step, Step::Create { .. })), "old pods still run");
    world.settle();
    assert_eq!(world.sizes(), [0, 3]);
}

/// The e2e suite's "proportional scaling": 10 replicas, maxSurge 3, maxUnavailable 2, a rollout that is stuck, then scaled to 30.
#[test]
fn scaling_in_mid_rollout_is_proportional() {
    let mut world = World::new(json!({"replicas": 10, "strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}}));
    world.settle();
    world.set_image("broken");
    for _ in 0..10 {
        let plan = world.plan();
        world.apply(&plan);
        world.nodes_work(&[10, 0]);
    }
    assert_eq!(world.sizes(), [8, 5]);
    world.change(&json!({"replicas": 30}));
    let plan = world.plan();
    world.apply(&plan);
    assert_eq!(world.sizes(), [20, 13]);
}

#[test]
fn a_stuck_rollout_is_told_after_its_deadline() {
    let mut world = World::new(json!({"progressDeadlineSeconds": 4, "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}));
    world.settle();
    world.set_image("broken");
    for _ in 0..5 {
        let plan = world.plan();
        world.apply(&plan);
        world.nodes_work(&[3, 0]);
    }
    assert_eq!(world.condition("Progressing").1, "ReplicaSetUpdated");
    let plan = world.plan();
    assert!(plan.steps.is_empty() && plan.check_after.is_some(), "{plan:?}");
    world.now += SignedDuration::try_from(plan.check_after.unwrap()).unwrap();
    let plan = world.plan();
    world.apply(&plan);
    assert_eq!(world.condition("Progressing"), ("False".to_owned(), "ProgressDeadlineExceeded".to_owned()));
    assert_eq!(world.sizes(), [3, 1]);
}

fn number_or_percent(number: u32, percent: bool) -> Value {
    if percent { format!("{}%", number * 10).into() } else { number.into() }
}

proptest! {
    /// Whatever starts when, and whatever is asked meanwhile: never more pods than replicas and surge, and never fewer available than
    /// promised (the availability there was when the rollout began being enough).
    #[test]
    fn keeps_its_promises(
        replicas in 1i64..12, surge in 0u32..5, unavailable in 0u32..5, percent: bool,
        starts in prop::collection::vec(prop::collection::vec(0usize..4, 3), 1..40), images in prop::collection::vec(0usize..3, 1..4),
    ) {
        prop_assume!(surge > 0 || unavailable > 0);
        let strategy = json!({"rollingUpdate": {"maxSurge": number_or_percent(surge, percent), "maxUnavailable": number_or_percent(unavailable, percent)}});
        let mut world = World::new(json!({"replicas": replicas, "strategy": strategy}));
        world.settle();
        let deployment: Deployment = typed(&world.deployment);
        let most = replicas + i64::from(super::size::max_surge(&deployment));
        let least = replicas - i64::from(super::size::max_unavailable(&deployment));
        for (round, started) in starts.iter().enumerate() {
            if round % 10 == 0 {
                world.set_image(&format!("i:{}", images[round / 10 % images.len()]));
            }
            let plan = world.plan();
            world.apply(&plan);
            prop_assert!(world.sum("spec/replicas") <= most, "{:?} is more than {most}", world.sizes());
            world.nodes_work(started);
            prop_assert!(world.sum("status/availableReplicas") >= least, "{} available, {least} promised", world.sum("status/availableReplicas"));
        }
        world.settle();
        prop_assert_eq!(world.sum("status/availableReplicas"), replicas);
        prop_assert_eq!(world.sizes().into_iter().filter(|size| *size > 0).count(), 1);
        prop_assert!(world.plan().steps.is_empty());
    }

    /// Scaled at any moment, it still arrives.
    #[test]
    fn arrives_after_scaling(steps in prop::collection::vec((0i64..10, any::<bool>(), 0usize..3), 1..12)) {
        let mut world = World::new(json!({"replicas": 3}));
        for (replicas, update, started) in &steps {
            world.change(&json!({"replicas": replicas}));
            if *update {
                world.set_image(&format!("i:{replicas}"));
            }
            let plan = world.plan();
            world.apply(&plan);
            world.nodes_work(&[*started; 12]);
        }
        world.settle();
        prop_assert_eq!(world.sum("spec/replicas"), steps.last().unwrap().0);
        let wanted = &world.deployment["spec"]["template"]["spec"];
        let holds = world.sets.iter().filter(|set| set["spec"]["replicas"].as_i64() != Some(0)).all(|set| set["spec"]["template"]["spec"] == *wanted);
        prop_assert!(holds);
    }
}
