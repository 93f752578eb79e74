//! Measures now and then what a pod takes of the disk, where it may not take more than so much: [`crate::evict`] decides.

use super::Worker;
use crate::evict::{self, Usage};
use crate::pod;
use crate::sync::plan::End;
use skiff_client::events::Type;
use std::time::Duration;

/// What an evicted pod's containers are given to end: `immediateEvictionGracePeriodSeconds`.
const GRACE: Duration = Duration::from_secs(1);

impl Worker {
    /// From when on the pod is measured: once it has its volumes.
    pub(super) fn begin_to_weigh(&mut self) {
        self.weigh = evict::is_limited(&self.pod).then(|| self.later(self.shared.config.timings.storage_check));
    }

    /// Measures the pod if it is time, and ends it if it takes too much.
    pub(super) async fn weigh_storage(&mut self) {
        if self.weigh.is_none_or(|at| at > self.shared.config.clock.now()) || self.end.is_some() {
            return;
        }
        let usage = self.usage().await;
        if let Some(failed) = evict::verdict(&self.pod, &usage) {
            self.shared.tell(&self.pod, Type::Warning, &failed.reason, failed.message.clone());
            self.end = Some(End { grace: GRACE, failed: Some(failed), deleted: false, gone: false });
            self.weigh = None;
            return;
        }
        self.weigh = Some(self.later(self.shared.config.timings.storage_check));
    }

    async fn usage(&self) -> Usage {
        let places = self.places.clone();
        let volumes = move || places.into_iter().map(|(name, path)| (name, evict::disk_usage(&path))).collect();
        // A measurement that panics measures nothing: the next one follows.
        let volumes = tokio::task::spawn_blocking(volumes).await.unwrap_or_default();
        let mut usage = Usage { volumes, ..Usage::default() };
        if evict::limits_containers(&self.pod) {
            match self.shared.config.runtime.disk_usage(&pod::id(&self.pod).uid).await {
                Ok(containers) => usage.containers = containers,
                Err(error) => tracing::warn!(pod = %pod::id(&self.pod).name, %error, "what its containers take of the disk cannot be measured"),
            }
        }
        usage
    }
}
