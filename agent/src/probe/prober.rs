//! The tasks that run a pod's probes: one for each probe of each running container.

use super::check::{self, Outcome};
use super::{ProbeKind, Runs, Settings};
use crate::clock::{after, between};
use crate::pod::{self, Kind};
use crate::runtime::{ContainerState, ObservedPod};
use crate::shared::Shared;
use crate::sync::inbox::Inbox;
use crate::sync::memory::Probes;
use crate::sync::rules;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use k8s_openapi::jiff::Timestamp;
use skiff_client::events::Type;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
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

/// A container that has just started is rarely up when it is first asked, and would not be asked again for a whole period: until then it
/// is looked at a few times more, after so many milliseconds each. (A kubelet asks once more when it hears that the container has started.)
fn early_looks(which: ProbeKind) -> std::slice::Iter<'static, u64> {
    const LOOKS: [u64; 6] = [100, 100, 200, 400, 800, 1600];
    match which {
        ProbeKind::Startup | ProbeKind::Readiness => LOOKS.iter(),
        ProbeKind::Liveness => [].iter(),
    }
}

async fn sleep_or_never(millis: Option<&u64>) {
    match millis {
        Some(millis) => tokio::time::sleep(Duration::from_millis(*millis)).await,
        None => std::future::pending().await,
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
        let mut early = early_looks(self.which);
        let mut ticks = tokio::time::interval(settings.period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut in_time = true;
        while !runs.over(self.which) {
            match check::run(&self.shared, &self.pod, &self.container, &self.id, &self.probe, &settings).await {
                Outcome::Success => runs = runs.step(&settings, true),
                // A look before its time only counts where it is good news.
                Outcome::Failure(_) | Outcome::Unknown(_) if !in_time => {}
                Outcome::Failure(message) => {
                    self.tell(format!("{} probe failed: {message}", self.which.title()));
                    runs = runs.step(&settings, false);
                }
                Outcome::Unknown(message) => self.tell(format!("{} probe errored and resulted in unknown state: {message}", self.which.title())),
            }
            self.inbox.probed(&self.id, |probed| match self.which {
                ProbeKind::Startup => probed.startup = runs.decided,
                ProbeKind::Readiness => probed.readiness = runs.decided,
                ProbeKind::Liveness => probed.liveness = runs.decided,
            });
            let look = if runs.decided == Some(true) { None } else { early.next() };
            in_time = tokio::select! {
                biased;
                _ = ticks.tick() => true,
                () = sleep_or_never(look) => false,
            };
        }
        // Over: what it decided stays until the container does not run any more.
        std::future::pending::<()>().await;
    }

    fn tell(&self, message: String) {
        self.shared.tell_container(&self.pod, (self.kind, &self.container.name), Type::Warning, "Unhealthy", message);
    }
}
