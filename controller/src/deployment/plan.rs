//! What to do about a Deployment: which ReplicaSets to make, scale and forget, and what to say of it.
//! See `syncDeployment` in `pkg/controller/deployment/deployment_controller.go`, and `sync.go`, `rolling.go`, `recreate.go` beside it.
//!
//! The plan supposes that each of its steps succeeds; the first that does not ends it, and the Deployment is looked at afresh.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::progress::{self, PROGRESSING, condition};
use super::sets::Set;
use super::size::{self, max_surge, max_unavailable};
use super::template::{self, HASH_LABEL};
use crate::hash::template_hash;
use crate::ownership::Claimant;
use crate::view::deployment::{DeploymentStatus, StrategyKind};
use crate::view::{Deployment, Object, Pod, Replicas};

/// Longest name of a ReplicaSet: `validation.DNS1123SubdomainMaxLength`.
const LONGEST_NAME: usize = 253;

/// What is known of a Deployment.
pub struct View<'a> {
    /// The Deployment.
    pub deployment: &'a Deployment,
    /// The ReplicaSets that are its own.
    pub sets: &'a [Arc<Replicas>],
    /// The pods of those ReplicaSets.
    pub pods: &'a [Arc<Pod>],
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make the ReplicaSet of the current template. Its name may be taken: see `collision`.
    Create {
        /// Its name.
        name: String,
        /// The whole object.
        object: Value,
        /// Its size, for the event.
        replicas: i32,
    },
    /// Patch a ReplicaSet.
    Update {
        /// Its name.
        name: String,
        /// A merge patch with its precondition.
        patch: Value,
        /// Each change of size, for the events.
        scalings: Vec<(i32, i32)>,
    },
    /// Forget an old ReplicaSet.
    Delete {
        /// Its name.
        name: String,
        /// Its uid: the precondition.
        uid: String,
    },
    /// Patch the Deployment's status.
    Status(Value),
}

/// What to write, and when to look again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// Even if nothing happens.
    pub check_after: Option<Duration>,
}

/// Decides.
pub fn plan(view: &View, now: Timestamp) -> Plan {
    let deployment = view.deployment;
    if deployment.spec.selector.is_empty() {
        return Plan::default();
    }
    let mut rollout = Rollout::new(view, now);
    if deployment.metadata.is_deleting() {
        rollout.find_new_set();
        return rollout.end(Say::Counts);
    }
    progress::note_pause(deployment, &mut rollout.status, now);
    if deployment.spec.paused || rollout.was_scaled() {
        rollout.sync();
        return rollout.end(Say::Counts);
    }
    match deployment.spec.strategy.kind {
        StrategyKind::RollingUpdate => rollout.roll(),
        StrategyKind::Recreate => rollout.recreate(view.pods),
    }
    rollout.end(Say::Rollout)
}

/// The status patch after a name collision: another hash is drawn next time.
pub fn collision(deployment: &Deployment) -> Value {
    let collisions = deployment.status.collision_count.unwrap_or(0) + 1;
    json!({
        "metadata": { "resourceVersion": deployment.metadata.resource_version, "uid": deployment.metadata.uid },
        "status": { "collisionCount": collisions },
    })
}

/// The message, and the status patch, after a ReplicaSet could not be made.
pub fn failed_create(deployment: &Deployment, name: &str, error: &str, now: Timestamp) -> (String, Option<Value>) {
    let message = format!("Failed to create new replica set {name:?}: {error}");
    let mut status = deployment.status.clone();
    if progress::has_deadline(deployment) {
        status.set(condition(PROGRESSING, "False", "ReplicaSetCreateError", message.clone(), now));
    }
    (message, progress::patch(deployment, &status, None))
}

/// How the plan ends.
enum Say {
    /// With the counts only.
    Counts,
    /// With the counts and how the rollout goes.
    Rollout,
}

/// A plan in the making.
struct Rollout<'a> {
    deployment: &'a Deployment,
    now: Timestamp,
    /// The current template.
    template: Value,
    /// Every ReplicaSet, oldest first; one that the plan makes is the last.
    sets: Vec<Set>,
    /// Which of them has the current template.
    new: Option<usize>,
    /// The Deployment's status, as the plan goes on.
    status: DeploymentStatus,
    /// The Deployment's revision, where the plan knows it.
    revision: Option<String>,
    /// ReplicaSets to forget.
    forget: Vec<usize>,
}

impl<'a> Rollout<'a> {
    fn new(view: &View<'a>, now: Timestamp) -> Self {
        let mut sets: Vec<Set> = view.sets.iter().map(Set::cached).collect();
        sets.sort_by(|a, b| a.age_order().cmp(&b.age_order()));
        let template = template::parse(&view.deployment.spec.template);
        // Of several with this template (somebody made one by hand) the oldest is the new set.
        let new = sets.iter().position(|set| set.has_template(&template));
        Self { deployment: view.deployment, now, template, sets, new, status: view.deployment.status.clone(), revision: None, forget: Vec::new() }
    }

    fn wanted(&self) -> i32 {
        self.deployment.spec.replicas
    }

    fn old(&self) -> impl Iterator<Item = usize> + use<> {
        let new = self.new;
        (0..self.sets.len()).filter(move |index| Some(*index) != new)
    }

    fn total(&self) -> i32 {
        self.sets.iter().map(|set| set.replicas).sum()
    }

    fn scale(&mut self, index: usize, replicas: i32) -> bool {
        if self.sets[index].replicas == replicas {
            return false;
        }
        let wanted = self.wanted();
        self.sets[index].scale(replicas, wanted, wanted + max_surge(self.deployment))
    }

    /// The revision that the current template has or will have.
    fn next_revision(&self) -> i64 {
        self.old().map(|index| self.sets[index].revision()).max().unwrap_or(0) + 1
    }

    /// `getNewReplicaSet` where the set exists: keeps its annotations and minReadySeconds those of the Deployment.
    fn find_new_set(&mut self) {
        let Some(new) = self.new else { return };
        let revision = self.next_revision();
        let set = &mut self.sets[new];
        set.annotate(self.deployment, revision);
        set.min_ready_seconds = self.deployment.spec.min_ready_seconds;
        self.revision = set.annotations.get(super::sets::REVISION).cloned();
        if progress::has_deadline(self.deployment) && self.status.condition(PROGRESSING).is_none() {
            let message = format!("Found new replica set {:?}", self.sets[new].name);
            self.status.set(condition(PROGRESSING, "True", "FoundNewReplicaSet", message, self.now));
        }
    }

    /// `getNewReplicaSet` where it has to be made.
    fn make_new_set(&mut self) {
        if self.new.is_some() {
            return;
        }
        let revision = self.next_revision();
        let hash = template_hash(&self.template, self.deployment.status.collision_count);
        let name = set_name(&self.deployment.metadata.name, &hash);
        let mut set = Set::planned(name, self.deployment);
        set.replicas = size::new_size(self.deployment, self.total(), 0);
        set.annotate(self.deployment, revision);
        set.note_sizes(self.wanted(), self.wanted() + max_surge(self.deployment));
        self.revision = Some(revision.to_string());
        if progress::has_deadline(self.deployment) {
            let message = format!("Created new replica set {:?}", set.name);
            self.status.set(condition(PROGRESSING, "True", "NewReplicaSetCreated", message, self.now));
        }
        self.new = Some(self.sets.len());
        self.sets.push(set);
    }

    /// `isScalingEvent`: whether `spec.replicas` is not what the sets were last scaled for.
    fn was_scaled(&self) -> bool {
        self.sets.iter().filter(|set| set.is_active()).any(|set| set.desired().is_some_and(|desired| desired != self.wanted()))
    }

    /// `sync`: scales without rolling out, and forgets old sets of a paused Deployment.
    fn sync(&mut self) {
        self.find_new_set();
        self.rescale();
        if self.deployment.spec.paused {
            self.forget_old_sets();
        }
    }

    /// `scale`: brings the sets to `spec.replicas`, several active ones in proportion.
    fn rescale(&mut self) {
        let active: Vec<usize> = (0..self.sets.len()).filter(|index| self.sets[*index].is_active()).collect();
        let only = match active[..] {
            [] => self.new.or_else(|| self.sets.len().checked_sub(1)),
            [one] => Some(one),
            _ => None,
        };
        if let Some(only) = only {
            self.scale(only, self.wanted());
            return;
        }
        if self.new.is_some_and(|new| self.is_saturated(&self.sets[new])) {
            let new = self.new;
            for index in active.into_iter().filter(|index| Some(*index) != new) {
                self.scale(index, 0);
            }
            return;
        }
        if size::is_rolling(self.deployment) && !active.is_empty() {
            let sets: Vec<(usize, &Set)> = active.iter().map(|index| (*index, &self.sets[*index])).collect();
            let wanted = self.wanted();
            for (index, replicas) in size::proportional(self.deployment, &sets) {
                self.sets[index].scale(replicas, wanted, wanted + max_surge(self.deployment));
            }
        }
    }

    /// `IsSaturated`: the new set has all its pods, all available.
    fn is_saturated(&self, set: &Set) -> bool {
        set.replicas == self.wanted() && set.desired() == Some(self.wanted()) && set.status.available_replicas == self.wanted()
    }

    /// `rolloutRolling`.
    fn roll(&mut self) {
        self.find_new_set();
        self.make_new_set();
        let Some(new) = self.new else { return };
        let have = self.sets[new].replicas;
        let size = if have > self.wanted() { self.wanted() } else { size::new_size(self.deployment, self.total(), have) };
        if have != self.wanted() && self.scale(new, size) {
            return;
        }
        if !self.scale_old_down(new) && progress::is_complete(self.deployment, &self.status) {
            self.forget_old_sets();
        }
    }

    /// `reconcileOldReplicaSets`: first pods that are not available, which nobody misses, then as many as availability allows.
    fn scale_old_down(&mut self, new: usize) -> bool {
        let old: Vec<usize> = self.old().filter(|index| self.sets[*index].is_active()).collect();
        let min_available = self.wanted() - max_unavailable(self.deployment);
        let new_unavailable = self.sets[new].replicas - self.sets[new].status.available_replicas;
        let most = self.total() - min_available - new_unavailable;
        if old.is_empty() || most <= 0 {
            return false;
        }
        let mut cleaned = 0;
        for index in &old {
            let set = &self.sets[*index];
            let unhealthy = (set.replicas - set.status.available_replicas).max(0).min(most - cleaned);
            let left = set.replicas - unhealthy;
            self.scale(*index, left);
            cleaned += unhealthy;
        }
        let available: i32 = old.iter().chain([&new]).map(|index| self.sets[*index].status.available_replicas).sum();
        let mut spare = available - min_available;
        let mut scaled = cleaned > 0;
        for index in &old {
            let down = self.sets[*index].replicas.min(spare);
            if down > 0 {
                scaled |= self.scale(*index, self.sets[*index].replicas - down);
                spare -= down;
            }
        }
        scaled
    }

    /// `rolloutRecreate`.
    fn recreate(&mut self, pods: &[Arc<Pod>]) {
        self.find_new_set();
        let active: Vec<usize> = self.old().filter(|index| self.sets[*index].is_active()).collect();
        if !active.is_empty() {
            for index in active {
                self.scale(index, 0);
            }
            return;
        }
        if self.old_pods_run(pods) {
            return;
        }
        self.make_new_set();
        if let Some(new) = self.new {
            self.scale(new, self.wanted());
        }
        if progress::is_complete(self.deployment, &self.status) {
            self.forget_old_sets();
        }
    }

    /// `oldPodsRunning`: whether a pod of another template may still run, terminating ones included.
    fn old_pods_run(&self, pods: &[Arc<Pod>]) -> bool {
        let new_uid = self.new.and_then(|new| self.sets[new].cached.as_ref()).map(|set| set.metadata.uid.as_str());
        let counted = self.old().any(|index| self.sets[index].status.replicas > 0);
        counted || pods.iter().any(|pod| !pod.is_terminal() && pod.metadata.controller().map(|owner| owner.uid.as_str()) != new_uid)
    }

    /// `cleanupDeployment`: beyond the history limit, the oldest revisions without pods.
    fn forget_old_sets(&mut self) {
        let Some(limit) = self.deployment.spec.revision_history_limit.filter(|limit| *limit != i32::MAX) else { return };
        let mut old: Vec<usize> = self.old().filter(|index| self.sets[*index].cached.as_ref().is_some_and(|set| !set.metadata.is_deleting())).collect();
        let excess = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        old.sort_by_key(|index| (self.sets[*index].revision(), *index));
        self.forget = old.into_iter().take(excess).filter(|index| self.is_empty(*index)).collect();
    }

    fn is_empty(&self, index: usize) -> bool {
        let set = &self.sets[index];
        let observed = set.cached.as_ref().is_some_and(|cached| cached.metadata.generation <= set.status.observed_generation);
        set.status.replicas == 0 && set.replicas == 0 && observed
    }

    fn end(self, say: Say) -> Plan {
        let (deployment, now) = (self.deployment, self.now);
        let status = match say {
            Say::Counts => progress::counted(deployment, &self.status, &self.sets, self.new, now),
            Say::Rollout => progress::rolled_out(deployment, &self.status, &self.sets, self.new, now),
        };
        let mut steps = Vec::new();
        for set in &self.sets {
            if set.cached.is_none() {
                steps.push(Step::Create { name: set.name.clone(), object: self.object(set), replicas: set.replicas });
            } else if let Some(patch) = set.patch() {
                steps.push(Step::Update { name: set.name.clone(), patch, scalings: set.scalings.clone() });
            }
        }
        for index in &self.forget {
            if let Some(cached) = &self.sets[*index].cached {
                steps.push(Step::Delete { name: self.sets[*index].name.clone(), uid: cached.metadata.uid.clone() });
            }
        }
        steps.extend(progress::patch(deployment, &status, self.revision.as_deref()).map(Step::Status));
        let check_after = match say {
            Say::Counts => None,
            Say::Rollout => progress::next_check(deployment, &status, now),
        };
        Plan { steps, check_after }
    }

    /// The ReplicaSet to be made.
    fn object(&self, set: &Set) -> Value {
        let deployment = self.deployment;
        let hash = template_hash(&self.template, deployment.status.collision_count);
        let mut template = self.template.clone();
        template["metadata"]["labels"][HASH_LABEL] = hash.as_str().into();
        let claimant = Claimant { api_version: "apps/v1", kind: "Deployment", meta: deployment.meta() };
        json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": set.name,
                "namespace": deployment.metadata.namespace,
                "labels": template["metadata"]["labels"],
                "annotations": set.annotations,
                "ownerReferences": [claimant.reference()],
            },
            "spec": {
                "replicas": set.replicas,
                "minReadySeconds": set.min_ready_seconds,
                "selector": deployment.spec.selector.with_label(HASH_LABEL, &hash),
                "template": template,
            },
        })
    }
}

/// `generateReplicaSetName`.
fn set_name(deployment: &str, hash: &str) -> String {
    let room = LONGEST_NAME.saturating_sub(hash.len() + 1).min(deployment.len());
    format!("{}-{hash}", &deployment[..room])
}
