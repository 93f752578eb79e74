//! Pod disruption budgets. See `pkg/registry/policy/poddisruptionbudget/strategy.go`.

use serde_json::{Value, json};

use super::template::{self as shared, reset_status};
use crate::error::FieldError;
use crate::kinds::check::{nonnegative, one_of};
use crate::kinds::json::{has, int, text};
use crate::kinds::labels::{show_selector, validate_selector};
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of pod disruption budgets.
pub struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        reset_status(object, json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}));
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        validate_spec(&object["spec"])
    }

    fn validate_update(&self, object: &Value, _old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource != "status" {
            return validate_spec(&object["spec"]);
        }
        let (path, mut out) = (Path::new("status"), Vec::new());
        crate::kinds::conditions::validate(&object["status"]["conditions"], &path.child("conditions"), &mut out);
        for key in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            nonnegative(&object["status"], key, &path, &mut out);
        }
        out
    }

    fn columns(&self) -> Vec<Column> {
        columns("poddisruptionbudgets.v1.policy")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let limit = |key: &str| match &object["spec"][key] {
            Value::Null => "N/A".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let allowed = int(&object["status"]["disruptionsAllowed"]);
        vec![name(object), limit("minAvailable").into(), limit("maxUnavailable").into(), allowed.into(), age(object, now)]
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

/// `ValidatePodDisruptionBudgetSpec`.
fn validate_spec(spec: &Value) -> Vec<FieldError> {
    let (path, mut out) = (Path::new("spec"), Vec::new());
    if has(spec, "minAvailable") && has(spec, "maxUnavailable") {
        let shown = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            spec["minAvailable"],
            show_selector(&spec["selector"]),
            spec["maxUnavailable"],
            spec["unhealthyPodEvictionPolicy"]
        );
        out.push(FieldError::invalid_shown(&path, shown, "minAvailable and maxUnavailable cannot be both set"));
    }
    for key in ["minAvailable", "maxUnavailable"] {
        if has(spec, key) {
            shared::int_or_percent(&spec[key], &path.child(key), &mut out);
            shared::at_most_100_percent(&spec[key], &path.child(key), &mut out);
        }
    }
    out.extend(validate_selector(&spec["selector"], &path.child("selector")));
    if has(spec, "unhealthyPodEvictionPolicy") {
        let policies = ["AlwaysAllow", "IfHealthyBudget"];
        one_of(text(&spec["unhealthyPodEvictionPolicy"]), &policies, &path.child("unhealthyPodEvictionPolicy"), &mut out);
    }
    out
}
