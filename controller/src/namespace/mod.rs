//! Namespace deletion: first the pods, then everything else, then the finalizer. Read [`plan`] for what is said of it.
//! See `pkg/controller/namespace/deletion/namespaced_resources_deleter.go`.

pub mod plan;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use skiff_client::informer::Key;
use skiff_proto::resource::NAMESPACES;
use skiff_proto::status::Status;
use skiff_proto::v1;

use self::plan::{FINALIZER, Sweep};
use crate::execute::{DeleteOptions, Propagation, Writer, unless_gone};
use crate::kinds::{KINDS, Kind};
use crate::reconciler::Reconciler;
use crate::view::{Meta, Namespace};
use crate::world::World;

/// Objects listed at a time.
const PAGE: u64 = 500;
/// How long finalizers of others may take: `finalizerEstimateSeconds`.
const FINALIZERS_TAKE: i64 = 15;

/// Deletes what namespaces hold. Keys are namespaces.
pub struct Controller {
    /// What is.
    pub world: Arc<World>,
    /// How to write.
    pub writer: Writer,
}

/// What a sweep reads of an object.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Remaining {
    metadata: Meta,
    spec: Grace,
    status: Phase,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Grace {
    termination_grace_period_seconds: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Phase {
    phase: String,
}

impl Controller {
    async fn list(&self, kind: &Kind, namespace: &str) -> Result<Vec<Remaining>, Status> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let request =
                v1::ListRequest { resource: kind.resource.to_owned(), namespace: namespace.to_owned(), limit: PAGE, r#continue: token, ..Default::default() };
            let page = match self.writer.api().list(request).await {
                // A kind that this server does not serve has no objects.
                Err(status) if status.code == 404 || status.code == 405 => return Ok(all),
                other => other?,
            };
            // Other kinds' specs differ; only pods have a grace period there, and what does not fit is read by its metadata alone.
            all.extend(page.items.iter().map(|item| read(&item.json)));
            token = page.r#continue;
            if token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Deletes every object of one kind and takes in what remains of it.
    async fn sweep_kind(&self, kind: &Kind, namespace: &Namespace, sweep: &mut Sweep) -> Result<(), Status> {
        let name = &namespace.metadata.name;
        let objects = self.list(kind, name).await?;
        if objects.is_empty() {
            return Ok(());
        }
        for object in objects.iter().filter(|object| !object.metadata.is_deleting()) {
            let key = Key::new(name, &object.metadata.name);
            unless_gone(self.writer.delete(kind.resource, &key, Propagation::Background, DeleteOptions::default()).await)?;
        }
        let left = self.list(kind, name).await?;
        let running = left.iter().filter(|object| !matches!(object.status.phase.as_str(), "Succeeded" | "Failed"));
        let grace = if kind.resource == "pods" { running.filter_map(|object| object.spec.termination_grace_period_seconds).max().unwrap_or(0) } else { 0 };
        let held = if left.iter().any(|object| !object.metadata.finalizers.is_empty()) { FINALIZERS_TAKE } else { 0 };
        sweep.estimate = sweep.estimate.max(grace).max(held);
        sweep.remains(kind, left.iter().map(|object| object.metadata.finalizers.as_slice()));
        Ok(())
    }

    async fn sweep(&self, namespace: &Namespace) -> Sweep {
        let mut sweep = Sweep::default();
        let pods_first = KINDS.iter().filter(|kind| kind.resource == "pods").chain(KINDS.iter().filter(|kind| kind.namespaced && kind.resource != "pods"));
        for kind in pods_first {
            if let Err(status) = self.sweep_kind(kind, namespace, &mut sweep).await {
                sweep.errors.push(status.message);
            }
            if kind.resource == "pods" && sweep.remaining.contains_key("pods") {
                // Whatever pods still use stays until they are gone.
                break;
            }
        }
        sweep
    }

    /// Takes our finalizer away; the server then removes the namespace.
    async fn finalize(&self, key: &Key) -> Result<(), Status> {
        let Some(fresh) = unless_gone(self.writer.get(NAMESPACES, key).await)? else { return Ok(()) };
        let Ok(mut object) = serde_json::from_slice::<Value>(&fresh.json) else { return Ok(()) };
        if let Some(finalizers) = object.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        let request = v1::UpdateRequest {
            resource: NAMESPACES.to_owned(),
            name: key.name.to_string(),
            subresource: "finalize".to_owned(),
            json: object.to_string().into(),
            ..Default::default()
        };
        unless_gone(self.writer.api().update(request).await)?;
        Ok(())
    }
}

fn read(json: &[u8]) -> Remaining {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Bare {
        metadata: Meta,
    }
    serde_json::from_slice(json)
        .unwrap_or_else(|_| Remaining { metadata: serde_json::from_slice::<Bare>(json).unwrap_or_default().metadata, ..Remaining::default() })
}

#[async_trait]
impl Reconciler for Controller {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        let Some(namespace) = self.world.namespaces.by_key(key) else { return Ok(None) };
        if !namespace.metadata.is_deleting() || !namespace.spec.finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(None);
        }
        let sweep = self.sweep(&namespace).await;
        let conditions = plan::conditions(&namespace, &sweep, self.world.now());
        if let Some(patch) = plan::status_patch(&namespace, &conditions) {
            unless_gone(self.writer.merge_status(NAMESPACES, key, &patch).await)?;
        }
        if sweep.is_clean() {
            self.finalize(key).await?;
            return Ok(None);
        }
        if let Some(error) = sweep.errors.first() {
            return Err(Status::failure(500, "InternalError", error.clone()));
        }
        // The last pod's going calls again at once; this is for what we do not watch.
        let seconds = u64::try_from(sweep.estimate / 2 + 1).unwrap_or(1);
        Ok(Some(Duration::from_secs(seconds.min(5))))
    }
}
