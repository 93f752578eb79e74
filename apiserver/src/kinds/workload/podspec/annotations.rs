//! Annotations that mean something to pods: mirror pods, deletion cost, seccomp and AppArmor of old.
//! See `ValidatePodSpecificAnnotations`, `validateSeccompAnnotationsAndFields`, `validateAppArmorAnnotationsAndFieldsMatchOnCreate`.

use serde_json::Value;

use super::paths::descending;
use super::visit_containers;
use crate::error::FieldError;
use crate::kinds::json::{entries, text};
use crate::kinds::path::Path;

/// Marks a pod that a kubelet runs by itself.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
/// AppArmor profiles of containers before they were a field.
pub const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// `ValidatePodSpecificAnnotations` of an object with `metadata` and `spec`: a pod or a template.
pub fn of_pod(pod: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (annotations, spec) = (&pod["metadata"]["annotations"], &pod["spec"]);
    if let Some(mirror) = annotations.get(MIRROR).map(text)
        && text(&spec["nodeName"]).is_empty()
    {
        out.push(FieldError::invalid(path.key(MIRROR), mirror, "must set spec.nodeName if mirror pod annotation is set"));
    }
    if let Some(cost) = annotations.get(DELETION_COST).map(text)
        && !is_cost(cost)
    {
        out.push(FieldError::invalid(path.key(DELETION_COST), cost, "must be a 32bit integer"));
    }
    if let Some(profile) = annotations.get(SECCOMP_POD).map(text) {
        seccomp_profile(profile, &path.child(SECCOMP_POD), out);
    }
    for (key, profile) in entries(annotations).filter(|(key, _)| key.starts_with(SECCOMP_CONTAINER)) {
        seccomp_profile(text(profile), &path.child(key), out);
    }
    for (key, profile) in entries(annotations) {
        let Some(container) = key.strip_prefix(APP_ARMOR) else { continue };
        if !visit_containers(spec, &Path::default()).iter().any(|(found, _)| text(&found["name"]) == container) {
            out.push(FieldError::invalid(path.key(key), container, "container not found"));
        }
        let profile = text(profile);
        if !matches!(profile, "" | "runtime/default" | "unconfined") && !profile.starts_with("localhost/") {
            out.push(FieldError::invalid(path.key(key), profile, format!("invalid AppArmor profile name: {profile:?}")));
        }
    }
}

/// A 32-bit integer without plus sign or leading zeros.
fn is_cost(value: &str) -> bool {
    let first = value == "0" || value.starts_with('-') || value.starts_with(|c: char| ('1'..='9').contains(&c));
    first && value.parse::<i32>().is_ok()
}

fn seccomp_profile(profile: &str, path: &Path, out: &mut Vec<FieldError>) {
    if matches!(profile, "runtime/default" | "docker/default" | "unconfined") {
        return;
    }
    match profile.strip_prefix("localhost/") {
        Some(file) => descending(file, path, out),
        None => out.push(FieldError::invalid(path, profile, "must be a valid seccomp profile")),
    }
}

/// Where an annotation and a field both name a seccomp profile, they name the same one.
pub fn seccomp_fields(pod: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (annotations, spec) = (&pod["metadata"]["annotations"], &pod["spec"]);
    let mut check = |annotation: Option<&Value>, object: &Value, at: &Path| {
        let profile = &object["securityContext"]["seccompProfile"];
        let Some(annotation) = annotation.map(text).filter(|_| !profile.is_null()) else { return };
        let at = at.child("securityContext").child("seccompProfile");
        let names = match text(&profile["type"]) {
            "Unconfined" => annotation == "unconfined",
            "RuntimeDefault" => matches!(annotation, "runtime/default" | "docker/default"),
            "Localhost" => match annotation.strip_prefix("localhost/") {
                Some(file) => {
                    if profile["localhostProfile"].as_str() != Some(file) {
                        let told = "seccomp profile in annotation and field must match";
                        out.push(FieldError::forbidden(at.child("localhostProfile"), told));
                    }
                    true
                }
                None => false,
            },
            _ => true, // refused elsewhere
        };
        if !names {
            out.push(FieldError::forbidden(at.child("type"), "seccomp type in annotation and field must match"));
        }
    };
    check(annotations.get(SECCOMP_POD), spec, path);
    for (container, at) in visit_containers(spec, path) {
        check(annotations.get(format!("{SECCOMP_CONTAINER}{}", text(&container["name"]))), container, &at);
    }
}

/// Where an annotation and a field both name an AppArmor profile, they name the same one.
pub fn app_armor_fields(pod: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (annotations, spec) = (&pod["metadata"]["annotations"], &pod["spec"]);
    if text(&spec["os"]["name"]) == "windows" {
        return;
    }
    for (container, at) in visit_containers(spec, path) {
        let own = &container["securityContext"]["appArmorProfile"];
        let profile = if own.is_null() { &spec["securityContext"]["appArmorProfile"] } else { own };
        let annotation = annotations.get(format!("{APP_ARMOR}{}", text(&container["name"]))).map(text);
        let Some(annotation) = annotation.filter(|_| !profile.is_null()) else { continue };
        let at = at.child("securityContext").child("appArmorProfile");
        let names = match text(&profile["type"]) {
            "Unconfined" => annotation == "unconfined",
            "RuntimeDefault" => annotation == "runtime/default",
            "Localhost" => annotation.starts_with("localhost/"),
            _ => true, // refused elsewhere
        };
        if !names {
            out.push(FieldError::forbidden(at.child("type"), "apparmor type in annotation and field must match"));
        } else if let Some(file) = annotation.strip_prefix("localhost/")
            && profile["localhostProfile"].as_str() != Some(file)
        {
            out.push(FieldError::forbidden(at.child("localhostProfile"), "apparmor profile in annotation and field must match"));
        }
    }
}
