//! Sees every change of a pod in the order in which it was committed, and complains of what may never be.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;
use skiff_client::api::Api;
use skiff_proto::v1::{self, watch_event::Type};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cluster::is_running;

/// What must hold at every moment.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Pods that are not on their way out.
    pub most: usize,
    /// Of those, pods that are ready.
    pub fewest: usize,
}

/// What the watchman saw.
#[derive(Default)]
pub struct Seen {
    /// Complaints.
    pub broken: Vec<String>,
    /// How many changes there were.
    pub changes: usize,
}

/// Watches in a task of its own.
pub struct Watchman {
    stop: CancellationToken,
    task: JoinHandle<Seen>,
}

impl Watchman {
    /// Begins; when this returns, everything that follows is seen.
    pub async fn begin(api: Arc<dyn Api>, bounds: Bounds) -> Self {
        let mut stream = api.watch(v1::WatchRequest { resource: "pods".to_owned(), ..Default::default() }).await.unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (mut seen, mut pods, mut complete) = (Seen::default(), BTreeMap::new(), false);
            loop {
                let batch = tokio::select! {
                    biased;
                    batch = stream.next() => batch.unwrap().unwrap(),
                    () = stopped.cancelled() => return seen,
                };
                for event in batch {
                    complete |= event.initial_events_end;
                    take(&mut pods, event);
                    if complete {
                        seen.changes += 1;
                        seen.broken.extend(judge(&pods, bounds));
                    }
                }
            }
        });
        Self { stop, task }
    }

    /// What was seen until now.
    pub async fn end(self) -> Seen {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

fn take(pods: &mut BTreeMap<String, Value>, event: v1::WatchEvent) {
    let kind = event.r#type();
    let object = event.object.unwrap_or_default();
    match kind {
        Type::Added | Type::Modified => drop(pods.insert(object.name, serde_json::from_slice(&object.json).unwrap())),
        Type::Deleted => drop(pods.remove(&object.name)),
        Type::Bookmark | Type::Unspecified => {}
    }
}

fn judge(pods: &BTreeMap<String, Value>, bounds: Bounds) -> Vec<String> {
    let staying: Vec<&Value> = pods.values().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_string()).collect();
    let ready = staying.iter().filter(|pod| is_running(pod)).count();
    let mut broken = Vec::new();
    if staying.len() > bounds.most {
        broken.push(format!("{} pods, at most {} may be", staying.len(), bounds.most));
    }
    if ready < bounds.fewest {
        broken.push(format!("{ready} ready pods, at least {} must be", bounds.fewest));
    }
    broken
}
