//! What a reconciler is, and the loop that runs one: a queue of keys, a few workers, and a retry that waits longer each time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use skiff_client::informer::{Cache, Key};
use skiff_client::queue::Queue;
use skiff_proto::status::Status;
use skiff_proto::v1;
use tracing::{debug, warn};

use crate::metrics::Counters;

/// Brings one object nearer to what it should be. It is told a key and nothing else: it reads the caches and plans from what is.
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    /// For logs and metrics.
    fn name(&self) -> &'static str;

    /// One attempt. `Ok(Some(delay))` asks to be called again after that time even if nothing happens; an error is tried again.
    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status>;
}

/// Takes keys off the queue until it is closed.
pub async fn work(reconciler: Arc<dyn Reconciler>, queue: Queue<Key>, counters: Arc<Counters>) {
    while let Some(key) = queue.get().await {
        counters.reconciles.fetch_add(1, Ordering::Relaxed);
        match reconciler.reconcile(&key).await {
            Ok(again) => {
                queue.forget(&key);
                if let Some(delay) = again {
                    queue.add_after(key.clone(), delay);
                }
            }
            Err(status) => {
                counters.failures.fetch_add(1, Ordering::Relaxed);
                // A conflict says that the cache was behind: it is no failure of anything.
                if status.is_conflict() || status.is_not_found() || status.is_already_exists() {
                    debug!(controller = reconciler.name(), %key, %status, "trying again");
                } else {
                    warn!(controller = reconciler.name(), %key, %status, "trying again");
                }
                queue.add_rate_limited(key.clone());
            }
        }
        queue.done(&key);
    }
}

/// How far behind a cache may be: the revision of each key's last write. A reconciler that has written waits until its cache has seen the
/// write, so that no pod is counted twice and nothing is made twice. Takes the place of client-go's expectations.
#[derive(Debug, Default)]
pub struct Written {
    revisions: Mutex<BTreeMap<Key, u64>>,
}

/// How long to wait for a cache that is behind.
pub const CATCH_UP: Duration = Duration::from_millis(20);

impl Written {
    /// A write for this key was answered with this object.
    pub fn note(&self, key: &Key, object: &v1::Object) {
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = revisions.entry(key.clone()).or_default();
        *entry = (*entry).max(object.revision);
    }

    /// Whether the cache has seen everything that was written for this key.
    pub fn seen<T>(&self, key: &Key, cache: &Cache<T>) -> bool {
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        match revisions.get(key) {
            Some(revision) if *revision > cache.seen() => false,
            Some(_) => {
                revisions.remove(key);
                true
            }
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_last_write() {
        let (written, key) = (Written::default(), Key::new("ns", "a"));
        let cache: Arc<Cache<()>> = Arc::default();
        assert!(written.seen(&key, &cache));
        written.note(&key, &v1::Object { revision: 7, ..Default::default() });
        written.note(&key, &v1::Object { revision: 5, ..Default::default() });
        assert!(!written.seen(&key, &cache));
        assert!(written.seen(&Key::new("ns", "b"), &cache));
    }
}
