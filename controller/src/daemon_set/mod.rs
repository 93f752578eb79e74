//! DaemonSets: one pod on each node. Read [`plan`] first; this file only carries it out.

pub mod plan;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde_json::Value;
use skiff_client::events::{ObjectRef, Recorder, Type};
use skiff_client::informer::Key;
use skiff_proto::resource::{CONTROLLERREVISIONS, DAEMONSETS, PODS};
use skiff_proto::status::Status;

use self::plan::{Plan, Revise, View};
use crate::deployment::template;
use crate::execute::{DeleteOptions, Propagation, Writer, is_namespace_terminating, unless_gone};
use crate::index::orphans_of;
use crate::not_implemented::REASON;
use crate::ownership::Claimant;
use crate::reconciler::{CATCH_UP, Reconciler, Written};
use crate::replicaset::plan::slow_start;
use crate::view::daemon_set::ControllerRevision;
use crate::view::{DaemonSet, Object, Pod};
use crate::world::World;

/// Reconciles DaemonSets.
pub struct Controller {
    world: Arc<World>,
    writer: Writer,
    recorder: Recorder,
    pods_written: Written,
    sets_written: Written,
    revisions_written: Written,
}

impl Controller {
    /// A controller over this world.
    pub fn new(world: Arc<World>, writer: Writer, recorder: Recorder) -> Self {
        Self { world, writer, recorder, pods_written: Written::default(), sets_written: Written::default(), revisions_written: Written::default() }
    }

    /// The set's pods, after adoption and release.
    async fn claim_pods(&self, key: &Key, set: &DaemonSet) -> Result<Vec<Arc<Pod>>, Status> {
        let world = &self.world;
        let mine = world.pods_by_controller.find(&set.metadata.uid, &world.pods);
        let orphans = world.pods_by_controller.find(&orphans_of(&set.metadata.namespace), &world.pods);
        let candidates: Vec<Arc<Pod>> = mine.into_iter().chain(orphans).collect();
        let claimant = claimant(set);
        let claims = claimant.claim_all(&candidates, &set.spec.selector);
        let changes = claims.adopt.iter().map(|pod| (pod, claimant.adoption(&pod.metadata)));
        for (pod, patch) in changes.chain(claims.release.iter().map(|pod| (pod, claimant.release(&pod.metadata)))) {
            if let Some(object) = unless_gone(self.writer.strategic(PODS, &pod.key(), "", &patch).await)? {
                self.pods_written.note(key, &object);
            }
        }
        Ok(claims.owned)
    }

    /// The hash of the current template, whose revision is made where it is missing.
    async fn revise(&self, key: &Key, set: &DaemonSet, template: &Value, revisions: &[Arc<ControllerRevision>]) -> Result<Option<String>, Status> {
        let object = match plan::revise(set, template, revisions, &claimant(set).reference()) {
            Revise::Current { hash } => return Ok(Some(hash)),
            Revise::Create(revision) => self.writer.create(CONTROLLERREVISIONS, &key.namespace, &revision).await?,
            Revise::Renumber { name, patch } => self.writer.merge(CONTROLLERREVISIONS, &Key::new(&key.namespace, &name), &patch).await?,
        };
        self.revisions_written.note(key, &object);
        Ok(None)
    }

    async fn execute(&self, key: &Key, set: &DaemonSet, template: &Value, hash: &str, plan: Plan) -> Result<Option<Duration>, Status> {
        for (pod, node) in &plan.failed {
            let message = format!("Found failed daemon pod {} on node {node}, will try to kill it", pod.key());
            self.recorder.event(&reference(set), Type::Warning, "FailedDaemonPod", message);
        }
        let deleted = join_all(plan.delete.iter().map(|pod| self.delete(key, set, pod))).await;
        deleted.into_iter().collect::<Result<Vec<()>, Status>>()?;
        let mut nodes = plan.create.iter();
        for batch in slow_start(plan.create.len()) {
            let batch: Vec<&String> = nodes.by_ref().take(batch).collect();
            let created = join_all(batch.iter().map(|node| self.create(key, set, template, hash, node))).await;
            created.into_iter().collect::<Result<Vec<()>, Status>>()?;
        }
        if let Some(patch) = &plan.status {
            let object = self.writer.merge_status(DAEMONSETS, key, patch).await?;
            self.sets_written.note(key, &object);
        }
        Ok(plan.check_after)
    }

    async fn delete(&self, key: &Key, set: &DaemonSet, pod: &Pod) -> Result<(), Status> {
        let options = DeleteOptions { uid: pod.metadata.uid.clone(), ..Default::default() };
        match unless_gone(self.writer.delete(PODS, &pod.key(), Propagation::Default, options).await) {
            Ok(None) => Ok(()),
            Ok(Some(object)) => {
                self.pods_written.note(key, &object);
                self.recorder.event(&reference(set), Type::Normal, "SuccessfulDelete", format!("Deleted pod: {}", pod.metadata.name));
                Ok(())
            }
            Err(status) => {
                self.recorder.event(&reference(set), Type::Warning, "FailedDelete", format!("Error deleting: {status}"));
                Err(status)
            }
        }
    }

    async fn create(&self, key: &Key, set: &DaemonSet, template: &Value, hash: &str, node: &str) -> Result<(), Status> {
        let pod = plan::pod(set, template, claimant(set).reference(), hash, node);
        match self.writer.create(PODS, &set.metadata.namespace, &pod).await {
            Ok(object) => {
                self.pods_written.note(key, &object);
                self.recorder.event(&reference(set), Type::Normal, "SuccessfulCreate", format!("Created pod: {}", object.name));
                Ok(())
            }
            Err(status) if is_namespace_terminating(&status) => Ok(()),
            Err(status) => {
                self.recorder.event(&reference(set), Type::Warning, "FailedCreate", format!("Error creating: {status}"));
                Err(status)
            }
        }
    }
}

fn claimant(set: &DaemonSet) -> Claimant<'_> {
    Claimant { api_version: "apps/v1", kind: "DaemonSet", meta: set.meta() }
}

fn reference(set: &DaemonSet) -> ObjectRef {
    ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: "DaemonSet".to_owned(),
        namespace: set.metadata.namespace.clone(),
        name: set.metadata.name.clone(),
        uid: set.metadata.uid.clone(),
        resource_version: set.metadata.resource_version.clone(),
        ..Default::default()
    }
}

#[async_trait]
impl Reconciler for Controller {
    fn name(&self) -> &'static str {
        "daemonset-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        let world = &self.world;
        let Some(set) = world.daemon_sets.by_key(key) else { return Ok(None) };
        let behind = !self.pods_written.seen(key, &world.pods)
            || !self.sets_written.seen(key, &world.daemon_sets)
            || !self.revisions_written.seen(key, &world.revisions);
        if behind {
            return Ok(Some(CATCH_UP));
        }
        if set.spec.selector.is_empty() {
            return Ok(None);
        }
        let surge = set.spec.update_strategy.rolling_update.as_ref().and_then(|rolling| rolling.max_surge.as_ref());
        if surge.is_some_and(|surge| surge.of(100, true) > 0) {
            let message = "spec.updateStrategy.rollingUpdate.maxSurge is not acted on yet: an old pod goes before its successor comes";
            self.recorder.event(&reference(&set), Type::Warning, REASON, message);
        }
        let pods = self.claim_pods(key, &set).await?;
        let template = template::parse(&set.spec.template);
        let mut revisions = world.revisions.list_namespace(&key.namespace);
        revisions.retain(|revision| revision.metadata.is_controlled_by(&set.metadata.uid));
        let Some(hash) = self.revise(key, &set, &template, &revisions).await? else { return Ok(Some(CATCH_UP)) };
        let nodes = world.nodes.list();
        let plan = plan::plan(&View { set: &set, pods: &pods, nodes: &nodes, template: &template, hash: &hash }, world.now());
        let again = self.execute(key, &set, &template, &hash, plan).await?;
        for revision in plan::surplus(&set, &revisions, &pods, &hash) {
            let options = DeleteOptions { uid: revision.metadata.uid.clone(), ..Default::default() };
            unless_gone(self.writer.delete(CONTROLLERREVISIONS, &revision.key(), Propagation::Default, options).await)?;
        }
        Ok(again)
    }
}
