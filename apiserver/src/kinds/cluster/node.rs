//! Nodes. See `pkg/registry/core/node/strategy.go`, `ValidateNode*`, `printNode`.

use serde_json::Value;

use crate::error::FieldError;
use crate::kinds::json::{entries, flag, has, is_empty, items, text};
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, name, text_at};
use crate::kinds::{labels, name as names};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of nodes.
pub struct Node;

impl Strategy for Node {
    fn default(&self, object: &mut Value) {
        // `podCIDR` is the first of `podCIDRs`; where they differ, the older field wins.
        let single = text(&object["spec"]["podCIDR"]).to_owned();
        let first = object["spec"]["podCIDRs"].get(0).map_or("", text).to_owned();
        if !single.is_empty() && single != first {
            object["spec"]["podCIDRs"] = serde_json::json!([single]);
        } else if single.is_empty() && !first.is_empty() {
            object["spec"]["podCIDR"] = Value::from(first);
        }
        if is_empty(&object["status"]["allocatable"]) && !is_empty(&object["status"]["capacity"]) {
            object["status"]["allocatable"] = object["status"]["capacity"].clone();
        }
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let mut errors = taints(object);
        errors.extend(amounts(object));
        errors.extend(networks(object));
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        if context.subresource == "status" {
            return Vec::new();
        }
        let mut errors = taints(object);
        let (new, had) = (&object["spec"], &old["spec"]);
        if !is_empty(&had["podCIDRs"]) && had["podCIDRs"] != new["podCIDRs"] {
            errors.push(FieldError::forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid"));
        }
        if has(had, "providerID") && had["providerID"] != new["providerID"] {
            errors.push(FieldError::forbidden("spec.providerID", "node updates may not change providerID except from \"\" to valid"));
        }
        errors
    }

    fn columns(&self) -> Vec<Column> {
        columns("nodes")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let info = &object["status"]["nodeInfo"];
        let known = |key: &str| if text(&info[key]).is_empty() { "<unknown>" } else { text(&info[key]) };
        vec![
            name(object),
            status(object).into(),
            roles(object).into(),
            age(object, now),
            text(&info["kubeletVersion"]).into(),
            address(object, "InternalIP").into(),
            address(object, "ExternalIP").into(),
            known("osImage").into(),
            known("kernelVersion").into(),
            known("containerRuntimeVersion").into(),
        ]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["spec.unschedulable"]
    }

    fn field(&self, object: &Value, path: &str) -> String {
        if path == "spec.unschedulable" { flag(&object["spec"]["unschedulable"]).to_string() } else { text_at(object, path) }
    }
}

/// `Ready`, `NotReady`, `Unknown`, and whether it takes new pods.
fn status(node: &Value) -> String {
    let ready = items(&node["status"]["conditions"]).iter().find(|one| one["type"] == "Ready");
    let word = match ready.map(|one| text(&one["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if flag(&node["spec"]["unschedulable"]) { format!("{word},SchedulingDisabled") } else { word.to_owned() }
}

/// `findNodeRoles`: from `node-role.kubernetes.io/x` and `kubernetes.io/role=x`.
fn roles(node: &Value) -> String {
    let mut all = std::collections::BTreeSet::new();
    for (key, value) in entries(&node["metadata"]["labels"]) {
        if let Some(role) = key.strip_prefix("node-role.kubernetes.io/").filter(|role| !role.is_empty()) {
            all.insert(role);
        } else if key == "kubernetes.io/role" && !text(value).is_empty() {
            all.insert(text(value));
        }
    }
    if all.is_empty() { "<none>".to_owned() } else { all.into_iter().collect::<Vec<_>>().join(",") }
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    items(&node["status"]["addresses"]).iter().find(|one| one["type"] == kind).map_or("<none>", |one| text(&one["address"]))
}

/// Amounts of `status`.
fn amounts(node: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for part in ["capacity", "allocatable"] {
        for (resource, amount) in entries(&node["status"][part]) {
            let path = Path::new("status").child(part).child(resource);
            crate::kinds::check::resource_amount(resource, amount, &path, &mut errors);
        }
    }
    errors
}

/// `spec.podCIDRs`: valid, and at most one a family.
fn networks(node: &Value) -> Vec<FieldError> {
    let all = &node["spec"]["podCIDRs"];
    let path = Path::new("spec.podCIDRs");
    let mut errors = Vec::new();
    for (index, cidr) in items(all).iter().map(text).enumerate() {
        super::network::cidr(cidr, &path.index(index), &mut errors);
    }
    let of_six = items(all).iter().filter(|cidr| text(cidr).contains(':')).count();
    let twice = items(all).len() == 2 && errors.is_empty() && of_six != 1;
    if items(all).len() > 2 || twice {
        errors.push(FieldError::invalid(&path, all.clone(), "may specify no more than one CIDR for each IP family"));
    }
    errors
}

/// `validateNodeTaints`
fn taints(node: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (index, taint) in items(&node["spec"]["taints"]).iter().enumerate() {
        let path = Path::new("metadata.taints").index(index);
        errors.extend(labels::validate_key(text(&taint["key"]), &path.child("key")));
        let value = text(&taint["value"]);
        let faults = names::label_value(value);
        if !faults.is_empty() {
            errors.push(FieldError::invalid(path.child("value"), value, faults.join(";")));
        }
        match text(&taint["effect"]) {
            "" => errors.push(FieldError::required(path.child("effect"), "")),
            "NoSchedule" | "PreferNoSchedule" | "NoExecute" => {}
            other => {
                let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
                errors.push(FieldError::not_supported_as_listed(path.child("effect"), other, &known));
            }
        }
        if !seen.insert((text(&taint["effect"]), text(&taint["key"]))) {
            let text = |key: &str| crate::kinds::json::text(&taint[key]);
            let time = if taint["timeAdded"].is_null() { "null".to_owned() } else { taint["timeAdded"].to_string() };
            let shown = format!("{{\"Key\":{:?},\"Value\":{:?},\"Effect\":{:?},\"TimeAdded\":{time}}}", text("key"), text("value"), text("effect"));
            let mut duplicate = FieldError::invalid_shown(&path, shown, "");
            duplicate.kind = crate::error::FieldErrorKind::Duplicate;
            duplicate.detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(duplicate);
        }
    }
    errors
}
