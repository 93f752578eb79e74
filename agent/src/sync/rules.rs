//! Small rules that planning and status share.

use crate::pod;
use crate::runtime::{ContainerState, ObservedContainer, ObservedPod, ObservedSandbox, SandboxState};
use k8s_openapi::api::core::v1::{Container, Pod};

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

/// Whether any of the pod's containers runs.
pub fn any_running(observed: &ObservedPod) -> bool {
    observed.containers.iter().any(|container| container.state.is_running())
}
