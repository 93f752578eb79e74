//! What differs by operating system. See `validateWindowsSecurityContextOptions`, `validateWindowsHostProcessPod`, `validateOS`.

use serde_json::Value;

use super::visit_containers;
use crate::error::FieldError;
use crate::kinds::json::{flag, has, is_empty, text};
use crate::kinds::name;
use crate::kinds::path::Path;

/// `validateWindowsSecurityContextOptions`.
pub fn windows_options(options: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if let Some(resource) = options["gmsaCredentialSpecName"].as_str() {
        crate::kinds::check::faults(resource, &path.child("gmsaCredentialSpecName"), name::subdomain(resource), out);
    }
    if let Some(spec) = options["gmsaCredentialSpec"].as_str() {
        let at = path.child("gmsaCredentialSpec");
        if spec.is_empty() {
            out.push(FieldError::invalid(at, spec, "gmsaCredentialSpec cannot be an empty string"));
        } else if spec.len() > 64 * 1024 {
            out.push(FieldError::invalid(at, spec, "gmsaCredentialSpec size must be under 64 KiB"));
        }
    }
    if let Some(user) = options["runAsUserName"].as_str() {
        let told = user_name(user);
        out.extend(told.into_iter().map(|fault| FieldError::invalid(path.child("runAsUserName"), user, fault)));
    }
}

/// `DOMAIN\user`, the domain optional.
fn user_name(value: &str) -> Vec<&'static str> {
    if value.is_empty() {
        return vec!["runAsUserName cannot be an empty string"];
    }
    if value.contains(|c: char| c.is_ascii_control()) {
        return vec!["runAsUserName cannot contain control characters"];
    }
    let (domain, user) = match value.split('\\').collect::<Vec<_>>()[..] {
        [user] => (None, user),
        [domain, user] => (Some(domain), user),
        _ => return vec!["runAsUserName cannot contain more than one backslash"],
    };
    let mut told = Vec::new();
    if domain.is_some_and(|domain| domain.len() >= 256) {
        told.push("runAsUserName's Domain length must be under 256 characters");
    }
    if domain.is_some_and(|domain| !is_domain(domain)) {
        told.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    }
    if user.is_empty() {
        told.push("runAsUserName's User cannot be empty");
    } else if user.len() > 104 {
        told.push("runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.chars().all(|c| c == '.' || c == ' ') {
        told.push("runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(|c: char| "\"/\\:;|=,+*?<>@[]".contains(c)) {
        told.push("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
    }
    told
}

/// A NetBIOS or a DNS name.
fn is_domain(domain: &str) -> bool {
    let length = domain.chars().count();
    let netbios = (1..=15).contains(&length) && !domain.starts_with('.') && !domain.contains(|c: char| "\\/:*?\"<>|".contains(c));
    let label = |part: &str| {
        let ends = |c: char| c.is_ascii_alphanumeric();
        part.len() <= 63 && part.starts_with(ends) && part.ends_with(ends) && part.chars().all(|c| ends(c) || c == '-')
    };
    netbios || domain.split('.').all(label)
}

/// `validateWindowsHostProcessPod`: all containers are host processes or none, and then on the host's network.
pub fn host_processes(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let of = |object: &Value| object["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let pod = of(spec);
    let containers = visit_containers(spec, path);
    let mut processes = 0;
    for (container, at) in &containers {
        let own = of(container);
        if let (Some(pod), Some(own)) = (pod, own)
            && pod != own
        {
            let told = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            let at = at.child("securityContext").child("windowsOptions").child("hostProcess");
            out.push(FieldError::invalid(at, own, told));
        }
        if own.or(pod) == Some(true) {
            processes += 1;
        }
    }
    if processes == 0 {
        return;
    }
    if processes != containers.len() {
        let told = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        out.push(FieldError::invalid(path, "", told));
    }
    if !flag(&spec["hostNetwork"]) {
        let told = "hostNetwork must be true if pod contains any hostProcess containers";
        out.push(FieldError::invalid(path.child("hostNetwork"), false, told));
    }
}

/// `validateOS`, then what may not be set for it.
pub fn operating_system(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if !has(spec, "os") {
        return;
    }
    let at = path.child("os");
    match text(&spec["os"]["name"]) {
        "" => out.push(FieldError::required(at.child("name"), "")),
        "linux" => linux(spec, path, out),
        "windows" => windows(spec, path, out),
        other => out.push(FieldError::not_supported(at, other, &["linux", "windows"])),
    }
}

fn linux(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let pod = std::iter::once((spec, path.clone()));
    for (object, at) in pod.chain(visit_containers(spec, path)) {
        if has(&object["securityContext"], "windowsOptions") {
            let at = at.child("securityContext").child("windowsOptions");
            out.push(FieldError::forbidden(at, "windows options cannot be set for a linux pod"));
        }
    }
}

fn windows(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    const TOLD: &str = "cannot be set for a windows pod";
    let context = path.child("securityContext");
    // In Kubernetes' order: some live in the pod's security context, some (told without it) in the specification.
    let of_pod = [
        ("appArmorProfile", true),
        ("seLinuxOptions", true),
        ("hostUsers", false),
        ("hostPID", false),
        ("hostIPC", false),
        ("seccompProfile", true),
        ("fsGroup", true),
        ("fsGroupChangePolicy", true),
        ("sysctls", true),
        ("shareProcessNamespace", false),
        ("runAsUser", true),
        ("runAsGroup", true),
        ("supplementalGroups", true),
        ("supplementalGroupsPolicy", true),
        ("seLinuxChangePolicy", true),
    ];
    for (key, inner) in of_pod {
        let value = if inner { &spec["securityContext"][key] } else { &spec[key] };
        let set = match key {
            "hostPID" | "hostIPC" => flag(value),
            "sysctls" => !is_empty(value),
            _ => !value.is_null(),
        };
        if set {
            out.push(FieldError::forbidden(if inner { context.child(key) } else { path.child(key) }, TOLD));
        }
    }
    let of_container = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "privileged",
        "allowPrivilegeEscalation",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ];
    for (container, at) in visit_containers(spec, path) {
        for key in of_container.iter().filter(|key| has(&container["securityContext"], key)) {
            out.push(FieldError::forbidden(at.child("securityContext").child(key), TOLD));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names() {
        for (value, faults) in [("user", 0), ("DOMAIN\\user", 0), ("a.example.com\\user", 0), ("", 1), ("a\\b\\c", 1), ("..", 1), ("a?", 1), (".x\\u", 1)] {
            assert_eq!(user_name(value).len(), faults, "{value}");
        }
    }
}
