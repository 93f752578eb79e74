//! What connects an agent to the API server in one process, and can be cut: every call then fails as if nobody answered, and every watch breaks.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use skiff_client::api::{Api, WatchStream};
use skiff_proto::status::Status;
use skiff_proto::v1;
use tokio::sync::watch;

/// See the module.
pub struct Cable {
    inner: Arc<dyn Api>,
    whole: watch::Sender<bool>,
}

impl Cable {
    /// To this API; whole.
    pub fn new(inner: Arc<dyn Api>) -> Arc<Self> {
        Arc::new(Self { inner, whole: watch::Sender::new(true) })
    }

    /// Cuts it, or mends it.
    pub fn set(&self, whole: bool) {
        self.whole.send_replace(whole);
    }

    fn api(&self) -> Result<&dyn Api, Status> {
        if *self.whole.borrow() { Ok(&*self.inner) } else { Err(broken()) }
    }
}

fn broken() -> Status {
    Status::failure(503, "ServiceUnavailable", "the cable is cut")
}

#[async_trait]
impl Api for Cable {
    async fn get(&self, request: v1::GetRequest) -> Result<v1::Object, Status> {
        self.api()?.get(request).await
    }
    async fn list(&self, request: v1::ListRequest) -> Result<v1::ListResponse, Status> {
        self.api()?.list(request).await
    }
    async fn create(&self, request: v1::CreateRequest) -> Result<v1::Object, Status> {
        self.api()?.create(request).await
    }
    async fn update(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        self.api()?.update(request).await
    }
    async fn update_status(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        self.api()?.update_status(request).await
    }
    async fn patch(&self, request: v1::PatchRequest) -> Result<v1::Object, Status> {
        self.api()?.patch(request).await
    }
    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::Object, Status> {
        self.api()?.delete(request).await
    }
    async fn bind_batch(&self, bindings: Vec<v1::Binding>) -> Result<Vec<v1::BindResult>, Status> {
        self.api()?.bind_batch(bindings).await
    }
    async fn watch(&self, request: v1::WatchRequest) -> Result<WatchStream, Status> {
        let stream = self.api()?.watch(request).await?;
        let mut whole = self.whole.subscribe();
        let cut = async move {
            // Fails only where the cable is gone, and then so is whoever held it.
            let _ = whole.wait_for(|whole| !whole).await;
        };
        Ok(stream.take_until(cut).chain(futures::stream::once(async { Err(broken()) })).boxed())
    }
}
