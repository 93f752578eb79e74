//! EndpointSlices: of services with a selector ([`plan`]), and as mirrors of Endpoints that somebody wrote by hand ([`mirror`]).

pub mod mirror;
pub mod plan;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use skiff_client::events::{ObjectRef, Recorder, Type};
use skiff_client::informer::Key;
use skiff_proto::resource::ENDPOINTSLICES;
use skiff_proto::status::Status;

use self::plan::Step;
use crate::endpoints::selected;
use crate::execute::{DeleteOptions, Propagation, Writer, is_namespace_terminating, unless_gone};
use crate::reconciler::{CATCH_UP, Reconciler, Written};
use crate::view::EndpointSlice;
use crate::world::World;

/// Which slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Those of services with a selector.
    Selector,
    /// Those that mirror an Endpoints object.
    Mirror,
}

/// Publishes slices. Keys are services.
pub struct Controller {
    source: Source,
    world: Arc<World>,
    writer: Writer,
    recorder: Recorder,
    written: Written,
}

impl Controller {
    /// A controller over this world.
    pub fn new(source: Source, world: Arc<World>, writer: Writer, recorder: Recorder) -> Self {
        Self { source, world, writer, recorder, written: Written::default() }
    }

    fn existing(&self, key: &Key) -> Vec<Arc<EndpointSlice>> {
        let manager = match self.source {
            Source::Selector => plan::CONTROLLER,
            Source::Mirror => mirror::CONTROLLER,
        };
        let of_service = |slice: &Arc<EndpointSlice>| {
            let labels = &slice.metadata.labels;
            labels.get(plan::SERVICE_NAME) == Some(&key.name) && labels.get(plan::MANAGED_BY) == Some(manager) && !slice.metadata.is_deleting()
        };
        self.world.slices.list_namespace(&key.namespace).into_iter().filter(of_service).collect()
    }

    fn plan(&self, key: &Key) -> Vec<Step> {
        let existing = self.existing(key);
        let service = self.world.services.by_key(key);
        match self.source {
            Source::Selector => match service.filter(|service| service.is_ours_to_publish() && !service.metadata.is_deleting()) {
                // The slices of a service that is gone go with it.
                None => Vec::new(),
                Some(service) => plan::plan(&service, &selected(&self.world, &service), &existing, |node| self.world.nodes.get("", node)),
            },
            Source::Mirror => mirror::plan(service.as_deref(), self.world.endpoints.by_key(key).as_deref(), &existing),
        }
    }

    async fn execute(&self, key: &Key, step: Step) -> Result<(), Status> {
        let at = |name: &str| Key::new(&key.namespace, name);
        let object = match step {
            Step::Create(slice) => Some(self.writer.create(ENDPOINTSLICES, &key.namespace, &slice).await?),
            Step::Update(name, patch) => unless_gone(self.writer.merge(ENDPOINTSLICES, &at(&name), &patch).await)?,
            Step::Delete(name, uid) => {
                let options = DeleteOptions { uid, ..Default::default() };
                unless_gone(self.writer.delete(ENDPOINTSLICES, &at(&name), Propagation::Default, options).await)?
            }
        };
        if let Some(object) = object {
            self.written.note(key, &object);
        }
        Ok(())
    }
}

#[async_trait]
impl Reconciler for Controller {
    fn name(&self) -> &'static str {
        match self.source {
            Source::Selector => "endpoint-slice-controller",
            Source::Mirror => "endpoint-slice-mirroring-controller",
        }
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        if !self.written.seen(key, &self.world.slices) {
            return Ok(Some(CATCH_UP));
        }
        for step in self.plan(key) {
            match self.execute(key, step).await {
                Ok(()) => {}
                Err(status) if is_namespace_terminating(&status) => return Ok(None),
                Err(status) => {
                    if let Some(service) = self.world.services.by_key(key) {
                        let about = ObjectRef {
                            api_version: "v1".to_owned(),
                            kind: "Service".to_owned(),
                            namespace: key.namespace.to_string(),
                            name: key.name.to_string(),
                            uid: service.metadata.uid.clone(),
                            ..Default::default()
                        };
                        let message = format!("Error updating Endpoint Slices for Service {key}: {status}");
                        self.recorder.event(&about, Type::Warning, "FailedToUpdateEndpointSlices", message);
                    }
                    return Err(status);
                }
            }
        }
        Ok(None)
    }
}
