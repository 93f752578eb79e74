//! The phase of a pod (`getPhase`).

use super::containers::terminated;
use super::{Input, Stage};
use crate::pod;
use crate::runtime::ContainerState as State;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodStatus};

/// The phase, which never leaves Succeeded or Failed again.
pub fn settle(input: &Input<'_>, status: &PodStatus) -> &'static str {
    let api = input.pod.status.as_ref().and_then(|status| status.phase.as_deref());
    for kept in ["Failed", "Succeeded"] {
        if input.old.phase.as_deref() == Some(kept) || api == Some(kept) {
            return kept;
        }
    }
    let regular = status.container_statuses.as_deref().unwrap_or_default();
    let init = status.init_container_statuses.as_deref().unwrap_or_default();
    let started = input.observed.containers.iter().any(|observed| {
        !matches!(observed.state, State::Created) && pod::regular_containers(input.pod).iter().any(|container| container.name == observed.name)
    });
    let phase = of(input.pod, init, regular, input.stage != Stage::Alive, started);
    if input.stage == Stage::Ended && !matches!(phase, "Succeeded" | "Failed") { "Failed" } else { phase }
}

#[derive(Default)]
struct Count {
    unknown: u32,
    running: u32,
    waiting: u32,
    stopped: u32,
    restartable: u32,
    succeeded: u32,
}

fn of(pod: &Pod, init: &[ContainerStatus], regular: &[ContainerStatus], ending: bool, started: bool) -> &'static str {
    let mut count = Count::default();
    let mut pending_init = 0;
    let mut pending_sidecars = 0;
    for container in pod::init_containers(pod) {
        let status = init.iter().find(|status| status.name == container.name);
        if pod::is_sidecar(container) {
            sidecar(status, &mut count, &mut pending_sidecars);
        } else {
            match ended(status) {
                Some(code) if code != 0 && !pod::should_restart(pod, container, code) => return "Failed",
                Some(_) => {}
                None => pending_init += 1,
            }
        }
    }
    for container in pod::regular_containers(pod) {
        tally(pod, container, regular.iter().find(|status| status.name == container.name), &mut count);
    }
    if pending_init > 0 || (pending_sidecars > 0 && !started) || count.waiting > 0 {
        return "Pending";
    }
    if count.unknown > 0 {
        return "Pending";
    }
    if count.running > 0 {
        return "Running";
    }
    if count.stopped == 0 {
        return "Pending";
    }
    if !ending && count.restartable > 0 {
        return "Running";
    }
    if count.stopped == count.succeeded { "Succeeded" } else { "Failed" }
}

/// The code an init container ended with, now or before it waits to be started again; none while it has not.
fn ended(status: Option<&ContainerStatus>) -> Option<i32> {
    let status = status?;
    let state = status.state.as_ref()?;
    if state.running.is_some() {
        return None;
    }
    let last = if state.waiting.is_some() { status.last_state.as_ref() } else { Some(state) };
    terminated(last).map(|terminated| terminated.exit_code)
}

fn sidecar(status: Option<&ContainerStatus>, count: &mut Count, pending: &mut u32) {
    let Some(state) = status.and_then(|status| status.state.as_ref()) else {
        count.unknown += 1;
        return;
    };
    if state.running.is_some() {
        if status.and_then(|status| status.started) != Some(true) {
            *pending += 1;
        }
        count.running += 1;
    } else if state.waiting.is_some() && terminated(status.and_then(|status| status.last_state.as_ref())).is_none() {
        *pending += 1;
        count.waiting += 1;
    }
}

fn tally(pod: &Pod, container: &Container, status: Option<&ContainerStatus>, count: &mut Count) {
    let Some(state) = status.and_then(|status| status.state.as_ref()) else {
        count.unknown += 1;
        return;
    };
    if state.running.is_some() {
        count.running += 1;
    } else if let Some(end) = &state.terminated {
        count.stopped += 1;
        count.succeeded += u32::from(end.exit_code == 0);
        count.restartable += u32::from(pod::should_restart(pod, container, end.exit_code));
    } else if let Some(end) = terminated(status.and_then(|status| status.last_state.as_ref())) {
        count.stopped += 1;
        count.restartable += u32::from(pod::should_restart(pod, container, end.exit_code));
    } else {
        count.waiting += 1;
    }
}
