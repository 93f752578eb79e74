//! Security contexts of pods and containers. See `validatePodSpecSecurityContext`, `ValidateSecurityContext`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::paths::descending;
use super::visit_containers;
use super::windows::windows_options;
use crate::error::FieldError;
use crate::kinds::check::one_of;
use crate::kinds::json::{flag, has, int, items, text};
use crate::kinds::name;
use crate::kinds::path::Path;

/// `validatePodSpecSecurityContext`.
pub fn of_pod(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let context = &spec["securityContext"];
    if context.is_null() {
        return;
    }
    for key in ["fsGroup", "runAsUser", "runAsGroup"] {
        identity(context, key, path, out);
    }
    for (index, group) in items(&context["supplementalGroups"]).iter().enumerate() {
        let (group, at) = (int(group), path.child("supplementalGroups").index(index));
        out.extend(name::user_id(group).into_iter().map(|fault| FieldError::invalid(&at, group, fault)));
    }
    if flag(&spec["shareProcessNamespace"]) && flag(&spec["hostPID"]) {
        let told = "ShareProcessNamespace and HostPID cannot both be enabled";
        out.push(FieldError::invalid(path.child("shareProcessNamespace"), true, told));
    }
    sysctls(spec, &path.child("sysctls"), out);
    if has(context, "fsGroupChangePolicy") {
        one_of(text(&context["fsGroupChangePolicy"]), &["Always", "OnRootMismatch"], &path.child("fsGroupChangePolicy"), out);
    }
    seccomp(&context["seccompProfile"], &path.child("seccompProfile"), out);
    windows_options(&context["windowsOptions"], &path.child("windowsOptions"), out);
    app_armor(&context["appArmorProfile"], &path.child("appArmorProfile"), out);
    if has(context, "supplementalGroupsPolicy") {
        one_of(text(&context["supplementalGroupsPolicy"]), &["Merge", "Strict"], &path.child("supplementalGroupsPolicy"), out);
    }
    if has(context, "seLinuxChangePolicy") {
        one_of(text(&context["seLinuxChangePolicy"]), &["Recursive"], &path.child("seLinuxChangePolicy"), out);
    }
}

fn identity(context: &Value, key: &str, path: &Path, out: &mut Vec<FieldError>) {
    crate::kinds::check::in_range(context, key, 0, i64::from(i32::MAX), path, out);
}

fn sysctls(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, sysctl) in items(&spec["securityContext"]["sysctls"]).iter().enumerate() {
        let (called, at) = (text(&sysctl["name"]), path.index(index).child("name"));
        if called.is_empty() {
            out.push(FieldError::required(&at, ""));
        } else if !is_sysctl(called) {
            let told = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            out.push(FieldError::invalid(&at, called, told));
        } else if seen.contains(called) {
            out.push(FieldError::duplicate(&at, called));
        }
        match namespace_of(called) {
            Some("net") if flag(&spec["hostNetwork"]) => {
                out.push(FieldError::invalid(&at, called, "may not be specified when 'hostNetwork' is true"));
            }
            Some("ipc") if flag(&spec["hostIPC"]) => {
                out.push(FieldError::invalid(&at, called, "may not be specified when 'hostIPC' is true"));
            }
            _ => {}
        }
        seen.insert(called);
    }
}

/// `IsValidSysctlName`.
fn is_sysctl(value: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let segment = |part: &str| {
        let bytes = part.as_bytes();
        matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if good(*first) && good(*last))
            && bytes.iter().all(|b| good(*b) || *b == b'-' || *b == b'_')
    };
    value.len() <= 253 && value.split(['.', '/']).all(segment)
}

/// Which namespace a sysctl belongs to (`component-helpers/node/util/sysctl`).
fn namespace_of(sysctl: &str) -> Option<&'static str> {
    let dotted = sysctl.replace('/', ".");
    if dotted.starts_with("net.") {
        return Some("net");
    }
    let ipc = dotted == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| dotted.starts_with(prefix));
    ipc.then_some("ipc")
}

/// `validateSeccompProfileField`.
fn seccomp(profile: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if profile.is_null() {
        return;
    }
    let kind = text(&profile["type"]);
    match kind {
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        "" => out.push(FieldError::required(path.child("type"), "type is required when seccompProfile is set")),
        other => {
            let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
            out.push(FieldError::not_supported_as_listed(path.child("type"), other, &kinds));
        }
    }
    let at = path.child("localhostProfile");
    match (kind == "Localhost", profile["localhostProfile"].as_str()) {
        (true, None) => out.push(FieldError::required(at, "must be set when seccomp type is Localhost")),
        (true, Some(file)) => descending(file, &at, out),
        (false, Some(file)) => {
            let shown = format!("{{\"Type\":{},\"LocalhostProfile\":{}}}", Value::from(kind), Value::from(file));
            out.push(FieldError::invalid_shown(at, shown, "can only be set when seccomp type is Localhost"));
        }
        (false, None) => {}
    }
}

/// `ValidateAppArmorProfileField`.
pub fn app_armor(profile: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if profile.is_null() {
        return;
    }
    let at = path.child("localhostProfile");
    let file = profile["localhostProfile"].as_str();
    match text(&profile["type"]) {
        "Localhost" => match file {
            None => out.push(FieldError::required(&at, "must be set when AppArmor type is Localhost")),
            Some(file) => {
                if file.trim() != file {
                    out.push(FieldError::invalid(&at, file, "must not be padded with whitespace"));
                } else if file.is_empty() {
                    out.push(FieldError::required(&at, "must be set when AppArmor type is Localhost"));
                }
                if file.len() > 4095 {
                    out.push(FieldError::too_long(&at, 4095));
                }
            }
        },
        "RuntimeDefault" | "Unconfined" => {
            if let Some(file) = file {
                out.push(FieldError::invalid(at, file, "can only be set when AppArmor type is Localhost"));
            }
        }
        "" => out.push(FieldError::required(path.child("type"), "type is required when appArmorProfile is set")),
        other => {
            let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
            out.push(FieldError::not_supported_as_listed(path.child("type"), other, &kinds));
        }
    }
}

/// `ValidateSecurityContext`. `host_users`: the pod does not have a user namespace of its own.
pub fn of_container(container: &Value, host_users: bool, path: &Path, out: &mut Vec<FieldError>) {
    let context = &container["securityContext"];
    if context.is_null() {
        return;
    }
    for key in ["runAsUser", "runAsGroup"] {
        identity(context, key, path, out);
    }
    if let Some(mount) = context["procMount"].as_str() {
        let at = path.child("procMount");
        if !matches!(mount, "Default" | "Unmasked") {
            out.push(FieldError::not_supported_as_listed(&at, mount, &["Default", "Unmasked"]));
        }
        if host_users && mount == "Unmasked" {
            out.push(FieldError::invalid(&at, mount, "`hostUsers` must be false to use `Unmasked`"));
        }
    }
    seccomp(&context["seccompProfile"], &path.child("seccompProfile"), out);
    if context["allowPrivilegeEscalation"].as_bool() == Some(false) {
        if flag(&context["privileged"]) {
            let told = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            out.push(FieldError::invalid_shown(path, show(context), told));
        }
        for _ in items(&context["capabilities"]["add"]).iter().filter(|capability| text(capability) == "CAP_SYS_ADMIN") {
            let told = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            out.push(FieldError::invalid_shown(path, show(context), told));
        }
    }
    windows_options(&context["windowsOptions"], &path.child("windowsOptions"), out);
    app_armor(&context["appArmorProfile"], &path.child("appArmorProfile"), out);
}

/// A container's security context as Go prints its internal struct.
fn show(context: &Value) -> String {
    let object = |value: &Value, fields: &[(&str, &str)]| {
        if value.is_null() {
            return "null".to_owned();
        }
        let shown: Vec<String> = fields.iter().map(|(key, called)| format!("\"{called}\":{}", value[*key])).collect();
        format!("{{{}}}", shown.join(","))
    };
    let selinux = &context["seLinuxOptions"];
    let selinux = if selinux.is_null() {
        "null".to_owned()
    } else {
        let part = |key: &str| Value::from(text(&selinux[key]));
        format!("{{\"User\":{},\"Role\":{},\"Type\":{},\"Level\":{}}}", part("user"), part("role"), part("type"), part("level"))
    };
    let profile = [("type", "Type"), ("localhostProfile", "LocalhostProfile")];
    let windows = [
        ("gmsaCredentialSpecName", "GMSACredentialSpecName"),
        ("gmsaCredentialSpec", "GMSACredentialSpec"),
        ("runAsUserName", "RunAsUserName"),
        ("hostProcess", "HostProcess"),
    ];
    format!(
        "{{\"Capabilities\":{},\"Privileged\":{},\"SELinuxOptions\":{selinux},\"WindowsOptions\":{},\"RunAsUser\":{},\"RunAsGroup\":{},\"RunAsNonRoot\":{},\"ReadOnlyRootFilesystem\":{},\"AllowPrivilegeEscalation\":{},\"ProcMount\":{},\"SeccompProfile\":{},\"AppArmorProfile\":{}}}",
        object(&context["capabilities"], &[("add", "Add"), ("drop", "Drop")]),
        context["privileged"],
        object(&context["windowsOptions"], &windows),
        context["runAsUser"],
        context["runAsGroup"],
        context["runAsNonRoot"],
        context["readOnlyRootFilesystem"],
        context["allowPrivilegeEscalation"],
        context["procMount"],
        object(&context["seccompProfile"], &profile),
        object(&context["appArmorProfile"], &profile),
    )
}

/// `validateHostUsers`: with a user namespace of its own, a pod shares no other namespace with the host.
pub fn host_users(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if spec["hostUsers"].as_bool() != Some(false) {
        return;
    }
    for (key, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if flag(&spec[key]) {
            out.push(FieldError::forbidden(path.child(shown), "when `hostUsers` is false"));
        }
    }
    for (container, at) in visit_containers(spec, path) {
        if !items(&container["volumeDevices"]).is_empty() {
            out.push(FieldError::forbidden(at.child("volumeDevices"), "when `hostUsers` is false"));
        }
    }
}
