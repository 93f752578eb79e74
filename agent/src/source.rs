//! Which pods are this node's: a watch of `spec.nodeName`, as a mailbox that keeps the newest of each pod.

use crate::pod;
use k8s_openapi::api::core::v1::Pod;
use skiff_client::api::Api;
use skiff_client::informer::{Change, Informer};
use skiff_proto::{resource, v1};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// News of the pods of this node.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// A pod is new or changed.
    Pod(Arc<Pod>),
    /// A pod's object is gone; this is how it was last.
    Gone(Arc<Pod>),
    /// All pods there are have arrived: what is not among them is nobody's.
    Synced,
}

/// News not yet taken, at most one a pod.
#[derive(Default)]
pub struct Source {
    news: Mutex<News>,
    bell: Notify,
}

#[derive(Default)]
struct News {
    pods: BTreeMap<String, Arrival>,
    synced: bool,
}

impl Source {
    /// Waits for news and takes all of it.
    pub async fn next(&self) -> Vec<Arrival> {
        loop {
            let taken = self.take();
            if !taken.is_empty() {
                return taken;
            }
            self.bell.notified().await;
        }
    }

    fn take(&self) -> Vec<Arrival> {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: Vec<Arrival> = std::mem::take(&mut news.pods).into_values().collect();
        // Older pods are admitted first.
        taken.sort_by_key(|arrival| match arrival {
            Arrival::Pod(pod) | Arrival::Gone(pod) => pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
            Arrival::Synced => None,
        });
        if std::mem::take(&mut news.synced) {
            taken.push(Arrival::Synced);
        }
        taken
    }

    fn tell(&self, change: Change<Pod>) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let mut put = |pod: &Arc<Pod>, arrival: fn(Arc<Pod>) -> Arrival| {
            news.pods.insert(pod::id(pod).uid, arrival(pod.clone()));
        };
        match change {
            Change::Added { new, .. } => put(&new, Arrival::Pod),
            Change::Modified { old, new, .. } => {
                // Deleted and made again under the same name while nobody watched.
                if old.metadata.uid != new.metadata.uid {
                    put(&old, Arrival::Gone);
                }
                put(&new, Arrival::Pod);
            }
            Change::Deleted { old, .. } => put(&old, Arrival::Gone),
            Change::Synced => news.synced = true,
        }
        drop(news);
        self.bell.notify_one();
    }
}

/// Follows this node's pods into the mailbox until `stop`.
pub async fn follow(api: Arc<dyn Api>, node: &str, source: Arc<Source>, stop: CancellationToken) {
    let request = v1::WatchRequest { resource: resource::PODS.into(), field_selector: format!("spec.nodeName={node}"), ..Default::default() };
    Informer::<Pod>::new(api, request).run(stop, |change| source.tell(change)).await;
}
