//! Small rules that planning and status share.

use super::memory::Memory;
use crate::pod;
use crate::runtime::{ContainerState, ObservedContainer, ObservedPod, ObservedSandbox, SandboxState};
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// The container of a name that counts: the one that runs, else the newest (`FindContainerStatusByName`).
pub fn latest<'a>(observed: &'a ObservedPod, name: &str) -> Option<&'a ObservedContainer> {
    observed
        .containers
        .iter()
        .filter(|container| container.name == name)
        .max_by_key(|container| (container.state.is_running(), container.attempt, container.created_at))
}

/// The newest sandbox.
pub fn sandbox(observed: &ObservedPod) -> Option<&ObservedSandbox> {
    observed.sandboxes.iter().max_by_key(|sandbox| (sandbox.attempt, sandbox.created_at))
}

/// Whether a new sandbox is needed, and its attempt (`runtimeutil.PodSandboxChanged`).
pub fn sandbox_changed(pod: &Pod, observed: &ObservedPod) -> Option<u32> {
    let Some(latest) = sandbox(observed) else { return Some(0) };
    let ready = observed.sandboxes.iter().filter(|sandbox| sandbox.state == SandboxState::Ready).count();
    let unfit =
        ready > 1 || latest.state != SandboxState::Ready || latest.host_network != pod::host_network(pod) || (!latest.host_network && latest.ip.is_none());
    unfit.then_some(latest.attempt + 1)
}

/// Whether a container that is not running is to be started (`ShouldContainerBeRestarted`).
pub fn wants_start(pod: &Pod, container: &Container, latest: Option<&ObservedContainer>) -> bool {
    if pod::is_deleted(pod) {
        return false;
    }
    match latest.map(|latest| &latest.state) {
        None | Some(ContainerState::Created) => true,
        Some(ContainerState::Running { .. }) => false,
        Some(ContainerState::Exited(exit)) => pod::should_restart(pod, container, exit.code),
    }
}

/// The resources a running container has: what this agent gave it, else what was told of it before; none where nobody knows.
pub fn applied<'a>(pod: &'a Pod, memory: &'a Memory, container: &ObservedContainer) -> Option<&'a ResourceRequirements> {
    let told = || {
        let status = pod.status.as_ref()?;
        let all = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
        let same = |id: &str| id.split_once("://").is_some_and(|(_, id)| id == container.id);
        all.into_iter().find(|status| status.container_id.as_deref().is_some_and(same))?.resources.as_ref()
    };
    memory.applied.get(&container.id).or_else(told)
}

/// Whether a running container has other resources than the pod asks for now (in-place resize).
pub fn wants_resize(pod: &Pod, memory: &Memory, container: &Container, running: &ObservedContainer) -> bool {
    let wanted = container.resources.clone().unwrap_or_default();
    let part = |resources: &ResourceRequirements, name: &str| {
        let of = |list: &Option<BTreeMap<String, Quantity>>| list.as_ref().and_then(|list| list.get(name)).cloned();
        (of(&resources.requests), of(&resources.limits))
    };
    let applied = applied(pod, memory, running);
    applied.is_none_or(|applied| ["cpu", "memory"].iter().any(|name| part(applied, name) != part(&wanted, name)))
}

/// Whether that takes a restart of the container (`resizePolicy`).
pub fn resize_restarts(pod: &Pod, memory: &Memory, container: &Container, running: &ObservedContainer) -> bool {
    let restarting = container.resize_policy.iter().flatten().filter(|policy| policy.restart_policy == "RestartContainer");
    let Some(applied) = applied(pod, memory, running) else { return false };
    let wanted = container.resources.clone().unwrap_or_default();
    let of = |list: &Option<BTreeMap<String, Quantity>>, name: &str| list.as_ref().and_then(|list| list.get(name)).cloned();
    restarting
        .into_iter()
        .map(|policy| policy.resource_name.as_str())
        .any(|name| of(&applied.requests, name) != of(&wanted.requests, name) || of(&applied.limits, name) != of(&wanted.limits, name))
}

/// Whether any of the pod's containers runs.
pub fn any_running(observed: &ObservedPod) -> bool {
    observed.containers.iter().any(|container| container.state.is_running())
}
