//! ReplicaSets and ReplicationControllers: keep so many pods of a template. Read [`plan`] first; this file only carries it out.

pub mod plan;
pub mod rank;
pub mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde_json::Value;
use skiff_client::events::{ObjectRef, Recorder, Type};
use skiff_client::informer::{Cache, Key};
use skiff_proto::resource::{PODS, REPLICASETS, REPLICATIONCONTROLLERS};
use skiff_proto::status::Status;

use self::plan::Manage;
use crate::deployment::template;
use crate::execute::{DeleteOptions, Propagation, Writer, is_namespace_terminating};
use crate::index::orphans_of;
use crate::ownership::Claimant;
use crate::reconciler::{CATCH_UP, Reconciler, Written};
use crate::view::{Meta, Object, Pod, Replicas};
use crate::world::World;

/// Which of the two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// `apps/v1`.
    ReplicaSet,
    /// `v1`.
    ReplicationController,
}

impl Flavor {
    /// Its group-resource.
    pub fn resource(self) -> &'static str {
        match self {
            Self::ReplicaSet => REPLICASETS,
            Self::ReplicationController => REPLICATIONCONTROLLERS,
        }
    }

    /// Its kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::ReplicaSet => "ReplicaSet",
            Self::ReplicationController => "ReplicationController",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::ReplicaSet => "apps/v1",
            Self::ReplicationController => "v1",
        }
    }

    /// The name that its events come from.
    pub fn component(self) -> &'static str {
        match self {
            Self::ReplicaSet => "replicaset-controller",
            Self::ReplicationController => "replication-controller",
        }
    }
}

/// Reconciles one of the two kinds.
pub struct Controller {
    flavor: Flavor,
    world: Arc<World>,
    writer: Writer,
    recorder: Recorder,
    /// Pods made and deleted that the pod cache may not show yet.
    pods_written: Written,
    /// Statuses written that the set cache may not show yet.
    sets_written: Written,
}

impl Controller {
    /// A controller over this world.
    pub fn new(flavor: Flavor, world: Arc<World>, writer: Writer, recorder: Recorder) -> Self {
        Self { flavor, world, writer, recorder, pods_written: Written::default(), sets_written: Written::default() }
    }

    fn sets(&self) -> &Cache<Replicas> {
        match self.flavor {
            Flavor::ReplicaSet => &self.world.replica_sets,
            Flavor::ReplicationController => &self.world.replication_controllers,
        }
    }

    fn claimant<'a>(&self, set: &'a Replicas) -> Claimant<'a> {
        Claimant { api_version: self.flavor.api_version(), kind: self.flavor.kind(), meta: set.meta() }
    }

    fn reference(&self, set: &Replicas) -> ObjectRef {
        ObjectRef {
            api_version: self.flavor.api_version().to_owned(),
            kind: self.flavor.kind().to_owned(),
            namespace: set.metadata.namespace.clone(),
            name: set.metadata.name.clone(),
            uid: set.metadata.uid.clone(),
            resource_version: set.metadata.resource_version.clone(),
            ..Default::default()
        }
    }

    /// The set's pods: its own and, after adoption, those that match and were nobody's. Releases those that no longer match.
    async fn claim_pods(&self, key: &Key, set: &Replicas) -> Result<(Vec<Arc<Pod>>, usize), Status> {
        let world = &self.world;
        let mine = world.pods_by_controller.find(&set.metadata.uid, &world.pods);
        let orphans = world.pods_by_controller.find(&orphans_of(&set.metadata.namespace), &world.pods);
        let terminating = mine.iter().filter(|pod| pod.is_terminating() && set.spec.selector.matches(&pod.metadata.labels)).count();
        let active: Vec<Arc<Pod>> = mine.into_iter().chain(orphans).filter(|pod| pod.is_active()).collect();
        let claimant = self.claimant(set);
        let claims = claimant.claim_all(&active, &set.spec.selector);
        for pod in &claims.release {
            self.patch_pod(key, &pod.metadata, &claimant.release(&pod.metadata)).await?;
        }
        let mut owned = claims.owned;
        if !claims.adopt.is_empty() && self.may_adopt(key, set).await? {
            for pod in claims.adopt {
                if self.patch_pod(key, &pod.metadata, &claimant.adoption(&pod.metadata)).await? {
                    owned.push(pod);
                }
            }
        }
        Ok((owned, terminating))
    }

    /// Asks the server whether the set is still there and staying: `RecheckDeletionTimestamp`.
    async fn may_adopt(&self, key: &Key, set: &Replicas) -> Result<bool, Status> {
        let fresh = self.writer.get(self.flavor.resource(), key).await?;
        let fresh: Value = serde_json::from_slice(&fresh.json).unwrap_or_default();
        Ok(fresh["metadata"]["uid"] == set.metadata.uid.as_str() && fresh["metadata"]["deletionTimestamp"].is_null())
    }

    /// Whether the pod was there to be patched. A pod that is another one by now (422, 409) is looked at again later.
    async fn patch_pod(&self, key: &Key, pod: &Meta, patch: &Value) -> Result<bool, Status> {
        match self.writer.strategic(PODS, &Key::new(&pod.namespace, &pod.name), "", patch).await {
            Ok(object) => {
                self.pods_written.note(key, &object);
                Ok(true)
            }
            Err(status) if status.is_not_found() || status.code == 422 => Ok(false),
            Err(status) => Err(status),
        }
    }

    /// The pods of every set with the same owner: what `getIndirectlyRelatedPods` ranks by.
    fn related(&self, set: &Replicas) -> Vec<Arc<Pod>> {
        let Some(owner) = set.metadata.controller() else {
            return self.world.pods_by_controller.find(&set.metadata.uid, &self.world.pods);
        };
        let siblings = self.sets().list_namespace(&set.metadata.namespace);
        let related = siblings.iter().filter(|sibling| sibling.metadata.is_controlled_by(&owner.uid));
        let pods: BTreeMap<String, Arc<Pod>> = related
            .flat_map(|sibling| self.world.pods_by_controller.find(&sibling.metadata.uid, &self.world.pods))
            .map(|pod| (pod.metadata.uid.clone(), pod))
            .collect();
        pods.into_values().collect()
    }

    async fn manage(&self, key: &Key, set: &Replicas, active: &[Arc<Pod>]) -> Result<(), Status> {
        match plan::manage(set, active, &self.related(set), self.world.now()) {
            Manage::Nothing => Ok(()),
            Manage::Create(count) => self.create(key, set, count).await,
            Manage::Delete(pods) => self.delete(key, set, pods).await,
        }
    }

    async fn create(&self, key: &Key, set: &Replicas, count: usize) -> Result<(), Status> {
        let template = template::parse(&set.spec.template);
        let pod = plan::pod_from_template(&set.metadata.name, &template, self.claimant(set).reference());
        for batch in plan::slow_start(count) {
            let created = join_all((0..batch).map(|_| self.create_one(key, set, &pod))).await;
            created.into_iter().collect::<Result<Vec<()>, Status>>()?;
        }
        Ok(())
    }

    async fn create_one(&self, key: &Key, set: &Replicas, pod: &Value) -> Result<(), Status> {
        match self.writer.create(PODS, &set.metadata.namespace, pod).await {
            Ok(object) => {
                self.pods_written.note(key, &object);
                self.recorder.event(&self.reference(set), Type::Normal, "SuccessfulCreate", format!("Created pod: {}", object.name));
                Ok(())
            }
            Err(status) if is_namespace_terminating(&status) => Ok(()),
            Err(status) => {
                self.recorder.event(&self.reference(set), Type::Warning, "FailedCreate", format!("Error creating: {status}"));
                Err(status)
            }
        }
    }

    async fn delete(&self, key: &Key, set: &Replicas, pods: Vec<Arc<Pod>>) -> Result<(), Status> {
        let deleted = join_all(pods.iter().map(|pod| self.delete_one(key, set, pod))).await;
        deleted.into_iter().collect()
    }

    async fn delete_one(&self, key: &Key, set: &Replicas, pod: &Pod) -> Result<(), Status> {
        let options = DeleteOptions { uid: pod.metadata.uid.clone(), ..Default::default() };
        match self.writer.delete(PODS, &pod.key(), Propagation::Default, options).await {
            Ok(object) => {
                self.pods_written.note(key, &object);
                self.recorder.event(&self.reference(set), Type::Normal, "SuccessfulDelete", format!("Deleted pod: {}", pod.metadata.name));
                Ok(())
            }
            Err(status) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(status) => {
                self.recorder.event(&self.reference(set), Type::Warning, "FailedDelete", format!("Error deleting: {status}"));
                Err(Status { message: format!("unable to delete pods: {status}"), ..status })
            }
        }
    }
}

#[async_trait]
impl Reconciler for Controller {
    fn name(&self) -> &'static str {
        self.flavor.component()
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        let Some(set) = self.sets().by_key(key) else { return Ok(None) };
        if !self.pods_written.seen(key, &self.world.pods) || !self.sets_written.seen(key, self.sets()) {
            return Ok(Some(CATCH_UP));
        }
        let (active, terminating) = self.claim_pods(key, &set).await?;
        let managed = self.manage(key, &set, &active).await;
        let failure = managed.as_ref().err().map(|status| status.message.as_str());
        let now = self.world.now();
        let status = status::status(self.flavor, &set, &active, terminating, failure, now);
        if let Some(patch) = status::patch(&set, &status) {
            let object = self.writer.merge_status(self.flavor.resource(), key, &patch).await?;
            self.sets_written.note(key, &object);
        }
        managed?;
        Ok(plan::next_check(&set, &status, &active, now))
    }
}
