//! Deployments: get from one pod template to the next through ReplicaSets. Read [`plan`] first; this file only carries it out.

pub mod plan;
pub mod progress;
pub mod sets;
pub mod size;
pub mod template;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use skiff_client::events::{ObjectRef, Recorder, Type};
use skiff_client::informer::Key;
use skiff_proto::resource::{DEPLOYMENTS, REPLICASETS};
use skiff_proto::status::Status;

use self::plan::{Step, View};
use crate::execute::{DeleteOptions, Propagation, Writer, is_namespace_terminating, unless_gone};
use crate::ownership::Claimant;
use crate::reconciler::{CATCH_UP, Reconciler, Written};
use crate::view::{Deployment, Object, Replicas};
use crate::world::World;

/// Reconciles Deployments.
pub struct Controller {
    world: Arc<World>,
    writer: Writer,
    recorder: Recorder,
    /// ReplicaSets written that their cache may not show yet.
    sets_written: Written,
    /// Statuses written that the Deployment cache may not show yet.
    statuses_written: Written,
}

impl Controller {
    /// A controller over this world.
    pub fn new(world: Arc<World>, writer: Writer, recorder: Recorder) -> Self {
        Self { world, writer, recorder, sets_written: Written::default(), statuses_written: Written::default() }
    }

    /// The Deployment's ReplicaSets, after adoption and release.
    async fn claim_sets(&self, key: &Key, deployment: &Deployment) -> Result<Vec<Arc<Replicas>>, Status> {
        let claimant = Claimant { api_version: "apps/v1", kind: "Deployment", meta: deployment.meta() };
        let claims = claimant.claim_all(&self.world.replica_sets.list_namespace(&key.namespace), &deployment.spec.selector);
        for set in &claims.release {
            self.patch_set(key, set, &claimant.release(&set.metadata)).await?;
        }
        if claims.adopt.is_empty() {
            return Ok(claims.owned);
        }
        let fresh = self.writer.get(DEPLOYMENTS, key).await?;
        let fresh: Value = serde_json::from_slice(&fresh.json).unwrap_or_default();
        if fresh["metadata"]["uid"] == deployment.metadata.uid.as_str() && fresh["metadata"]["deletionTimestamp"].is_null() {
            for set in &claims.adopt {
                self.patch_set(key, set, &claimant.adoption(&set.metadata)).await?;
            }
        }
        // The adopted are known as ours when the cache shows them so.
        Ok(claims.owned)
    }

    async fn patch_set(&self, key: &Key, set: &Replicas, patch: &Value) -> Result<(), Status> {
        match self.writer.strategic(REPLICASETS, &set.key(), "", patch).await {
            Ok(object) => self.sets_written.note(key, &object),
            Err(status) if status.is_not_found() || status.code == 422 => {}
            Err(status) => return Err(status),
        }
        Ok(())
    }

    async fn execute(&self, key: &Key, deployment: &Deployment, step: Step) -> Result<(), Status> {
        let namespace = &deployment.metadata.namespace;
        match step {
            Step::Create { name, object, replicas } => self.create(key, deployment, &name, &object, replicas).await,
            Step::Update { name, patch, scalings } => {
                let object = self.writer.merge(REPLICASETS, &Key::new(namespace, &name), &patch).await?;
                self.sets_written.note(key, &object);
                for (from, to) in scalings {
                    self.say_scaled(deployment, &name, from, to);
                }
                Ok(())
            }
            Step::Delete { name, uid } => {
                let options = DeleteOptions { uid, ..Default::default() };
                if let Some(object) = unless_gone(self.writer.delete(REPLICASETS, &Key::new(namespace, &name), Propagation::Default, options).await)? {
                    self.sets_written.note(key, &object);
                }
                Ok(())
            }
            Step::Status(patch) => {
                let object = self.writer.merge_status(DEPLOYMENTS, key, &patch).await?;
                self.statuses_written.note(key, &object);
                Ok(())
            }
        }
    }

    async fn create(&self, key: &Key, deployment: &Deployment, name: &str, object: &Value, replicas: i32) -> Result<(), Status> {
        let error = match self.writer.create(REPLICASETS, &deployment.metadata.namespace, object).await {
            Ok(object) => {
                self.sets_written.note(key, &object);
                if replicas > 0 {
                    self.say_scaled(deployment, name, 0, replicas);
                }
                return Ok(());
            }
            Err(error) => error,
        };
        let status = if error.is_already_exists() {
            let taken = self.writer.get(REPLICASETS, &Key::new(&deployment.metadata.namespace, name)).await?;
            if is_this_set(deployment, &taken.json) {
                // It was made before, and the cache does not show it yet.
                self.sets_written.note(key, &taken);
                return Err(error);
            }
            Some(plan::collision(deployment))
        } else if is_namespace_terminating(&error) {
            None
        } else {
            let (message, status) = plan::failed_create(deployment, name, &error.message, self.world.now());
            self.recorder.event(&reference(deployment), Type::Warning, "ReplicaSetCreateError", message);
            status
        };
        if let Some(status) = status {
            let object = self.writer.merge_status(DEPLOYMENTS, key, &status).await?;
            self.statuses_written.note(key, &object);
        }
        Err(error)
    }

    fn say_scaled(&self, deployment: &Deployment, set: &str, from: i32, to: i32) {
        let way = if from < to { "up" } else { "down" };
        let message = format!("Scaled {way} replica set {set} from {from} to {to}");
        self.recorder.event(&reference(deployment), Type::Normal, "ScalingReplicaSet", message);
    }
}

/// Whether the object that has the name already is the very ReplicaSet that was to be made.
fn is_this_set(deployment: &Deployment, json: &[u8]) -> bool {
    let Ok(set) = serde_json::from_slice::<Replicas>(json) else { return false };
    let (wanted, have) = (template::parse(&deployment.spec.template), template::parse(&set.spec.template));
    set.metadata.is_controlled_by(&deployment.metadata.uid) && template::same(&wanted, &have)
}

fn reference(deployment: &Deployment) -> ObjectRef {
    ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: deployment.metadata.namespace.clone(),
        name: deployment.metadata.name.clone(),
        uid: deployment.metadata.uid.clone(),
        resource_version: deployment.metadata.resource_version.clone(),
        ..Default::default()
    }
}

#[async_trait]
impl Reconciler for Controller {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        let Some(deployment) = self.world.deployments.by_key(key) else { return Ok(None) };
        if !self.sets_written.seen(key, &self.world.replica_sets) || !self.statuses_written.seen(key, &self.world.deployments) {
            return Ok(Some(CATCH_UP));
        }
        let sets = self.claim_sets(key, &deployment).await?;
        let pods: Vec<_> = sets.iter().flat_map(|set| self.world.pods_by_controller.find(&set.metadata.uid, &self.world.pods)).collect();
        let plan = plan::plan(&View { deployment: &deployment, sets: &sets, pods: &pods }, self.world.now());
        for step in plan.steps {
            self.execute(key, &deployment, step).await?;
        }
        Ok(plan.check_after)
    }
}
