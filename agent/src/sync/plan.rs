//! What must be done about a pod now: kubelet's `computePodActions` and `computeInitContainerActions`, as a pure function.
//!
//! A plan is short: it says what can be done at once, in order. What it leads to is seen, and planned from, afterwards.

use super::memory::{Memory, Waiting};
use super::rules::{any_running, latest, resize_restarts, sandbox, sandbox_changed, wants_resize, wants_start};
use crate::clock::after;
use crate::config::Timings;
use crate::pod::{self, Kind};
use crate::runtime::{ContainerState, ObservedContainer, ObservedPod, SandboxState};
use crate::status::{DEADLINE, Failed};
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

/// What a plan is made from.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The object.
    pub pod: &'a Pod,
    /// What the runtime has of it.
    pub observed: &'a ObservedPod,
    /// What the worker remembers.
    pub memory: &'a Memory,
    /// Why the pod must end, if it must.
    pub end: Option<&'a End>,
    /// How long things take.
    pub timings: &'a Timings,
    /// The time.
    pub now: Timestamp,
}

/// Why and how a pod ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How long its containers may take to stop.
    pub grace: Duration,
    /// It failed as a whole.
    pub failed: Option<Failed>,
    /// The object has been deleted, or is about to be once nothing of the pod is left.
    pub deleted: bool,
    /// The object is gone already: nobody needs the containers' logs.
    pub gone: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the volumes' directories and fill them.
    Mount,
    /// Make and start a sandbox.
    CreateSandbox {
        /// How many there were before.
        attempt: u32,
    },
    /// Make and start a container.
    Start {
        /// Which.
        name: String,
        /// In which list.
        kind: Kind,
        /// How often it was started before.
        attempt: u32,
        /// When its last run ended, for the back-off.
        finished: Option<Timestamp>,
    },
    /// Stop a container.
    Kill {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
        /// The event's message.
        message: String,
        /// Which probe failed, whose own grace period then counts.
        probe: Option<FailedProbe>,
    },
    /// Give a running container the resources that the pod asks for now.
    Resize {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
    },
    /// Tell that the sandbox is dead.
    TellSandboxChanged,
    /// Stop all containers, sidecars last, with this grace.
    KillAll {
        /// How long they may take.
        grace: Duration,
    },
    /// Stop a sandbox.
    StopSandbox {
        /// Its id.
        id: String,
    },
    /// Remove a dead container that nobody needs any more.
    RemoveContainer {
        /// Its id.
        id: String,
    },
    /// Remove a sandbox with all that is left in it.
    RemoveSandbox {
        /// Its id.
        id: String,
    },
    /// The pod is in its back-off: tell so.
    TellBackOff {
        /// The container.
        name: String,
        /// In which list.
        kind: Kind,
    },
    /// The pod failed as a whole: from now on it ends.
    Fail(Failed),
}

/// A probe whose failure kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedProbe {
    /// livenessProbe
    Liveness,
    /// startupProbe
    Startup,
}

/// What to do, and until when nothing changes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// Containers that wait, with the reason to show.
    pub waiting: Vec<(String, Waiting)>,
    /// Plan again then, even if nothing happened.
    pub wake: Option<Timestamp>,
    /// Nothing of the pod runs, and nothing is to run again.
    pub ended: bool,
}

impl Plan {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// See the module.
pub fn plan(view: View<'_>) -> Plan {
    if let Some(end) = view.end {
        return ending(view, end);
    }
    let mut plan = Plan::default();
    if let Some(failed) = deadline(view, &mut plan) {
        plan.actions.push(Action::Fail(failed));
        return plan;
    }
    if let Some(until) = view.memory.retry_pod.filter(|until| *until > view.now) {
        plan.wake_at(until);
        return plan;
    }
    if !view.memory.mounted {
        plan.actions.push(Action::Mount);
        return plan;
    }
    match sandbox_changed(view.pod, view.observed) {
        Some(attempt) => new_sandbox(view, attempt, &mut plan),
        None => containers(view, &mut plan),
    }
    plan
}

/// `activeDeadlineSeconds` (`active_deadline.go`).
fn deadline(view: View<'_>, plan: &mut Plan) -> Option<Failed> {
    let seconds = pod::spec(view.pod).active_deadline_seconds?;
    let start = view.pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0)?;
    let until = after(start, Duration::from_secs(seconds.try_into().unwrap_or(0)));
    if until > view.now {
        plan.wake_at(until);
        return None;
    }
    Some(Failed { reason: DEADLINE.into(), message: "Pod was active on the node longer than the specified deadline".into() })
}

fn ending(view: View<'_>, end: &End) -> Plan {
    let mut plan = Plan::default();
    let observed = view.observed;
    if any_running(observed) {
        plan.actions.push(Action::KillAll { grace: end.grace });
        return plan;
    }
    for sandbox in observed.sandboxes.iter().filter(|sandbox| sandbox.state != SandboxState::NotReady) {
        plan.actions.push(Action::StopSandbox { id: sandbox.id.clone() });
    }
    plan.ended = plan.actions.is_empty();
    if plan.ended && end.deleted && end.gone {
        plan.actions.extend(observed.containers.iter().map(|container| Action::RemoveContainer { id: container.id.clone() }));
        plan.actions.extend(observed.sandboxes.iter().map(|sandbox| Action::RemoveSandbox { id: sandbox.id.clone() }));
    }
    plan
}

fn never_restarts(pod: &Pod) -> bool {
    pod::restart_policy(pod) == "Never"
}

fn succeeded(observed: &ObservedPod, name: &str) -> bool {
    latest(observed, name).is_some_and(|container| matches!(&container.state, ContainerState::Exited(exit) if exit.code == 0))
}

/// The sandbox is missing or dead: whatever runs in it is killed, and everything starts again in a new one.
fn new_sandbox(view: View<'_>, attempt: u32, plan: &mut Plan) {
    let View { pod, observed, .. } = view;
    let once = |container: &Container| container.restart_policy.as_deref().unwrap_or(pod::restart_policy(pod)) == "OnFailure";
    let created = pod::regular_containers(pod).iter().any(|container| latest(observed, &container.name).is_some());
    let nothing_to_start = pod::regular_containers(pod).iter().all(|container| once(container) && succeeded(observed, &container.name));
    if (never_restarts(pod) && attempt != 0 && !observed.containers.is_empty()) || (nothing_to_start && created) {
        finish(view, plan);
        return;
    }
    if any_running(observed) {
        plan.actions.push(Action::KillAll { grace: grace(pod) });
        return;
    }
    if attempt > 0 && !observed.containers.is_empty() {
        plan.actions.push(Action::TellSandboxChanged);
    }
    for old in &observed.sandboxes {
        if old.state != SandboxState::NotReady {
            plan.actions.push(Action::StopSandbox { id: old.id.clone() });
        }
    }
    plan.actions.push(Action::CreateSandbox { attempt });
    // The first containers are started in the same breath: the sandbox starts while theirs are made.
    if let Some(first) = pod::init_containers(pod).first() {
        start(view, first, Kind::Init, plan);
    } else {
        for container in pod::regular_containers(pod) {
            if !(once(container) && succeeded(observed, &container.name)) {
                start(view, container, Kind::Regular, plan);
            }
        }
    }
}

/// Nothing is left to run: the pod ends by itself, with its exit codes.
fn finish(view: View<'_>, plan: &mut Plan) {
    if any_running(view.observed) {
        plan.actions.push(Action::KillAll { grace: grace(view.pod) });
        return;
    }
    for sandbox in view.observed.sandboxes.iter().filter(|sandbox| sandbox.state != SandboxState::NotReady) {
        plan.actions.push(Action::StopSandbox { id: sandbox.id.clone() });
    }
    plan.ended = plan.actions.is_empty();
}

/// `terminationGracePeriodSeconds`.
pub fn grace(pod: &Pod) -> Duration {
    let seconds = pod::spec(pod).termination_grace_period_seconds.unwrap_or(30);
    Duration::from_secs(seconds.try_into().unwrap_or(0))
}

fn containers(view: View<'_>, plan: &mut Plan) {
    let View { pod, observed, .. } = view;
    for (container, _) in pod::ephemeral_containers(pod) {
        if latest(observed, &container.name).is_none() {
            start(view, &container, Kind::Ephemeral, plan);
        }
    }
    let Some(init) = initial(view, plan) else {
        finish(view, plan);
        return;
    };
    if !init.initialized {
        init.starts.into_iter().for_each(|container| start(view, container, Kind::Init, plan));
        prune(view, plan);
        return;
    }
    let mut kept = 0;
    let mut starts = Vec::new();
    for container in pod::regular_containers(pod) {
        let now = latest(observed, &container.name);
        match now.filter(|container| container.state.is_running()) {
            None => {
                if wants_start(pod, container, now) {
                    starts.push(container);
                }
            }
            Some(running) => match verdict(view, container, running, "Container") {
                None => {
                    resize(view, container, running, plan);
                    kept += 1;
                }
                Some((message, probe, restart)) => {
                    let message = if restart { format!("{message}, will be restarted") } else { message };
                    plan.actions.push(Action::Kill { name: container.name.clone(), id: running.id.clone(), message, probe });
                    kept += usize::from(restart);
                }
            },
        }
    }
    if kept == 0 && starts.is_empty() && plan.actions.is_empty() {
        finish(view, plan);
        return;
    }
    init.starts.into_iter().for_each(|container| start(view, container, Kind::Init, plan));
    starts.into_iter().for_each(|container| start(view, container, Kind::Regular, plan));
    prune(view, plan);
}

/// Why a running container must be killed, and whether it is started again then.
fn verdict(view: View<'_>, container: &Container, running: &ObservedContainer, what: &str) -> Option<(String, Option<FailedProbe>, bool)> {
    let restart = container.restart_policy.as_deref().unwrap_or(pod::restart_policy(view.pod)) != "Never";
    let probed = view.memory.probes.get(&running.id).copied().unwrap_or_default();
    let name = &container.name;
    if running.hash != super::spec::hash(container) {
        return Some((format!("{what} {name} definition changed"), None, true));
    }
    if container.liveness_probe.is_some() && probed.liveness == Some(false) {
        return Some((format!("{what} {name} failed liveness probe"), Some(FailedProbe::Liveness), restart));
    }
    if container.startup_probe.is_some() && probed.startup == Some(false) {
        return Some((format!("{what} {name} failed startup probe"), Some(FailedProbe::Startup), restart));
    }
    None
}

/// Resources that changed are changed in place, or by a restart where the container asks for that (`computePodResizeAction`).
fn resize(view: View<'_>, container: &Container, running: &ObservedContainer, plan: &mut Plan) {
    let View { pod, memory, now, .. } = view;
    if !wants_resize(pod, memory, container, running) || memory.resize.as_ref().is_some_and(|resize| resize.reason != "Error") {
        return;
    }
    let (name, id) = (container.name.clone(), running.id.clone());
    if let Some(until) = memory.retry.get(&id).filter(|until| **until > now) {
        plan.wake_at(*until);
    } else if resize_restarts(pod, memory, container, running) {
        plan.actions.push(Action::Kill { message: format!("Container {name} resize requires restart"), name, id, probe: None });
    } else {
        plan.actions.push(Action::Resize { name, id });
    }
}

struct Initial<'a> {
    initialized: bool,
    starts: Vec<&'a Container>,
}

/// Which init containers to start, and whether the others may run; none where the pod has failed to initialize.
fn initial<'a>(view: View<'a>, plan: &mut Plan) -> Option<Initial<'a>> {
    let View { pod, observed, .. } = view;
    let init = pod::init_containers(pod);
    if init.is_empty() {
        return Some(Initial { initialized: true, starts: Vec::new() });
    }
    let live = |container: &Container| {
        latest(observed, &container.name).is_some_and(|container| matches!(container.state, ContainerState::Created | ContainerState::Running { .. }))
    };
    // Once a container has run in this sandbox, init containers are history, except for sidecars.
    let current = sandbox(observed).map(|sandbox| sandbox.id.as_str());
    let here = |observed: &&ObservedContainer| observed.sandbox.is_empty() || Some(observed.sandbox.as_str()) == current;
    let ran =
        |container: &Container| latest(observed, &container.name).filter(here).is_some_and(|container| matches!(container.state, ContainerState::Exited(_)));
    let mut initialized = pod::regular_containers(pod).iter().any(|container| live(container) || ran(container));
    let mut previously = initialized;
    let mut starts = Vec::new();
    for (index, container) in init.iter().enumerate().rev() {
        let sidecar = pod::is_sidecar(container);
        let Some(now) = latest(observed, &container.name).filter(here) else {
            if previously && sidecar {
                starts.push(container);
            }
            continue;
        };
        if previously && !sidecar {
            continue;
        }
        let mut complete = || {
            if index + 1 == init.len() {
                initialized = true;
            } else if !previously {
                starts.push(&init[index + 1]);
            }
        };
        match &now.state {
            ContainerState::Created => starts.push(container),
            ContainerState::Running { .. } if !sidecar => {}
            ContainerState::Running { .. } => {
                let probed = view.memory.probes.get(&now.id).copied().unwrap_or_default();
                if container.startup_probe.is_none() || probed.startup == Some(true) {
                    complete();
                }
                match verdict(view, container, now, "Init container") {
                    Some((message, probe, _)) => plan.actions.push(Action::Kill { name: container.name.clone(), id: now.id.clone(), message, probe }),
                    None => resize(view, container, now, plan),
                }
            }
            ContainerState::Exited(_) if sidecar => starts.push(container),
            ContainerState::Exited(exit) if exit.code == 0 => complete(),
            ContainerState::Exited(exit) => {
                if !pod::should_restart(pod, container, exit.code) {
                    return None;
                }
                starts.push(container);
            }
        }
        previously = true;
    }
    if !previously {
        starts.push(&init[0]);
    }
    starts.reverse();
    Some(Initial { initialized, starts })
}

/// Starts a container, unless it must wait.
fn start(view: View<'_>, container: &Container, kind: Kind, plan: &mut Plan) {
    let View { pod, observed, memory, now, timings, .. } = view;
    let name = &container.name;
    if let Some(until) = memory.retry.get(name).filter(|until| **until > now) {
        plan.wake_at(*until);
        return;
    }
    let last = latest(observed, name);
    let finished = last.and_then(|last| match &last.state {
        ContainerState::Exited(exit) => Some(exit.finished_at),
        ContainerState::Created | ContainerState::Running { .. } => None,
    });
    if let Some((until, delay)) = finished.and_then(|finished| memory.crash_until(name, finished, now, timings.crash)) {
        let id = pod::id(pod);
        let message = format!("back-off {} restarting failed container={name} pod={}_{}({})", go_duration(delay), id.name, id.namespace, id.uid);
        let waiting = Waiting::new("CrashLoopBackOff", message);
        if memory.waiting.get(name) != Some(&waiting) {
            plan.actions.push(Action::TellBackOff { name: name.clone(), kind });
        }
        plan.waiting.push((name.clone(), waiting));
        plan.wake_at(until);
        return;
    }
    // A container that was made but never ran (the agent died in between) is made anew.
    if let Some(stale) = last.filter(|last| last.state == ContainerState::Created) {
        plan.actions.push(Action::RemoveContainer { id: stale.id.clone() });
    }
    let highest = observed.containers.iter().filter(|container| container.name == *name).map(|container| container.attempt).max();
    let attempt = match (last, highest) {
        (Some(last), _) if last.state == ContainerState::Created => last.attempt,
        (_, Some(highest)) => highest + 1,
        (_, None) => told_restarts(pod, name, kind),
    };
    plan.actions.push(Action::Start { name: name.clone(), kind, attempt, finished });
}

/// The next attempt of a container the runtime has lost, from the status that was told.
fn told_restarts(pod: &Pod, name: &str, kind: Kind) -> u32 {
    let Some(status) = &pod.status else { return 0 };
    let list = match kind {
        Kind::Init => &status.init_container_statuses,
        Kind::Regular => &status.container_statuses,
        Kind::Ephemeral => &status.ephemeral_container_statuses,
    };
    let Some(told) = list.iter().flatten().find(|status| status.name == name) else { return 0 };
    let ran = told.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    u32::try_from(told.restart_count).unwrap_or(0) + u32::from(ran)
}

/// Of each container, the newest and the one before it are kept (`MaxPerPodContainer` 1); of sandboxes, the newest.
fn prune(view: View<'_>, plan: &mut Plan) {
    let observed = view.observed;
    let mut names: Vec<&str> = observed.containers.iter().map(|container| container.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let mut of: Vec<&ObservedContainer> = observed.containers.iter().filter(|container| container.name == name).collect();
        of.sort_by_key(|container| std::cmp::Reverse((container.attempt, container.created_at)));
        let old = of.into_iter().skip(2).filter(|container| !container.state.is_running());
        plan.actions.extend(old.map(|container| Action::RemoveContainer { id: container.id.clone() }));
    }
    let newest = sandbox(observed).map(|sandbox| sandbox.id.as_str());
    let in_use = |id: &str| observed.containers.iter().any(|container| container.sandbox == id);
    let old = observed.sandboxes.iter().filter(|sandbox| Some(sandbox.id.as_str()) != newest && !in_use(&sandbox.id));
    plan.actions.extend(old.map(|sandbox| Action::RemoveSandbox { id: sandbox.id.clone() }));
}

/// As Go prints a whole number of seconds: `10s`, `2m40s`, `5m0s`.
pub fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}
