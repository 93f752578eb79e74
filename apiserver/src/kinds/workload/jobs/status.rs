//! What may be said of a job: it does not come back from the end. See `ValidateJobStatusUpdate`, and which rules count when in
//! `pkg/registry/batch/job/strategy.go` (`getStatusValidationOptions`): only those whose fields a write changes.

use serde_json::Value;

use super::indexes;
use crate::error::FieldError;
use crate::kinds::check::nonnegative;
use crate::kinds::json::{flag, has, int, is_empty, items, text};
use crate::kinds::path::Path;
use crate::kinds::table::parse_time;

/// Whether a condition is `True`.
fn is(job: &Value, kind: &str) -> bool {
    items(&job["status"]["conditions"]).iter().any(|condition| text(&condition["type"]) == kind && text(&condition["status"]) == "True")
}

fn finished(job: &Value) -> bool {
    is(job, "Complete") || is(job, "Failed")
}

/// Which parts of the status a write changes.
struct Changes<'a> {
    new: &'a Value,
    old: &'a Value,
}

impl Changes<'_> {
    fn field(&self, key: &str) -> bool {
        self.new["status"][key] != self.old["status"][key]
    }
    fn condition(&self, kind: &str) -> bool {
        is(self.new, kind) != is(self.old, kind)
    }
    fn finished(&self) -> bool {
        finished(self.new) != finished(self.old)
    }
}

/// The faults of a write of `/status`.
pub fn update(new: &Value, old: &Value) -> Vec<FieldError> {
    let (path, mut out) = (Path::new("status"), Vec::new());
    let changes = Changes { new, old };
    for key in ["active", "succeeded", "failed", "ready", "terminating"] {
        nonnegative(&new["status"], key, &path, &mut out);
    }
    uncounted(new, &path.child("uncountedTerminatedPods"), &mut out);
    conditions(&changes, &path.child("conditions"), &mut out);
    times(&changes, &path, &mut out);
    pods(&changes, &path, &mut out);
    completed_indexes(&changes, &path, &mut out);
    criteria(new, &path.child("conditions"), &mut out);
    transitions(new, old, &path, &mut out);
    out
}

fn uncounted(job: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let mut seen: Vec<&str> = Vec::new();
    for list in ["succeeded", "failed"] {
        for (index, uid) in items(&job["status"]["uncountedTerminatedPods"][list]).iter().map(text).enumerate() {
            let at = path.child(list).index(index);
            if uid.is_empty() {
                out.push(FieldError::invalid(at, uid, "must not be empty"));
            } else if seen.contains(&uid) {
                out.push(FieldError::duplicate(at, uid));
            } else {
                seen.push(uid);
            }
        }
    }
}

fn conditions(changes: &Changes<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let job = changes.new;
    let complete = changes.condition("Complete");
    for (kind, changed, told) in [
        ("Failed", complete || changes.condition("Failed"), "cannot set Complete=True and Failed=true conditions"),
        ("FailureTarget", complete || changes.condition("FailureTarget"), "cannot set Complete=True and FailureTarget=true conditions"),
    ] {
        if changed && is(job, "Complete") && is(job, kind) {
            out.push(FieldError::invalid_omitted(path, told));
        }
    }
}

fn times(changes: &Changes<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let (job, status) = (changes.new, &changes.new["status"]);
    let at = path.child("completionTime");
    let (start, completion) = (&status["startTime"], &status["completionTime"]);
    let completing = changes.condition("Complete") || changes.field("completionTime");
    if completing && !completion.is_null() && !is(job, "Complete") {
        out.push(FieldError::invalid(&at, completion.clone(), "cannot set completionTime when there is no Complete=True condition"));
    }
    if completing && completion.is_null() && is(job, "Complete") {
        out.push(FieldError::required(&at, "completionTime is required for Complete jobs"));
    }
    let seconds = |time: &Value| time.as_str().and_then(parse_time);
    let changed = changes.field("startTime") || changes.field("completionTime");
    if let (true, Some(start), Some(end)) = (changed, seconds(start), seconds(completion))
        && end < start
    {
        out.push(FieldError::invalid(&at, completion.clone(), "must be equal to or after `startTime`"));
    }
    let conditions = path.child("conditions");
    if (changes.condition("Failed") || changes.field("failedIndexes")) && is(job, "Failed") && !is(job, "FailureTarget") {
        out.push(FieldError::invalid_omitted(&conditions, "cannot set Failed=True condition without the FailureTarget=true condition"));
    }
    let met = changes.condition("Complete") || changes.condition("SuccessCriteriaMet");
    if met && is(job, "Complete") && !is(job, "SuccessCriteriaMet") {
        out.push(FieldError::invalid_omitted(&conditions, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"));
    }
}

fn pods(changes: &Changes<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let (job, status, spec) = (changes.new, &changes.new["status"], &changes.new["spec"]);
    let (over, ending) = (finished(job), changes.finished());
    if (ending || changes.field("active")) && over && int(&status["active"]) > 0 {
        out.push(FieldError::invalid(path.child("active"), int(&status["active"]), "active>0 is invalid for finished job"));
    }
    let nothing_to_do = flag(&spec["suspend"]) && spec["completions"].as_i64() == Some(0);
    if (ending || changes.field("startTime")) && !nothing_to_do && over && !has(status, "startTime") {
        out.push(FieldError::required(path.child("startTime"), "startTime is required for finished job"));
    }
    let uncounted = &status["uncountedTerminatedPods"];
    if (ending || changes.field("uncountedTerminatedPods")) && over && (!is_empty(&uncounted["failed"]) || !is_empty(&uncounted["succeeded"])) {
        let shown = format!("{{\"Succeeded\":{},\"Failed\":{}}}", uncounted["succeeded"], uncounted["failed"]);
        out.push(FieldError::invalid_shown(path.child("uncountedTerminatedPods"), shown, "must be empty for finished job"));
    }
}

fn completed_indexes(changes: &Changes<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let (status, spec, job) = (&changes.new["status"], &changes.new["spec"], changes.new);
    let (completed, failed) = (text(&status["completedIndexes"]), status["failedIndexes"].as_str());
    let (done, lost) = (path.child("completedIndexes"), path.child("failedIndexes"));
    let (completed_changed, failed_changed) = (changes.field("completedIndexes"), changes.field("failedIndexes"));
    let completions = spec["completions"].as_i64();
    if let (true, Some(Err(why))) = (completed_changed, completions.map(|most| indexes::count(completed, most))) {
        out.push(FieldError::invalid(&done, completed, format!("error parsing completedIndexes: {why}")));
    }
    let limited = has(spec, "backoffLimitPerIndex");
    if let (true, true, Some(most), Some(list)) = (failed_changed, limited, completions, failed)
        && let Err(why) = indexes::count(list, most)
    {
        out.push(FieldError::invalid(&lost, list, format!("error parsing failedIndexes: {why}")));
    }
    if completed_changed && !completed.is_empty() && text(&spec["completionMode"]) != "Indexed" {
        out.push(FieldError::invalid(&done, completed, "cannot set non-empty completedIndexes when non-indexed completion mode"));
    }
    if let (true, false, Some(list)) = (failed_changed, limited, failed) {
        out.push(FieldError::invalid(&lost, list, "cannot set non-null failedIndexes when backoffLimitPerIndex is null"));
    }
    if let (true, Some(most), Some(list)) = (failed_changed || completed_changed, completions, failed)
        && let Some(index) = indexes::overlap(completed, list, most)
    {
        out.push(FieldError::invalid(&lost, list, format!("failedIndexes and completedIndexes overlap at index: {index}")));
    }
    let (terminating, ready, active) = (int(&status["terminating"]), int(&status["ready"]), int(&status["active"]));
    if (changes.finished() || changes.field("terminating")) && finished(job) && terminating > 0 {
        out.push(FieldError::invalid(path.child("terminating"), terminating, "terminating>0 is invalid for finished job"));
    }
    if (changes.field("ready") || changes.field("active")) && ready > active {
        out.push(FieldError::invalid(path.child("ready"), ready, "cannot set more ready pods than active"));
    }
}

fn criteria(job: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let met = is(job, "SuccessCriteriaMet");
    if met && is(job, "Failed") {
        out.push(FieldError::invalid_omitted(path, "cannot set SuccessCriteriaMet=True and Failed=true conditions"));
    }
    if met && is(job, "FailureTarget") {
        out.push(FieldError::invalid_omitted(path, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"));
    }
    if has(&job["spec"], "successPolicy") && !met && is(job, "Complete") {
        let told = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        out.push(FieldError::invalid_omitted(path, told));
    }
}

fn transitions(new: &Value, old: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let conditions = path.child("conditions");
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if is(old, kind) && !is(new, kind) {
            out.push(FieldError::invalid_omitted(&conditions, format!("cannot disable the terminal {kind}=True condition")));
        }
    }
    let (status, before, spec) = (&new["status"], &old["status"], &new["spec"]);
    let shrinks = |key: &str| int(&status[key]) < int(&before[key]);
    if shrinks("failed") {
        out.push(FieldError::invalid(path.child("failed"), int(&status["failed"]), "cannot decrease the failed counter"));
    }
    let scales = text(&spec["completionMode"]) == "Indexed" && spec["completions"] == spec["parallelism"];
    if shrinks("succeeded") && !scales {
        out.push(FieldError::invalid(path.child("succeeded"), int(&status["succeeded"]), "cannot decrease the succeeded counter"));
    }
    let (time, was) = (&status["completionTime"], &before["completionTime"]);
    if !time.is_null() && !was.is_null() && time != was {
        out.push(FieldError::invalid(path.child("completionTime"), time.clone(), "field is immutable"));
    }
    let (start, was) = (&status["startTime"], &before["startTime"]);
    let suspended =
        |job: &Value, value: &str| items(&job["status"]["conditions"]).iter().any(|c| text(&c["type"]) == "Suspended" && text(&c["status"]) == value);
    let resuming = suspended(old, "True") && suspended(new, "False");
    if !resuming && !was.is_null() && start != was && !flag(&spec["suspend"]) {
        out.push(FieldError::required(path.child("startTime"), "startTime cannot be removed for unsuspended job"));
    }
    if is(old, "SuccessCriteriaMet") && !is(new, "SuccessCriteriaMet") {
        out.push(FieldError::invalid_omitted(&conditions, "cannot disable the SuccessCriteriaMet=True condition"));
    }
    if is(old, "Complete") && !is(old, "SuccessCriteriaMet") && is(new, "SuccessCriteriaMet") {
        let told = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        out.push(FieldError::invalid_omitted(&conditions, told));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_ends_once() {
        let job = |status: Value| json!({"spec": {"completions": 1}, "status": status});
        let over = json!({"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:05Z", "succeeded": 1,
            "conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]});
        assert!(update(&job(over.clone()), &job(json!({"startTime": "2026-01-01T00:00:00Z"}))).is_empty());
        let told: Vec<String> =
            update(&job(json!({"startTime": "2026-01-01T00:00:00Z", "succeeded": 1})), &job(over)).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
                "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
            ]
        );
    }
}
