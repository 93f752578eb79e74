//! What Docker shows of a container, as the agent wants to know it. Pure.

use std::net::Ipv4Addr;

use bollard::models::{ContainerInspectResponse, ContainerState as DockerState, ContainerStateStatusEnum as Status};
use k8s_openapi::jiff::Timestamp;

use super::super::{ContainerState, Exit, ExitReason, ObservedContainer, ObservedSandbox, ObservedUser, PodId, SandboxState};
use super::create::Shared;
use super::labels::Told;

/// The exit code of a container whose command could not be run, as containerd gives it.
pub const START_ERROR_CODE: i32 = 128;

/// One container of Docker's, pause or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The pod.
    pub pod: PodId,
    /// The process id of its first process; 0 where none runs.
    pub pid: i64,
    /// What it is.
    pub thing: Thing,
}

/// Pause, or a container of the pod spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A pause container.
    Sandbox(ObservedSandbox, Shared),
    /// Any other.
    Container(Box<ObservedContainer>),
}

/// What is known besides from what Docker's events and our own calls said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hearsay {
    /// The kernel has killed something in it for memory: on cgroup v1, Docker's own flag may miss that.
    pub oom: bool,
    /// When starting it failed: Docker notes the error, not the time.
    pub start_failed_at: Option<Timestamp>,
}

/// Reads an inspection; none where the container is not one of ours.
pub fn read(found: &ContainerInspectResponse, hearsay: &Hearsay) -> Option<Seen> {
    let told = Told::read(found.config.as_ref()?.labels.as_ref()?)?;
    let id = found.id.clone()?;
    let state = found.state.clone().unwrap_or_default();
    let created_at = time(found.created.as_deref());
    let host = found.host_config.as_ref();
    let is = |mode: Option<&String>, what: &str| mode.is_some_and(|mode| mode == what);
    let shared = Shared { host_network: is(host.and_then(|h| h.network_mode.as_ref()), "host"), host_ipc: is(host.and_then(|h| h.ipc_mode.as_ref()), "host") };
    let thing = if told.is_sandbox {
        let ip = if shared.host_network { None } else { address(found) };
        Thing::Sandbox(ObservedSandbox { id, attempt: told.attempt, state: sandbox_state(&state), ip, host_network: shared.host_network, created_at }, shared)
    } else {
        Thing::Container(Box::new(ObservedContainer {
            id,
            sandbox: told.sandbox,
            name: told.name,
            attempt: told.attempt,
            image: told.image,
            image_id: found.image.clone().unwrap_or_default(),
            hash: told.hash,
            labels: told.facts,
            created_at,
            state: container_state(&state, hearsay, created_at),
            user: None,
        }))
    };
    Some(Seen { pod: told.pod, pid: state.pid.unwrap_or(0), thing })
}

/// The address asked for: it is there whether the container runs or not.
#[expect(clippy::disallowed_methods, reason = "a container of ours is in one network")]
fn address(found: &ContainerInspectResponse) -> Option<Ipv4Addr> {
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    networks.values().find_map(|endpoint| {
        let asked = endpoint.ipam_config.as_ref().and_then(|config| config.ipv4_address.as_ref());
        asked.or(endpoint.ip_address.as_ref())?.parse().ok()
    })
}

fn has_error(state: &DockerState) -> bool {
    state.error.as_ref().is_some_and(|error| !error.is_empty())
}

fn sandbox_state(state: &DockerState) -> SandboxState {
    match state.status {
        Some(Status::RUNNING | Status::PAUSED) => SandboxState::Ready,
        Some(Status::CREATED) if !has_error(state) => SandboxState::Created,
        Some(Status::CREATED | Status::EXITED | Status::DEAD | Status::REMOVING | Status::STOPPING | Status::RESTARTING | Status::EMPTY) | None => {
            SandboxState::NotReady
        }
    }
}

fn container_state(state: &DockerState, hearsay: &Hearsay, created_at: Timestamp) -> ContainerState {
    match state.status {
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) => {
            ContainerState::Running { started_at: time(state.started_at.as_deref()) }
        }
        Some(Status::CREATED) if !has_error(state) && hearsay.start_failed_at.is_none() => ContainerState::Created,
        Some(Status::CREATED) => ContainerState::Exited(Exit {
            code: START_ERROR_CODE,
            reason: ExitReason::StartError,
            message: state.error.clone().unwrap_or_default(),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: hearsay.start_failed_at.unwrap_or(created_at),
        }),
        Some(Status::EXITED | Status::DEAD | Status::REMOVING | Status::EMPTY) | None => ContainerState::Exited(exit(state, hearsay)),
    }
}

fn exit(state: &DockerState, hearsay: &Hearsay) -> Exit {
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1);
    let oom = hearsay.oom || state.oom_killed == Some(true);
    let reason = match code {
        _ if oom => ExitReason::OomKilled,
        0 => ExitReason::Completed,
        _ => ExitReason::Error,
    };
    let (started_at, finished_at) = (time(state.started_at.as_deref()), time(state.finished_at.as_deref()));
    // Docker may hear of a quick end before it has noted the start.
    Exit { code, reason, message: String::new(), started_at: started_at.min(finished_at), finished_at }
}

/// Docker's time; what never happened is `0001-01-01` to Docker and the epoch here.
fn time(text: Option<&str>) -> Timestamp {
    text.and_then(|text| text.parse().ok()).filter(|time: &Timestamp| *time > Timestamp::UNIX_EPOCH).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Reads `/proc/PID/status`: who the process is.
pub fn user(proc_status: &str) -> Option<ObservedUser> {
    let field = |name: &str| proc_status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.split_whitespace());
    let first = |name: &str| field(name)?.next()?.parse().ok();
    Some(ObservedUser { uid: first("Uid:")?, gid: first("Gid:")?, groups: field("Groups:")?.filter_map(|group| group.parse().ok()).collect() })
}

#[cfg(test)]
mod tests {
    use super::super::labels::Owner;
    use super::*;
    use crate::runtime::{ContainerSpec, SandboxSpec};
    use bollard::models::{ContainerConfig, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkSettings};
    use std::collections::HashMap;

    fn state(status: Status, code: i64, error: &str) -> DockerState {
        DockerState {
            status: Some(status),
            exit_code: Some(code),
            error: Some(error.to_owned()),
            started_at: Some("2026-01-02T03:04:05.123456789Z".to_owned()),
            finished_at: Some("0001-01-01T00:00:00Z".to_owned()),
            ..DockerState::default()
        }
    }

    #[test]
    fn how_containers_end() {
        let failed_at: Timestamp = "2026-01-02T03:04:06Z".parse().unwrap();
        let none = Hearsay::default();
        let oom = Hearsay { oom: true, ..Hearsay::default() };
        let failed = Hearsay { start_failed_at: Some(failed_at), ..Hearsay::default() };
        for (state, hearsay, expected) in [
            (state(Status::EXITED, 0, ""), &none, Some((0, ExitReason::Completed))),
            (state(Status::EXITED, 3, ""), &none, Some((3, ExitReason::Error))),
            (state(Status::EXITED, 137, ""), &oom, Some((137, ExitReason::OomKilled))),
            (DockerState { oom_killed: Some(true), ..state(Status::EXITED, 137, "") }, &none, Some((137, ExitReason::OomKilled))),
            (state(Status::CREATED, 127, "no such file"), &none, Some((128, ExitReason::StartError))),
            (state(Status::CREATED, 0, ""), &failed, Some((128, ExitReason::StartError))),
            (state(Status::CREATED, 0, ""), &none, None),
            (state(Status::RUNNING, 0, ""), &oom, None),
        ] {
            let seen = container_state(&state, hearsay, Timestamp::UNIX_EPOCH);
            let ended = match seen {
                ContainerState::Exited(exit) => Some((exit.code, exit.reason)),
                ContainerState::Created | ContainerState::Running { .. } => None,
            };
            assert_eq!(ended, expected, "{state:?}");
        }
    }

    #[test]
    fn sandboxes() {
        for (state, expected) in [
            (state(Status::CREATED, 0, ""), SandboxState::Created),
            (state(Status::CREATED, 128, "port is already allocated"), SandboxState::NotReady),
            (state(Status::RUNNING, 0, ""), SandboxState::Ready),
            (state(Status::EXITED, 137, ""), SandboxState::NotReady),
        ] {
            assert_eq!(sandbox_state(&state), expected, "{state:?}");
        }
    }

    fn inspection(labels: HashMap<String, String>) -> ContainerInspectResponse {
        let endpoint = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig { ipv4_address: Some("10.20.1.5".to_owned()), ..Default::default() }),
            ip_address: Some(String::new()),
            ..Default::default()
        };
        ContainerInspectResponse {
            id: Some("abc".to_owned()),
            image: Some("sha256:1".to_owned()),
            state: Some(DockerState { pid: Some(7), ..state(Status::RUNNING, 0, "") }),
            config: Some(ContainerConfig { labels: Some(labels), ..Default::default() }),
            host_config: Some(HostConfig { network_mode: Some("skiff-c".into()), ipc_mode: Some("host".into()), ..Default::default() }),
            network_settings: Some(NetworkSettings { networks: Some(HashMap::from([("skiff-c".to_owned(), endpoint)])), ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn inspections() {
        let owner = Owner { cluster: "c".into(), node: "n".into() };
        let pod = PodId { uid: "u".into(), namespace: "ns".into(), name: "p".into() };
        let labels = owner.sandbox_labels(&SandboxSpec { pod: pod.clone(), attempt: 1, ..SandboxSpec::default() });
        let seen = read(&inspection(labels), &Hearsay::default()).unwrap();
        assert_eq!((seen.pod, seen.pid), (pod.clone(), 7));
        let Thing::Sandbox(sandbox, shared) = seen.thing else { panic!("not a sandbox") };
        assert_eq!((sandbox.state, sandbox.ip, sandbox.attempt), (SandboxState::Ready, Some(Ipv4Addr::new(10, 20, 1, 5)), 1));
        assert_eq!(shared, Shared { host_network: false, host_ipc: true });

        let labels = owner.container_labels("sb", &ContainerSpec { pod, name: "app".into(), image: "demo".into(), ..ContainerSpec::default() });
        let Thing::Container(container) = read(&inspection(labels), &Hearsay::default()).unwrap().thing else { panic!("not a container") };
        assert_eq!(
            (container.name.as_str(), container.image.as_str(), container.image_id.as_str(), container.sandbox.as_str()),
            ("app", "demo", "sha256:1", "sb")
        );
        assert!(container.state.is_running());

        assert_eq!(read(&inspection(HashMap::new()), &Hearsay::default()), None);
    }

    #[test]
    fn users() {
        let status = "Name:\tdemo\nUid:\t1000\t1000\t1000\t1000\nGid:\t2000\t2000\t2000\t2000\nFDSize:\t64\nGroups:\t2000 3000 \n";
        assert_eq!(user(status), Some(ObservedUser { uid: 1000, gid: 2000, groups: vec![2000, 3000] }));
        assert_eq!(user("Name:\tdemo\n"), None);
    }
}
