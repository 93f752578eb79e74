//! What is wrong with a ResourceQuota. See `pkg/apis/core/validation/validation.go` (`ValidateResourceQuota*`).

use serde_json::Value;

use crate::error::FieldError;
use crate::kinds::check;
use crate::kinds::json::{entries, is_empty, items, text};
use crate::kinds::name as names;
use crate::kinds::path::Path;

/// What may be under a quota that looks at pods of some kind only.
const POD_SCOPED: &[&str] = &["pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
const SCOPES: &[&str] =
    &["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"];

/// Every fault of a quota.
pub fn faults(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &object["spec"];
    for (resource, amount) in entries(&spec["hard"]) {
        let path = Path::new("spec.hard").key(resource);
        resource_name(resource, &path, &mut errors);
        check::resource_amount(resource, amount, &path, &mut errors);
    }
    scopes(spec, &mut errors);
    let path = Path::new("spec.scopeSelector.matchExpressions");
    for one in items(&spec["scopeSelector"]["matchExpressions"]) {
        let (scope, operator) = (text(&one["scopeName"]), text(&one["operator"]));
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid(path.child("scopeName"), scope, "unsupported scope"));
        }
        match operator {
            "In" | "NotIn" => {
                if is_empty(&one["values"]) {
                    let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                    errors.push(FieldError::required(path.child("values"), why));
                }
            }
            "Exists" | "DoesNotExist" => {
                if !is_empty(&one["values"]) {
                    let why = "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector";
                    errors.push(FieldError::invalid(path.child("values"), one["values"].clone(), why));
                }
            }
            other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
        }
    }
    errors
}

fn resource_name(resource: &str, path: &Path, errors: &mut Vec<FieldError>) {
    let mut wrong = names::qualified(resource);
    if wrong.is_empty() && !resource.contains('/') {
        let known = check::is_quota_resource(resource) || resource.starts_with("hugepages-") || resource.starts_with("requests.hugepages-");
        if !known {
            wrong.push("must be a standard resource type or fully qualified".to_owned());
            wrong.push("must be a standard resource for quota".to_owned());
        }
    }
    errors.extend(wrong.into_iter().map(|why| FieldError::invalid(path, resource, why)));
}

fn scopes(spec: &Value, errors: &mut Vec<FieldError>) {
    let all = &spec["scopes"];
    let path = Path::new("spec.scopes");
    let given: Vec<&str> = items(all).iter().map(text).collect();
    for scope in &given {
        if !SCOPES.contains(scope) {
            errors.push(FieldError::invalid(&path, all.clone(), "unsupported scope"));
            continue;
        }
        for (resource, _) in entries(&spec["hard"]) {
            let fits = match *scope {
                "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" => {
                    POD_SCOPED.contains(&resource.as_str()) || !check::is_quota_resource(resource)
                }
                "BestEffort" => resource == "pods",
                _ => true, // the other scopes take every resource
            };
            if !fits {
                errors.push(FieldError::invalid(&path, all.clone(), "unsupported scope applied to resource"));
            }
        }
    }
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if given.contains(&one) && given.contains(&other) {
            errors.push(FieldError::invalid(&path, all.clone(), "conflicting scopes"));
        }
    }
}

/// What is allowed but hardly meant.
pub fn warnings(object: &Value) -> Vec<String> {
    let hard = &object["spec"]["hard"];
    let mut all = Vec::new();
    for resource in ["cpu", "memory", "ephemeral-storage"] {
        let request = entries(hard).find(|(key, _)| **key == format!("requests.{resource}") || *key == resource);
        let limit = &hard[format!("limits.{resource}")];
        let (Some((named, request)), false) = (request, limit.is_null()) else { continue };
        let amount = crate::kinds::workload::podspec::resources::quantity;
        if amount(request) > amount(limit) {
            all.push(format!("ResourceQuota {named} ({}) should be less than limits.{resource} ({})", text(request), text(limit)));
        }
    }
    all
}
