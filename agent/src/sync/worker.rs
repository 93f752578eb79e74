//! The task of one pod: look, plan, tell, act, wait; one thing at a time. Everything else only leaves news in its [`Inbox`].

mod mount;
mod resize;
mod storage;

use super::inbox::{Inbox, Taken};
use super::memory::Delay;
use super::plan::{self, Action, End, FailedProbe, Plan, View, plan};
use super::rules;
use super::start::{self, NotStarted, Start, StartError};
use super::{memory, spec, stop};
use crate::directory::Entry;

use crate::pod::{self, Kind};
use crate::probe::prober::Probers;
use crate::runtime::{ContainerState, ObservedPod, RuntimeError};
use crate::shared::Shared;
use crate::status::{self, Failed, Stage};
use crate::tokens::Tokens;
use crate::volumes::{self, Places};
use crate::writer::Writer;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;
use skiff_client::events::Type;
use skiff_proto::{resource, v1};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// See the module.
pub struct Worker {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    pod: Arc<Pod>,
    observed: ObservedPod,
    memory: memory::Memory,
    end: Option<End>,
    told: PodStatus,
    writer: Writer,
    probers: Probers,
    places: Places,
    sandbox: Option<JoinHandle<Result<(), RuntimeError>>>,
    tokens: Tokens,
    refresh: Option<Timestamp>,
    weigh: Option<Timestamp>,
}

impl Worker {
    /// A worker for a pod; with `failed`, one the node does not admit.
    pub fn new(shared: Arc<Shared>, inbox: Arc<Inbox>, pod: Arc<Pod>, failed: Option<Failed>) -> Self {
        let writer = Writer::new(shared.config.api.clone(), &pod);
        let mut worker = Self {
            probers: Probers::new(shared.clone(), inbox.clone()),
            told: pod.status.clone().unwrap_or_default(),
            shared,
            inbox,
            pod,
            observed: ObservedPod::default(),
            memory: memory::Memory::default(),
            end: None,
            writer,
            places: Places::new(),
            sandbox: None,
            tokens: Tokens::default(),
            refresh: None,
            weigh: None,
        };
        if let Some(failed) = failed {
            worker.end = Some(End { grace: Duration::ZERO, failed: Some(failed), deleted: false, gone: false });
        }
        worker
    }

    /// Works until nothing of the pod is left.
    pub async fn run(mut self) {
        loop {
            self.take_news();
            if let Err(error) = self.look().await {
                tracing::debug!(pod = %pod::id(&self.pod).name, %error, "the runtime does not answer");
                self.wait(Some(self.later(Duration::from_secs(1)))).await;
                continue;
            }
            let plan = self.think();
            if plan.ended && self.end.as_ref().is_some_and(|end| end.deleted) {
                if self.leave(&plan).await {
                    return;
                }
                continue;
            }
            if plan.actions.is_empty() {
                let wake = [plan.wake, self.refresh, self.weigh].into_iter().flatten().min();
                self.wait(wake).await;
                self.refresh_volumes().await;
                self.weigh_storage().await;
                continue;
            }
            for action in plan.actions {
                if let Err(error) = self.act(action).await {
                    tracing::warn!(pod = %pod::id(&self.pod).name, %error, "failed; trying again");
                    self.wait(Some(self.later(Duration::from_secs(1)))).await;
                    break;
                }
                if self.interrupted() {
                    break;
                }
            }
        }
    }

    fn later(&self, delay: Duration) -> Timestamp {
        crate::clock::after(self.shared.config.clock.now(), delay)
    }

    /// Whether the pod has been told to go while it was being started: then what is left of the plan is void.
    fn interrupted(&self) -> bool {
        self.end.is_none() && self.inbox.is_told_to_go()
    }

    fn take_news(&mut self) {
        let Taken { pod, gone, probes } = self.inbox.take();
        self.memory.probes = probes;
        if let Some(pod) = pod {
            self.writer.seen(&pod);
            self.pod = pod;
        }
        let leaving = gone || pod::is_deleted(&self.pod);
        if leaving {
            // A kubelet gives every container at least a second.
            let asked = self.pod.metadata.deletion_grace_period_seconds.map(|seconds| Duration::from_secs(seconds.try_into().unwrap_or(0)));
            let grace = asked.unwrap_or_else(|| plan::grace(&self.pod)).max(Duration::from_secs(1));
            let end = self.end.get_or_insert(End { grace, failed: None, deleted: true, gone });
            end.deleted = true;
            end.gone |= gone;
            end.grace = end.grace.min(grace);
        }
    }

    /// Observes the pod, reading termination messages of what has ended since.
    async fn look(&mut self) -> Result<(), RuntimeError> {
        // A sandbox that is still starting would look like one that is dead.
        if let Some(starting) = self.sandbox.take()
            && let Err(error) = joined(starting).await
        {
            self.sandbox_failed(&error.to_string()).await;
        }
        let id = pod::id(&self.pod);
        let observed = self.shared.config.runtime.pod(&id.uid).await?;
        self.observed = observed.unwrap_or_else(|| ObservedPod { pod: id.clone(), ..ObservedPod::default() });
        for container in &self.observed.containers {
            let ContainerState::Exited(exit) = &container.state else { continue };
            if self.memory.messages.contains_key(&container.id) {
                continue;
            }
            let file = start::termination_log(&self.shared, &id.uid, &container.name, container.attempt);
            let fall_back = pod::find(&self.pod, &container.name)
                .is_some_and(|(_, spec)| spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError") && exit.code != 0);
            let message = crate::termination::message(&*self.shared.config.runtime, &file, &container.id, fall_back).await;
            self.memory.messages.insert(container.id.clone(), message);
        }
        let observed = &self.observed;
        self.memory.messages.retain(|id, _| observed.containers.iter().any(|container| container.id == *id));
        self.memory.applied.retain(|id, _| observed.containers.iter().any(|container| container.id == *id));
        Ok(())
    }

    /// Plans and tells what is.
    fn think(&mut self) -> Plan {
        if self.end.is_none() && pod::is_terminal(&self.pod) {
            self.end = Some(End { grace: plan::grace(&self.pod), failed: None, deleted: false, gone: false });
        }
        self.weigh_resize();
        let now = self.shared.config.clock.now();
        let mut plan = self.plan(now);
        for (name, waiting) in plan.waiting.drain(..) {
            self.memory.waiting.insert(name, waiting);
        }
        let stage = self.stage(&plan);
        let status = self.make(stage, now);
        let finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        if finished && self.end.is_none() {
            self.end = Some(End { grace: plan::grace(&self.pod), failed: None, deleted: false, gone: false });
            self.probers.stop();
            plan = self.plan(now);
        }
        self.publish(status);
        if self.end.is_none() {
            self.probers.follow(&self.pod, &self.observed, &self.memory.probes);
        } else {
            self.probers.stop();
        }
        plan
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let timings = &self.shared.config.timings;
        plan(View { pod: &self.pod, observed: &self.observed, memory: &self.memory, end: self.end.as_ref(), timings, now })
    }

    fn stage(&self, plan: &Plan) -> Stage {
        match &self.end {
            None => Stage::Alive,
            Some(_) if plan.ended => Stage::Ended,
            Some(_) => Stage::Ending,
        }
    }

    fn make(&self, stage: Stage, now: Timestamp) -> PodStatus {
        status::make(status::Input {
            pod: &self.pod,
            old: &self.told,
            observed: &self.observed,
            memory: &self.memory,
            failed: self.end.as_ref().and_then(|end| end.failed.as_ref()),
            stage,
            node_ip: self.shared.config.node_ip,
            scheme: &self.shared.scheme,
            now,
        })
    }

    fn publish(&mut self, status: PodStatus) {
        if pod::id(&self.pod).uid.is_empty() || self.end.as_ref().is_some_and(|end| end.gone) {
            return;
        }
        let uid = pod::id(&self.pod).uid;
        let entry = Entry { pod: self.pod.clone(), status: Arc::new(status.clone()), observed: Arc::new(self.observed.clone()) };
        self.shared.directory.put(&uid, entry);
        self.writer.write(status.clone());
        self.told = status;
    }

    /// Waits for news, or until then.
    async fn wait(&self, until: Option<Timestamp>) {
        let now = self.shared.config.clock.now();
        let delay = until.map_or(Duration::from_secs(3600), |until| crate::clock::between(now, until));
        // A deadline reached a moment early would be planned for again at once.
        let delay = delay + Duration::from_millis(1);
        tokio::select! {
            () = self.inbox.rung() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }

    async fn act(&mut self, action: Action) -> Result<(), RuntimeError> {
        let runtime = self.shared.config.runtime.clone();
        match action {
            Action::Mount => self.mount().await,
            Action::CreateSandbox { attempt } => self.create_sandbox(attempt).await,
            Action::Start { name, kind, attempt, finished } => self.start(&name, kind, attempt, finished).await?,
            Action::Kill { name, id, message, probe } => self.kill(&name, &id, message, probe).await?,
            Action::Resize { name, id } => self.resize(&name, &id).await,
            Action::TellSandboxChanged => {
                let message = "Pod sandbox changed, it will be killed and re-created.";
                self.shared.tell(&self.pod, Type::Normal, "SandboxChanged", message);
            }
            Action::KillAll { grace } => self.kill_all(grace).await?,
            Action::StopSandbox { id } => runtime.stop_sandbox(&id).await?,
            Action::RemoveContainer { id } => runtime.remove_container(&id).await?,
            Action::RemoveSandbox { id } => runtime.remove_sandbox(&id).await?,
            Action::TellBackOff { name, kind } => {
                let id = pod::id(&self.pod);
                let message = format!("Back-off restarting failed container {name} in pod {}_{}({})", id.name, id.namespace, id.uid);
                self.shared.tell_container(&self.pod, (kind, &name), Type::Warning, "BackOff", message);
            }
            Action::Fail(failed) => {
                self.shared.tell(&self.pod, Type::Normal, &failed.reason, failed.message.clone());
                self.end = Some(End { grace: plan::grace(&self.pod), failed: Some(failed), deleted: false, gone: false });
            }
        }
        Ok(())
    }

    async fn create_sandbox(&mut self, attempt: u32) {
        let runtime = self.shared.config.runtime.clone();
        let address = self.shared.address(&self.pod);
        if address.is_none() && !pod::host_network(&self.pod) {
            self.sandbox_failed("no address of the node's pod CIDR is free").await;
            return;
        }
        let made = match spec::sandbox(&self.pod, attempt, address, &self.shared.config.cluster_domain) {
            Ok(spec) => runtime.create_sandbox(&spec).await.map_err(|error| error.to_string()),
            Err(message) => Err(message),
        };
        match made {
            Ok(id) => {
                self.sandbox = Some(tokio::spawn({
                    let id = id.clone();
                    async move { runtime.start_sandbox(&id).await }
                }));
                let now = self.shared.config.clock.now();
                let made = crate::runtime::ObservedSandbox {
                    id,
                    attempt,
                    state: crate::runtime::SandboxState::Created,
                    ip: address,
                    host_network: pod::host_network(&self.pod),
                    created_at: now,
                };
                self.observed.sandboxes.insert(0, made);
            }
            Err(message) => self.sandbox_failed(&message).await,
        }
    }

    async fn sandbox_failed(&mut self, message: &str) {
        self.shared.tell(&self.pod, Type::Warning, "FailedCreatePodSandBox", format!("Failed to create pod sandbox: {message}"));
        self.memory.retry_pod = Some(self.later(self.shared.config.timings.retry));
        // What is left of it would be in the way of the next.
        if let Ok(Some(left)) = self.shared.config.runtime.pod(&pod::id(&self.pod).uid).await {
            let dead = left.sandboxes.iter().filter(|sandbox| sandbox.state == crate::runtime::SandboxState::Created);
            for sandbox in dead {
                if let Err(error) = self.shared.config.runtime.remove_sandbox(&sandbox.id).await {
                    tracing::warn!(%error, "a failed sandbox is left");
                }
            }
        }
    }

    async fn start(&mut self, name: &str, kind: Kind, attempt: u32, finished: Option<Timestamp>) -> Result<(), RuntimeError> {
        let Some((_, container)) = pod::find(&self.pod, name) else { return Ok(()) };
        let Some(sandbox) = rules::sandbox(&self.observed).map(|sandbox| sandbox.id.clone()) else { return Ok(()) };
        if self.memory.retry_pod.is_some_and(|until| until > self.shared.config.clock.now()) {
            return Ok(());
        }
        let now = self.shared.config.clock.now();
        if finished.is_some() {
            let delay = Delay::next(self.memory.crash.get(name).copied(), now, self.shared.config.timings.crash);
            self.memory.crash.insert(name.to_owned(), delay);
        }
        let target = pod::ephemeral_containers(&self.pod).into_iter().find(|(container, _)| container.name == name).and_then(|(_, target)| target);
        let target = target.and_then(|target| rules::latest(&self.observed, &target)).map(|target| target.id.clone());
        let pod = self.pod.clone();
        let places = self.places.clone();
        let (shared, inbox) = (self.shared.clone(), self.inbox.clone());
        let start = Start { pod: &pod, container: &container, kind, attempt, places: &places, sandbox: &sandbox, target };
        let starting = &mut self.sandbox;
        let ready = async move {
            match starting.take() {
                None => Ok(()),
                Some(handle) => joined(handle).await,
            }
        };
        match start::start(&shared, &start, &mut self.memory, ready, &inbox).await {
            Ok(()) => {
                self.memory.waiting.remove(name);
                self.memory.retry.remove(name);
            }
            Err(StartError::Container(NotStarted { waiting, retry })) => {
                self.memory.waiting.insert(name.to_owned(), waiting);
                let until = self.later(retry);
                self.memory.retry.insert(name.to_owned(), until);
            }
            Err(StartError::Sandbox(error)) => self.sandbox_failed(&error.to_string()).await,
        }
        // The next container's start, and the status in between, are planned from what is.
        self.look().await?;
        if let Some(made) = rules::latest(&self.observed, name).filter(|made| made.attempt == attempt) {
            self.memory.applied.insert(made.id.clone(), container.resources.clone().unwrap_or_default());
        }
        let status = self.make(if self.end.is_some() { Stage::Ending } else { Stage::Alive }, self.shared.config.clock.now());
        if !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            self.publish(status);
        }
        Ok(())
    }

    async fn kill(&mut self, name: &str, id: &str, message: String, probe: Option<FailedProbe>) -> Result<(), RuntimeError> {
        let Some((kind, container)) = pod::find(&self.pod, name) else { return Ok(()) };
        let own = match probe {
            Some(FailedProbe::Liveness) => container.liveness_probe.as_ref(),
            Some(FailedProbe::Startup) => container.startup_probe.as_ref(),
            None => None,
        };
        let own = own.and_then(|probe| probe.termination_grace_period_seconds).map(|seconds| Duration::from_secs(seconds.try_into().unwrap_or(0)));
        let grace = own.unwrap_or_else(|| plan::grace(&self.pod));
        let pod = self.pod.clone();
        let kill = stop::Kill { pod: &pod, container: &container, kind, id, message, grace };
        let shared = self.shared.clone();
        let inbox = self.inbox.clone();
        tokio::select! {
            result = stop::container(&shared, &kill) => result?,
            () = inbox.told_to_go() => return Ok(()),
        }
        // A container killed on purpose is started again at once the first time, like one that ended.
        self.memory.waiting.remove(name);
        Ok(())
    }

    /// Stops everything, telling in between what has stopped already; a shorter grace than the one begun with counts at once.
    async fn kill_all(&mut self, grace: Duration) -> Result<(), RuntimeError> {
        self.probers.stop();
        let (shared, pod, observed) = (self.shared.clone(), self.pod.clone(), self.observed.clone());
        let mut killing = std::pin::pin!(stop::all(&shared, &pod, &observed, grace));
        let inbox = self.inbox.clone();
        loop {
            tokio::select! {
                result = &mut killing => return result,
                () = inbox.rung() => {}
            }
            self.take_news();
            let hurry = self.end.as_ref().map_or(grace, |end| end.grace);
            if hurry < grace {
                return Box::pin(stop::all(&shared, &pod, &observed, hurry)).await;
            }
            if self.look().await.is_ok() && rules::any_running(&self.observed) {
                let stage = if self.end.is_some() { Stage::Ending } else { Stage::Alive };
                let status = self.make(stage, shared.config.clock.now());
                if !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
                    self.publish(status);
                }
            }
        }
    }

    /// Nothing of the pod runs any more: the API server is told, and what it left is removed. True when that is done.
    async fn leave(&mut self, plan: &Plan) -> bool {
        let id = pod::id(&self.pod);
        let gone = self.end.as_ref().is_some_and(|end| end.gone);
        if !gone {
            self.writer.flush().await;
            let request = v1::DeleteRequest {
                resource: resource::PODS.into(),
                namespace: id.namespace.clone(),
                name: id.name.clone(),
                grace_period_seconds: Some(0),
                uid: id.uid.clone(),
                ..Default::default()
            };
            match self.shared.config.api.delete(request).await {
                Ok(_) => {}
                Err(status) if status.is_not_found() || status.is_conflict() => {}
                Err(status) => {
                    tracing::warn!(pod = %id.name, %status, "the pod cannot be deleted yet");
                    self.wait(Some(self.later(Duration::from_secs(1)))).await;
                    return false;
                }
            }
            // With a finalizer the object stays; nothing on this node does.
            if let Some(end) = &mut self.end {
                end.gone = true;
            }
            return false;
        }
        for action in plan.actions.clone() {
            if let Err(error) = self.act(action).await {
                tracing::warn!(pod = %id.name, %error, "something of a deleted pod is left; trying again");
                self.wait(Some(self.later(Duration::from_secs(1)))).await;
                return false;
            }
        }
        if let Err(error) = volumes::tear_down(&self.shared.pod_dir(&id.uid)) {
            tracing::warn!(pod = %id.name, %error, "files of a deleted pod are left");
        }
        self.shared.directory.remove(&id.uid);
        self.shared.addresses.lock().unwrap_or_else(PoisonError::into_inner).free(&id.uid);
        true
    }
}

async fn joined(task: JoinHandle<Result<(), RuntimeError>>) -> Result<(), RuntimeError> {
    task.await.unwrap_or_else(|error| Err(RuntimeError::Failed(error.to_string())))
}
