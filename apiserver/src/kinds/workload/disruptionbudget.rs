//! Pod disruption budgets. See `pkg/registry/policy/poddisruptionbudget/strategy.go`.

use serde_json::{Value, json};

use super::template::reset_status;
use crate::kinds::json::int;
use crate::kinds::table::{age, columns, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of pod disruption budgets.
pub struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        reset_status(object, json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}));
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
