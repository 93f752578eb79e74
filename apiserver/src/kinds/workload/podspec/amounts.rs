//! What a container or a pod asks for: names, amounts, requests within limits, device claims.
//! See `validateResourceRequirements`, `validatePodResourceConsistency`.

use std::collections::BTreeSet;

use serde_json::Value;
use skiff_proto::quantity::Quantity;

use super::resources::{aggregate, is_pod_level, quantity};
use crate::error::FieldError;
use crate::kinds::check::{is_extended, is_native, label, resource_amount};
use crate::kinds::json::{entries, has, items, text};
use crate::kinds::name;
use crate::kinds::path::Path;

/// Whose requirements they are; pods may ask for less than containers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A container's.
    Container,
    /// The pod's as a whole.
    Pod,
}

/// `validateResourceRequirements`. `claims` are the names of the pod's resource claims.
pub fn requirements(resources: &Value, of: Of, claims: &BTreeSet<&str>, path: &Path, out: &mut Vec<FieldError>) {
    let (limits, requests) = (&resources["limits"], &resources["requests"]);
    let (limit_path, request_path) = (path.child("limits"), path.child("requests"));
    for (resource, amount) in entries(limits) {
        let at = limit_path.key(resource);
        resource_name(resource, of, &at, out);
        resource_amount(resource, amount, &at, out);
        huge_page(resource, amount, &at, out);
    }
    for (resource, amount) in entries(requests) {
        let at = request_path.key(resource);
        resource_name(resource, of, &at, out);
        resource_amount(resource, amount, &at, out);
        within_limit(resource, amount, limits, (&limit_path, &request_path), out);
        huge_page(resource, amount, &at, out);
    }
    let any = |wanted: fn(&str) -> bool| entries(limits).chain(entries(requests)).any(|(resource, _)| wanted(resource));
    if any(is_huge) && !any(|resource| matches!(resource, "cpu" | "memory")) {
        out.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
    claim_names(&resources["claims"], claims, &path.child("claims"), out);
}

fn within_limit(resource: &str, amount: &Value, limits: &Value, (limit_path, path): (&Path, &Path), out: &mut Vec<FieldError>) {
    let overcommit = is_native(resource) && !is_huge(resource);
    let Some(limit) = limits.get(resource) else {
        if !overcommit {
            out.push(FieldError::required(limit_path, "Limit must be set for non overcommitable resources"));
        }
        return;
    };
    let (asked, most) = (quantity(amount), quantity(limit));
    let limit = text(limit);
    if asked != most && !overcommit {
        out.push(FieldError::invalid(path, amount.clone(), format!("must be equal to {resource} limit of {limit}")));
    } else if asked > most {
        out.push(FieldError::invalid(path, amount.clone(), format!("must be less than or equal to {resource} limit of {limit}")));
    }
}

fn is_huge(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}

/// A whole number of pages.
fn huge_page(resource: &str, amount: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let Some(size) = resource.strip_prefix("hugepages-") else { return };
    let page = size.parse::<Quantity>().ok().filter(|page| *page > Quantity::ZERO && page.millis() % 1000 == 0);
    if page.is_none_or(|page| quantity(amount).units() % page.units() != 0) {
        let told = format!("{} is not positive integer multiple of {resource}", text(amount));
        out.push(FieldError::invalid(path, amount.clone(), told));
    }
}

/// `validateContainerResourceName`, `validatePodResourceName`.
fn resource_name(resource: &str, of: Of, path: &Path, out: &mut Vec<FieldError>) {
    let before = out.len();
    standard_name(resource, path, out);
    match of {
        Of::Pod => {
            if out.len() == before && !is_pod_level(resource) {
                out.push(FieldError::not_supported(path, resource, &["cpu", "hugepages-", "memory"]));
            }
        }
        Of::Container if !resource.contains('/') => {
            if !matches!(resource, "cpu" | "memory" | "ephemeral-storage") && !is_huge(resource) {
                out.push(FieldError::invalid(path, resource, "must be a standard resource for containers"));
            }
        }
        Of::Container => {
            if !is_native(resource) && !is_extended(resource) {
                out.push(FieldError::invalid(path, resource, "doesn't follow extended resource name standard"));
            }
        }
    }
}

/// `validateResourceName`: qualified, and one of Kubernetes' own if it has no domain.
pub fn standard_name(resource: &str, path: &Path, out: &mut Vec<FieldError>) {
    let faults = name::qualified(resource);
    if !faults.is_empty() {
        crate::kinds::check::faults(resource, path, faults, out);
        return;
    }
    let huge = is_huge(resource) || resource.starts_with("requests.hugepages-");
    if !resource.contains('/') && resource != "storage" && !crate::kinds::check::is_quota_resource(resource) && !huge {
        out.push(FieldError::invalid(path, resource, "must be a standard resource type or fully qualified"));
    }
}

/// `validateResourceClaimNames`.
fn claim_names(claims: &Value, known: &BTreeSet<&str>, path: &Path, out: &mut Vec<FieldError>) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (index, claim) in items(claims).iter().enumerate() {
        let (called, request, at) = (text(&claim["name"]), text(&claim["request"]), path.index(index));
        if called.is_empty() {
            out.push(FieldError::required(at, ""));
            continue;
        }
        if seen.contains(called) {
            out.push(FieldError::duplicate(&at, called));
        } else {
            let mut key = called.to_owned();
            if !request.is_empty() {
                label(request, &at.child("request"), out);
                key = format!("{called}/{request}");
            }
            if seen.contains(&key) {
                out.push(FieldError::duplicate(&at, key.as_str()));
            } else if request.is_empty() {
                let overlaps = seen.iter().filter(|other| other.split_once('/').is_some_and(|(claim, _)| claim == called)).count();
                out.extend((0..overlaps).map(|_| FieldError::duplicate(&at, called)));
            }
            seen.insert(key);
        }
        if !known.contains(called) {
            let list: Vec<&str> = known.iter().copied().collect();
            let rest = if list.is_empty() { " which is empty".to_owned() } else { format!(": {}", list.join(", ")) };
            let mut error = FieldError::not_found(&at, called);
            error.detail = format!("must be one of the names in pod.spec.resourceClaims{rest}");
            out.push(error);
        }
    }
}

/// `validatePodResources`: what the pod asks for as a whole, against its containers.
pub fn pod_level(spec: &Value, claims: &BTreeSet<&str>, path: &Path, out: &mut Vec<FieldError>) {
    let resources = &spec["resources"];
    if resources.is_null() {
        return;
    }
    let path = path.child("resources");
    if text(&spec["os"]["name"]) == "windows" {
        out.push(FieldError::forbidden(path, "may not be set for a windows pod"));
        return;
    }
    if has(resources, "claims") {
        out.push(FieldError::forbidden(path.child("claims"), "claims may not be set for Resources at pod-level"));
    }
    requirements(resources, Of::Pod, claims, &path, out);
    consistency(spec, &path, out);
}

fn consistency(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let resources = &spec["resources"];
    for (resource, sum) in aggregate(spec, "requests") {
        let asked = &resources["requests"][&resource];
        if !asked.is_null() && sum > quantity(asked) {
            let told = format!("must be greater than or equal to aggregate container requests of {sum}");
            out.push(FieldError::invalid(path.child("requests").key(&resource), asked.clone(), told));
        }
    }
    for (resource, sum) in aggregate(spec, "limits").into_iter().filter(|(resource, _)| is_huge(resource)) {
        let limit = &resources["limits"][&resource];
        if !limit.is_null() && sum > quantity(limit) {
            let told = format!("must be greater than or equal to aggregate container limits of {sum}");
            out.push(FieldError::invalid(path.child("limits").key(&resource), limit.clone(), told));
        }
    }
    for (index, container) in items(&spec["containers"]).iter().enumerate() {
        for (resource, own) in entries(&container["resources"]["limits"]) {
            let limit = &resources["limits"][resource];
            if !limit.is_null() && quantity(own) > quantity(limit) {
                let at = path.child("containers").index(index).key(resource).child("limits");
                out.push(FieldError::invalid(at, own.clone(), format!("must be less than or equal to pod limits of {}", text(limit))));
            }
        }
    }
}
