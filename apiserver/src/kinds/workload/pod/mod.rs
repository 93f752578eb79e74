//! Pods. See `pkg/registry/core/pod/strategy.go`.
//!
//! [`prepare`] is what the server decides of a new or changed pod, [`validate`], [`status`] and [`resize`] what may be written,
//! [`table`] what `kubectl get pods` shows.

pub mod prepare;
pub mod resize;
pub mod status;
pub mod table;
pub mod validate;

use serde_json::Value;

use super::podspec;
use crate::error::FieldError;
use crate::kinds::json::{flag, text};
use crate::kinds::table::{columns, text_at};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of pods.
pub struct Pod;

impl Strategy for Pod {
    fn default(&self, object: &mut Value) {
        podspec::default::pod(object);
    }

    fn prepare_for_create(&self, object: &mut Value, context: &Context) {
        prepare::create(object, &context.now);
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, context: &Context) {
        prepare::update(object, old, &context.subresource);
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        validate::create(object)
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        match context.subresource.as_str() {
            "status" => status::update(object, old),
            "ephemeralcontainers" => validate::ephemeral_update(object, old),
            "resize" => resize::update(object, old),
            _ => validate::update(object, old),
        }
    }

    fn warnings(&self, object: &Value, old: Option<&Value>, context: &Context) -> Vec<String> {
        match (old, context.subresource.as_str()) {
            (None, _) => super::warnings::of_pod(object),
            (Some(_), "status") => status::warnings(object),
            (Some(_), _) => Vec::new(),
        }
    }

    fn columns(&self) -> Vec<Column> {
        columns("pods")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        table::row(object, now)
    }

    fn row_conditions(&self, object: &Value) -> Vec<Value> {
        table::row_conditions(object)
    }

    fn graceful_deletion(&self, object: &Value, asked: Option<i64>) -> Option<i64> {
        Some(grace_period(object, asked))
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "spec.host",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ]
    }

    fn field(&self, object: &Value, path: &str) -> String {
        match path {
            "spec.hostNetwork" => flag(&object["spec"]["hostNetwork"]).to_string(),
            "spec.host" => text_at(object, "spec.nodeName"),
            "status.podIPs" => text_at(object, "status.podIP"),
            _ => text_at(object, path),
        }
    }
}

/// `CheckGracefulDelete`: what was asked for, else what the pod says; at once if it never ran or is over.
fn grace_period(pod: &Value, asked: Option<i64>) -> i64 {
    let unscheduled = text(&pod["spec"]["nodeName"]).is_empty();
    let over = matches!(text(&pod["status"]["phase"]), "Failed" | "Succeeded");
    if unscheduled || over {
        return 0;
    }
    let period = asked.or_else(|| pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(0);
    if period < 0 { 1 } else { period }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn grace_periods() {
        let pod = |node: &str, phase: &str| json!({"spec": {"nodeName": node, "terminationGracePeriodSeconds": 30}, "status": {"phase": phase}});
        for (pod, asked, expected) in [
            (pod("n", "Running"), None, 30),
            (pod("n", "Running"), Some(5), 5),
            (pod("n", "Running"), Some(0), 0),
            (pod("n", "Running"), Some(-1), 1),
            (pod("", "Pending"), Some(5), 0),
            (pod("n", "Succeeded"), None, 0),
        ] {
            assert_eq!(grace_period(&pod, asked), expected, "{pod} {asked:?}");
        }
    }

    #[test]
    fn fields_that_selectors_name() {
        let pod = json!({"spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIP": "10.0.0.1"}});
        assert_eq!(Pod.field(&pod, "spec.nodeName"), "n1");
        assert_eq!(Pod.field(&pod, "spec.hostNetwork"), "false");
        assert_eq!(Pod.field(&pod, "status.phase"), "Running");
    }
}
