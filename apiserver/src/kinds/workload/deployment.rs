//! Deployments. See `pkg/apis/apps/v1/defaults.go`, `pkg/registry/apps/deployment/strategy.go`.

use serde_json::{Value, json};

use super::template::{default_template, drop_disabled_fields, reset_status};
use crate::kinds::json::{default, default_text, int, object_at, set, text};
use crate::kinds::labels::format_selector_text;
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

    fn has_generation(&self) -> bool {
        true
    }

    /// Annotations count too, because they are copied to replica sets.
    fn raises_generation(&self, object: &Value, old: &Value) -> bool {
        object["spec"] != old["spec"] || object["metadata"]["annotations"] != old["metadata"]["annotations"]
    }
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
