//! What may be an autoscaler. See `pkg/apis/autoscaling/validation/validation.go`.

use serde_json::Value;
use skiff_proto::quantity::Quantity;

use crate::error::FieldError;
use crate::kinds::check::{label, one_of};
use crate::kinds::json::{has, int, items, text};
use crate::kinds::name;
use crate::kinds::path::Path;
use crate::kinds::workload::podspec::resources::quantity;

/// `validateHorizontalPodAutoscalerSpec`; `old` is null on create.
pub fn spec(spec: &Value, old: &Value) -> Vec<FieldError> {
    let (path, mut out) = (Path::new("spec"), Vec::new());
    let lowest = i64::from(old["minReplicas"].as_i64() != Some(0));
    let (least, most) = (spec["minReplicas"].as_i64(), int(&spec["maxReplicas"]));
    if let Some(least) = least.filter(|least| *least < lowest) {
        out.push(FieldError::invalid(path.child("minReplicas"), least, format!("must be greater than or equal to {lowest}")));
    }
    if most < 1 {
        out.push(FieldError::invalid(path.child("maxReplicas"), most, "must be greater than 0"));
    }
    if least.is_some_and(|least| most < least) {
        out.push(FieldError::invalid(path.child("maxReplicas"), most, "must be greater than or equal to `minReplicas`"));
    }
    let (target, before) = (&spec["scaleTargetRef"], &old["scaleTargetRef"]);
    let unchanged = !old.is_null() && target["kind"] == before["kind"] && target["apiVersion"] == before["apiVersion"];
    let version = if unchanged {
        ApiVersion::Any
    } else if text(&target["kind"]) == "ReplicationController" {
        ApiVersion::AnyGroup
    } else {
        ApiVersion::Grouped
    };
    reference(target, version, &path.child("scaleTargetRef"), &mut out);
    metrics(spec, &path.child("metrics"), &mut out);
    for direction in ["scaleUp", "scaleDown"] {
        if has(&spec["behavior"], direction) {
            rules(&spec["behavior"][direction], &path.child("behavior").child(direction), &mut out);
        }
    }
    out
}

/// What a reference's `apiVersion` must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ApiVersion {
    /// Anything: it was there before.
    Any,
    /// `v1` or `apps/v1`
    AnyGroup,
    /// `apps/v1`
    Grouped,
}

/// `ValidateCrossVersionObjectReference`.
fn reference(reference: &Value, version: ApiVersion, path: &Path, out: &mut Vec<FieldError>) {
    for key in ["kind", "name"] {
        segment(text(&reference[key]), "", &path.child(key), out);
    }
    let given = text(&reference["apiVersion"]);
    let slashes = given.matches('/').count();
    let told = match version {
        ApiVersion::Any => return,
        _ if slashes > 1 => format!("unexpected GroupVersion string: {given}"),
        ApiVersion::Grouped if given.split_once('/').is_none_or(|(group, _)| group.is_empty()) => "apiVersion must specify API group".to_owned(),
        ApiVersion::AnyGroup | ApiVersion::Grouped => return,
    };
    out.push(FieldError::invalid(path.child("apiVersion"), given, told));
}

/// Required, and a path segment.
fn segment(value: &str, missing: &str, path: &Path, out: &mut Vec<FieldError>) {
    if value.is_empty() {
        out.push(FieldError::required(path, missing));
    } else {
        crate::kinds::check::faults(value, path, name::path_segment(value, false), out);
    }
}

fn metrics(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let list = items(&spec["metrics"]);
    for (index, metric) in list.iter().enumerate() {
        metric_spec(metric, &path.index(index), out);
    }
    let outside = list.iter().any(|metric| matches!(text(&metric["type"]), "Object" | "External"));
    if spec["minReplicas"].as_i64() == Some(0) && !outside {
        let told = "must specify at least one Object or External metric to support scaling to zero replicas";
        out.push(FieldError::forbidden(path, told));
    }
}

/// The field of each type of metric, in the order of checks.
const SOURCES: [(&str, &str); 5] =
    [("Object", "object"), ("External", "external"), ("Pods", "pods"), ("Resource", "resource"), ("ContainerResource", "containerResource")];

fn metric_spec(metric: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let kind = text(&metric["type"]);
    let kinds = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    if kind.is_empty() {
        out.push(FieldError::required(path.child("type"), "must specify a metric source type"));
    }
    one_of(kind, &kinds, &path.child("type"), out);
    let present: Vec<&str> = SOURCES.iter().map(|(_, key)| *key).filter(|key| has(metric, key)).collect();
    if let Some(first) = present.first() {
        source(first, &metric[*first], &path.child(first), out);
    }
    let expected = SOURCES.iter().find(|(known, _)| *known == kind).map(|(_, key)| *key);
    match expected {
        Some(key) if !has(metric, key) => {
            out.push(FieldError::required(path.child(key), "must populate information for the given metric source"));
        }
        Some(_) => {}
        None => one_of(kind, &kinds, &path.child("type"), out), // told twice, as Kubernetes does
    }
    if present.len() != 1 {
        for other in present.iter().filter(|key| Some(**key) != expected) {
            out.push(FieldError::forbidden(path.child(other), "must populate the given metric source only"));
        }
    }
}

fn source(kind: &str, source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    match kind {
        "object" => reference(&source["describedObject"], ApiVersion::AnyGroup, &path.child("describedObject"), out),
        "resource" => named(source, path, out),
        "containerResource" => {
            named(source, path, out);
            let container = text(&source["container"]);
            if container.is_empty() {
                out.push(FieldError::required(path.child("container"), "must specify a container"));
            } else {
                label(container, &path.child("container"), out);
            }
        }
        _ => {}
    }
    if matches!(kind, "object" | "external" | "pods") {
        segment(text(&source["metric"]["name"]), "must specify a metric name", &path.child("metric").child("name"), out);
    }
    let (wanted, at) = (&source["target"], path.child("target"));
    target(wanted, &at, out);
    let (value, average, utilization) = (has(wanted, "value"), has(wanted, "averageValue"), has(wanted, "averageUtilization"));
    match kind {
        "object" if !value && !average => {
            out.push(FieldError::required(at.child("averageValue"), "must set either a target value or averageValue"));
        }
        "external" if !value && !average => {
            out.push(FieldError::required(at.child("averageValue"), "must set either a target value for metric or a per-pod target"));
        }
        "external" if value && average => {
            out.push(FieldError::forbidden(at.child("value"), "may not set both a target value for metric and a per-pod target"));
        }
        "pods" if !average => out.push(FieldError::required(at.child("averageValue"), "must specify a positive target averageValue")),
        "resource" | "containerResource" if !utilization && !average => {
            let told = "must set either a target raw value or a target utilization";
            out.push(FieldError::required(at.child("averageUtilization"), told));
        }
        "resource" | "containerResource" if utilization && average => {
            out.push(FieldError::forbidden(at.child("averageValue"), "may not set both a target raw value and a target utilization"));
        }
        _ => {}
    }
}

fn named(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if text(&source["name"]).is_empty() {
        out.push(FieldError::required(path.child("name"), "must specify a resource name"));
    }
}

/// `validateMetricTarget`.
fn target(target: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let kind = text(&target["type"]);
    if kind.is_empty() {
        out.push(FieldError::required(path.child("type"), "must specify a metric target type"));
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        out.push(FieldError::invalid(path.child("type"), kind, "must be either Utilization, Value, or AverageValue"));
    }
    for key in ["value", "averageValue"] {
        if has(target, key) && quantity(&target[key]) <= Quantity::ZERO {
            out.push(FieldError::invalid(path.child(key), target[key].clone(), "must be positive"));
        }
    }
    if let Some(utilization) = target["averageUtilization"].as_i64().filter(|value| *value < 1) {
        out.push(FieldError::invalid(path.child("averageUtilization"), utilization, "must be greater than 0"));
    }
}

/// `validateScalingRules`.
fn rules(rules: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let at = path.child("stabilizationWindowSeconds");
    if let Some(seconds) = rules["stabilizationWindowSeconds"].as_i64() {
        if seconds < 0 {
            out.push(FieldError::invalid(&at, seconds, "must be greater than or equal to zero"));
        }
        if seconds > 3600 {
            out.push(FieldError::invalid(&at, seconds, "must be less than or equal to 3600"));
        }
    }
    if has(rules, "selectPolicy") {
        one_of(text(&rules["selectPolicy"]), &["Disabled", "Max", "Min"], &path.child("selectPolicy"), out);
    }
    let (policies, at) = (items(&rules["policies"]), path.child("policies"));
    if policies.is_empty() {
        out.push(FieldError::required(&at, "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let at = at.index(index);
        one_of(text(&policy["type"]), &["Percent", "Pods"], &at.child("type"), out);
        for key in ["value", "periodSeconds"] {
            crate::kinds::check::positive(int(&policy[key]), &at.child(key), out);
        }
        if int(&policy["periodSeconds"]) > 1800 {
            out.push(FieldError::invalid(at.child("periodSeconds"), int(&policy["periodSeconds"]), "must be less than or equal to 1800"));
        }
    }
    if has(rules, "tolerance") && quantity(&rules["tolerance"]) < Quantity::ZERO {
        out.push(FieldError::invalid(path.child("tolerance"), rules["tolerance"].clone(), name::NEGATIVE));
    }
}
