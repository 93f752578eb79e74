//! What may be a job's specification, and what of it may change. See `pkg/apis/batch/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::indexes;
use crate::error::FieldError;
use crate::kinds::check::{faults, nonnegative, one_of, qualified};
use crate::kinds::json::{flag, has, int, is_empty, items, object_at, remove, set, text};
use crate::kinds::labels::{selects, show_selector, validate_selector};
use crate::kinds::name;
use crate::kinds::path::Path;
use crate::kinds::workload::podspec::validate::template;
use crate::kinds::workload::template::{immutable, validate_selects_template};

/// Above this many completions, parallelism and failures are limited.
const MANY: i64 = 100_000;
const FEWER: i64 = 10_000;

/// `ValidateJob`.
pub fn job(job: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    generated_selector(job, &mut out);
    let spec = &job["spec"];
    selected_spec(spec, &Path::new("spec"), &mut out);
    let completions = int(&spec["completions"]);
    if text(&spec["completionMode"]) == "Indexed" && completions > 0 {
        let called = text(&job["metadata"]["name"]);
        let hostname = format!("{called}-{}", completions - 1);
        if !name::label(&hostname).is_empty() {
            let told = format!("will not able to create pod with invalid DNS label: {hostname}");
            out.push(FieldError::invalid("metadata.name", called, told));
        }
    }
    out
}

/// `ValidateJob`, then `ValidateJobUpdate`.
pub fn update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = job(new);
    let (spec, before, path) = (&new["spec"], &old["spec"], Path::new("spec"));
    selected_spec(spec, &path, &mut out);
    completions_update(spec, before, &path, &mut out);
    immutable(spec, before, "selector", &path, &mut out);
    template_update(new, old, &path, &mut out);
    for key in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        immutable(spec, before, key, &path, &mut out);
    }
    out
}

/// `validateGeneratedSelector`: the labels by which a job finds its pods are its own.
fn generated_selector(job: &Value, out: &mut Vec<FieldError>) {
    let (metadata, spec) = (&job["metadata"], &job["spec"]);
    if flag(&spec["manualSelector"]) || !has(spec, "selector") {
        return;
    }
    let (called, uid) = (text(&metadata["name"]), text(&metadata["uid"]));
    if uid.is_empty() {
        out.push(FieldError::required("metadata.uid", ""));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let expected = [("controller-uid", uid), ("job-name", called), ("batch.kubernetes.io/controller-uid", uid), ("batch.kubernetes.io/job-name", called)];
    for (key, value) in expected {
        let at = Path::new("spec.template.metadata.labels").key(key);
        match labels.get(key).map(text) {
            None => out.push(FieldError::required(at, format!("must be '{value}'"))),
            Some(other) if other != value => out.push(FieldError::invalid(at, labels.clone(), format!("must be '{value}'"))),
            Some(_) => {}
        }
    }
    let own = json!({"controller-uid": uid, "job-name": called, "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": called});
    let usable = validate_selector(&spec["selector"], &Path::default()).is_empty();
    if usable && !selects(&spec["selector"], &own) {
        out.push(FieldError::invalid_shown("spec.selector", show_selector(&spec["selector"]), "`selector` not auto-generated"));
    }
}

/// `ValidateJobSpec`.
fn selected_spec(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    job_spec(spec, path, out);
    let at = path.child("selector");
    let mut usable = true;
    if has(spec, "selector") {
        let mut found = validate_selector(&spec["selector"], &at);
        usable = found.is_empty();
        out.append(&mut found);
    } else {
        out.push(FieldError::required(at, ""));
    }
    if usable {
        validate_selects_template(spec, path, out);
    }
}

/// `validateJobSpec`; also of the job template of a cron job.
pub fn job_spec(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for key in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes"] {
        nonnegative(spec, key, path, out);
    }
    if has(spec, "maxFailedIndexes") && !has(spec, "backoffLimitPerIndex") {
        out.push(FieldError::required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    if has(spec, "managedBy") {
        managed_by(text(&spec["managedBy"]), &path.child("managedBy"), out);
    }
    match spec["completionMode"].as_str() {
        None | Some("NonIndexed") => {
            for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
                if has(spec, key) {
                    out.push(FieldError::invalid(path.child(key), int(&spec[key]), "requires indexed completion mode"));
                }
            }
        }
        Some("Indexed") => indexed(spec, path, out),
        Some(other) => out.push(FieldError::not_supported_as_listed(path.child("completionMode"), other, &["NonIndexed", "Indexed"])),
    }
    if has(spec, "podFailurePolicy") {
        failure_policy(spec, &path.child("podFailurePolicy").child("rules"), out);
    }
    if has(spec, "successPolicy") {
        success_policy(spec, &path.child("successPolicy"), out);
    }
    replacement_policy(spec, &path.child("podReplacementPolicy"), out);
    template(&spec["template"], &path.child("template"), out);
    restart_policy(spec, &path.child("template").child("spec").child("restartPolicy"), out);
}

/// `IsDomainPrefixedPath`, at most 63 bytes.
fn managed_by(value: &str, path: &Path, out: &mut Vec<FieldError>) {
    let parts = value.split_once('/').filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty());
    match parts {
        _ if value.is_empty() => out.push(FieldError::required(path, "")),
        None => out.push(FieldError::invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")")),
        Some((domain, rest)) => {
            faults(domain, path, name::subdomain(domain), out);
            if !rest.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c)) {
                let told = name::regex_error("Invalid path", "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+", &[]);
                out.push(FieldError::invalid(path, rest, told));
            }
        }
    }
    if value.len() > 63 {
        out.push(FieldError::too_long(path, 63));
    }
}

fn indexed(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let number = |key: &str| spec[key].as_i64();
    let (completions, parallelism, failed) = (number("completions"), number("parallelism"), number("maxFailedIndexes"));
    let mut limit = |key: &str, value: Option<i64>, most: i64, told: String| {
        if let Some(value) = value.filter(|value| *value > most) {
            out.push(FieldError::invalid(path.child(key), value, told));
        }
    };
    limit("parallelism", parallelism, MANY, format!("must be less than or equal to {MANY} when completion mode is Indexed"));
    if let Some(completions) = completions {
        limit("maxFailedIndexes", failed, completions, "must be less than or equal to completions".to_owned());
    }
    limit("maxFailedIndexes", failed, MANY, format!("must be less than or equal to {MANY}"));
    let many = completions.is_some_and(|completions| completions > MANY) && has(spec, "backoffLimitPerIndex");
    if many {
        let told = format!("must be less than or equal to {FEWER} when completions are above {MANY} and used with backoff limit per index");
        limit("parallelism", parallelism, FEWER, told.clone());
        limit("maxFailedIndexes", failed, FEWER, told);
    }
    if many && failed.is_none() {
        out.push(FieldError::required(path.child("maxFailedIndexes"), format!("must be specified when completions is above {MANY}")));
    }
    if completions.is_none() {
        out.push(FieldError::required(path.child("completions"), "when completion mode is Indexed"));
    }
}

fn replacement_policy(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if !has(spec, "podReplacementPolicy") {
        return;
    }
    let supported: &[&str] = if has(spec, "podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    one_of(text(&spec["podReplacementPolicy"]), supported, path, out);
}

fn restart_policy(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    match text(&spec["template"]["spec"]["restartPolicy"]) {
        "Always" | "" => out.push(FieldError::required(path, "valid values: \"OnFailure\", \"Never\"")),
        policy @ ("OnFailure" | "Never") => {
            if has(spec, "podFailurePolicy") && policy != "Never" {
                out.push(FieldError::invalid(path, policy, "only \"Never\" is supported when podFailurePolicy is specified"));
            }
        }
        other => out.push(FieldError::not_supported_as_listed(path, other, &["OnFailure", "Never"])),
    }
}

/// `validatePodFailurePolicy`.
fn failure_policy(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let rules = items(&spec["podFailurePolicy"]["rules"]);
    if rules.len() > 20 {
        out.push(FieldError::too_many(path, rules.len(), 20));
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = path.index(index);
        let actions = ["Count", "FailIndex", "FailJob", "Ignore"];
        match text(&rule["action"]) {
            "" => out.push(FieldError::required(at.child("action"), valid_values(&actions))),
            "FailIndex" => {
                if !has(spec, "backoffLimitPerIndex") {
                    out.push(FieldError::invalid(at.child("action"), "FailIndex", "requires the backoffLimitPerIndex to be set"));
                }
            }
            other => one_of(other, &actions, &at.child("action"), out),
        }
        let (codes, conditions) = (has(rule, "onExitCodes"), !is_empty(&rule["onPodConditions"]));
        if codes {
            exit_codes(&rule["onExitCodes"], &spec["template"]["spec"], &at.child("onExitCodes"), out);
        }
        pod_conditions(&rule["onPodConditions"], &at.child("onPodConditions"), out);
        if codes && conditions {
            out.push(FieldError::invalid_omitted(&at, "specifying both OnExitCodes and OnPodConditions is not supported"));
        }
        if !codes && !conditions {
            out.push(FieldError::invalid_omitted(&at, "specifying one of OnExitCodes and OnPodConditions is required"));
        }
    }
}

/// `valid values: ["A" "B"]`, as Go prints a list with `%q`.
fn valid_values(values: &[&str]) -> String {
    let shown: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("valid values: [{}]", shown.join(" "))
}

fn pod_conditions(patterns: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let patterns = items(patterns);
    if patterns.len() > 20 {
        out.push(FieldError::too_many(path, patterns.len(), 20));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let at = path.index(index);
        qualified(text(&pattern["type"]), &at.child("type"), out);
        let statuses = ["False", "True", "Unknown"];
        match text(&pattern["status"]) {
            "" => out.push(FieldError::required(at.child("status"), valid_values(&statuses))),
            other => one_of(other, &statuses, &at.child("status"), out),
        }
    }
}

fn exit_codes(requirement: &Value, pod: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let operator = text(&requirement["operator"]);
    match operator {
        "" => out.push(FieldError::required(path.child("operator"), valid_values(&["In", "NotIn"]))),
        other => one_of(other, &["In", "NotIn"], &path.child("operator"), out),
    }
    if let Some(container) = requirement["containerName"].as_str() {
        let names = |list: &str| items(&pod[list]).iter().any(|one| text(&one["name"]) == container);
        if !names("containers") && !names("initContainers") {
            let told = "must be one of the container or initContainer names in the pod template";
            out.push(FieldError::invalid(path.child("containerName"), container, told));
        }
    }
    let (values, at) = (items(&requirement["values"]), path.child("values"));
    if values.is_empty() {
        out.push(FieldError::invalid(&at, requirement["values"].clone(), "at least one value is required"));
    } else if values.len() > 255 {
        out.push(FieldError::too_many(&at, values.len(), 255));
    }
    let mut seen = BTreeSet::new();
    for (index, value) in values.iter().map(int).enumerate() {
        if operator == "In" && value == 0 {
            out.push(FieldError::invalid(at.index(index), value, "must not be 0 for the In operator"));
        }
        if !seen.insert(value) {
            out.push(FieldError::duplicate(at.index(index), value));
        }
    }
    if values.windows(2).any(|pair| int(&pair[0]) > int(&pair[1])) {
        out.push(FieldError::invalid(at, requirement["values"].clone(), "must be ordered"));
    }
}

/// `validateSuccessPolicy`.
fn success_policy(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if text(&spec["completionMode"]) != "Indexed" {
        let rule = |rule: &Value| format!("{{\"SucceededIndexes\":{},\"SucceededCount\":{}}}", rule["succeededIndexes"], rule["succeededCount"]);
        let rules: Vec<String> = items(&spec["successPolicy"]["rules"]).iter().map(rule).collect();
        let shown = if rules.is_empty() { "{\"Rules\":null}".to_owned() } else { format!("{{\"Rules\":[{}]}}", rules.join(",")) };
        out.push(FieldError::invalid_shown(path, shown, "requires indexed completion mode"));
        return;
    }
    let (rules, at) = (items(&spec["successPolicy"]["rules"]), path.child("rules"));
    if rules.is_empty() {
        out.push(FieldError::required(&at, "at least one rules must be specified when the successPolicy is specified"));
    }
    if rules.len() > 20 {
        out.push(FieldError::too_many(&at, rules.len(), 20));
    }
    for (index, rule) in rules.iter().enumerate() {
        success_rule(rule, int(&spec["completions"]), &at.index(index), out);
    }
}

fn success_rule(rule: &Value, completions: i64, path: &Path, out: &mut Vec<FieldError>) {
    let (listed, count) = (rule["succeededIndexes"].as_str(), rule["succeededCount"].as_i64());
    if listed.is_none() && count.is_none() {
        out.push(FieldError::required(path, "at least one of succeededCount or succeededIndexes must be specified"));
    }
    let mut total = 0;
    if let Some(text) = listed {
        let at = path.child("succeededIndexes");
        if text.len() > 64 * 1024 {
            out.push(FieldError::too_long(&at, 64 * 1024));
        }
        match indexes::count(text, completions) {
            Ok(found) => total = found,
            Err(why) => out.push(FieldError::invalid(&at, text, format!("error parsing succeededIndexes: {why}"))),
        }
    }
    let Some(count) = count else { return };
    let at = path.child("succeededCount");
    if count < 0 {
        out.push(FieldError::invalid(&at, count, name::NEGATIVE));
    }
    if count > completions {
        let told = format!("must be less than or equal to {completions} (the number of specified completions)");
        out.push(FieldError::invalid(&at, count, told));
    }
    if listed.is_some() && count > total {
        let told = format!("must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)");
        out.push(FieldError::invalid(&at, count, told));
    }
}

/// `validateCompletions`: indexed jobs may scale, parallelism with them.
fn completions_update(spec: &Value, before: &Value, path: &Path, out: &mut Vec<FieldError>) {
    if text(&spec["completionMode"]) != "Indexed" {
        immutable(spec, before, "completions", path, out);
        return;
    }
    let (new, at) = (&spec["completions"], path.child("completions"));
    if new != &before["completions"] && !new.is_null() && int(new) != int(&spec["parallelism"]) {
        out.push(FieldError::invalid(at, int(new), "can only be modified in tandem with spec.parallelism"));
    }
}

/// `validatePodTemplateUpdate`: of a suspended job that never started, where its pods may run can change.
fn template_update(new: &Value, old: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (spec, mut before) = (&new["spec"], old["spec"].clone());
    if flag(&before["suspend"]) && !has(&old["status"], "startTime") {
        forgive_scheduling(&spec["template"], &mut before);
    }
    immutable(spec, &before, "template", path, out);
}

/// Takes over from the new template what may change.
fn forgive_scheduling(template: &Value, before: &mut Value) {
    let Some(old) = object_at(before, "template") else { return };
    let copy = |from: &Value, to: &mut Value, key: &str| match from.get(key) {
        Some(value) => set(to, key, value.clone()),
        None => drop(remove(to, key)),
    };
    if let Some(metadata) = object_at(old, "metadata") {
        copy(&template["metadata"], metadata, "annotations");
        copy(&template["metadata"], metadata, "labels");
    }
    let Some(pod) = object_at(old, "spec") else { return };
    for key in ["nodeSelector", "tolerations", "schedulingGates"] {
        copy(&template["spec"], pod, key);
    }
    let new = &template["spec"]["affinity"];
    if new.is_null() && !has(pod, "affinity") {
        return;
    }
    if let Some(affinity) = object_at(pod, "affinity") {
        copy(new, affinity, "nodeAffinity");
    }
    if new.is_null() && is_empty(&pod["affinity"]) {
        remove(pod, "affinity");
    }
}
