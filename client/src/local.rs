//! The API in one process: calls the `Objects` service's methods directly, without a socket, as a given caller.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;
use skiff_proto::v1::{self, objects_server::Objects};
use tonic::Request;

use crate::api::{Api, WatchStream};

/// Speaks to `service` as `user`.
pub struct Local<S> {
    service: Arc<S>,
    user: UserInfo,
}

impl<S: Objects> Local<S> {
    /// Speaks to `service` as `user`.
    pub fn new(service: Arc<S>, user: UserInfo) -> Self {
        Self { service, user }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(self.user.clone());
        request
    }
}

#[async_trait]
impl<S: Objects> Api for Local<S> {
    async fn get(&self, request: v1::GetRequest) -> Result<v1::Object, Status> {
        Ok(self.service.get(self.request(request)).await?.into_inner())
    }
    async fn list(&self, request: v1::ListRequest) -> Result<v1::ListResponse, Status> {
        Ok(self.service.list(self.request(request)).await?.into_inner())
    }
    async fn create(&self, request: v1::CreateRequest) -> Result<v1::Object, Status> {
        Ok(self.service.create(self.request(request)).await?.into_inner())
    }
    async fn update(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        Ok(self.service.update(self.request(request)).await?.into_inner())
    }
    async fn update_status(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        Ok(self.service.update_status(self.request(request)).await?.into_inner())
    }
    async fn patch(&self, request: v1::PatchRequest) -> Result<v1::Object, Status> {
        Ok(self.service.patch(self.request(request)).await?.into_inner())
    }
    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::Object, Status> {
        Ok(self.service.delete(self.request(request)).await?.into_inner())
    }
    async fn bind_batch(&self, bindings: Vec<v1::Binding>) -> Result<Vec<v1::BindResult>, Status> {
        let request = self.request(v1::BindBatchRequest { bindings });
        Ok(self.service.bind_batch(request).await?.into_inner().results)
    }
    async fn watch(&self, request: v1::WatchRequest) -> Result<WatchStream, Status> {
        let batches = self.service.watch(self.request(request)).await?.into_inner();
        Ok(batches.map(|batch| batch.map(|batch| batch.events).map_err(Status::from)).boxed())
    }
}
