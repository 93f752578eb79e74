//! Cron jobs. See `pkg/apis/batch/v1/defaults.go`, `pkg/registry/batch/cronjob/strategy.go`.

use serde_json::{Value, json};

use super::podspec::default::template;
use super::podspec::drop_fields::drop_disabled;
use super::template::reset_status;
use crate::kinds::json::{default, default_text, has, items, object_at, present_mut, text};
use crate::kinds::labels::format_selector;
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
            super::job::failure_policy(job);
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
