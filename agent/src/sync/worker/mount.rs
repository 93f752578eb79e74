//! A pod's volumes: made before its containers, and brought up to date while they run.

use std::time::Duration;

use skiff_client::events::Type;

use super::Worker;
use crate::objects::{self, Sources};
use crate::volumes::{self, MountError, Places};
use crate::{pod, tokens};

impl Worker {
    async fn sources(&mut self, max_age: Duration) -> Sources {
        let shared = self.shared.clone();
        let api = &*shared.config.api;
        let now = shared.config.clock.now();
        let (namespace, names) = (pod::id(&self.pod).namespace, objects::of_volumes(&self.pod));
        let reading = shared.recent.read(api, &namespace, &names, now, max_age);
        let (mut sources, tokens) = tokio::join!(reading, tokens::request(api, &self.pod, self.tokens.due(&self.pod, now)));
        self.tokens.fill(tokens, &mut sources, now);
        sources
    }

    fn set_up(&self, sources: &Sources) -> Result<Places, MountError> {
        let dir = self.shared.pod_dir(&pod::id(&self.pod).uid);
        let dir = self.shared.config.runtime.has_files().then_some(dir.as_path());
        volumes::set_up(dir, &self.pod, sources, &self.shared.facts(&self.pod))
    }

    pub(super) async fn mount(&mut self) {
        let unsupported = crate::unsupported::fields(&self.pod);
        if let Some(message) = unsupported.first() {
            self.shared.tell(&self.pod, Type::Warning, "FailedCreatePodSandBox", message.clone());
            self.memory.retry_pod = Some(self.later(Duration::from_secs(300)));
            return;
        }
        let sources = self.sources(Duration::ZERO).await;
        match self.set_up(&sources) {
            Ok(places) => {
                self.places = places;
                self.memory.mounted = true;
                self.begin_to_weigh();
                for message in crate::unsupported::partly(&self.pod) {
                    self.shared.tell(&self.pod, Type::Warning, "NotImplemented", message);
                }
                self.memory.retry_pod = None;
                let changing = pod::spec(&self.pod).volumes.iter().flatten();
                let changing = changing
                    .filter(|volume| volume.config_map.is_some() || volume.secret.is_some() || volume.projected.is_some() || volume.downward_api.is_some());
                self.refresh = changing.count().gt(&0).then(|| self.later(self.shared.config.timings.volume_refresh));
            }
            Err(error) => {
                self.shared.tell(&self.pod, Type::Warning, "FailedMount", error.to_string());
                self.memory.retry_pod = Some(self.later(self.shared.config.timings.retry));
            }
        }
    }

    /// ConfigMaps and Secrets that changed reach running containers.
    pub(super) async fn refresh_volumes(&mut self) {
        if self.refresh.is_none_or(|at| at > self.shared.config.clock.now()) || self.end.is_some() {
            return;
        }
        let sources = self.sources(self.shared.config.timings.volume_refresh / 2).await;
        if let Err(error) = self.set_up(&sources) {
            self.shared.tell(&self.pod, Type::Warning, "FailedMount", error.to_string());
        }
        self.refresh = Some(self.later(self.shared.config.timings.volume_refresh));
    }
}
