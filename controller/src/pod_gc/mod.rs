//! Pod garbage collection: read [`plan`]; this file looks again when something may have changed, and writes.

pub mod plan;

use std::sync::Arc;

use serde_json::json;
use skiff_client::informer::Key;
use skiff_proto::resource::{NODES, PODS};
use skiff_proto::status::Status;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::plan::{Missing, Why};
use crate::config::Timings;
use crate::execute::{DeleteOptions, Propagation, Writer, unless_gone};
use crate::view::meta::rfc3339;
use crate::view::{Object, Pod};
use crate::world::World;

/// Collects pods.
pub struct Collector {
    /// What is.
    pub world: Arc<World>,
    /// How to write.
    pub writer: Writer,
    /// How often to look.
    pub timings: Timings,
    /// How many finished pods are kept.
    pub threshold: usize,
    /// Rung when a node is gone.
    pub node_gone: Arc<Notify>,
}

impl Collector {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let (start, mut missing) = (Instant::now(), Missing::default());
        loop {
            let (pods, nodes) = (self.world.pods.list(), self.world.nodes.list());
            let (collected, next) = plan::plan(&pods, &nodes, &mut missing, self.threshold, self.timings.pod_gc_quarantine, start.elapsed());
            drop((pods, nodes));
            for (why, pod) in collected {
                if let Err(status) = self.collect(why, &pod).await {
                    warn!(pod = %pod.key(), %status, "pod garbage collection: trying again");
                }
            }
            let wait = next.unwrap_or(self.timings.pod_gc_period).min(self.timings.pod_gc_period);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = self.node_gone.notified() => {}
            }
        }
    }

    /// `markFailedAndDeletePod`.
    async fn collect(&self, why: Why, pod: &Pod) -> Result<(), Status> {
        if why == Why::NodeGone && unless_gone(self.writer.get(NODES, &Key::new("", &pod.spec.node_name)).await)?.is_some() {
            return Ok(());
        }
        info!(pod = %pod.key(), ?why, "deleting a pod that nobody looks after");
        if !pod.is_terminal() {
            let mut status = json!({ "phase": "Failed" });
            if why == Why::NodeGone {
                status["conditions"] = json!([{
                    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": "PodGC: node no longer exists",
                    "lastTransitionTime": rfc3339(self.world.now()), "observedGeneration": pod.metadata.generation,
                }]);
            }
            let patch = json!({ "metadata": { "uid": pod.metadata.uid }, "status": status });
            unless_gone(self.writer.strategic(PODS, &pod.key(), "status", &patch).await)?;
        }
        let options = DeleteOptions { uid: pod.metadata.uid.clone(), grace_period_seconds: Some(0), ..Default::default() };
        unless_gone(self.writer.delete(PODS, &pod.key(), Propagation::Default, options).await)?;
        Ok(())
    }
}
