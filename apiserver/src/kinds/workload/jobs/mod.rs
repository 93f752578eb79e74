//! Jobs and cron jobs. See `pkg/apis/batch/v1/defaults.go`, `pkg/registry/batch/job/strategy.go`.
//!
//! [`validate`] is what may be a job, [`status`] what may be said of one, [`indexes`] how lists of indexes are read; [`cronjob`] makes jobs.

pub mod cronjob;
pub mod indexes;
pub mod status;
pub mod validate;

use serde_json::{Value, json};

use super::template::{default_template, drop_disabled_fields, reset_status};
use crate::error::FieldError;
use crate::kinds::json::{default, default_text, flag, has, int, is_empty, items, items_mut, object_at, present_mut, set, text};
use crate::kinds::labels::format_selector;
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, containers_and_images, human_duration, name, parse_time};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of jobs.
pub struct Job;

impl Strategy for Job {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object_at(object, "spec") {
            job_spec(spec);
        }
        default_template(object);
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        if !labels.is_null()
            && is_empty(&object["metadata"]["labels"])
            && let Some(metadata) = object_at(object, "metadata")
        {
            set(metadata, "labels", labels);
        }
    }

    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        if !flag(&object["spec"]["manualSelector"]) {
            generate_selector(object);
        }
        reset_status(object, json!({}));
        drop_disabled_fields(object, &Value::Null);
    }

    /// The labels that were generated for the template become the job's own, if it has none.
    fn canonicalize(&self, object: &mut Value) {
        self.default(object);
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, _context: &Context) {
        drop_disabled_fields(object, old);
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        validate::job(object)
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource == "status" { status::update(object, old) } else { validate::update(object, old) }
    }

    fn warnings(&self, object: &Value, old: Option<&Value>, context: &Context) -> Vec<String> {
        if !context.subresource.is_empty() || old.is_some_and(|old| !self.raises_generation(object, old)) {
            return Vec::new();
        }
        let name = if old.is_none() { super::template::name_warning(object) } else { None };
        name.into_iter().chain(spec_warnings(&object["spec"], &Path::new("spec"))).collect()
    }

    fn columns(&self) -> Vec<Column> {
        columns("jobs.v1.batch")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        row(object, now)
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn orphans_by_default(&self) -> bool {
        true
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["status.successful"]
    }

    fn field(&self, object: &Value, _path: &str) -> String {
        int(&object["status"]["succeeded"]).to_string()
    }
}

/// `SetDefaults_Job`, of the specification.
fn job_spec(spec: &mut Value) {
    if !has(spec, "completions") && !has(spec, "parallelism") {
        default(spec, "completions", 1);
    }
    default(spec, "parallelism", 1);
    let limit = if has(spec, "backoffLimitPerIndex") { i32::MAX } else { 6 };
    default(spec, "backoffLimit", limit);
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    let replacement = if has(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    default(spec, "podReplacementPolicy", replacement);
    default(spec, "manualSelector", false);
    failure_policy(spec);
}

/// `SetDefaults_PodFailurePolicyOnPodConditionsPattern`; also of the job template of a cron job, which has no other defaults.
pub(super) fn failure_policy(spec: &mut Value) {
    let Some(rules) = present_mut(spec, "podFailurePolicy").and_then(|policy| present_mut(policy, "rules")) else { return };
    for rule in items_mut(rules) {
        let Some(patterns) = present_mut(rule, "onPodConditions") else { continue };
        items_mut(patterns).iter_mut().for_each(|pattern| default_text(pattern, "status", "True"));
    }
}

/// `WarningsForJobSpec`; also of the job template of a cron job.
pub(super) fn spec_warnings(spec: &Value, path: &Path) -> Vec<String> {
    let mut told = Vec::new();
    if text(&spec["completionMode"]) == "Indexed" && int(&spec["completions"]) > 100_000 && int(&spec["parallelism"]) > 10_000 {
        told.push(format!("{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"));
    }
    told.extend(super::warnings::of_template(&spec["template"], None, &path.child("template")));
    told
}

/// `generateSelector`: labels unique to this job, on its template, and a selector of them. Labels that are there stay, and are refused by validation.
fn generate_selector(object: &mut Value) {
    let (name, uid) = (object["metadata"]["name"].clone(), object["metadata"]["uid"].clone());
    let Some(spec) = object_at(object, "spec") else { return };
    let template = object_at(spec, "template").and_then(|template| object_at(template, "metadata"));
    if let Some(labels) = template.and_then(|metadata| object_at(metadata, "labels")) {
        for (key, value) in
            [("job-name", &name), ("batch.kubernetes.io/job-name", &name), ("controller-uid", &uid), ("batch.kubernetes.io/controller-uid", &uid)]
        {
            default(labels, key, value.clone());
        }
    }
    if let Some(labels) = object_at(spec, "selector").and_then(|selector| object_at(selector, "matchLabels")) {
        default(labels, "batch.kubernetes.io/controller-uid", uid);
    }
}

fn row(object: &Value, now: i64) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let succeeded = int(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), int(&spec["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let at = |key: &str| status[key].as_str().and_then(parse_time);
    let duration = match (at("startTime"), at("completionTime")) {
        (None, _) => String::new(),
        (Some(start), None) => human_duration(now - start),
        (Some(start), Some(end)) => human_duration(end - start),
    };
    let [names, images] = containers_and_images(&spec["template"]["spec"]["containers"]);
    vec![name(object), state(object).into(), completions.into(), duration.into(), age(object, now), names, images, format_selector(&spec["selector"]).into()]
}

fn state(object: &Value) -> &'static str {
    let is = |kind: &str| {
        let found = items(&object["status"]["conditions"]).iter().find(|condition| text(&condition["type"]) == kind);
        found.is_some_and(|condition| text(&condition["status"]) == "True")
    };
    if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if has(&object["metadata"], "deletionTimestamp") {
        "Terminating"
    } else if is("Suspended") {
        "Suspended"
    } else if is("FailureTarget") {
        "FailureTarget"
    } else if is("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_job_selects_its_own_pods() {
        let mut job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"spec": {"containers": []}}}});
        Job.default(&mut job);
        let context = Context { version: "v1".into(), ..Context::default() };
        Job.prepare_for_create(&mut job, &context);
        Job.canonicalize(&mut job);
        assert_eq!(job["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}));
        assert_eq!(job["metadata"]["labels"]["job-name"], "j");
        assert_eq!(job["spec"]["completions"], 1);
    }

    #[test]
    fn rows() {
        let job = json!({"metadata": {"name": "j"}, "spec": {"parallelism": 3, "template": {}},
            "status": {"succeeded": 1, "startTime": "1970-01-01T00:00:00Z", "completionTime": "1970-01-01T00:00:30Z", "conditions": [{"type": "Complete", "status": "True"}]}});
        let cells = Job.row(&job, 100);
        assert_eq!(cells[1..4], [json!("Complete"), json!("1/1 of 3"), json!("30s")]);
    }
}
