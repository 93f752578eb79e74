//! A pod's specification as a whole, in Kubernetes' order of checks. See `ValidatePodSpec`, `ValidatePodTemplateSpec`.

use serde_json::Value;

use super::amounts::{Of, pod_level, requirements};
use super::containers::{self, Surroundings};
use super::{Options, affinity, env, security, volumes, windows};
use crate::error::FieldError;
use crate::kinds::check::{faults, ip, label, qualified, subdomain};
use crate::kinds::json::{flag, has, int, items, text};
use crate::kinds::labels::{validate_annotations, validate_labels};
use crate::kinds::name;
use crate::kinds::path::Path;

/// `ValidatePodSpec`; `pod` is the whole pod where there is one.
pub fn pod_spec(spec: &Value, pod: Option<&Value>, options: Options, path: &Path, out: &mut Vec<FieldError>) {
    if !has(spec, "terminationGracePeriodSeconds") {
        out.push(FieldError::required(path.child("terminationGracePeriodSeconds"), ""));
    }
    let called = pod.map_or("", |pod| text(&pod["metadata"]["name"]));
    let valid = volumes::volumes(spec, called, options, &path.child("volumes"), out);
    let claims = volumes::resource_claims(pod, spec, &path.child("resourceClaims"), out);
    let surroundings = Surroundings { spec, volumes: &valid, claims: &claims };
    containers::regular(&surroundings, &path.child("containers"), out);
    containers::init(&surroundings, &path.child("initContainers"), out);
    containers::ephemeral(&surroundings, &path.child("ephemeralContainers"), out);
    pod_level(spec, &claims, path, out);
    host_network(spec, options, path, out);
    choices(spec, path, out);
    out.extend(validate_labels(&spec["nodeSelector"], &path.child("nodeSelector")));
    security::of_pod(spec, &path.child("securityContext"), out);
    affinity::affinity(&spec["affinity"], &path.child("affinity"), out);
    dns(spec, &path.child("dnsConfig"), out);
    gates(spec, path, out);
    affinity::spread(&spec["topologySpreadConstraints"], &path.child("topologySpreadConstraints"), out);
    windows::host_processes(spec, path, out);
    security::host_users(spec, path, out);
    hostname_override(spec, path, out);
    names(spec, path, out);
    affinity::tolerations(&spec["tolerations"], &path.child("tolerations"), out);
    host_aliases(spec, &path.child("hostAliases"), out);
    classes(spec, path, out);
    windows::operating_system(spec, path, out);
    env::file_key_volumes(spec, path, out);
}

/// `ValidatePodTemplateSpec`.
pub fn template(template: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let metadata = &template["metadata"];
    out.extend(validate_labels(&metadata["labels"], &path.child("labels")));
    out.extend(validate_annotations(&metadata["annotations"], &path.child("annotations")));
    super::annotations::of_pod(template, &path.child("annotations"), out);
    let spec = &template["spec"];
    pod_spec(spec, None, Options { is_pod: false }, &path.child("spec"), out);
    super::annotations::seccomp_fields(template, &path.child("spec"), out);
    super::annotations::app_armor_fields(template, &path.child("spec"), out);
    if !items(&spec["ephemeralContainers"]).is_empty() {
        let told = "ephemeral containers not allowed in pod template";
        out.push(FieldError::forbidden(path.child("spec").child("ephemeralContainers"), told));
    }
}

/// `validatePodHostNetworkDeps`: on the host's network, container ports are host ports.
fn host_network(spec: &Value, options: Options, path: &Path, out: &mut Vec<FieldError>) {
    if !flag(&spec["hostNetwork"]) {
        return;
    }
    for (index, container) in items(&spec["containers"]).iter().enumerate() {
        for (number, port) in items(&container["ports"]).iter().enumerate() {
            let (host, own) = (int(&port["hostPort"]), int(&port["containerPort"]));
            if (options.is_pod || host != 0) && host != own {
                let at = path.child("containers").index(index).child("ports").index(number).child("hostPort");
                out.push(FieldError::invalid(at, host, "must match `containerPort` when `hostNetwork` is true"));
            }
        }
    }
}

/// Restart and DNS policy.
fn choices(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let known: [(&str, &[&str]); 2] =
        [("restartPolicy", &["Always", "OnFailure", "Never"]), ("dnsPolicy", &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])];
    for (key, values) in known {
        choice(spec, key, values, path, out);
    }
}

fn choice(spec: &Value, key: &str, values: &[&str], path: &Path, out: &mut Vec<FieldError>) {
    let value = text(&spec[key]);
    if value.is_empty() {
        out.push(FieldError::required(path.child(key), ""));
    } else if !values.contains(&value) {
        out.push(FieldError::not_supported_as_listed(path.child(key), value, values));
    }
}

/// `validatePodDNSConfig`.
fn dns(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let config = &spec["dnsConfig"];
    let (servers, searches) = (items(&config["nameservers"]), items(&config["searches"]));
    if text(&spec["dnsPolicy"]) == "None" {
        if config.is_null() {
            out.push(FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        if servers.is_empty() {
            let told = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            out.push(FieldError::required(path.child("nameservers"), told));
            return;
        }
    }
    if servers.len() > 3 {
        out.push(FieldError::invalid(path.child("nameservers"), config["nameservers"].clone(), "must not have more than 3 nameservers"));
    }
    for (index, server) in servers.iter().enumerate() {
        ip(text(server), &path.child("nameservers").index(index), out);
    }
    let at = path.child("searches");
    if searches.len() > 32 {
        out.push(FieldError::invalid(&at, config["searches"].clone(), "must not have more than 32 search paths"));
    }
    let length = searches.iter().map(|search| text(search).len() + 1).sum::<usize>().saturating_sub(1);
    if length > 2048 {
        let told = "must not have more than 2048 characters (including spaces) in the search list";
        out.push(FieldError::invalid(&at, config["searches"].clone(), told));
    }
    for (index, search) in searches.iter().map(text).enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        faults(search, &at.index(index), name::subdomain_with_underscore(search), out);
    }
    for (index, option) in items(&config["options"]).iter().enumerate() {
        if text(&option["name"]).is_empty() {
            out.push(FieldError::required(path.child("options").index(index), "must not be empty"));
        }
    }
}

/// Readiness and scheduling gates.
fn gates(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for (index, gate) in items(&spec["readinessGates"]).iter().enumerate() {
        qualified(text(&gate["conditionType"]), &path.child("readinessGates").index(index).child("conditionType"), out);
    }
    let gates = items(&spec["schedulingGates"]);
    for (index, gate) in gates.iter().enumerate() {
        let (called, at) = (text(&gate["name"]), path.child("schedulingGates").index(index));
        qualified(called, &at, out);
        if gates[..index].iter().any(|before| text(&before["name"]) == called) {
            out.push(FieldError::duplicate(at, called));
        }
    }
}

fn hostname_override(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let Some(wanted) = spec["hostnameOverride"].as_str() else { return };
    let at = path.child("hostnameOverride");
    if flag(&spec["setHostnameAsFQDN"]) {
        out.push(FieldError::forbidden(&at, "may not be specified when setHostnameAsFQDN is true"));
    }
    if flag(&spec["hostNetwork"]) {
        out.push(FieldError::forbidden(&at, "may not be specified when hostNetwork is true"));
    }
    if wanted.len() > 64 {
        out.push(FieldError::too_long(&at, 64));
    }
    subdomain(wanted, &at, out);
}

/// Service account, node, deadline, host name and subdomain.
fn names(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for key in ["serviceAccountName", "nodeName"] {
        let value = text(&spec[key]);
        if !value.is_empty() {
            subdomain(value, &path.child(key), out);
        }
    }
    crate::kinds::check::in_range(spec, "activeDeadlineSeconds", 1, i64::from(i32::MAX), path, out);
    for key in ["hostname", "subdomain"] {
        let value = text(&spec[key]);
        if !value.is_empty() {
            label(value, &path.child(key), out);
        }
    }
}

fn host_aliases(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for (index, alias) in items(&spec["hostAliases"]).iter().enumerate() {
        let at = path.index(index);
        ip(text(&alias["ip"]), &at.child("ip"), out);
        for (number, hostname) in items(&alias["hostnames"]).iter().enumerate() {
            subdomain(text(hostname), &at.child("hostnames").index(number), out);
        }
    }
}

/// Priority, runtime class, preemption, overhead.
fn classes(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let priority = text(&spec["priorityClassName"]);
    if !priority.is_empty() {
        subdomain(priority, &path.child("priorityClassName"), out);
    }
    if has(spec, "runtimeClassName") {
        subdomain(text(&spec["runtimeClassName"]), &path.child("runtimeClassName"), out);
    }
    if has(spec, "preemptionPolicy") {
        choice(spec, "preemptionPolicy", &["PreemptLowerPriority", "Never"], path, out);
    }
    if has(spec, "overhead") {
        let limits = serde_json::json!({"limits": spec["overhead"]});
        requirements(&limits, Of::Container, &std::collections::BTreeSet::new(), &path.child("overhead"), out);
    }
}
