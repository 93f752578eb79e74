//! Daemon sets. See `pkg/apis/apps/v1/{defaults,conversion}.go`, `pkg/registry/apps/daemonset/strategy.go`.

use serde_json::{Value, json};

use super::template::{default_template, drop_disabled_fields, reset_status};
use crate::kinds::json::{default, default_text, int, object_at, set, text};
use crate::kinds::labels::{format_labels, format_selector};
use crate::kinds::table::{age, columns, containers_and_images, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// Where `spec.templateGeneration` lives since `apps/v1` has no such field.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// The rules of daemon sets.
pub struct DaemonSet;

impl Strategy for DaemonSet {
    fn default(&self, object: &mut Value) {
        let Some(spec) = object_at(object, "spec") else { return };
        if let Some(strategy) = object_at(spec, "updateStrategy") {
            default_text(strategy, "type", "RollingUpdate");
            if text(&strategy["type"]) == "RollingUpdate"
                && let Some(rolling) = object_at(strategy, "rollingUpdate")
            {
                default(rolling, "maxUnavailable", 1);
                default(rolling, "maxSurge", 0);
            }
        }
        default(spec, "revisionHistoryLimit", 10);
        default_template(object);
    }

    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        reset_status(object, json!({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0}));
        drop_disabled_fields(object, &Value::Null);
        let generation = template_generation(object).max(1);
        annotate(object, generation);
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, context: &Context) {
        if context.subresource == "status" {
            return;
        }
        drop_disabled_fields(object, old);
        let changed = object["spec"]["template"] != old["spec"]["template"];
        annotate(object, template_generation(old) + i64::from(changed));
    }

    fn columns(&self) -> Vec<Column> {
        columns("daemonsets.v1.apps")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let [names, images] = containers_and_images(&spec["template"]["spec"]["containers"]);
        vec![
            name(object),
            int(&status["desiredNumberScheduled"]).into(),
            int(&status["currentNumberScheduled"]).into(),
            int(&status["numberReady"]).into(),
            int(&status["updatedNumberScheduled"]).into(),
            int(&status["numberAvailable"]).into(),
            format_labels(&spec["template"]["spec"]["nodeSelector"]).into(),
            age(object, now),
            names,
            images,
            format_selector(&spec["selector"]).into(),
        ]
    }

    fn has_generation(&self) -> bool {
        true
    }
}

/// 0 where the annotation is absent or no number.
pub(super) fn template_generation(object: &Value) -> i64 {
    text(&object["metadata"]["annotations"][TEMPLATE_GENERATION]).parse().unwrap_or(0)
}

fn annotate(object: &mut Value, generation: i64) {
    if let Some(annotations) = object_at(object, "metadata").and_then(|metadata| object_at(metadata, "annotations")) {
        set(annotations, TEMPLATE_GENERATION, generation.to_string());
    }
}
