//! Labels, annotations and label selectors: what is valid, and how they are written in a cell.
//!
//! See `apimachinery/pkg/apis/meta/v1/validation/validation.go`, `apimachinery/pkg/api/validation/objectmeta.go`,
//! `apimachinery/pkg/apis/meta/v1/helpers.go`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{entries, is_empty, items, text};
use super::name;
use super::path::Path;
use crate::error::FieldError;

/// The most bytes that all annotations of an object may have: 256 KiB.
pub const ANNOTATIONS_MAX: usize = 256 * 1024;

/// `ValidateLabelName`.
pub fn validate_key(key: &str, path: &Path) -> Vec<FieldError> {
    name::qualified(key).into_iter().map(|fault| FieldError::invalid(path, key, fault)).collect()
}

/// `ValidateLabels`: keys and values of a map of labels.
pub fn validate_labels(labels: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in entries(labels) {
        errors.extend(validate_key(key, path));
        let value = text(value);
        errors.extend(name::label_value(value).into_iter().map(|fault| FieldError::invalid(path, value, fault)));
    }
    errors
}

/// `ValidateAnnotations`: keys, and the size of them all.
pub fn validate_annotations(annotations: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in entries(annotations) {
        size += key.len() + text(value).len();
        let faults = name::qualified(&key.to_lowercase());
        errors.extend(faults.into_iter().map(|fault| FieldError::invalid(path, key.as_str(), fault)));
    }
    if size > ANNOTATIONS_MAX {
        errors.push(FieldError::too_long(path, ANNOTATIONS_MAX));
    }
    errors
}

/// `ValidateLabelSelector` of a `metav1.LabelSelector`.
pub fn validate_selector(selector: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = validate_labels(&selector["matchLabels"], &path.child("matchLabels"));
    for (index, requirement) in items(&selector["matchExpressions"]).iter().enumerate() {
        errors.extend(validate_requirement(requirement, &path.child("matchExpressions").index(index)));
    }
    errors
}

fn validate_requirement(requirement: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let values = items(&requirement["values"]);
    match text(&requirement["operator"]) {
        "In" | "NotIn" => {
            if values.is_empty() {
                let told = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(path.child("values"), told));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let told = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(path.child("values"), told));
            }
        }
        other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
    errors.extend(validate_key(text(&requirement["key"]), &path.child("key")));
    for (index, value) in values.iter().enumerate() {
        let faults = name::label_value(text(value));
        let at = path.child("values").index(index);
        errors.extend(faults.into_iter().map(|fault| FieldError::invalid(&at, text(value), fault)));
    }
    errors
}

/// Whether a `metav1.LabelSelector` has neither labels nor expressions: it selects everything.
pub fn selects_everything(selector: &Value) -> bool {
    is_empty(&selector["matchLabels"]) && is_empty(&selector["matchExpressions"])
}

/// Whether a `metav1.LabelSelector` selects these labels. An empty selector selects everything, an absent one nothing
/// (`LabelSelectorAsSelector`); requirements that are not valid select nothing.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let of = |key: &str| labels.get(key).map(text);
    let expression = |requirement: &Value| {
        let own = of(text(&requirement["key"]));
        let listed = || items(&requirement["values"]).iter().any(|value| Some(text(value)) == own);
        match text(&requirement["operator"]) {
            "In" => own.is_some() && listed(),
            "NotIn" => own.is_none() || !listed(),
            "Exists" => own.is_some(),
            "DoesNotExist" => own.is_none(),
            _ => false, // refused by validation
        }
    };
    entries(&selector["matchLabels"]).all(|(key, value)| of(key) == Some(text(value))) && items(&selector["matchExpressions"]).iter().all(expression)
}

/// `FormatLabelSelector`: `app=web,tier in (a,b)`, `<none>` where nothing is selected by.
pub fn format_selector(selector: &Value) -> String {
    let shown = format_selector_text(selector);
    if shown.is_empty() { "<none>".to_owned() } else { shown }
}

/// The selector's text (`labels.Selector.String()`), empty where it selects everything or is not there.
pub fn format_selector_text(selector: &Value) -> String {
    // Sorted by key and, for equal keys, in the order given (`labels.Selector.Add`).
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in entries(&selector["matchLabels"]) {
        parts.entry(key.clone()).or_default().push(format!("{key}={}", text(value)));
    }
    for requirement in items(&selector["matchExpressions"]) {
        let key = text(&requirement["key"]);
        let mut values: Vec<&str> = items(&requirement["values"]).iter().map(text).collect();
        values.sort_unstable();
        let shown = match text(&requirement["operator"]) {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            other => return format!("{other:?} is not a valid label selector operator"),
        };
        parts.entry(key.to_owned()).or_default().push(shown);
    }
    parts.into_values().flatten().collect::<Vec<String>>().join(",")
}

/// `labels.FormatLabels`: `a=1,b=2`, `<none>` without any.
pub fn format_labels(labels: &Value) -> String {
    let shown: Vec<String> = entries(labels).map(|(key, value)| format!("{key}={}", text(value))).collect();
    if shown.is_empty() { "<none>".to_owned() } else { shown.join(",") }
}

/// A `metav1.LabelSelector` as Go prints it inside a field error: its keys in the order of the Go struct.
pub fn show_selector(selector: &Value) -> String {
    if selector.is_null() {
        return "null".to_owned();
    }
    let part = |key: &str| (!is_empty(&selector[key])).then(|| format!("\"{key}\":{}", selector[key]));
    let parts: Vec<String> = ["matchLabels", "matchExpressions"].into_iter().filter_map(part).collect();
    format!("{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_selectors_as_kubectl_shows_them() {
        let selector = json!({"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["y", "x"]}, {"key": "d", "operator": "DoesNotExist"}]});
        assert_eq!(format_selector(&selector), "a=1,b=2,c in (x,y),!d");
        assert_eq!(format_selector(&json!({})), "<none>");
    }

    #[test]
    fn selects_by_labels_and_expressions() {
        let labels = json!({"app": "web", "tier": "front"});
        for (selector, expected) in [
            (json!({}), true),
            (Value::Null, false),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "db"}}), false),
            (json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}), true),
            (json!({"matchExpressions": [{"key": "x", "operator": "Exists"}]}), false),
        ] {
            assert_eq!(selects(&selector, &labels), expected, "{selector}");
        }
    }

    #[test]
    fn refuses_bad_requirements() {
        let selector = json!({"matchExpressions": [{"key": "a b", "operator": "In"}, {"key": "a", "operator": "Is"}]});
        let told: Vec<String> = validate_selector(&selector, &Path::new("spec.selector")).iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3);
        assert_eq!(told[0], "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'");
        assert_eq!(told[2], "spec.selector.matchExpressions[1].operator: Invalid value: \"Is\": not a valid selector operator");
    }
}
