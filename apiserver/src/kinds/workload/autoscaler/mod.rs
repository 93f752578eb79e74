//! Horizontal pod autoscalers, stored as `autoscaling/v2`. See `pkg/apis/autoscaling/v2/defaults.go`, `pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go`.
//!
//! [`convert`] is between `v1` and `v2`, [`validate`] what may be one, [`metrics`] the cell of its targets.

pub mod convert;
pub mod metrics;
pub mod validate;

use serde_json::{Value, json};

use super::template::reset_status;
use crate::error::FieldError;
use crate::kinds::check::nonnegative;
use crate::kinds::json::{default, has, int, is_empty, object_at, present_mut, remove, set, text};
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of horizontal pod autoscalers.
pub struct HorizontalPodAutoscaler;

impl Strategy for HorizontalPodAutoscaler {
    fn default(&self, object: &mut Value) {
        convert::drop_annotations(object);
        let Some(spec) = object_at(object, "spec") else { return };
        default(spec, "minReplicas", 1);
        if is_empty(&spec["metrics"]) {
            set(spec, "metrics", json!([convert::cpu_metric(80)]));
        }
        if let Some(behavior) = present_mut(spec, "behavior") {
            scaling_rules(behavior, "scaleUp");
            scaling_rules(behavior, "scaleDown");
        }
    }

    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        reset_status(object, json!({"desiredReplicas": 0, "currentMetrics": null}));
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        validate::spec(&object["spec"], &Value::Null)
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource != "status" {
            return validate::spec(&object["spec"], &old["spec"]);
        }
        let (path, mut out) = (Path::new("status"), Vec::new());
        nonnegative(&object["status"], "currentReplicas", &path, &mut out);
        nonnegative(&object["status"], "desiredReplicas", &path, &mut out);
        out
    }

    fn columns(&self) -> Vec<Column> {
        columns("horizontalpodautoscalers.v2.autoscaling")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let target = format!("{}/{}", text(&spec["scaleTargetRef"]["kind"]), text(&spec["scaleTargetRef"]["name"]));
        let least = spec["minReplicas"].as_i64().map_or("<unset>".to_owned(), |least| least.to_string());
        vec![
            name(object),
            target.into(),
            metrics::format(&spec["metrics"], &status["currentMetrics"]).into(),
            least.into(),
            int(&spec["maxReplicas"]).into(),
            int(&status["currentReplicas"]).into(),
            age(object, now),
        ]
    }

    fn convert(&self, object: Value, to_version: &str) -> Value {
        if to_version == "v1" { convert::to_v1(object) } else { convert::from_v1(object) }
    }
}

/// `GenerateHPAScaleUpRules`, `GenerateHPAScaleDownRules`: rules that are given win, one by one.
fn scaling_rules(behavior: &mut Value, direction: &str) {
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let policies = if direction == "scaleUp" { json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, percent]) } else { json!([percent]) };
    let Some(rules) = object_at(behavior, direction) else { return };
    default(rules, "selectPolicy", "Max");
    if !has(rules, "policies") {
        set(rules, "policies", policies);
    }
    if direction == "scaleUp" {
        default(rules, "stabilizationWindowSeconds", 0);
    } else if rules["stabilizationWindowSeconds"].is_null() {
        remove(rules, "stabilizationWindowSeconds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_by_cpu_unless_told() {
        let mut hpa = json!({"spec": {"maxReplicas": 3, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}});
        HorizontalPodAutoscaler.default(&mut hpa);
        assert_eq!(hpa["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
        assert_eq!(hpa["spec"]["behavior"]["scaleUp"]["policies"][0]["value"], 4);
        assert_eq!(
            hpa["spec"]["behavior"]["scaleDown"],
            json!({"stabilizationWindowSeconds": 60, "selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]})
        );
    }
}
