//! Endpoints of services with a selector: read [`members`] (who is published) and [`plan`].

pub mod members;
pub mod plan;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use skiff_client::events::{ObjectRef, Recorder, Type};
use skiff_client::informer::Key;
use skiff_proto::resource::ENDPOINTS;
use skiff_proto::status::Status;

use self::plan::Publish;
use crate::execute::{DeleteOptions, Propagation, Writer, is_namespace_terminating, unless_gone};
use crate::reconciler::{CATCH_UP, Reconciler, Written};
use crate::view::Pod;
use crate::world::World;

/// Publishes Endpoints. Keys are services.
pub struct Controller {
    world: Arc<World>,
    writer: Writer,
    recorder: Recorder,
    written: Written,
}

impl Controller {
    /// A controller over this world.
    pub fn new(world: Arc<World>, writer: Writer, recorder: Recorder) -> Self {
        Self { world, writer, recorder, written: Written::default() }
    }
}

/// The pods that a service selects.
pub fn selected(world: &World, service: &crate::view::Service) -> Vec<Arc<Pod>> {
    let pods = world.pods.list_namespace(&service.metadata.namespace);
    pods.into_iter().filter(|pod| members::is_selected(service, pod)).collect()
}

#[async_trait]
impl Reconciler for Controller {
    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        if !self.written.seen(key, &self.world.endpoints) {
            return Ok(Some(CATCH_UP));
        }
        let current = self.world.endpoints.by_key(key);
        let Some(service) = self.world.services.by_key(key) else {
            // An Endpoints object without its service goes with it, whoever wrote it; leader elections of old are not ours.
            if current.is_some_and(|current| current.metadata.annotations.get("control-plane.alpha.kubernetes.io/leader").is_none()) {
                unless_gone(self.writer.delete(ENDPOINTS, key, Propagation::Default, DeleteOptions::default()).await)?;
            }
            return Ok(None);
        };
        if !service.is_ours_to_publish() || service.metadata.is_deleting() {
            return Ok(None);
        }
        let (result, event) = match plan::plan(&service, &selected(&self.world, &service), current.as_deref()) {
            Publish::Nothing => return Ok(None),
            Publish::Create(object) => {
                (self.writer.create(ENDPOINTS, &key.namespace, &object).await, ("FailedToCreateEndpoint", "create endpoint for service"))
            }
            Publish::Update(patch) => (self.writer.merge(ENDPOINTS, key, &patch).await, ("FailedToUpdateEndpoint", "update endpoint")),
        };
        match result {
            Ok(object) => {
                self.written.note(key, &object);
                Ok(None)
            }
            Err(status) if is_namespace_terminating(&status) => Ok(None),
            Err(status) => {
                let about = ObjectRef {
                    api_version: "v1".to_owned(),
                    kind: "Endpoints".to_owned(),
                    namespace: key.namespace.to_string(),
                    name: key.name.to_string(),
                    ..Default::default()
                };
                self.recorder.event(&about, Type::Warning, event.0, format!("Failed to {} {key}: {status}", event.1));
                Err(status)
            }
        }
    }
}
