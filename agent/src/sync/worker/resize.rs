//! Resources that are changed while containers run: whether they can be given, and giving them.

use k8s_openapi::api::core::v1::Pod;

use super::Worker;
use crate::pod;
use crate::sync::{memory, rules, spec};

impl Worker {
    /// Why the resources asked for now cannot be given, if containers have others (`canResizePod`).
    pub(super) fn weigh_resize(&mut self) {
        let containers = pod::regular_containers(&self.pod).iter().chain(pod::init_containers(&self.pod).iter().filter(|one| pod::is_sidecar(one)));
        let pending = containers.into_iter().any(|container| {
            let running = rules::latest(&self.observed, &container.name).filter(|running| running.state.is_running());
            running.is_some_and(|running| rules::wants_resize(&self.pod, &self.memory, container, running))
        });
        if !pending || self.end.is_some() {
            self.memory.resize = None;
            return;
        }
        let uid = pod::id(&self.pod).uid;
        let here = self.shared.directory.list();
        let others = here.iter().filter(|entry| pod::id(&entry.pod).uid != uid);
        let others: Vec<&Pod> =
            others.filter(|entry| !matches!(entry.status.phase.as_deref(), Some("Succeeded" | "Failed"))).map(|entry| &*entry.pod).collect();
        let held = crate::admit::refuse_resize(&self.pod, &others, &self.shared.config.capacity);
        let failed = self.memory.resize.take().filter(|resize| resize.reason == "Error");
        self.memory.resize = held.map(|(reason, message)| memory::Resize { reason: reason.to_owned(), message }).or(failed);
    }

    pub(super) async fn resize(&mut self, name: &str, id: &str) {
        let Some((_, container)) = pod::find(&self.pod, name) else { return };
        let resources = spec::resources(&self.pod, &container, self.shared.memory());
        match self.shared.config.runtime.update_container(id, &resources).await {
            Ok(()) => {
                self.memory.applied.insert(id.to_owned(), container.resources.unwrap_or_default());
                self.memory.resize = None;
            }
            Err(error) => {
                self.memory.resize = Some(memory::Resize { reason: "Error".into(), message: error.to_string() });
                let until = self.later(self.shared.config.timings.retry);
                self.memory.retry.insert(id.to_owned(), until);
            }
        }
    }
}
