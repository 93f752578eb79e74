//! Stateful sets. See `pkg/apis/apps/v1/defaults.go`, `pkg/registry/apps/statefulset/strategy.go`.

use serde_json::{Value, json};

use super::podspec::default::claim_template;
use super::podspec::validate::template;
use super::template::{self as shared, default_template, drop_disabled_fields, reset_status};
use crate::error::FieldError;
use crate::kinds::check::{label, nonnegative};
use crate::kinds::json::{default, default_text, has, int, is_empty, items, items_mut, object_at, present_mut, remove, set, text};
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, containers_and_images, name};
use crate::kinds::{claim, name as names};
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
                set(claim, "kind", "PersistentVolumeClaim");
                set(claim, "apiVersion", "v1");
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

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_label(name, prefix)
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        validate_spec(&object["spec"], true)
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource == "status" {
            let within = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
            let mut out = shared::validate_counters(&object["status"], &COUNTERS, &within, "status.readyReplicas");
            shared::validate_collisions(&object["status"], &old["status"], &mut out);
            return out;
        }
        let mut out = validate_spec(&object["spec"], false);
        if unchangeable(&object["spec"]) != unchangeable(&old["spec"]) {
            let told = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
            out.push(FieldError::forbidden("spec", told));
        }
        out
    }

    fn warnings(&self, object: &Value, old: Option<&Value>, context: &Context) -> Vec<String> {
        let mut told = super::warnings::of_workload(self, object, old, context, false);
        if context.subresource.is_empty() && int(&object["spec"]["revisionHistoryLimit"]) < 0 {
            told.push("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended".to_owned());
        }
        told
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

const COUNTERS: [&str; 7] = ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "observedGeneration", "collisionCount"];

/// What an update may not touch.
fn unchangeable(spec: &Value) -> Value {
    let mut rest = spec.clone();
    for key in ["replicas", "template", "updateStrategy", "minReadySeconds", "ordinals", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy"] {
        remove(&mut rest, key);
    }
    rest
}

/// `ValidateStatefulSetSpec`. What cannot change is checked of new objects only.
fn validate_spec(spec: &Value, new: bool) -> Vec<FieldError> {
    let (path, mut out) = (Path::new("spec"), Vec::new());
    match text(&spec["podManagementPolicy"]) {
        "OrderedReady" | "Parallel" => {}
        "" => out.push(FieldError::required(path.child("podManagementPolicy"), "")),
        other => out.push(FieldError::invalid(path.child("podManagementPolicy"), other, "must be 'OrderedReady' or 'Parallel'")),
    }
    validate_strategy(&spec["updateStrategy"], &path.child("updateStrategy"), &mut out);
    for key in ["whenDeleted", "whenScaled"] {
        let policy = text(&spec["persistentVolumeClaimRetentionPolicy"][key]);
        if !matches!(policy, "Retain" | "Delete") {
            let at = path.child("persistentVolumeClaimRetentionPolicy").child(key);
            out.push(FieldError::not_supported_as_listed(at, policy, &["Retain", "Delete"]));
        }
    }
    if new {
        for (index, template) in items(&spec["volumeClaimTemplates"]).iter().enumerate() {
            claim::validate_spec(&template["spec"], &path.child("volumeClaimTemplates").index(index).child("spec"), &mut out);
        }
    }
    nonnegative(spec, "replicas", &path, &mut out);
    nonnegative(spec, "minReadySeconds", &path, &mut out);
    nonnegative(&spec["ordinals"], "start", &path.child("ordinals"), &mut out);
    if new && !is_empty(&spec["serviceName"]) {
        label(text(&spec["serviceName"]), &path.child("serviceName"), &mut out);
    }
    if shared::validate_own_selector(spec, "statefulset", &path, &mut out) {
        shared::validate_selects_template(spec, &path, &mut out);
        template(&without_claims(spec), &path.child("template"), &mut out);
    } else {
        out.push(FieldError::invalid_shown(path.child("selector"), crate::kinds::labels::show_selector(&spec["selector"]), ""));
    }
    shared::validate_always_restarts(spec, "StatefulSet", &path, &mut out);
    out
}

/// The template as its pods will be: claims become volumes, host name and subdomain are the controller's.
fn without_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let Some(pod) = object_at(&mut template, "spec") else { return template };
    remove(pod, "subdomain");
    remove(pod, "hostname");
    let claims: Vec<&str> = items(&spec["volumeClaimTemplates"]).iter().map(|claim| text(&claim["metadata"]["name"])).collect();
    if claims.is_empty() {
        return template;
    }
    let mut volumes: Vec<Value> = claims.iter().map(|claim| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}})).collect();
    volumes.extend(items(&pod["volumes"]).iter().filter(|volume| !claims.contains(&text(&volume["name"]))).cloned());
    set(pod, "volumes", volumes);
    template
}

fn validate_strategy(strategy: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let rolling = &strategy["rollingUpdate"];
    let at = path.child("rollingUpdate");
    let show = || match rolling {
        Value::Null => "null".to_owned(),
        set => format!("{{\"Partition\":{},\"MaxUnavailable\":{}}}", int(&set["partition"]), set["maxUnavailable"]),
    };
    match text(&strategy["type"]) {
        "" => out.push(FieldError::required(path, "")),
        "OnDelete" => {
            if !rolling.is_null() {
                out.push(FieldError::invalid_shown(at, show(), "only allowed for updateStrategy 'RollingUpdate'"));
            }
        }
        "RollingUpdate" => {
            nonnegative(rolling, "partition", &at, out);
            let (unavailable, at) = (&rolling["maxUnavailable"], at.child("maxUnavailable"));
            if !unavailable.is_null() {
                shared::int_or_percent(unavailable, &at, out);
                if shared::amount(unavailable) == 0 {
                    out.push(FieldError::invalid(&at, unavailable.clone(), "cannot be 0"));
                }
                shared::at_most_100_percent(unavailable, &at, out);
            }
        }
        other => {
            let shown = format!("{{\"Type\":{},\"RollingUpdate\":{}}}", Value::from(other), show());
            out.push(FieldError::invalid_shown(path, shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
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
