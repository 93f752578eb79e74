//! What kinds that make pods share: their template, status that clients may not set, and generation.

use serde_json::Value;

use super::podspec::default::template;
use super::podspec::drop_fields::drop_disabled;
use crate::error::FieldError;
use crate::kinds::check::{faults, nonnegative};
use crate::kinds::json::{has, int, present_mut, set, text};
use crate::kinds::labels::{selects, selects_everything, show_selector, validate_selector};
use crate::kinds::name;
use crate::kinds::path::Path;

/// The defaults of the template at `spec.template`.
pub fn default_template(object: &mut Value) {
    if let Some(found) = present_mut(object, "spec").and_then(|spec| present_mut(spec, "template")) {
        template(found);
    }
}

/// A new object has no status but zeros.
pub fn reset_status(object: &mut Value, zero: Value) {
    set(object, "status", zero);
}

/// `DropDisabledTemplateFields` of the template at `spec.template`; `old` is null on create.
pub fn drop_disabled_fields(object: &mut Value, old: &Value) {
    let found = present_mut(object, "spec").and_then(|spec| present_mut(spec, "template")).and_then(|template| present_mut(template, "spec"));
    if let Some(spec) = found {
        drop_disabled(spec, &old["spec"]["template"]["spec"]);
    }
}

/// What is wrong with a workload's selector: it must be there, be valid, and select something. `what` ends the sentence. Whether it can be used.
/// See `ValidateDeploymentSpec`.
pub fn validate_own_selector(spec: &Value, what: &str, path: &Path, out: &mut Vec<FieldError>) -> bool {
    let selector = &spec["selector"];
    let at = path.child("selector");
    if selector.is_null() {
        out.push(FieldError::required(at, ""));
        return true; // selects nothing
    }
    let mut found = validate_selector(selector, &at);
    let usable = found.is_empty();
    out.append(&mut found);
    if selects_everything(selector) {
        out.push(FieldError::invalid_shown(&at, show_selector(selector), format!("empty selector is invalid for {what}")));
    }
    usable
}

/// A selector must select the template's labels.
pub fn validate_selects_template(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let labels = &spec["template"]["metadata"]["labels"];
    if !selects(&spec["selector"], labels) {
        let at = path.child("template").child("metadata").child("labels");
        out.push(FieldError::invalid(at, labels.clone(), "`selector` does not match template `labels`"));
    }
}

/// What runs for ever restarts always and has no deadline. `kind` as in the sentence.
pub fn validate_always_restarts(spec: &Value, kind: &str, path: &Path, out: &mut Vec<FieldError>) {
    let (pod, path) = (&spec["template"]["spec"], path.child("template").child("spec"));
    let policy = text(&pod["restartPolicy"]);
    if policy != "Always" {
        out.push(FieldError::not_supported(path.child("restartPolicy"), policy, &["Always"]));
    }
    if has(pod, "activeDeadlineSeconds") {
        out.push(FieldError::forbidden(path.child("activeDeadlineSeconds"), format!("activeDeadlineSeconds in {kind} is not Supported")));
    }
}

/// `ValidateImmutableField` of `spec[key]`.
pub fn immutable(spec: &Value, old: &Value, key: &str, path: &Path, out: &mut Vec<FieldError>) {
    if spec.get(key) != old.get(key) {
        let value = &spec[key];
        let shown = if key == "selector" { show_selector(value) } else { value.to_string() };
        let shown = value.as_str().map_or(shown, |text| format!("{text:?}"));
        out.push(FieldError::invalid_shown(path.child(key), shown, name::IMMUTABLE));
    }
}

/// Counters of a status: none below zero, none of `within` above `replicas`, `availableReplicas` not above `readyReplicas`.
/// `available` ends that last sentence. See `ValidateDeploymentStatus`, `ValidateReplicaSetStatus`, `ValidateStatefulSetStatus`.
pub fn validate_counters(status: &Value, counters: &[&str], within: &[&str], available: &str) -> Vec<FieldError> {
    let (path, mut out) = (Path::new("status"), Vec::new());
    for key in counters {
        nonnegative(status, key, &path, &mut out);
    }
    let count = |key: &str| int(&status[key]);
    for key in within.iter().filter(|key| count(key) > count("replicas")) {
        out.push(FieldError::invalid(path.child(key), count(key), "cannot be greater than status.replicas"));
    }
    if !within.is_empty() && count("availableReplicas") > count("readyReplicas") {
        let told = format!("cannot be greater than {available}");
        out.push(FieldError::invalid(path.child("availableReplicas"), count("availableReplicas"), told));
    }
    out
}

/// `collisionCount` only grows.
pub fn validate_collisions(status: &Value, old: &Value, out: &mut Vec<FieldError>) {
    if has(old, "collisionCount") && int(&status["collisionCount"]) < int(&old["collisionCount"]) {
        out.push(FieldError::invalid("status.collisionCount", int(&status["collisionCount"]), "cannot be decremented"));
    }
}

/// `ValidatePositiveIntOrPercent`.
pub fn int_or_percent(value: &Value, path: &Path, out: &mut Vec<FieldError>) {
    match value {
        Value::String(text) => faults(text, path, name::percent(text), out),
        other if int(other) < 0 => out.push(FieldError::invalid(path, int(other), name::NEGATIVE)),
        _ => {}
    }
}

/// `IsNotMoreThan100Percent`.
pub fn at_most_100_percent(value: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if value.is_string() && name::percent(text(value)).is_empty() && amount(value) > 100 {
        out.push(FieldError::invalid(path, value.clone(), "must not be greater than 100%"));
    }
}

/// `getIntOrPercentValue`: the number, with or without percent sign; 0 if it is neither.
pub fn amount(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.trim_end_matches('%').parse().unwrap_or(0),
        other => int(other),
    }
}

/// Whether the name, of which pods' names and hostnames are made, is more than a DNS label.
pub fn name_warning(object: &Value) -> Option<String> {
    let faults = name::label(text(&object["metadata"]["name"]));
    let told = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended";
    (!faults.is_empty()).then(|| format!("{told}: [{}]", faults.join(" ")))
}
