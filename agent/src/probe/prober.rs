//! The tasks that run a pod's probes: one for each probe of each running container.

use super::check::{self, Outcome};
use super::{ProbeKind, Runs, Settings};
use crate::clock::{after, between};
use crate::pod::{self, Kind};
use crate::runtime::{ContainerState, ObservedPod};
use crate::shared::Shared;
use crate::sync::memory::Probes;
use crate::sync::rules;
use crate::sync::worker::Inbox;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use k8s_openapi::jiff::Timestamp;
use skiff_client::events::Type;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// The probes of one pod.
pub struct Probers {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    running: BTreeMap<(String, ProbeKind), AbortOnDropHandle<()>>,
}

impl Probers {
    /// None yet.
    pub fn new(shared: Arc<Shared>, inbox: Arc<Inbox>) -> Self {
        Self { shared, inbox, running: BTreeMap::new() }
    }

    /// Ends them all.
    pub fn stop(&mut self) {
        self.running.clear();
    }

    /// Starts the probes of containers that run now, ends those of containers that do not.
    pub fn follow(&mut self, pod: &Arc<Pod>, observed: &ObservedPod, probes: &Probes) {
        let runs = |id: &str| observed.containers.iter().any(|container| container.id == id && container.state.is_running());
        self.running.retain(|(id, _), _| runs(id));
        self.inbox.forget_probes(|id| !runs(id));
        let sidecars = pod::init_containers(pod).iter().filter(|container| pod::is_sidecar(container)).map(|container| (Kind::Init, container));
        for (kind, container) in sidecars.chain(pod::regular_containers(pod).iter().map(|container| (Kind::Regular, container))) {
            let Some(latest) = rules::latest(observed, &container.name) else { continue };
            let ContainerState::Running { started_at } = latest.state else { continue };
            let started = container.startup_probe.is_none() || probes.get(&latest.id).and_then(|probed| probed.startup) == Some(true);
            let own = [
                (ProbeKind::Startup, container.startup_probe.as_ref().filter(|_| !started)),
                (ProbeKind::Readiness, container.readiness_probe.as_ref().filter(|_| started)),
                (ProbeKind::Liveness, container.liveness_probe.as_ref().filter(|_| started)),
            ];
            for (which, probe) in own {
                let Some(probe) = probe else { continue };
                let key = (latest.id.clone(), which);
                if self.running.contains_key(&key) {
                    continue;
                }
                let task = Task {
                    shared: self.shared.clone(),
                    inbox: self.inbox.clone(),
                    pod: pod.clone(),
                    kind,
                    container: container.clone(),
                    id: latest.id.clone(),
                    which,
                    probe: probe.clone(),
                    started_at,
                };
                self.running.insert(key, AbortOnDropHandle::new(tokio::spawn(task.run())));
            }
        }
    }
}

struct Task {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    pod: Arc<Pod>,
    kind: Kind,
    container: Container,
    id: String,
    which: ProbeKind,
    probe: Probe,
    started_at: Timestamp,
}

impl Task {
    async fn run(self) {
        let settings = Settings::of(&self.probe);
        let first = after(self.started_at, settings.initial_delay);
        tokio::time::sleep(between(self.shared.config.clock.now(), first)).await;
        let mut runs = Runs::default();
        let mut ticks = tokio::time::interval(settings.period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !runs.over(self.which) {
            ticks.tick().await;
            let success = match check::run(&self.shared, &self.pod, &self.container, &self.id, &self.probe, &settings).await {
                Outcome::Success => true,
                Outcome::Failure(message) => {
                    self.tell(format!("{} probe failed: {message}", self.which.title()));
                    false
                }
                Outcome::Unknown(message) => {
                    self.tell(format!("{} probe errored and resulted in unknown state: {message}", self.which.title()));
                    continue;
                }
            };
            runs = runs.step(&settings, success);
            self.inbox.probed(&self.id, |probed| match self.which {
                ProbeKind::Startup => probed.startup = runs.decided,
                ProbeKind::Readiness => probed.readiness = runs.decided,
                ProbeKind::Liveness => probed.liveness = runs.decided,
            });
        }
        // Over: what it decided stays until the container does not run any more.
        std::future::pending::<()>().await;
    }

    fn tell(&self, message: String) {
        self.shared.tell_container(&self.pod, (self.kind, &self.container.name), Type::Warning, "Unhealthy", message);
    }
}
