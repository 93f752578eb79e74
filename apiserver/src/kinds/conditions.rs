//! `metav1.Condition`s of a status. See `ValidateConditions` in `apimachinery/pkg/apis/meta/v1/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::one_of;
use super::json::{has, int, items, text};
use super::labels::validate_key;
use super::name::regex_error;
use super::path::Path;
use crate::error::FieldError;

/// The faults of a list of conditions.
pub fn validate(conditions: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, condition) in items(conditions).iter().enumerate() {
        let at = path.index(index);
        let kind = text(&condition["type"]);
        if !seen.insert(kind) {
            out.push(FieldError::duplicate(at.child("type"), kind));
        }
        validate_one(condition, &at, out);
    }
}

fn validate_one(condition: &Value, path: &Path, out: &mut Vec<FieldError>) {
    out.extend(validate_key(text(&condition["type"]), &path.child("type")));
    one_of(text(&condition["status"]), &["False", "True", "Unknown"], &path.child("status"), out);
    let generation = int(&condition["observedGeneration"]);
    if generation < 0 {
        out.push(FieldError::invalid(path.child("observedGeneration"), generation, "must be greater than or equal to zero"));
    }
    if !has(condition, "lastTransitionTime") {
        out.push(FieldError::required(path.child("lastTransitionTime"), ""));
    }
    let (reason, at) = (text(&condition["reason"]), path.child("reason"));
    if reason.is_empty() {
        out.push(FieldError::required(&at, ""));
    } else {
        if !is_reason(reason) {
            let sentence = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
            let examples = ["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
            out.push(FieldError::invalid(&at, reason, regex_error(sentence, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", &examples)));
        }
        if reason.len() > 1024 {
            out.push(FieldError::too_long(&at, 1024));
        }
    }
    if text(&condition["message"]).len() > 32 * 1024 {
        out.push(FieldError::too_long(path.child("message"), 32 * 1024));
    }
}

fn is_reason(reason: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    reason.starts_with(|c: char| c.is_ascii_alphabetic()) && reason.ends_with(word) && reason.chars().all(|c| word(c) || c == ',' || c == ':')
}
