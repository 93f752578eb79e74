//! Daemon sets. See `pkg/apis/apps/v1/{defaults,conversion}.go`, `pkg/registry/apps/daemonset/strategy.go`.

use serde_json::{Value, json};

use super::deployment::or_zero;
use super::podspec::validate::template;
use super::template::{self as shared, default_template, drop_disabled_fields, reset_status};
use crate::error::FieldError;
use crate::kinds::check::nonnegative;
use crate::kinds::json::{default, default_text, has, int, object_at, set, text};
use crate::kinds::labels::{format_labels, format_selector, selects_everything, show_selector, validate_selector};
use crate::kinds::path::Path;
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

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let mut out = Vec::new();
        validate_spec(&object["spec"], &mut out);
        out
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource == "status" {
            let mut out = shared::validate_counters(&object["status"], &COUNTERS, &[], "");
            shared::validate_collisions(&object["status"], &old["status"], &mut out);
            return out;
        }
        let mut out = Vec::new();
        shared::immutable(&object["spec"], &old["spec"], "selector", &Path::new("spec"), &mut out);
        validate_spec(&object["spec"], &mut out);
        out
    }

    fn warnings(&self, object: &Value, old: Option<&Value>, context: &Context) -> Vec<String> {
        super::warnings::of_workload(self, object, old, context, false)
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

const COUNTERS: [&str; 9] = [
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
];

/// `ValidateDaemonSetSpec`.
fn validate_spec(spec: &Value, out: &mut Vec<FieldError>) {
    let path = Path::new("spec");
    let (selector, at) = (&spec["selector"], path.child("selector"));
    let mut found = validate_selector(selector, &at);
    let usable = found.is_empty();
    out.append(&mut found);
    if usable {
        shared::validate_selects_template(spec, &path, out);
    }
    if !selector.is_null() && selects_everything(selector) {
        out.push(FieldError::invalid_shown(at, show_selector(selector), "empty selector is invalid for daemonset"));
    }
    template(&spec["template"], &path.child("template"), out);
    shared::validate_always_restarts(spec, "DaemonSet", &path, out);
    nonnegative(spec, "minReadySeconds", &path, out);
    validate_strategy(&spec["updateStrategy"], &path.child("updateStrategy"), out);
    nonnegative(spec, "revisionHistoryLimit", &path, out);
}

/// `ValidateDaemonSetUpdateStrategy`.
fn validate_strategy(strategy: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (rolling, at) = (&strategy["rollingUpdate"], path.child("rollingUpdate"));
    let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
    let (of_unavailable, of_surge) = (at.child("maxUnavailable"), at.child("maxSurge"));
    match text(&strategy["type"]) {
        "OnDelete" => {}
        "RollingUpdate" => {
            if !has(strategy, "rollingUpdate") {
                out.push(FieldError::required(at, ""));
                return;
            }
            shared::int_or_percent(unavailable, &of_unavailable, out);
            shared::int_or_percent(surge, &of_surge, out);
            shared::at_most_100_percent(unavailable, &of_unavailable, out);
            shared::at_most_100_percent(surge, &of_surge, out);
            match (shared::amount(unavailable) != 0, shared::amount(surge) != 0) {
                (true, true) => out.push(FieldError::invalid(of_surge, surge.clone(), "may not be set when maxUnavailable is non-zero")),
                (false, false) => out.push(FieldError::required(of_unavailable, "cannot be 0 when maxSurge is 0")),
                (true, false) | (false, true) => {}
            }
        }
        other => {
            let rolling = match rolling {
                Value::Null => "null".to_owned(),
                _ => format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", or_zero(unavailable), or_zero(surge)),
            };
            let mut error = FieldError::not_supported_as_listed(path, "", &["RollingUpdate", "OnDelete"]);
            error.shown = Some(format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", Value::from(other)));
            out.push(error);
        }
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
