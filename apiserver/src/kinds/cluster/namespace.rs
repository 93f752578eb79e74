//! Namespaces. See `pkg/apis/core/v1/defaults.go`, `pkg/registry/core/namespace/strategy.go`, `ValidateNamespace*`.

use serde_json::{Value, json};

use crate::error::FieldError;
use crate::kinds::json::{items, object_at, set, text};
use crate::kinds::name as names;
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The label that names the namespace, for selectors.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The rules of namespaces.
pub struct Namespace;

impl Strategy for Namespace {
    fn default(&self, object: &mut Value) {
        label(object);
    }

    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        label(object); // the name may just have been generated
        set(object, "status", json!({"phase": "Active"}));
        let held = items(&object["spec"]["finalizers"]).iter().any(|one| one == "kubernetes");
        if held {
            return;
        }
        match object["spec"]["finalizers"].as_array_mut() {
            Some(all) => all.push(json!("kubernetes")),
            None => object["spec"]["finalizers"] = json!(["kubernetes"]),
        }
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, context: &Context) {
        if context.subresource != "finalize" {
            object["spec"] = old["spec"].clone();
        }
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        finalizers(object)
    }

    fn validate_update(&self, object: &Value, _old: &Value, context: &Context) -> Vec<FieldError> {
        match context.subresource.as_str() {
            "finalize" => finalizers(object),
            "status" => phase(object),
            _ => Vec::new(), // metadata only
        }
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_label(name, prefix)
    }

    fn columns(&self) -> Vec<Column> {
        columns("namespaces")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        vec![name(object), text(&object["status"]["phase"]).into(), age(object, now)]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["status.phase", "name"]
    }

    fn field(&self, object: &Value, path: &str) -> String {
        if path == "name" { text(&object["metadata"]["name"]).to_owned() } else { crate::kinds::table::text_at(object, path) }
    }
}

fn label(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if let (Some(_), Some(metadata)) = (name.as_str().filter(|name| !name.is_empty()), object_at(object, "metadata"))
        && let Some(labels) = object_at(metadata, "labels")
    {
        set(labels, NAME_LABEL, name);
    }
}

/// `validateFinalizerName`: qualified, and without a slash only the one that Kubernetes knows.
fn finalizers(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, one) in items(&object["spec"]["finalizers"]).iter().map(text).enumerate() {
        let path = Path::new("spec.finalizers").index(index);
        errors.extend(names::qualified(one).into_iter().map(|why| FieldError::invalid(&path, one, why)));
        if !one.contains('/') && one != "kubernetes" {
            errors.push(FieldError::invalid(&path, one, "name is neither a standard finalizer name nor is it fully qualified"));
        }
    }
    errors
}

fn phase(object: &Value) -> Vec<FieldError> {
    let phase = text(&object["status"]["phase"]);
    let deleting = !object["metadata"]["deletionTimestamp"].is_null();
    let why = match (deleting, phase) {
        (false, "Active") | (true, "Terminating") => return Vec::new(),
        (false, _) => "may only be 'Active' if `deletionTimestamp` is empty",
        (true, _) => "may only be 'Terminating' if `deletionTimestamp` is not empty",
    };
    vec![FieldError::invalid("status.Phase", phase, why)]
}
