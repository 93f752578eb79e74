//! Replica sets and replication controllers. See `pkg/registry/apps/replicaset/strategy.go`, `pkg/registry/core/replicationcontroller/strategy.go`.

use serde_json::{Value, json};

use super::deployment::selected_template;
use super::podspec::validate::template;
use super::template::{self as shared, default_template, drop_disabled_fields, reset_status};
use crate::error::FieldError;
use crate::kinds::check::nonnegative;
use crate::kinds::json::{default, entries, has, int, is_empty, object_at, set};
use crate::kinds::labels::{format_labels, format_selector};
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, containers_and_images, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of replica sets.
pub struct ReplicaSet;

/// The rules of replication controllers.
pub struct ReplicationController;

impl Strategy for ReplicaSet {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object_at(object, "spec") {
            default(spec, "replicas", 1);
        }
        default_template(object);
    }

    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        reset_status(object, json!({"replicas": 0}));
        drop_disabled_fields(object, &Value::Null);
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, _context: &Context) {
        drop_disabled_fields(object, old);
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let (spec, path, mut out) = (&object["spec"], Path::new("spec"), Vec::new());
        nonnegative(spec, "replicas", &path, &mut out);
        nonnegative(spec, "minReadySeconds", &path, &mut out);
        selected_template(spec, &path, &mut out);
        out
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource == "status" {
            return validate_status(&object["status"]);
        }
        let mut out = self.validate(object, context);
        shared::immutable(&object["spec"], &old["spec"], "selector", &Path::new("spec"), &mut out);
        out
    }

    fn warnings(&self, object: &Value, old: Option<&Value>, context: &Context) -> Vec<String> {
        super::warnings::of_workload(self, object, old, context, true)
    }

    fn columns(&self) -> Vec<Column> {
        columns("replicasets.v1.apps")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        row(object, now, format_selector(&object["spec"]["selector"]))
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["status.replicas"]
    }

    fn field(&self, object: &Value, _path: &str) -> String {
        int(&object["status"]["replicas"]).to_string()
    }
}

impl Strategy for ReplicationController {
    /// The template's labels are the selector, and the labels, of a controller that has none of its own.
    fn default(&self, object: &mut Value) {
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        if !labels.is_null() {
            if is_empty(&object["metadata"]["labels"])
                && let Some(metadata) = object_at(object, "metadata")
            {
                set(metadata, "labels", labels.clone());
            }
            if is_empty(&object["spec"]["selector"])
                && let Some(spec) = object_at(object, "spec")
            {
                set(spec, "selector", labels);
            }
        }
        ReplicaSet.default(object);
    }

    fn prepare_for_create(&self, object: &mut Value, context: &Context) {
        ReplicaSet.prepare_for_create(object, context);
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, context: &Context) {
        ReplicaSet.prepare_for_update(object, old, context);
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let (spec, path, mut out) = (&object["spec"], Path::new("spec"), Vec::new());
        nonnegative(spec, "minReadySeconds", &path, &mut out);
        if is_empty(&spec["selector"]) {
            out.push(FieldError::required(path.child("selector"), ""));
        }
        nonnegative(spec, "replicas", &path, &mut out);
        let at = path.child("template");
        if !has(spec, "template") {
            out.push(FieldError::required(at, ""));
            return out;
        }
        let labels = &spec["template"]["metadata"]["labels"];
        if entries(&spec["selector"]).any(|(key, value)| labels.get(key) != Some(value)) {
            let told = "`selector` does not match template `labels`";
            out.push(FieldError::invalid(at.child("metadata").child("labels"), labels.clone(), told));
        }
        template(&spec["template"], &at, &mut out);
        shared::validate_always_restarts(spec, "ReplicationController", &path, &mut out);
        out
    }

    fn validate_update(&self, object: &Value, _old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource == "status" { validate_status(&object["status"]) } else { self.validate(object, context) }
    }

    fn warnings(&self, object: &Value, old: Option<&Value>, context: &Context) -> Vec<String> {
        super::warnings::of_workload(self, object, old, context, true)
    }

    fn columns(&self) -> Vec<Column> {
        columns("replicationcontrollers")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        row(object, now, format_labels(&object["spec"]["selector"]))
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn orphans_by_default(&self) -> bool {
        true
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["status.replicas"]
    }

    fn field(&self, object: &Value, path: &str) -> String {
        ReplicaSet.field(object, path)
    }
}

/// `ValidateReplicaSetStatus`, `ValidateReplicationControllerStatus`.
fn validate_status(status: &Value) -> Vec<FieldError> {
    let counters = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration", "terminatingReplicas"];
    let within = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    shared::validate_counters(status, &counters, &within, "readyReplicas")
}

fn row(object: &Value, now: i64, selector: String) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers_and_images(&spec["template"]["spec"]["containers"]);
    vec![
        name(object),
        int(&spec["replicas"]).into(),
        int(&status["replicas"]).into(),
        int(&status["readyReplicas"]).into(),
        age(object, now),
        names,
        images,
        selector.into(),
    ]
}
