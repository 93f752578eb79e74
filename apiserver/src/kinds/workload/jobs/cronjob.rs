//! Cron jobs. See `pkg/apis/batch/v1/defaults.go`, `pkg/registry/batch/cronjob/strategy.go`.

use serde_json::{Value, json};

use skiff_proto::rules::cron::Schedule;

use super::super::podspec::default::template;
use super::super::podspec::drop_fields::drop_disabled;
use super::super::template::{name_warning, reset_status};
use super::validate::job_spec;
use crate::error::FieldError;
use crate::kinds::check::nonnegative;
use crate::kinds::json::{default, default_text, has, items, object_at, present_mut, text};
use crate::kinds::labels::{format_selector, show_selector};
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, containers_and_images, name, since};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of cron jobs.
pub struct CronJob;

impl Strategy for CronJob {
    fn default(&self, object: &mut Value) {
        let Some(spec) = object_at(object, "spec") else { return };
        default_text(spec, "concurrencyPolicy", "Allow");
        default(spec, "suspend", false);
        default(spec, "successfulJobsHistoryLimit", 3);
        default(spec, "failedJobsHistoryLimit", 1);
        if let Some(job) = object_at(spec, "jobTemplate").and_then(|job| object_at(job, "spec")) {
            super::failure_policy(job);
            if let Some(pod) = object_at(job, "template") {
                template(pod);
            }
        }
    }

    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        reset_status(object, json!({}));
        drop_fields(object, &Value::Null);
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, _context: &Context) {
        drop_fields(object, old);
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let mut out = validate_spec(&object["spec"], &Value::Null);
        let called = text(&object["metadata"]["name"]);
        if called.len() > 52 {
            out.push(FieldError::invalid("metadata.name", called, "must be no more than 52 characters"));
        }
        out
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource == "status" { Vec::new() } else { validate_spec(&object["spec"], &old["spec"]) }
    }

    fn warnings(&self, object: &Value, old: Option<&Value>, context: &Context) -> Vec<String> {
        if !context.subresource.is_empty() {
            return Vec::new();
        }
        let mut told: Vec<String> = if old.is_none() { name_warning(object).into_iter().collect() } else { Vec::new() };
        if old.is_none_or(|old| self.raises_generation(object, old)) {
            told.extend(super::spec_warnings(&object["spec"]["jobTemplate"]["spec"], &Path::new("spec.jobTemplate.spec")));
        }
        if old.is_some() && text(&object["spec"]["schedule"]).contains("TZ") {
            told.push("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".to_owned());
        }
        told
    }

    fn columns(&self) -> Vec<Column> {
        columns("cronjobs.v1.batch")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let job = &spec["jobTemplate"]["spec"];
        let [names, images] = containers_and_images(&job["template"]["spec"]["containers"]);
        let last = if has(status, "lastScheduleTime") { since(&status["lastScheduleTime"], now) } else { "<none>".to_owned() };
        let zone = if has(spec, "timeZone") { text(&spec["timeZone"]) } else { "<none>" };
        let suspended = match spec["suspend"].as_bool() {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        vec![
            name(object),
            text(&spec["schedule"]).into(),
            zone.into(),
            suspended.into(),
            items(&status["active"]).len().into(),
            last.into(),
            age(object, now),
            names,
            images,
            format_selector(&job["selector"]).into(),
        ]
    }

    fn has_generation(&self) -> bool {
        true
    }
}

fn drop_fields(object: &mut Value, old: &Value) {
    let job = present_mut(object, "spec").and_then(|spec| present_mut(spec, "jobTemplate")).and_then(|job| present_mut(job, "spec"));
    let pod = job.and_then(|job| present_mut(job, "template")).and_then(|template| present_mut(template, "spec"));
    if let Some(spec) = pod {
        drop_disabled(spec, &old["spec"]["jobTemplate"]["spec"]["template"]["spec"]);
    }
}

/// `validateCronJobSpec`; `old` is null on create.
fn validate_spec(spec: &Value, old: &Value) -> Vec<FieldError> {
    let (path, mut out) = (Path::new("spec"), Vec::new());
    schedule(spec, old, &path.child("schedule"), &mut out);
    nonnegative(spec, "startingDeadlineSeconds", &path, &mut out);
    if let Some(zone) = spec["timeZone"].as_str()
        && old["timeZone"].as_str() != Some(zone)
    {
        time_zone(zone, &path.child("timeZone"), &mut out);
    }
    let policies = ["Allow", "Forbid", "Replace"];
    match text(&spec["concurrencyPolicy"]) {
        "" => out.push(FieldError::required(path.child("concurrencyPolicy"), "")),
        known if policies.contains(&known) => {}
        other => out.push(FieldError::not_supported_as_listed(path.child("concurrencyPolicy"), other, &policies)),
    }
    let (job, at) = (&spec["jobTemplate"]["spec"], path.child("jobTemplate").child("spec"));
    job_spec(job, &at, &mut out);
    if has(job, "selector") {
        out.push(FieldError::invalid_shown(at.child("selector"), show_selector(&job["selector"]), "`selector` will be auto-generated"));
    }
    if job["manualSelector"].as_bool() == Some(true) {
        out.push(FieldError::not_supported_as_listed(at.child("manualSelector"), true, &["nil", "false"]));
    }
    nonnegative(spec, "successfulJobsHistoryLimit", &path, &mut out);
    nonnegative(spec, "failedJobsHistoryLimit", &path, &mut out);
    out
}

/// `validateScheduleFormat`.
fn schedule(spec: &Value, old: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let schedule = text(&spec["schedule"]);
    if schedule.is_empty() {
        out.push(FieldError::required(path, ""));
        return;
    }
    if let Err(why) = Schedule::parse(schedule) {
        out.push(FieldError::invalid(path, schedule, why));
    }
    if !schedule.contains("TZ") {
        return;
    }
    let before = text(&old["schedule"]).contains("TZ");
    if before && has(spec, "timeZone") {
        out.push(FieldError::invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"));
    } else if !before {
        out.push(FieldError::invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"));
    }
}

/// `validateTimeZone`: a name of the IANA database (`timezones.txt`).
fn time_zone(zone: &str, path: &Path, out: &mut Vec<FieldError>) {
    if zone.is_empty() {
        out.push(FieldError::invalid(path, zone, "timeZone must be nil or non-empty string"));
        return;
    }
    let unknown = format!("unknown time zone {zone}");
    let good = |part: &str| {
        let letters = part.chars().all(|c| c.is_ascii_alphanumeric() || ".-_+".contains(c));
        part != "." && part != ".." && !part.starts_with('-') && (1..=14).contains(&part.len()) && letters
    };
    if !zone.split('/').all(good) {
        out.push(FieldError::invalid(path, zone, unknown));
        return;
    }
    if zone.eq_ignore_ascii_case("Local") {
        let told = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        out.push(FieldError::invalid(path, zone, told));
    }
    let known = include_str!("timezones.txt").lines().any(|known| known == zone);
    if !known && zone != "Local" {
        out.push(FieldError::invalid(path, zone, unknown));
    }
}
