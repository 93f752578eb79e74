//! The writes: every change that a reconciler makes goes through here, as a patch, so that no field it does not know is lost.

use std::sync::Arc;

use serde_json::Value;
use skiff_client::api::Api;
use skiff_client::informer::Key;
use skiff_proto::status::Status;
use skiff_proto::v1::{self, PatchType};

/// How a deletion treats dependents: `metav1.DeletionPropagation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// As the kind does by default.
    Default,
    /// The object first.
    Background,
    /// Its dependents first.
    Foreground,
    /// Its dependents stay.
    Orphan,
}

impl Propagation {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// What has to be true of an object that is deleted, and how long it may take.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Empty: whatever its uid.
    pub uid: String,
    /// Empty: whatever its revision.
    pub resource_version: String,
    /// Absent: as the object says.
    pub grace_period_seconds: Option<i64>,
}

/// Writes through the API.
#[derive(Clone)]
pub struct Writer {
    api: Arc<dyn Api>,
}

impl Writer {
    /// Writes through this API.
    pub fn new(api: Arc<dyn Api>) -> Self {
        Self { api }
    }

    /// The API itself, for reads.
    pub fn api(&self) -> &Arc<dyn Api> {
        &self.api
    }

    /// One object, as the server has it now.
    pub async fn get(&self, resource: &str, key: &Key) -> Result<v1::Object, Status> {
        self.api
            .get(v1::GetRequest { resource: resource.to_owned(), namespace: key.namespace.to_string(), name: key.name.to_string(), ..Default::default() })
            .await
    }

    /// Creates an object.
    pub async fn create(&self, resource: &str, namespace: &str, object: &Value) -> Result<v1::Object, Status> {
        let json = object.to_string().into();
        self.api.create(v1::CreateRequest { resource: resource.to_owned(), namespace: namespace.to_owned(), json, ..Default::default() }).await
    }

    /// Merge patch: what is named is replaced, null removes.
    pub async fn merge(&self, resource: &str, key: &Key, patch: &Value) -> Result<v1::Object, Status> {
        self.patch(resource, key, "", PatchType::Merge, patch).await
    }

    /// Merge patch of the status.
    pub async fn merge_status(&self, resource: &str, key: &Key, patch: &Value) -> Result<v1::Object, Status> {
        self.patch(resource, key, "status", PatchType::Merge, patch).await
    }

    /// Strategic merge patch: lists are merged by their keys.
    pub async fn strategic(&self, resource: &str, key: &Key, subresource: &str, patch: &Value) -> Result<v1::Object, Status> {
        self.patch(resource, key, subresource, PatchType::Strategic, patch).await
    }

    async fn patch(&self, resource: &str, key: &Key, subresource: &str, kind: PatchType, patch: &Value) -> Result<v1::Object, Status> {
        let request = v1::PatchRequest {
            resource: resource.to_owned(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            subresource: subresource.to_owned(),
            r#type: kind.into(),
            patch: patch.to_string().into(),
            ..Default::default()
        };
        self.api.patch(request).await
    }

    /// Deletes an object, or begins to.
    pub async fn delete(&self, resource: &str, key: &Key, propagation: Propagation, options: DeleteOptions) -> Result<v1::Object, Status> {
        let request = v1::DeleteRequest {
            resource: resource.to_owned(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            grace_period_seconds: options.grace_period_seconds,
            uid: options.uid,
            resource_version: options.resource_version,
            propagation_policy: propagation.name().to_owned(),
            ..Default::default()
        };
        self.api.delete(request).await
    }
}

/// Whether a write failed because its namespace is on its way out: nothing to report, nothing to try again.
pub fn is_namespace_terminating(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
}

/// Turns "it is not there" into `Ok(None)`: what was to be removed is removed.
pub fn unless_gone<T>(result: Result<T, Status>) -> Result<Option<T>, Status> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(status) if status.is_not_found() => Ok(None),
        Err(status) => Err(status),
    }
}
