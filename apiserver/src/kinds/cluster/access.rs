//! Roles and their bindings. See `pkg/apis/rbac/validation/validation.go`.

use serde_json::Value;

use super::small::{NOTHING, Small, each};
use crate::error::FieldError;
use crate::kinds::json::{default_text, is_empty, items, object_at, text};
use crate::kinds::name as names;
use crate::kinds::path::Path;
use crate::kinds::table::{age, name};

/// `Role`, `ClusterRole`.
pub fn role(columns: &'static str) -> Small {
    Small { columns, names: names::path_segment, create_on_update: true, faults: role_faults, ..NOTHING }
}

fn role_faults(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let namespaced = object["kind"] == "Role";
    if crate::kinds::json::has(object, "aggregationRule") && is_empty(&object["aggregationRule"]["clusterRoleSelectors"]) {
        let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(FieldError::required("aggregationRule.clusterRoleSelectors", why));
    }
    for (index, rule) in items(&object["rules"]).iter().enumerate() {
        let path = crate::kinds::path::Path::new("rules").index(index);
        if is_empty(&rule["verbs"]) {
            errors.push(FieldError::required(path.child("verbs"), "verbs must contain at least one value"));
        }
        if !is_empty(&rule["nonResourceURLs"]) {
            if namespaced {
                let why = "namespaced rules cannot apply to non-resource URLs";
                errors.push(FieldError::invalid(path.child("nonResourceURLs"), rule["nonResourceURLs"].clone(), why));
            }
            if ["apiGroups", "resources", "resourceNames"].iter().any(|key| !is_empty(&rule[*key])) {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(FieldError::invalid(path.child("nonResourceURLs"), rule["nonResourceURLs"].clone(), why));
            }
            continue;
        }
        if is_empty(&rule["apiGroups"]) {
            errors.push(FieldError::required(path.child("apiGroups"), "resource rules must supply at least one api group"));
        }
        if is_empty(&rule["resources"]) {
            errors.push(FieldError::required(path.child("resources"), "resource rules must supply at least one resource"));
        }
    }
    errors
}

/// `RoleBinding`, `ClusterRoleBinding`.
pub fn binding(columns: &'static str) -> Small {
    Small {
        columns,
        names: names::path_segment,
        create_on_update: true,
        faults: binding_faults,
        fill: |object| {
            if let Some(role) = object_at(object, "roleRef") {
                default_text(role, "apiGroup", "rbac.authorization.k8s.io");
            }
            for subject in each(object, "subjects") {
                if matches!(text(&subject["kind"]), "User" | "Group") {
                    default_text(subject, "apiGroup", "rbac.authorization.k8s.io");
                }
            }
        },
        changed: |object, old| {
            if object["roleRef"] == old["roleRef"] {
                return Vec::new();
            }
            let part = |key: &str| text(&object["roleRef"][key]);
            let shown = format!("{{\"APIGroup\":{:?},\"Kind\":{:?},\"Name\":{:?}}}", part("apiGroup"), part("kind"), part("name"));
            vec![FieldError::invalid_shown("roleRef", shown, "cannot change roleRef")]
        },
        cells: |object, now| {
            let of = |kind: &str| {
                let all = items(&object["subjects"]).iter().filter(|one| one["kind"] == kind);
                let shown: Vec<String> =
                    all.map(|one| {
                        if kind == "ServiceAccount" { format!("{}/{}", text(&one["namespace"]), text(&one["name"])) } else { text(&one["name"]).to_owned() }
                    })
                    .collect();
                shown.join(", ")
            };
            let role = format!("{}/{}", text(&object["roleRef"]["kind"]), text(&object["roleRef"]["name"]));
            vec![name(object), role.into(), age(object, now), of("User").into(), of("Group").into(), of("ServiceAccount").into()]
        },
        ..NOTHING
    }
}

/// `ValidateRoleBinding`, `ValidateClusterRoleBinding`
fn binding_faults(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let cluster = object["kind"] == "ClusterRoleBinding";
    let role = &object["roleRef"];
    if text(&role["apiGroup"]) != "rbac.authorization.k8s.io" {
        errors.push(FieldError::not_supported("roleRef.apiGroup", text(&role["apiGroup"]), &["rbac.authorization.k8s.io"]));
    }
    let kinds: &[&str] = if cluster { &["ClusterRole"] } else { &["Role", "ClusterRole"] };
    if !kinds.contains(&text(&role["kind"])) {
        errors.push(FieldError::not_supported_as_listed("roleRef.kind", text(&role["kind"]), kinds));
    }
    named(&role["name"], &Path::new("roleRef"), names::path_segment, &mut errors);
    for (index, subject) in items(&object["subjects"]).iter().enumerate() {
        subject_faults(subject, cluster, &Path::new("subjects").index(index), &mut errors);
    }
    errors
}

fn named(value: &Value, path: &Path, rule: fn(&str, bool) -> Vec<String>, errors: &mut Vec<FieldError>) {
    let name = text(value);
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    } else {
        errors.extend(rule(name, false).into_iter().map(|why| FieldError::invalid(path.child("name"), name, why)));
    }
}

fn subject_faults(subject: &Value, cluster: bool, path: &Path, errors: &mut Vec<FieldError>) {
    let (kind, group) = (text(&subject["kind"]), text(&subject["apiGroup"]));
    if text(&subject["name"]).is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    match kind {
        "ServiceAccount" => {
            if !text(&subject["name"]).is_empty() {
                named(&subject["name"], path, names::dns_subdomain, errors);
            }
            if !group.is_empty() {
                errors.push(FieldError::not_supported(path.child("apiGroup"), group, &[""]));
            }
            if cluster && text(&subject["namespace"]).is_empty() {
                errors.push(FieldError::required(path.child("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != "rbac.authorization.k8s.io" {
                errors.push(FieldError::not_supported(path.child("apiGroup"), group, &["rbac.authorization.k8s.io"]));
            }
        }
        other => errors.push(FieldError::not_supported_as_listed(path.child("kind"), other, &["ServiceAccount", "User", "Group"])),
    }
}
