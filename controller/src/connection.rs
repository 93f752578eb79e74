//! The API, watched for breaks: while it cannot be reached, nobody's silence is evidence of anything.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;
use skiff_client::api::{Api, WatchStream};
use skiff_proto::resource::{LEASES, NODES};
use skiff_proto::status::Status;
use skiff_proto::v1;
use tokio::time::Instant;

/// Passes everything on and remembers when the watches by which nodes are followed last broke.
pub struct Connection {
    inner: Arc<dyn Api>,
    broken: Arc<Mutex<Option<Instant>>>,
}

impl Connection {
    /// Over this API.
    pub fn new(inner: Arc<dyn Api>) -> Self {
        Self { inner, broken: Arc::default() }
    }

    /// When it was last seen broken.
    pub fn last_broken(&self) -> Option<Instant> {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(broken: &Mutex<Option<Instant>>) {
    *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

#[async_trait]
impl Api for Connection {
    async fn get(&self, request: v1::GetRequest) -> Result<v1::Object, Status> {
        self.inner.get(request).await
    }
    async fn list(&self, request: v1::ListRequest) -> Result<v1::ListResponse, Status> {
        self.inner.list(request).await
    }
    async fn create(&self, request: v1::CreateRequest) -> Result<v1::Object, Status> {
        self.inner.create(request).await
    }
    async fn update(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        self.inner.update(request).await
    }
    async fn update_status(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        self.inner.update_status(request).await
    }
    async fn patch(&self, request: v1::PatchRequest) -> Result<v1::Object, Status> {
        self.inner.patch(request).await
    }
    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::Object, Status> {
        self.inner.delete(request).await
    }
    async fn bind_batch(&self, bindings: Vec<v1::Binding>) -> Result<Vec<v1::BindResult>, Status> {
        self.inner.bind_batch(bindings).await
    }
    async fn watch(&self, request: v1::WatchRequest) -> Result<WatchStream, Status> {
        let follows_nodes = [LEASES, NODES].contains(&request.resource.as_str());
        let stream = self.inner.watch(request).await.inspect_err(|status| {
            if status.is_retryable() {
                note(&self.broken);
            }
        })?;
        if !follows_nodes {
            return Ok(stream);
        }
        // The end of the stream is a break too: something is said there that only the next watch will hear.
        let (on_error, at_end) = (self.broken.clone(), self.broken.clone());
        let end = futures::stream::poll_fn(move |_| {
            note(&at_end);
            std::task::Poll::Ready(None)
        });
        let stream = stream.inspect(move |batch| {
            if batch.is_err() {
                note(&on_error);
            }
        });
        Ok(stream.chain(end).boxed())
    }
}
