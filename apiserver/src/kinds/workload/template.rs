//! What kinds that make pods share: their template, status that clients may not set, and generation.

use serde_json::Value;

use super::podspec::default::template;
use super::podspec::drop_fields::drop_disabled;
use crate::kinds::json::{present_mut, set};

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
