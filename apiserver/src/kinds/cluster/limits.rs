//! What is wrong with a LimitRange. See `pkg/apis/core/validation/validation.go` (`ValidateLimitRange`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use skiff_proto::quantity::Quantity;

use crate::error::FieldError;
use crate::kinds::json::{entries, is_empty, items, text};
use crate::kinds::name as names;
use crate::kinds::path::Path;
use crate::kinds::workload::podspec::resources::quantity;

type Amounts<'a> = BTreeMap<&'a str, &'a Value>;

/// Every fault of a LimitRange.
pub fn faults(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, limit) in items(&object["spec"]["limits"]).iter().enumerate() {
        let path = Path::new("spec.limits").index(index);
        let kind = text(&limit["type"]);
        type_name(kind, &path.child("type"), &mut errors);
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(path.child("type"), kind));
        }
        one(limit, kind, &path, &mut errors);
    }
    errors
}

fn type_name(kind: &str, path: &Path, errors: &mut Vec<FieldError>) {
    let wrong = names::qualified(kind);
    if wrong.is_empty() && !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
        errors.push(FieldError::invalid(path, kind, "must be a standard limit type or fully qualified"));
    }
    errors.extend(wrong.into_iter().map(|why| FieldError::invalid(path, kind, why)));
}

fn one(limit: &Value, kind: &str, path: &Path, errors: &mut Vec<FieldError>) {
    let mut read = |key: &str| -> Amounts<'_> {
        for (resource, _) in entries(&limit[key]) {
            resource_name(kind, resource, &path.child(key).key(resource), errors);
        }
        entries(&limit[key]).map(|(resource, amount)| (resource.as_str(), amount)).collect()
    };
    let (max, min) = (read("max"), read("min"));
    let of_pods = kind == "Pod";
    let (defaults, requests) = if of_pods { Default::default() } else { (read("default"), read("defaultRequest")) };
    for key in ["default", "defaultRequest"] {
        if of_pods && !is_empty(&limit[key]) {
            errors.push(FieldError::forbidden(path.child(key), "may not be specified when `type` is 'Pod'"));
        }
    }
    if kind == "PersistentVolumeClaim" && !min.contains_key("storage") && !max.contains_key("storage") {
        let why = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(FieldError::required(path.child("limits"), why));
    }
    let ratios: Amounts<'_> = entries(&limit["maxLimitRequestRatio"]).map(|(resource, amount)| (resource.as_str(), amount)).collect();
    for (resource, _) in entries(&limit["maxLimitRequestRatio"]) {
        resource_name(kind, resource, &path.child("maxLimitRequestRatio").key(resource), errors);
    }
    let all: BTreeSet<&str> = [&max, &min, &defaults, &requests, &ratios].into_iter().flat_map(|one| one.keys().copied()).collect();
    for resource in all {
        let get = |from: &Amounts<'_>| from.get(resource).map(|amount| (text(amount).to_owned(), quantity(amount)));
        let at = |key: &str| path.child(key).key(resource);
        let (least, most, default, request) = (get(&min), get(&max), get(&defaults), get(&requests));
        let mut ordered = |small: &Option<(String, Quantity)>, large: &Option<(String, Quantity)>, key: &str, shown_large: bool, names: (&str, &str)| {
            let (Some((small, low)), Some((large, high))) = (small, large) else { return };
            if low > high {
                let why = format!("{} value {small} is greater than {} value {large}", names.0, names.1);
                errors.push(FieldError::invalid(at(key), if shown_large { large.as_str() } else { small.as_str() }, why));
            }
        };
        ordered(&least, &most, "min", false, ("min", "max"));
        ordered(&least, &request, "defaultRequest", true, ("min", "default request"));
        ordered(&request, &most, "defaultRequest", false, ("default request", "max"));
        ordered(&request, &default, "defaultRequest", false, ("default request", "default limit"));
        ordered(&least, &default, "default", false, ("min", "default"));
        ordered(&default, &most, "default", true, ("default", "max"));
        if let Some((shown, ratio)) = get(&ratios) {
            if ratio.millis() < 1000 {
                errors.push(FieldError::invalid(at("maxLimitRequestRatio"), shown.as_str(), format!("ratio {shown} is less than 1")));
            }
            if let (Some((_, least)), Some((_, most))) = (&least, &most) {
                // Ratios are shown and compared as Go's float64.
                let bound = most.millis() as f64 / least.millis() as f64;
                if ratio.millis() as f64 / 1000.0 > bound {
                    let why = format!("ratio {shown} is greater than max/min = {bound:.6}");
                    errors.push(FieldError::invalid(at("maxLimitRequestRatio"), shown.as_str(), why));
                }
            }
        }
    }
}

fn resource_name(kind: &str, resource: &str, path: &Path, errors: &mut Vec<FieldError>) {
    let mut wrong = names::qualified(resource);
    let plain = !resource.contains('/');
    let container = matches!(resource, "cpu" | "memory" | "ephemeral-storage") || resource.starts_with("hugepages-");
    if wrong.is_empty() && plain {
        let of_containers = matches!(kind, "Pod" | "Container");
        if of_containers && !container {
            wrong.push("must be a standard resource for containers".to_owned());
        } else if !of_containers && !container && resource != "storage" {
            wrong.push("must be a standard resource type or fully qualified".to_owned());
        }
    }
    errors.extend(wrong.into_iter().map(|why| FieldError::invalid(path, resource, why)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bounds_are_in_order() {
        let limits = json!({"spec": {"limits": [
            {"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}, "default": {"cpu": "3"}},
            {"type": "Nope"},
        ]}});
        let told: Vec<String> = faults(&limits).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
                "spec.limits[0].default[cpu]: Invalid value: \"1\": default value 3 is greater than max value 1",
                "spec.limits[1].type: Invalid value: \"Nope\": must be a standard limit type or fully qualified",
            ]
        );
    }
}
