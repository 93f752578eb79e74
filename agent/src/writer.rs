//! Writes a pod's status to the API server: the newest only, one write at a time, beside the worker so that it never waits.

use crate::pod;
use crate::status::patch;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use skiff_client::api::Api;
use skiff_client::backoff::Backoff;
use skiff_proto::{resource, v1};
use std::sync::Arc;
use tokio::sync::watch;

/// See the module. The writing task ends when this is dropped and the last status is written.
pub struct Writer {
    wanted: watch::Sender<Wanted>,
    written: watch::Receiver<u64>,
    number: u64,
}

#[derive(Clone, Default)]
struct Wanted {
    number: u64,
    status: PodStatus,
    /// The pod as the API server showed it last, with its revision.
    seen: Option<(u64, PodStatus)>,
}

impl Writer {
    /// For this pod, whose status is what the API server has.
    pub fn new(api: Arc<dyn Api>, pod: &Pod) -> Self {
        let (wanted, receiver) = watch::channel(Wanted::default());
        let (done, written) = watch::channel(0);
        tokio::spawn(write(api, pod::id(pod), pod.status.clone().unwrap_or_default(), receiver, done));
        Self { wanted, written, number: 0 }
    }

    /// This is the status now.
    pub fn write(&mut self, status: PodStatus) {
        if self.number > 0 && self.wanted.borrow().status == status {
            return;
        }
        self.number += 1;
        let number = self.number;
        self.wanted.send_modify(|wanted| {
            wanted.number = number;
            wanted.status = status;
        });
    }

    /// The API server shows this: somebody else may have changed the status.
    pub fn seen(&self, pod: &Pod) {
        let revision = pod.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0);
        let status = pod.status.clone().unwrap_or_default();
        self.wanted.send_modify(|wanted| wanted.seen = Some((revision, status)));
    }

    /// Returns when the newest status has been written, or cannot be any more.
    pub async fn flush(&mut self) {
        let number = self.number;
        // An error means that the task has ended: the pod is gone.
        let _ = self.written.wait_for(|written| *written >= number).await;
    }
}

async fn write(api: Arc<dyn Api>, id: crate::runtime::PodId, mut there: PodStatus, mut wanted: watch::Receiver<Wanted>, done: watch::Sender<u64>) {
    let mut revision = 0;
    let mut failures = 0;
    while wanted.changed().await.is_ok() {
        loop {
            let now = wanted.borrow_and_update().clone();
            if let Some((seen, status)) = now.seen.filter(|(seen, _)| *seen > revision) {
                revision = seen;
                there = status;
            }
            let Some(patch) = (now.number > 0).then(|| patch::between(&id.uid, &there, &now.status)).flatten() else {
                done.send_replace(now.number);
                break;
            };
            let request = v1::PatchRequest {
                resource: resource::PODS.into(),
                namespace: id.namespace.clone(),
                name: id.name.clone(),
                subresource: "status".into(),
                r#type: v1::PatchType::Strategic.into(),
                patch: patch.into(),
                ..Default::default()
            };
            match api.patch(request).await {
                Ok(object) => {
                    failures = 0;
                    revision = revision.max(object.revision);
                    there = now.status;
                    done.send_replace(now.number);
                    break;
                }
                // Deleted, or another pod of that name: nobody wants to know.
                Err(status) if status.is_not_found() || status.is_conflict() => return,
                Err(status) => {
                    failures += 1;
                    tracing::warn!(pod = %id.name, namespace = %id.namespace, %status, "status not written; trying again");
                    tokio::time::sleep(Backoff::RECONNECT.delay(failures)).await;
                }
            }
        }
    }
}
