//! The API that components speak, whichever way it is reached.

use async_trait::async_trait;
use futures::stream::BoxStream;
use skiff_proto::status::Status;
use skiff_proto::v1;

/// Batches of watch events, in order; ends with an error or when the server closes it. Either way: watch again from the last revision seen.
pub type WatchStream = BoxStream<'static, Result<Vec<v1::WatchEvent>, Status>>;

/// Every verb of the `Objects` service. Errors are `metav1.Status`; a server out of reach is a retryable `ServiceUnavailable`.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// One object.
    async fn get(&self, request: v1::GetRequest) -> Result<v1::Object, Status>;
    /// A page of objects.
    async fn list(&self, request: v1::ListRequest) -> Result<v1::ListResponse, Status>;
    /// Creates an object, or posts to a subresource.
    async fn create(&self, request: v1::CreateRequest) -> Result<v1::Object, Status>;
    /// Replaces an object; a resourceVersion inside is a precondition.
    async fn update(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status>;
    /// Replaces an object's status.
    async fn update_status(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status>;
    /// Patches an object.
    async fn patch(&self, request: v1::PatchRequest) -> Result<v1::Object, Status>;
    /// Deletes an object, or begins to.
    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::Object, Status>;
    /// Assigns pods to nodes; one result a binding, in order.
    async fn bind_batch(&self, bindings: Vec<v1::Binding>) -> Result<Vec<v1::BindResult>, Status>;
    /// Follows a resource.
    async fn watch(&self, request: v1::WatchRequest) -> Result<WatchStream, Status>;
}
