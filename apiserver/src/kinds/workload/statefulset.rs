//! Stateful sets. See `pkg/apis/apps/v1/defaults.go`, `pkg/registry/apps/statefulset/strategy.go`.

use serde_json::{Value, json};

use super::podspec::default::claim_template;
use super::template::{default_template, drop_disabled_fields, reset_status};
use crate::kinds::json::{default, default_text, has, int, items_mut, object_at, present_mut, remove, text};
use crate::kinds::table::{age, columns, containers_and_images, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of stateful sets.
pub struct StatefulSet;

impl Strategy for StatefulSet {
    fn default(&self, object: &mut Value) {
        let Some(spec) = object_at(object, "spec") else { return };
        default_text(spec, "podManagementPolicy", "OrderedReady");
        if let Some(strategy) = object_at(spec, "updateStrategy") {
            if text(&strategy["type"]).is_empty() {
                default_text(strategy, "type", "RollingUpdate");
                default(strategy, "rollingUpdate", json!({}));
            }
            if text(&strategy["type"]) == "RollingUpdate"
                && let Some(rolling) = present_mut(strategy, "rollingUpdate")
            {
                default(rolling, "partition", 0);
            }
        }
        if let Some(policy) = object_at(spec, "persistentVolumeClaimRetentionPolicy") {
            default_text(policy, "whenDeleted", "Retain");
            default_text(policy, "whenScaled", "Retain");
        }
        default(spec, "replicas", 1);
        default(spec, "revisionHistoryLimit", 10);
        if let Some(claims) = present_mut(spec, "volumeClaimTemplates") {
            for claim in items_mut(claims) {
                claim_template(claim);
                default(claim, "status", json!({}));
                if let Some(status) = present_mut(claim, "status") {
                    default_text(status, "phase", "Pending");
                }
            }
        }
        default_template(object);
    }

    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        reset_status(object, json!({"replicas": 0, "availableReplicas": 0}));
        drop_max_unavailable(object, &Value::Null);
        drop_disabled_fields(object, &Value::Null);
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, _context: &Context) {
        drop_max_unavailable(object, old);
        drop_disabled_fields(object, old);
    }

    fn columns(&self) -> Vec<Column> {
        columns("statefulsets.v1.apps")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let [names, images] = containers_and_images(&spec["template"]["spec"]["containers"]);
        let ready = format!("{}/{}", int(&status["readyReplicas"]), int(&spec["replicas"]));
        vec![name(object), ready.into(), age(object, now), names, images]
    }

    fn has_generation(&self) -> bool {
        true
    }
}

/// `MaxUnavailableStatefulSet` is off in 1.35.
fn drop_max_unavailable(object: &mut Value, old: &Value) {
    if has(&old["spec"]["updateStrategy"]["rollingUpdate"], "maxUnavailable") {
        return;
    }
    let strategy = present_mut(object, "spec").and_then(|spec| present_mut(spec, "updateStrategy"));
    if let Some(rolling) = strategy.and_then(|strategy| present_mut(strategy, "rollingUpdate")) {
        remove(rolling, "maxUnavailable");
    }
}
