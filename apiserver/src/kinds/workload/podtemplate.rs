//! Pod templates and controller revisions. See `pkg/registry/core/podtemplate/strategy.go`, `pkg/registry/apps/controllerrevision/strategy.go`.

use serde_json::Value;

use super::podspec::default::template;
use super::podspec::drop_fields::drop_disabled;
use super::podspec::validate;
use crate::error::FieldError;
use crate::kinds::check::nonnegative;
use crate::kinds::json::{flag, has, items, object_at, present_mut, text};
use crate::kinds::labels::format_labels;
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, containers_and_images, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of pod templates.
pub struct PodTemplate;

/// The rules of controller revisions.
pub struct ControllerRevision;

impl Strategy for PodTemplate {
    fn default(&self, object: &mut Value) {
        if let Some(found) = object_at(object, "template") {
            template(found);
        }
    }

    fn prepare_for_create(&self, object: &mut Value, context: &Context) {
        self.prepare_for_update(object, &Value::Null, context);
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, _context: &Context) {
        if let Some(spec) = present_mut(object, "template").and_then(|template| present_mut(template, "spec")) {
            drop_disabled(spec, &old["template"]["spec"]);
        }
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let mut out = Vec::new();
        validate::template(&object["template"], &Path::new("template"), &mut out);
        out
    }

    fn warnings(&self, object: &Value, old: Option<&Value>, _context: &Context) -> Vec<String> {
        if old.is_some_and(|old| !self.raises_generation(object, old)) {
            return Vec::new();
        }
        super::warnings::of_template(&object["template"], old.map(|old| &old["template"]), &Path::new("template"))
    }

    fn columns(&self) -> Vec<Column> {
        columns("podtemplates")
    }

    fn row(&self, object: &Value, _now: i64) -> Vec<Value> {
        let [names, images] = containers_and_images(&object["template"]["spec"]["containers"]);
        vec![name(object), names, images, format_labels(&object["template"]["metadata"]["labels"]).into()]
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn raises_generation(&self, object: &Value, old: &Value) -> bool {
        object["template"] != old["template"]
    }
}

impl Strategy for ControllerRevision {
    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let mut out = Vec::new();
        nonnegative(object, "revision", &Path::default(), &mut out);
        if !has(object, "data") {
            out.push(FieldError::required("data", "data is mandatory"));
        } else if !object["data"].is_object() {
            out.push(FieldError::required("data", "data must be a valid JSON object"));
        }
        out
    }

    fn validate_update(&self, object: &Value, old: &Value, _context: &Context) -> Vec<FieldError> {
        let mut out = Vec::new();
        nonnegative(object, "revision", &Path::default(), &mut out);
        super::template::immutable(object, old, "data", &Path::default(), &mut out);
        out
    }

    fn columns(&self) -> Vec<Column> {
        columns("controllerrevisions.v1.apps")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let owner = items(&object["metadata"]["ownerReferences"]).iter().find(|owner| flag(&owner["controller"]));
        vec![name(object), owner.map_or("<none>".to_owned(), owner_name).into(), object["revision"].clone(), age(object, now)]
    }
}

/// `formatResourceName`: `statefulset.apps/web`.
fn owner_name(owner: &Value) -> String {
    let kind = text(&owner["kind"]).to_lowercase();
    let name = text(&owner["name"]);
    match text(&owner["apiVersion"]).split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}
