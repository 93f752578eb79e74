//! Deployments. See `pkg/apis/apps/v1/defaults.go`, `pkg/registry/apps/deployment/strategy.go`.

use serde_json::{Value, json};

use super::podspec::validate::template;
use super::template::{self as shared, default_template, drop_disabled_fields, reset_status};
use crate::error::FieldError;
use crate::kinds::check::nonnegative;
use crate::kinds::json::{default, default_text, has, int, object_at, set, text};
use crate::kinds::labels::format_selector_text;
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, containers_and_images, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of deployments.
pub struct Deployment;

impl Strategy for Deployment {
    fn default(&self, object: &mut Value) {
        let Some(spec) = object_at(object, "spec") else { return };
        default(spec, "replicas", 1);
        if let Some(strategy) = object_at(spec, "strategy") {
            default_text(strategy, "type", "RollingUpdate");
            if text(&strategy["type"]) == "RollingUpdate"
                && let Some(rolling) = object_at(strategy, "rollingUpdate")
            {
                default(rolling, "maxUnavailable", "25%");
                default(rolling, "maxSurge", "25%");
            }
        }
        default(spec, "revisionHistoryLimit", 10);
        default(spec, "progressDeadlineSeconds", 600);
        default_template(object);
    }

    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        reset_status(object, json!({}));
        drop_disabled_fields(object, &Value::Null);
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, context: &Context) {
        if context.subresource == "status" {
            keep_labels(object, old);
        } else {
            drop_disabled_fields(object, old);
        }
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        validate_spec(&object["spec"])
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource == "status" {
            let within = ["updatedReplicas", "readyReplicas", "availableReplicas"];
            let mut out = shared::validate_counters(&object["status"], &COUNTERS, &within, "readyReplicas");
            shared::validate_collisions(&object["status"], &old["status"], &mut out);
            return out;
        }
        let mut out = validate_spec(&object["spec"]);
        shared::immutable(&object["spec"], &old["spec"], "selector", &Path::new("spec"), &mut out);
        out
    }

    fn columns(&self) -> Vec<Column> {
        columns("deployments.v1.apps")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let [names, images] = containers_and_images(&spec["template"]["spec"]["containers"]);
        vec![
            name(object),
            format!("{}/{}", int(&status["readyReplicas"]), int(&spec["replicas"])).into(),
            int(&status["updatedReplicas"]).into(),
            int(&status["availableReplicas"]).into(),
            age(object, now),
            names,
            images,
            format_selector_text(&spec["selector"]).into(),
        ]
    }

    fn warnings(&self, object: &Value, old: Option<&Value>, context: &Context) -> Vec<String> {
        super::warnings::of_workload(self, object, old, context, true)
    }

    fn has_generation(&self) -> bool {
        true
    }

    /// Annotations count too, because they are copied to replica sets.
    fn raises_generation(&self, object: &Value, old: &Value) -> bool {
        object["spec"] != old["spec"] || object["metadata"]["annotations"] != old["metadata"]["annotations"]
    }
}

const COUNTERS: [&str; 8] =
    ["observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas", "terminatingReplicas", "collisionCount"];

/// `ValidateDeploymentSpec`.
fn validate_spec(spec: &Value) -> Vec<FieldError> {
    let (path, mut out) = (Path::new("spec"), Vec::new());
    nonnegative(spec, "replicas", &path, &mut out);
    selected_template(spec, &path, &mut out);
    validate_strategy(&spec["strategy"], &path.child("strategy"), &mut out);
    for key in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        nonnegative(spec, key, &path, &mut out);
    }
    let deadline = int(&spec["progressDeadlineSeconds"]);
    if has(spec, "progressDeadlineSeconds") && deadline <= int(&spec["minReadySeconds"]) {
        out.push(FieldError::invalid(path.child("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds"));
    }
    out
}

/// Selector and template as deployments and replica sets have them (`ValidatePodTemplateSpecForReplicaSet`).
pub(super) fn selected_template(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if !shared::validate_own_selector(spec, "deployment", path, out) {
        out.push(FieldError::invalid_shown(path.child("selector"), crate::kinds::labels::show_selector(&spec["selector"]), "invalid label selector"));
        return;
    }
    shared::validate_selects_template(spec, path, out);
    template(&spec["template"], &path.child("template"), out);
    shared::validate_always_restarts(spec, "ReplicaSet", path, out);
}

/// `ValidateDeploymentStrategy`.
fn validate_strategy(strategy: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let rolling = &strategy["rollingUpdate"];
    let at = path.child("rollingUpdate");
    match text(&strategy["type"]) {
        "Recreate" => {
            if !rolling.is_null() {
                out.push(FieldError::forbidden(at, "may not be specified when strategy `type` is 'Recreate'"));
            }
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            shared::int_or_percent(unavailable, &at.child("maxUnavailable"), out);
            shared::int_or_percent(surge, &at.child("maxSurge"), out);
            if shared::amount(unavailable) == 0 && shared::amount(surge) == 0 {
                out.push(FieldError::invalid(at.child("maxUnavailable"), unavailable.clone(), "may not be 0 when `maxSurge` is 0"));
            }
            shared::at_most_100_percent(unavailable, &at.child("maxUnavailable"), out);
        }
        other => {
            let rolling = match rolling {
                Value::Null => "null".to_owned(),
                set => format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", or_zero(&set["maxUnavailable"]), or_zero(&set["maxSurge"])),
            };
            let mut error = FieldError::not_supported_as_listed(path, "", &["Recreate", "RollingUpdate"]);
            error.shown = Some(format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", Value::from(other)));
            out.push(error);
        }
    }
}

/// An `IntOrString` that is not there is 0.
pub(super) fn or_zero(value: &Value) -> String {
    if value.is_null() { "0".to_owned() } else { value.to_string() }
}

/// A write of `/status` does not change labels.
fn keep_labels(object: &mut Value, old: &Value) {
    let Some(metadata) = object_at(object, "metadata") else { return };
    match old["metadata"].get("labels") {
        Some(labels) => set(metadata, "labels", labels.clone()),
        None => drop(crate::kinds::json::remove(metadata, "labels")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolls_by_a_quarter_unless_told() {
        let mut object = json!({"spec": {"template": {"spec": {"containers": []}}}});
        Deployment.default(&mut object);
        assert_eq!(object["spec"]["strategy"], json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}));
        let mut recreate = json!({"spec": {"replicas": 0, "strategy": {"type": "Recreate"}}});
        Deployment.default(&mut recreate);
        assert_eq!(recreate["spec"], json!({"replicas": 0, "strategy": {"type": "Recreate"}, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}));
    }
}
