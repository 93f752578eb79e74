//! The lists of containers: regular, init, ephemeral. See `validateContainers`, `validateInitContainers`, `validateEphemeralContainers`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::amounts::{Of, requirements};
use super::mounts::{Volumes, volumes_of};
use super::probes::{lifecycle, probes};
use super::{env, security};
use crate::error::FieldError;
use crate::kinds::check::{faults, label, required};
use crate::kinds::json::{has, int, is_empty, items, text};
use crate::kinds::name;
use crate::kinds::path::Path;

/// What containers are checked against: their pod.
pub struct Surroundings<'a> {
    /// The pod's specification.
    pub spec: &'a Value,
    /// Its valid volumes.
    pub volumes: &'a Volumes<'a>,
    /// The names of its device claims.
    pub claims: &'a BTreeSet<&'a str>,
}

/// `validateContainers`.
pub fn regular(pod: &Surroundings<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let containers = items(&pod.spec["containers"]);
    if containers.is_empty() {
        out.push(FieldError::required(path, ""));
        return;
    }
    let mut names = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let at = path.index(index);
        common(container, pod, &at, out);
        let called = text(&container["name"]);
        if !names.insert(called) {
            out.push(FieldError::duplicate(at.child("name"), called));
        }
        if has(container, "lifecycle") {
            lifecycle(container, pod.spec, &at.child("lifecycle"), out);
        }
        probes(container, &at, out);
        restart_policy(container, &at, out);
    }
    host_port_conflicts(containers, path, out);
}

/// `validateInitContainers`: only those that keep running (sidecars) have hooks and probes.
pub fn init(pod: &Surroundings<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let mut names: BTreeSet<&str> = items(&pod.spec["containers"]).iter().map(|container| text(&container["name"])).collect();
    for (index, container) in items(&pod.spec["initContainers"]).iter().enumerate() {
        let at = path.index(index);
        common(container, pod, &at, out);
        let sidecar = text(&container["restartPolicy"]) == "Always";
        if !sidecar {
            restart_policy(container, &at, out);
        } else if !is_empty(&container["restartPolicyRules"]) {
            let told = "restartPolicyRules are not allowed for init containers with restart policy Always";
            out.push(FieldError::forbidden(at.child("restartPolicyRules"), told));
        }
        let called = text(&container["name"]);
        if names.contains(called) {
            out.push(FieldError::duplicate(at.child("name"), called));
        } else if !called.is_empty() {
            names.insert(called);
        }
        host_port_conflicts(std::slice::from_ref(container), path, out);
        if sidecar {
            if has(container, "lifecycle") {
                lifecycle(container, pod.spec, &at.child("lifecycle"), out);
            }
            probes(container, &at, out);
            continue;
        }
        for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if has(container, key) {
                out.push(FieldError::forbidden(at.child(key), "may not be set for init containers without restartPolicy=Always"));
            }
        }
    }
}

/// `validateEphemeralContainers`: no ports, probes, hooks or resources.
pub fn ephemeral(pod: &Surroundings<'_>, path: &Path, out: &mut Vec<FieldError>) {
    const TOLD: &str = "cannot be set for an Ephemeral Container";
    let of = |list: &str| items(&pod.spec[list]).iter().map(|container| text(&container["name"]));
    let others: BTreeSet<&str> = of("containers").chain(of("initContainers")).collect();
    let mut names = others.clone();
    for (index, container) in items(&pod.spec["ephemeralContainers"]).iter().enumerate() {
        let at = path.index(index);
        common(container, pod, &at, out);
        image_spaces(container, &at, out);
        let called = text(&container["name"]);
        if !names.insert(called) {
            out.push(FieldError::duplicate(at.child("name"), called));
        }
        let target = text(&container["targetContainerName"]);
        if !target.is_empty() && !others.contains(target) {
            out.push(FieldError::not_found(at.child("targetContainerName"), target));
        }
        let forbidden =
            ["ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"];
        for key in forbidden.iter().filter(|key| !is_empty(&container[**key])) {
            out.push(FieldError::forbidden(at.child(key), TOLD));
        }
        for (index, mount) in items(&container["volumeMounts"]).iter().enumerate() {
            for key in ["subPath", "subPathExpr"] {
                if !is_empty(&mount[key]) {
                    out.push(FieldError::forbidden(at.child("volumeMounts").index(index).child(key), TOLD));
                }
            }
        }
    }
}

/// `validateContainerCommon`.
fn common(container: &Value, pod: &Surroundings<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let called = text(&container["name"]);
    if required(called, &path.child("name"), out) {
        label(called, &path.child("name"), out);
    }
    required(text(&container["image"]), &path.child("image"), out);
    let at = path.child("terminationMessagePolicy");
    match text(&container["terminationMessagePolicy"]) {
        "File" | "FallbackToLogsOnError" => {}
        "" => out.push(FieldError::required(at, "")),
        other => out.push(FieldError::not_supported_as_listed(at, other, &["File", "FallbackToLogsOnError"])),
    }
    ports(&container["ports"], &path.child("ports"), out);
    env::env(&container["env"], &path.child("env"), out);
    env::env_from(&container["envFrom"], &path.child("envFrom"), out);
    volumes_of(container, pod.volumes, path, out);
    pull_policy(text(&container["imagePullPolicy"]), &path.child("imagePullPolicy"), out);
    requirements(&container["resources"], Of::Container, pod.claims, &path.child("resources"), out);
    resize_policy(container, text(&pod.spec["restartPolicy"]), &path.child("resizePolicy"), out);
    let host_users = pod.spec["hostUsers"].as_bool() != Some(false);
    security::of_container(container, host_users, &path.child("securityContext"), out);
}

fn ports(ports: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let mut names = BTreeSet::new();
    for (index, port) in items(ports).iter().enumerate() {
        let at = path.index(index);
        let called = text(&port["name"]);
        if !called.is_empty() {
            let told = name::port_name(called);
            if !told.is_empty() {
                faults(called, &at.child("name"), told, out);
            } else if !names.insert(called) {
                out.push(FieldError::duplicate(at.child("name"), called));
            }
        }
        let number = int(&port["containerPort"]);
        if number == 0 {
            out.push(FieldError::required(at.child("containerPort"), ""));
        } else {
            port_number(number, &at.child("containerPort"), out);
        }
        if int(&port["hostPort"]) != 0 {
            port_number(int(&port["hostPort"]), &at.child("hostPort"), out);
        }
        let protocol = text(&port["protocol"]);
        if required(protocol, &at.child("protocol"), out) {
            crate::kinds::check::one_of(protocol, &["SCTP", "TCP", "UDP"], &at.child("protocol"), out);
        }
    }
}

fn port_number(number: i64, path: &Path, out: &mut Vec<FieldError>) {
    out.extend(name::port_number(number).into_iter().map(|fault| FieldError::invalid(path, number, fault)));
}

/// `checkHostPortConflicts`.
fn host_port_conflicts(containers: &[Value], path: &Path, out: &mut Vec<FieldError>) {
    let mut taken = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        for (number, port) in items(&container["ports"]).iter().enumerate() {
            let wanted = int(&port["hostPort"]);
            if wanted == 0 {
                continue;
            }
            let shown = format!("{}/{}/{wanted}", text(&port["protocol"]), text(&port["hostIP"]));
            if !taken.insert(shown.clone()) {
                let at = path.index(index).child("ports").index(number).child("hostPort");
                out.push(FieldError::duplicate(at, shown));
            }
        }
    }
}

/// `validatePullPolicy`.
pub fn pull_policy(policy: &str, path: &Path, out: &mut Vec<FieldError>) {
    match policy {
        "Always" | "IfNotPresent" | "Never" => {}
        "" => out.push(FieldError::required(path, "")),
        other => out.push(FieldError::not_supported(path, other, &["Always", "IfNotPresent", "Never"])),
    }
}

fn resize_policy(container: &Value, restart: &str, path: &Path, out: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, policy) in items(&container["resizePolicy"]).iter().enumerate() {
        let (resource, how) = (text(&policy["resourceName"]), text(&policy["restartPolicy"]));
        if !seen.insert(resource) {
            out.push(FieldError::duplicate(path.index(index), resource));
        }
        match resource {
            "cpu" | "memory" => {}
            "" => out.push(FieldError::required(path, "")),
            other => out.push(FieldError::not_supported(path, other, &["cpu", "memory"])),
        }
        match how {
            "NotRequired" | "RestartContainer" => {}
            "" => out.push(FieldError::required(path, "")),
            other => out.push(FieldError::not_supported(path, other, &["NotRequired", "RestartContainer"])),
        }
        if restart == "Never" && how != "NotRequired" {
            out.push(FieldError::invalid(path, how, "must be 'NotRequired' when `restartPolicy` is 'Never'"));
        }
    }
}

/// `validateContainerRestartPolicy`.
fn restart_policy(container: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let rules = items(&container["restartPolicyRules"]);
    let at = path.child("restartPolicy");
    match container["restartPolicy"].as_str() {
        None if rules.is_empty() => return,
        None => out.push(FieldError::required(at, "must specify restartPolicy when restart rules are used")),
        Some(policy) => crate::kinds::check::one_of(policy, &["Always", "Never", "OnFailure"], &at, out),
    }
    if rules.len() > 20 {
        out.push(FieldError::too_long(path.child("restartPolicyRules"), 20));
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = path.child("restartPolicyRules").index(index);
        crate::kinds::check::one_of(text(&rule["action"]), &["Restart"], &at.child("action"), out);
        let codes = &rule["exitCodes"];
        if codes.is_null() {
            out.push(FieldError::required(at.child("exitCodes"), "must be specified"));
            continue;
        }
        let at = at.child("exitCodes");
        crate::kinds::check::one_of(text(&codes["operator"]), &["In", "NotIn"], &at.child("operator"), out);
        if items(&codes["values"]).len() > 255 {
            out.push(FieldError::too_long(at.child("values"), 255));
        }
    }
}

/// `validateContainerOnlyForPod`.
pub fn image_spaces(container: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let image = text(&container["image"]);
    if image.trim() != image {
        out.push(FieldError::invalid(path.child("image"), image, "must not have leading or trailing whitespace"));
    }
}
