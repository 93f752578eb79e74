//! Many pretended nodes in one process share a machine with the control plane that they are there to exercise: their requests take turns,
//! a few at a time, as if they came from one neighbour and not from a hundred.
//!
//! What keeps a node alive (its Lease, its own object) waits for nothing, nor do watches.

use async_trait::async_trait;
use skiff_client::api::{Api, WatchStream};
use skiff_proto::status::Status;
use skiff_proto::{resource, v1};
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many requests of the process are under way at a time.
const AT_ONCE: usize = 4;

/// The turns of one process: cloned for each of its nodes.
#[derive(Clone)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Turns {
    /// The same API, in turns.
    pub fn of(&self, api: Arc<dyn Api>) -> Arc<dyn Api> {
        Arc::new(InTurn { api, turns: self.clone() })
    }

    /// Waits for a turn, where a request about this resource needs one. None is ever refused: the semaphore is never closed.
    async fn take(&self, about: &str) -> Option<SemaphorePermit<'_>> {
        if matches!(about, resource::LEASES | resource::NODES) {
            return None;
        }
        self.0.acquire().await.ok()
    }
}

struct InTurn {
    api: Arc<dyn Api>,
    turns: Turns,
}

#[async_trait]
impl Api for InTurn {
    async fn get(&self, request: v1::GetRequest) -> Result<v1::Object, Status> {
        let _turn = self.turns.take(&request.resource).await;
        self.api.get(request).await
    }

    async fn list(&self, request: v1::ListRequest) -> Result<v1::ListResponse, Status> {
        let _turn = self.turns.take(&request.resource).await;
        self.api.list(request).await
    }

    async fn create(&self, request: v1::CreateRequest) -> Result<v1::Object, Status> {
        let _turn = self.turns.take(&request.resource).await;
        self.api.create(request).await
    }

    async fn update(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        let _turn = self.turns.take(&request.resource).await;
        self.api.update(request).await
    }

    async fn update_status(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        let _turn = self.turns.take(&request.resource).await;
        self.api.update_status(request).await
    }

    async fn patch(&self, request: v1::PatchRequest) -> Result<v1::Object, Status> {
        let _turn = self.turns.take(&request.resource).await;
        self.api.patch(request).await
    }

    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::Object, Status> {
        let _turn = self.turns.take(&request.resource).await;
        self.api.delete(request).await
    }

    async fn bind_batch(&self, bindings: Vec<v1::Binding>) -> Result<Vec<v1::BindResult>, Status> {
        self.api.bind_batch(bindings).await // no node binds
    }

    async fn watch(&self, request: v1::WatchRequest) -> Result<WatchStream, Status> {
        self.api.watch(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn events_wait_for_their_turn_and_leases_do_not() {
        let turns = Turns::default();
        let mut under_way = Vec::new();
        for _ in 0..AT_ONCE {
            under_way.push(turns.take(resource::PODS).await);
        }
        assert!(turns.take(resource::EVENTS).now_or_never().is_none());
        assert!(turns.take(resource::LEASES).now_or_never().is_some());
        assert!(turns.take(resource::NODES).now_or_never().is_some());
        under_way.pop();
        assert!(turns.take(resource::EVENTS).now_or_never().is_some());
    }
}
