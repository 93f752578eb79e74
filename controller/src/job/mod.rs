//! Jobs: run pods until enough of them have succeeded. Read [`plan`] first; this file only carries it out.

pub mod indexes;
pub mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{Value, json};
use skiff_client::events::{ObjectRef, Recorder, Type};
use skiff_client::informer::Key;
use skiff_proto::resource::{JOBS, PODS};
use skiff_proto::status::Status;

use self::plan::{FINALIZER, Plan};
use crate::deployment::template;
use crate::execute::{DeleteOptions, Propagation, Writer, is_namespace_terminating, unless_gone};
use crate::index::orphans_of;
use crate::not_implemented::REASON;
use crate::ownership::Claimant;
use crate::reconciler::{CATCH_UP, Reconciler, Written};
use crate::replicaset::plan::slow_start;
use crate::view::{Job, Object, Pod};
use crate::world::World;

/// Reconciles Jobs.
pub struct Controller {
    world: Arc<World>,
    writer: Writer,
    recorder: Recorder,
    pods_written: Written,
    jobs_written: Written,
}

impl Controller {
    /// A controller over this world.
    pub fn new(world: Arc<World>, writer: Writer, recorder: Recorder) -> Self {
        Self { world, writer, recorder, pods_written: Written::default(), jobs_written: Written::default() }
    }

    /// The Job's pods. Adopts those that match and are nobody's.
    async fn claim_pods(&self, key: &Key, job: &Job) -> Result<Vec<Arc<Pod>>, Status> {
        let world = &self.world;
        let owned = world.pods_by_controller.find(&job.metadata.uid, &world.pods);
        let orphans = world.pods_by_controller.find(&orphans_of(&job.metadata.namespace), &world.pods);
        let claimant = claimant(job);
        for pod in claimant.claim_all(&orphans, &job.spec.selector).adopt {
            let mut patch = claimant.adoption(&pod.metadata);
            patch["metadata"]["finalizers"] = json!([FINALIZER]);
            if let Some(object) = unless_gone(self.writer.strategic(PODS, &pod.key(), "", &patch).await)? {
                self.pods_written.note(key, &object);
            }
        }
        Ok(owned)
    }

    async fn execute(&self, key: &Key, job: &Job, plan: Plan) -> Result<Option<Duration>, Status> {
        if let Some(patch) = &plan.status {
            let object = self.writer.merge_status(JOBS, key, patch).await?;
            self.jobs_written.note(key, &object);
        }
        for said in &plan.events {
            let kind = if said.warning { Type::Warning } else { Type::Normal };
            self.recorder.event(&reference(job), kind, &said.reason, said.message.clone());
        }
        for pod in &plan.release {
            self.release(key, pod).await?;
        }
        let deleted = join_all(plan.delete.iter().map(|pod| self.delete(key, job, pod))).await;
        deleted.into_iter().collect::<Result<Vec<()>, Status>>()?;
        let parsed = template::parse(&job.spec.template);
        let mut indexes = plan.create.iter();
        for batch in slow_start(plan.create.len()) {
            let batch: Vec<Option<i32>> = indexes.by_ref().take(batch).copied().collect();
            let created = join_all(batch.iter().map(|index| self.create(key, job, &parsed, *index))).await;
            created.into_iter().collect::<Result<Vec<()>, Status>>()?;
        }
        Ok(plan.check_after)
    }

    /// Takes the pod's finalizer away.
    async fn release(&self, key: &Key, pod: &Pod) -> Result<(), Status> {
        let rest: Vec<&String> = pod.metadata.finalizers.iter().filter(|finalizer| *finalizer != FINALIZER).collect();
        let patch = json!({ "metadata": { "resourceVersion": pod.metadata.resource_version, "uid": pod.metadata.uid, "finalizers": rest } });
        if let Some(object) = unless_gone(self.writer.merge(PODS, &pod.key(), &patch).await)? {
            self.pods_written.note(key, &object);
        }
        Ok(())
    }

    async fn delete(&self, key: &Key, job: &Job, pod: &Pod) -> Result<(), Status> {
        let options = DeleteOptions { uid: pod.metadata.uid.clone(), ..Default::default() };
        match unless_gone(self.writer.delete(PODS, &pod.key(), Propagation::Default, options).await) {
            Ok(None) => Ok(()),
            Ok(Some(object)) => {
                self.pods_written.note(key, &object);
                self.recorder.event(&reference(job), Type::Normal, "SuccessfulDelete", format!("Deleted pod: {}", pod.metadata.name));
                Ok(())
            }
            Err(status) => {
                self.recorder.event(&reference(job), Type::Warning, "FailedDelete", format!("Error deleting: {status}"));
                Err(status)
            }
        }
    }

    async fn create(&self, key: &Key, job: &Job, template: &Value, index: Option<i32>) -> Result<(), Status> {
        let pod = plan::pod(job, template, claimant(job).reference(), index);
        match self.writer.create(PODS, &job.metadata.namespace, &pod).await {
            Ok(object) => {
                self.pods_written.note(key, &object);
                self.recorder.event(&reference(job), Type::Normal, "SuccessfulCreate", format!("Created pod: {}", object.name));
                Ok(())
            }
            Err(status) if is_namespace_terminating(&status) => Ok(()),
            Err(status) => {
                self.recorder.event(&reference(job), Type::Warning, "FailedCreate", format!("Error creating: {status}"));
                Err(status)
            }
        }
    }

    /// Pods whose Job is gone need not be counted any more.
    async fn release_orphans(&self, key: &Key) -> Result<(), Status> {
        let pods = self.world.pods.list_namespace(&key.namespace);
        let of_job = |pod: &&Arc<Pod>| {
            let owner = pod.metadata.controller().filter(|owner| owner.kind == "Job" && *owner.name == *key.name);
            owner.is_some() && pod.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
        };
        let orphans: Vec<&Arc<Pod>> = pods.iter().filter(of_job).collect();
        if orphans.is_empty() || unless_gone(self.writer.get(JOBS, key).await)?.is_some() {
            return Ok(());
        }
        for pod in orphans {
            self.release(key, pod).await?;
        }
        Ok(())
    }
}

fn claimant(job: &Job) -> Claimant<'_> {
    Claimant { api_version: "batch/v1", kind: "Job", meta: job.meta() }
}

fn reference(job: &Job) -> ObjectRef {
    ObjectRef {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        namespace: job.metadata.namespace.clone(),
        name: job.metadata.name.clone(),
        uid: job.metadata.uid.clone(),
        resource_version: job.metadata.resource_version.clone(),
        ..Default::default()
    }
}

#[async_trait]
impl Reconciler for Controller {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        let Some(job) = self.world.jobs.by_key(key) else {
            self.release_orphans(key).await?;
            return Ok(None);
        };
        if job.spec.managed_by.as_deref().is_some_and(|manager| manager != "kubernetes.io/job-controller") {
            return Ok(None);
        }
        if !self.pods_written.seen(key, &self.world.pods) || !self.jobs_written.seen(key, &self.world.jobs) {
            return Ok(Some(CATCH_UP));
        }
        if let Some(field) = plan::unsupported(&job) {
            self.recorder.event(&reference(&job), Type::Warning, REASON, format!("{field} is not acted on yet: the Job runs no pods"));
            return Ok(None);
        }
        let now = self.world.now();
        if let Some(expires) = plan::expires(&job).filter(|_| !job.metadata.is_deleting()) {
            let left = expires.duration_since(now);
            if !left.is_positive() {
                let options = DeleteOptions { uid: job.metadata.uid.clone(), resource_version: job.metadata.resource_version.clone(), ..Default::default() };
                unless_gone(self.writer.delete(JOBS, key, Propagation::Foreground, options).await)?;
                return Ok(None);
            }
            self.execute(key, &job, plan::plan(&job, &self.claim_pods(key, &job).await?, now)).await?;
            return Ok(Some(Duration::try_from(left).unwrap_or_default()));
        }
        let pods = self.claim_pods(key, &job).await?;
        self.execute(key, &job, plan::plan(&job, &pods, now)).await
    }
}
