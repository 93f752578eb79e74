//! Every namespace has a service account `default`. See `pkg/controller/serviceaccount/serviceaccounts_controller.go`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use skiff_client::informer::Key;
use skiff_proto::resource::SERVICEACCOUNTS;
use skiff_proto::status::Status;

use crate::execute::{Writer, is_namespace_terminating};
use crate::reconciler::Reconciler;
use crate::view::Namespace;
use crate::world::World;

/// The account that pods run as unless they say otherwise.
pub const DEFAULT: &str = "default";

/// Makes what is missing. Keys are namespaces.
pub struct Controller {
    /// What is.
    pub world: Arc<World>,
    /// How to write.
    pub writer: Writer,
}

/// Whether the namespace needs its account made.
pub fn is_missing(namespace: &Namespace, there: bool) -> bool {
    !there && !namespace.metadata.is_deleting() && namespace.status.phase != "Terminating"
}

#[async_trait]
impl Reconciler for Controller {
    fn name(&self) -> &'static str {
        "serviceaccount-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        let Some(namespace) = self.world.namespaces.by_key(key) else { return Ok(None) };
        if !is_missing(&namespace, self.world.accounts.get(&key.name, DEFAULT).is_some()) {
            return Ok(None);
        }
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": DEFAULT, "namespace": &*key.name } });
        match self.writer.create(SERVICEACCOUNTS, &key.name, &account).await {
            Ok(_) => Ok(None),
            Err(status) if status.is_already_exists() || status.is_not_found() || is_namespace_terminating(&status) => Ok(None),
            Err(status) => Err(status),
        }
    }
}
