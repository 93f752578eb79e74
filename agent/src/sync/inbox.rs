//! What has happened to a pod since its worker looked last. Newer news replaces older, so that it never grows.

use super::memory;
use crate::pod;
use k8s_openapi::api::core::v1::Pod;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// See the module.
#[derive(Default)]
pub struct Inbox {
    news: Mutex<News>,
    bell: Notify,
}

#[derive(Default)]
struct News {
    pod: Option<Arc<Pod>>,
    gone: bool,
    probes: memory::Probes,
}

/// News as it is taken.
pub struct Taken {
    /// The object, where it changed.
    pub pod: Option<Arc<Pod>>,
    /// The object is no more.
    pub gone: bool,
    /// What the probes of running containers have decided.
    pub probes: memory::Probes,
}

impl Inbox {
    /// The object changed.
    pub fn changed(&self, pod: Arc<Pod>) {
        self.with(|news| news.pod = Some(pod));
        self.bell.notify_one();
    }

    /// The object is no more.
    pub fn gone(&self) {
        self.with(|news| news.gone = true);
        self.bell.notify_one();
    }

    /// Something of it changed in the runtime: look.
    pub fn look(&self) {
        self.bell.notify_one();
    }

    /// A probe has decided about a container.
    pub fn probed(&self, container: &str, set: impl FnOnce(&mut memory::Probed)) {
        let changed = self.with(|news| {
            let probed = news.probes.entry(container.to_owned()).or_default();
            let before = *probed;
            set(probed);
            before != *probed
        });
        if changed {
            self.bell.notify_one();
        }
    }

    /// Forgets what was decided about containers that do not run any more.
    pub fn forget_probes(&self, over: impl Fn(&str) -> bool) {
        self.with(|news| news.probes.retain(|id, _| !over(id)));
    }

    /// Waits until there is news.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Takes what there is. That the object is gone, and what probes decided, stays.
    pub fn take(&self) -> Taken {
        self.with(|news| Taken { pod: news.pod.take(), gone: news.gone, probes: news.probes.clone() })
    }

    /// Whether news that has not been taken says that the pod must go.
    pub fn is_told_to_go(&self) -> bool {
        self.with(|news| news.gone || news.pod.as_ref().is_some_and(|pod| pod::is_deleted(pod)))
    }

    /// Returns once it does; the bell rings again for whoever takes the news.
    pub async fn told_to_go(&self) {
        while !self.is_told_to_go() {
            self.rung().await;
        }
        self.bell.notify_one();
    }

    fn with<T>(&self, act: impl FnOnce(&mut News) -> T) -> T {
        act(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
