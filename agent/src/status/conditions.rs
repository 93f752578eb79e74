//! The conditions of a pod (`pkg/kubelet/status/generate.go`).

use super::{Input, time};
use crate::pod;
use crate::sync::rules;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};

/// The conditions that a kubelet owns, in the order it writes them.
pub const OWNED: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// The conditions that a kubelet owns and that are there only while they say something.
pub const PASSING: [&str; 2] = ["PodResizePending", "PodResizeInProgress"];

/// Whether a condition is a kubelet's.
pub fn is_ours(kind: &str) -> bool {
    OWNED.contains(&kind) || PASSING.contains(&kind)
}

/// Sets the owned conditions; those of others stay as they are.
pub fn fill(input: &Input<'_>, status: &mut PodStatus) {
    let api = input.pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let mut conditions: Vec<PodCondition> = api.iter().filter(|condition| !is_ours(&condition.type_)).cloned().collect();
    let facts = containers_ready(input, status);
    let ready = if facts.0 { gates(input, &conditions) } else { facts.clone() };
    let networked = rules::sandbox_changed(input.pod, input.observed).is_none();
    let made = [(networked, None, None), initialized(input, status), ready, facts, (true, None, None)];
    let resize = input.memory.resize.as_ref().filter(|_| input.stage == super::Stage::Alive).map(|resize| {
        let kind = if resize.reason == "Error" { PASSING[1] } else { PASSING[0] };
        (kind, (true, Some(resize.reason.clone()), Some(resize.message.clone())))
    });
    for (kind, (is_true, reason, message)) in resize.into_iter().chain(OWNED.into_iter().zip(made)) {
        let word = if is_true { "True" } else { "False" };
        conditions.push(PodCondition {
            type_: kind.to_owned(),
            status: word.to_owned(),
            reason,
            message,
            observed_generation: input.pod.metadata.generation,
            last_transition_time: Some(transition(input, kind, word)),
            last_probe_time: None,
        });
    }
    status.conditions = Some(conditions);
}

/// True or not, why, and in words.
type Finding = (bool, Option<String>, Option<String>);

fn transition(input: &Input<'_>, kind: &str, word: &str) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    let api = input.pod.status.as_ref();
    let lists = [Some(input.old), api].into_iter().flatten().filter_map(|status| status.conditions.as_deref());
    let same = lists.flatten().find(|condition| condition.type_ == kind && condition.status == word);
    same.and_then(|condition| condition.last_transition_time.clone()).unwrap_or_else(|| time(input.now))
}

fn find<'a>(statuses: Option<&'a [ContainerStatus]>, name: &str) -> Option<&'a ContainerStatus> {
    statuses?.iter().find(|status| status.name == name)
}

/// `[a b]`, as Go prints a slice of strings.
fn slice(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

fn containers_ready(input: &Input<'_>, status: &PodStatus) -> Finding {
    let sidecars = pod::init_containers(input.pod).iter().filter(|container| pod::is_sidecar(container));
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    let lists = sidecars.map(|container| (container, status.init_container_statuses.as_deref()));
    let lists = lists.chain(pod::regular_containers(input.pod).iter().map(|container| (container, status.container_statuses.as_deref())));
    for (container, statuses) in lists {
        match find(statuses, &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    match status.phase.as_deref() {
        Some("Succeeded") if unknown.is_empty() => return (false, Some("PodCompleted".into()), None),
        Some("Failed") => return (false, Some("PodFailed".into()), None),
        _ => {}
    }
    match said(&unknown, &unready, "unready") {
        None => (true, None, None),
        message => (false, Some("ContainersNotReady".into()), message),
    }
}

fn said(unknown: &[&str], other: &[&str], word: &str) -> Option<String> {
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("containers with unknown status: {}", slice(unknown)));
    }
    if !other.is_empty() {
        parts.push(format!("containers with {word} status: {}", slice(other)));
    }
    Some(parts.join(", ")).filter(|message| !message.is_empty())
}

fn gates(input: &Input<'_>, conditions: &[PodCondition]) -> Finding {
    let mut messages = Vec::new();
    for gate in pod::spec(input.pod).readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        match conditions.iter().find(|condition| condition.type_ == *kind) {
            None => messages.push(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")),
            Some(condition) if condition.status != "True" => {
                messages.push(format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {}", condition.status));
            }
            Some(_) => {}
        }
    }
    if messages.is_empty() { (true, None, None) } else { (false, Some("ReadinessGatesNotReady".into()), Some(messages.join(", "))) }
}

fn initialized(input: &Input<'_>, status: &PodStatus) -> Finding {
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in pod::init_containers(input.pod) {
        match find(status.init_container_statuses.as_deref(), &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) => {
                let done = if pod::is_sidecar(container) { status.started == Some(true) } else { status.ready };
                if !done {
                    incomplete.push(container.name.as_str());
                }
            }
        }
    }
    if status.phase.as_deref() == Some("Succeeded") && unknown.is_empty() {
        return (true, Some("PodCompleted".into()), None);
    }
    let moved = |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    if status.container_statuses.iter().flatten().any(moved) {
        return (true, None, None);
    }
    match said(&unknown, &incomplete, "incomplete") {
        None => (true, None, None),
        message => (false, Some("ContainersNotInitialized".into()), message),
    }
}
