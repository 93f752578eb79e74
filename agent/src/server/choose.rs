//! Which container a request is about, and kubelet's words where there is none. Pure.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use skiff_proto::status::Status;

use crate::directory::Entry;
use crate::runtime::SandboxState;

/// Why a request cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such pod on this node.
    NoPod(String),
    /// No such container in the pod's spec.
    NoContainer {
        /// The container.
        container: String,
        /// The pod.
        pod: String,
    },
    /// The container does not run.
    NotRunning(String),
    /// There is no log; why.
    NoLog(String),
    /// The pod has no sandbox that runs.
    NoSandbox(String),
}

impl From<Refusal> for tonic::Status {
    /// As kubelet's server and the API server above it make errors of these (`pkg/kubelet/server/server.go`).
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoPod(pod) => Status::failure(404, "NotFound", format!("pod \"{pod}\" does not exist")),
            Refusal::NoContainer { container, pod } => Status::failure(404, "NotFound", format!("container \"{container}\" not found in pod \"{pod}\"")),
            Refusal::NotRunning(container) => {
                let message = format!("Internal error occurred: unable to upgrade connection: container not found (\"{container}\")");
                Status::failure(500, "InternalError", message)
            }
            Refusal::NoLog(why) => Status::failure(400, "BadRequest", why),
            Refusal::NoSandbox(pod) => Status::failure(404, "NotFound", format!("pod \"{pod}\" is not running")),
        }
        .into()
    }
}

/// The container that runs under this name.
pub fn running(entry: &Entry, container: &str) -> Result<String, Refusal> {
    match entry.container(container) {
        Some(found) if found.state.is_running() => Ok(found.id.clone()),
        Some(_) | None => Err(Refusal::NotRunning(container.to_owned())),
    }
}

/// The pod's sandbox.
pub fn sandbox(entry: &Entry) -> Result<String, Refusal> {
    let ready = entry.observed.sandboxes.iter().find(|sandbox| sandbox.state == SandboxState::Ready);
    ready.map(|sandbox| sandbox.id.clone()).ok_or_else(|| Refusal::NoSandbox(name(&entry.pod).to_owned()))
}

/// The container whose log is meant.
pub fn logged(entry: &Entry, container: &str, previous: bool) -> Result<String, Refusal> {
    let pod = name(&entry.pod);
    if !has_container(&entry.pod, container) {
        return Err(Refusal::NoContainer { container: container.to_owned(), pod: pod.to_owned() });
    }
    let id = log_of(pod, &entry.status, container, previous).map_err(Refusal::NoLog)?;
    Ok(id.split_once("://").map_or(id.as_str(), |(_, id)| id).to_owned())
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

fn has_container(pod: &Pod, name: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| &container.name);
    let init = spec.init_containers.iter().flatten().map(|container| &container.name);
    spec.containers.iter().map(|container| &container.name).chain(init).chain(ephemeral).any(|have| have == name)
}

/// Kubelet's `validateContainerLogStatus`: the container id as the status tells it, or why there is no log.
fn log_of(pod: &str, status: &PodStatus, container: &str, previous: bool) -> Result<String, String> {
    let statuses = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let Some(found) = statuses.into_iter().flatten().flatten().find(|status| status.name == container) else {
        return Err(format!("container \"{container}\" in pod \"{pod}\" is not available"));
    };
    let last = last_id(found);
    if previous {
        return last.ok_or_else(|| format!("previous terminated container \"{container}\" in pod \"{pod}\" not found"));
    }
    let terminated = || format!("container \"{container}\" in pod \"{pod}\" is terminated");
    let waiting = |why: &str| Err(format!("container \"{container}\" in pod \"{pod}\" is waiting to start: {why}"));
    let state = found.state.clone().unwrap_or_default();
    if state.running.is_some() {
        return Ok(found.container_id.clone().unwrap_or_default());
    }
    if let Some(state) = state.terminated {
        return state.container_id.filter(|id| !id.is_empty()).or(last).ok_or_else(terminated);
    }
    if found.last_state.as_ref().is_some_and(|last| last.terminated.is_some()) {
        return last.ok_or_else(terminated);
    }
    match state.waiting.map(|waiting| waiting.reason.unwrap_or_default()).as_deref() {
        Some("ErrImagePull") => waiting("image can't be pulled"),
        Some("ImagePullBackOff") => waiting("trying and failing to pull image"),
        Some(reason) => waiting(reason),
        None => Err(format!("container \"{container}\" in pod \"{pod}\" is waiting to start - no logs yet")),
    }
}

fn last_id(status: &ContainerStatus) -> Option<String> {
    status.last_state.as_ref()?.terminated.as_ref()?.container_id.clone().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn answer(state: Value, last: Value, previous: bool) -> Result<String, String> {
        let status = json!({"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "containerID": "docker://now", "state": state, "lastState": last}]});
        log_of("p", &serde_json::from_value(status).unwrap(), "c", previous)
    }

    #[test]
    fn whose_log() {
        let dead = |id: &str| json!({"terminated": {"exitCode": 1, "containerID": id}});
        let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
        let running = || json!({"running": {}});
        let wait = |why: &str| Err(format!("container \"c\" in pod \"p\" is waiting to start{why}"));
        for (state, last, previous, expected) in [
            (running(), json!({}), false, Ok("docker://now".to_owned())),
            (running(), dead("docker://before"), false, Ok("docker://now".to_owned())),
            (running(), dead("docker://before"), true, Ok("docker://before".to_owned())),
            (running(), json!({}), true, Err("previous terminated container \"c\" in pod \"p\" not found".to_owned())),
            (dead("docker://now"), json!({}), false, Ok("docker://now".to_owned())),
            (dead(""), dead("docker://before"), false, Ok("docker://before".to_owned())),
            (dead(""), json!({}), false, Err("container \"c\" in pod \"p\" is terminated".to_owned())),
            (waiting("CrashLoopBackOff"), dead("docker://before"), false, Ok("docker://before".to_owned())),
            (waiting("ContainerCreating"), json!({}), false, wait(": ContainerCreating")),
            (waiting("ErrImagePull"), json!({}), false, wait(": image can't be pulled")),
            (waiting("ImagePullBackOff"), json!({}), false, wait(": trying and failing to pull image")),
            (json!({}), json!({}), false, wait(" - no logs yet")),
        ] {
            assert_eq!(answer(state.clone(), last.clone(), previous), expected, "{state} {last} {previous}");
        }
        assert_eq!(log_of("p", &PodStatus::default(), "c", false), Err("container \"c\" in pod \"p\" is not available".to_owned()));
    }
}
