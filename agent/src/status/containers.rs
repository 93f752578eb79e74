//! Container statuses (`convertToAPIContainerStatuses`, and the prober manager's `UpdatePodStatus`).

use super::{Input, Stage, time};
use crate::pod::{self, Kind};
use crate::runtime::{ContainerState as State, ObservedContainer};
use crate::sync::rules;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, ContainerUser, LinuxContainerUser,
    PodStatus, VolumeMountStatus,
};
use std::collections::BTreeMap;

/// Makes the three lists.
pub fn fill(input: &Input<'_>, status: &mut PodStatus) {
    let old = input.old;
    let mut regular = statuses(input, pod::regular_containers(input.pod), old.container_statuses.as_deref(), Kind::Regular);
    regular.sort_by(|a, b| a.name.cmp(&b.name));
    let init = statuses(input, pod::init_containers(input.pod), old.init_container_statuses.as_deref(), Kind::Init);
    let ephemeral: Vec<Container> = pod::ephemeral_containers(input.pod).into_iter().map(|(container, _)| container).collect();
    let mut ephemeral = statuses(input, &ephemeral, old.ephemeral_container_statuses.as_deref(), Kind::Ephemeral);
    ephemeral.sort_by(|a, b| a.name.cmp(&b.name));
    if input.stage == Stage::Ended {
        terminate(input, &mut init.clone(), &mut regular);
    }
    let some = |list: Vec<ContainerStatus>| Some(list).filter(|list| !list.is_empty());
    status.container_statuses = some(regular);
    status.init_container_statuses = some(init);
    status.ephemeral_container_statuses = some(ephemeral);
}

fn statuses(input: &Input<'_>, containers: &[Container], old: Option<&[ContainerStatus]>, kind: Kind) -> Vec<ContainerStatus> {
    let old: BTreeMap<&str, &ContainerStatus> = old.unwrap_or_default().iter().map(|status| (status.name.as_str(), status)).collect();
    containers.iter().map(|container| one(input, container, old.get(container.name.as_str()).copied(), kind)).collect()
}

fn one(input: &Input<'_>, container: &Container, old: Option<&ContainerStatus>, kind: Kind) -> ContainerStatus {
    let mut seen: Vec<&ObservedContainer> = input.observed.containers.iter().filter(|observed| observed.name == container.name).collect();
    seen.sort_by_key(|observed| std::cmp::Reverse((observed.attempt, observed.created_at)));
    let mut status = match seen.first() {
        Some(newest) => of_observed(input, container, newest),
        None => unseen(input, container, old),
    };
    if let Some(previous) = seen.get(1) {
        status.last_state = Some(state(input, previous));
    } else if seen.len() == 1 && status.restart_count > 0 {
        // The dead one before it has been removed from the runtime: what was told of it stays true.
        let remembered = old.filter(|old| old.container_id != status.container_id).and_then(|old| old.state.clone()).filter(|state| state.terminated.is_some());
        status.last_state = remembered.or_else(|| old.and_then(|old| old.last_state.clone())).or(status.last_state);
    }
    status.volume_mounts = volume_mounts(container);
    wait(input, container, kind, seen.first().copied(), &mut status);
    status.last_state.get_or_insert_default();
    probe(input, container, kind, old, &mut status);
    status
}

/// A container the runtime does not know.
fn unseen(input: &Input<'_>, container: &Container, old: Option<&ContainerStatus>) -> ContainerStatus {
    let reason = if pod::init_containers(input.pod).is_empty() { "ContainerCreating" } else { "PodInitializing" };
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        state: Some(waiting(reason, "")),
        last_state: Some(ContainerState::default()),
        ..ContainerStatus::default()
    };
    let Some(old) = old else { return status };
    if terminated(old.state.as_ref()).is_some() {
        return old.clone();
    }
    status.restart_count = old.restart_count;
    status.last_state = old.last_state.clone();
    let was_running = old.state.as_ref().is_some_and(|state| state.running.is_some());
    if was_running && terminated(status.last_state.as_ref()).is_none() {
        let message = "The container could not be located when the pod was deleted.  The container used to be Running";
        status.last_state = Some(lost(message));
        if !pod::is_deleted(input.pod) {
            status.restart_count += 1;
        }
    }
    status
}

fn of_observed(input: &Input<'_>, container: &Container, observed: &ObservedContainer) -> ContainerStatus {
    let running = observed.state.is_running();
    let told = rules::applied(input.pod, input.memory, observed).filter(|_| running).cloned();
    let held = input.memory.resize.as_ref().is_some_and(|resize| resize.reason != "Error");
    let wanted = container.resources.clone().unwrap_or_default();
    // What has been granted, and what the container has: they differ while it is being resized.
    let granted = if held { told.clone().unwrap_or_else(|| wanted.clone()) } else { wanted.clone() };
    ContainerStatus {
        name: container.name.clone(),
        restart_count: i32::try_from(observed.attempt).unwrap_or(i32::MAX),
        image: observed.image.clone(),
        image_id: observed.image_id.clone(),
        container_id: Some(id(input, observed)),
        state: Some(state(input, observed)),
        last_state: Some(ContainerState::default()),
        allocated_resources: granted.requests,
        resources: Some(told.unwrap_or(wanted)),
        user: observed
            .user
            .as_ref()
            .map(|user| ContainerUser { linux: Some(LinuxContainerUser { uid: user.uid, gid: user.gid, supplemental_groups: Some(user.groups.clone()) }) }),
        stop_signal: container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.clone()),
        ..ContainerStatus::default()
    }
}

fn id(input: &Input<'_>, observed: &ObservedContainer) -> String {
    format!("{}://{}", input.scheme, observed.id)
}

fn state(input: &Input<'_>, observed: &ObservedContainer) -> ContainerState {
    match &observed.state {
        State::Created => waiting("", ""),
        State::Running { started_at } => {
            ContainerState { running: Some(ContainerStateRunning { started_at: Some(time(*started_at)) }), ..ContainerState::default() }
        }
        State::Exited(exit) => {
            let told = input.memory.messages.get(&observed.id).filter(|message| !message.is_empty()).cloned();
            let message = told.or_else(|| Some(exit.message.clone()).filter(|message| !message.is_empty()));
            ContainerState {
                terminated: Some(ContainerStateTerminated {
                    container_id: Some(id(input, observed)),
                    exit_code: exit.code,
                    reason: Some(exit.reason.as_str().to_owned()),
                    message,
                    started_at: Some(time(exit.started_at)),
                    finished_at: Some(time(exit.finished_at)),
                    signal: None,
                }),
                ..ContainerState::default()
            }
        }
    }
}

/// A container that is to be started and could not be is waiting, for the reason remembered.
fn wait(input: &Input<'_>, container: &Container, kind: Kind, latest: Option<&ObservedContainer>, status: &mut ContainerStatus) {
    let succeeded = latest.is_some_and(|latest| matches!(&latest.state, State::Exited(exit) if exit.code == 0));
    let restartable = kind != Kind::Init || pod::is_sidecar(container) || !succeeded;
    if !restartable || input.stage != Stage::Alive || !rules::wants_start(input.pod, container, latest) || (kind == Kind::Ephemeral && latest.is_some()) {
        return;
    }
    let Some(reason) = input.memory.waiting.get(&container.name) else { return };
    if terminated(status.state.as_ref()).is_some() {
        status.last_state = status.state.take();
    }
    status.state = Some(waiting(&reason.reason, &reason.message));
}

/// `started` and `ready`.
fn probe(input: &Input<'_>, container: &Container, kind: Kind, old: Option<&ContainerStatus>, status: &mut ContainerStatus) {
    if kind == Kind::Ephemeral {
        return;
    }
    let running = status.state.as_ref().is_some_and(|state| state.running.is_some());
    let probed =
        status.container_id.as_deref().and_then(|id| id.split_once("://")).and_then(|(_, id)| input.memory.probes.get(id)).copied().unwrap_or_default();
    // A restarted agent has no results yet: what it told of the same container before holds until its probes say otherwise.
    let before = old.filter(|old| old.container_id == status.container_id && old.state.as_ref().is_some_and(|state| state.running.is_some()));
    let started = running
        && match (&container.startup_probe, probed.startup) {
            (None, _) | (_, Some(true)) => true,
            (Some(_), Some(false)) => false,
            (Some(_), None) => before.and_then(|old| old.started).unwrap_or(false),
        };
    status.started = Some(started);
    if kind == Kind::Init && !pod::is_sidecar(container) {
        status.ready = terminated(status.state.as_ref()).is_some_and(|terminated| terminated.exit_code == 0);
        return;
    }
    status.ready = started
        && match (&container.readiness_probe, probed.readiness) {
            (None, _) => true,
            (Some(_), Some(ready)) => ready,
            (Some(_), None) => before.is_some_and(|old| old.ready),
        };
}

/// A pod that has ended has no container that waits, once it was initialized (`status_manager.TerminatePod`).
fn terminate(input: &Input<'_>, init: &mut [ContainerStatus], regular: &mut [ContainerStatus]) {
    let moved =
        |status: &ContainerStatus| terminated(status.last_state.as_ref()).is_some() || status.state.as_ref().is_some_and(|state| state.waiting.is_none());
    let done = |status: &ContainerStatus| {
        let zero = |state: Option<&ContainerState>| terminated(state).is_some_and(|terminated| terminated.exit_code == 0);
        zero(status.state.as_ref()) || zero(status.last_state.as_ref())
    };
    let initialized = pod::init_containers(input.pod).is_empty() || regular.iter().any(moved) || init.last().is_some_and(done);
    if !initialized {
        return;
    }
    for status in regular.iter_mut().filter(|status| terminated(status.state.as_ref()).is_none()) {
        status.state = Some(lost("The container could not be located when the pod was terminated"));
        status.ready = false;
        status.started = Some(false);
    }
}

fn lost(message: &str) -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".into()),
            message: Some(message.into()),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ContainerState { waiting: Some(ContainerStateWaiting { reason: some(reason), message: some(message) }), ..ContainerState::default() }
}

/// How a container ended, if that is its state.
pub fn terminated(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state?.terminated.as_ref()
}

fn volume_mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref().filter(|mounts| !mounts.is_empty())?;
    let told = mounts.iter().map(|mount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only.filter(|read_only| *read_only),
        recursive_read_only: mount.read_only.filter(|read_only| *read_only).map(|_| "Disabled".to_owned()),
    });
    Some(told.collect())
}
