//! The specification of a volume claim, wherever it is written: in a claim, an ephemeral volume, a stateful set.
//! See `pkg/apis/core/validation/validation.go` (`ValidatePersistentVolumeClaimSpec`).

use serde_json::Value;
use skiff_proto::quantity::Quantity;

use super::check::{faults, one_of, required, resource_amount};
use super::json::{has, is_empty, items, text};
use super::labels::{validate_annotations, validate_labels, validate_selector};
use super::name;
use super::path::Path;
use super::workload::podspec::resources::quantity;
use crate::error::FieldError;

/// Access modes of volumes and claims.
pub const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// `ValidatePersistentVolumeClaimTemplate`: metadata may have labels and annotations only.
pub fn validate_template(template: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let metadata = path.child("metadata");
    out.extend(validate_annotations(&template["metadata"]["annotations"], &metadata.child("annotations")));
    out.extend(validate_labels(&template["metadata"]["labels"], &metadata.child("labels")));
    for (key, value) in super::json::entries(&template["metadata"]) {
        if !matches!(key.as_str(), "annotations" | "labels") && !is_empty(value) {
            out.push(FieldError::forbidden(metadata.child(key), "cannot be set"));
        }
    }
    validate_spec(&template["spec"], &path.child("spec"), out);
}

/// `ValidatePersistentVolumeClaimSpec`.
pub fn validate_spec(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let modes = items(&spec["accessModes"]);
    if modes.is_empty() {
        out.push(FieldError::required(path.child("accessModes"), "at least 1 access mode is required"));
    }
    if has(spec, "selector") {
        out.extend(validate_selector(&spec["selector"], &path.child("selector")));
    }
    for mode in modes {
        one_of(text(mode), &ACCESS_MODES, &path.child("accessModes"), out);
    }
    let single = modes.iter().any(|mode| text(mode) == "ReadWriteOncePod");
    let other = modes.iter().any(|mode| text(mode) != "ReadWriteOncePod" && ACCESS_MODES.contains(&text(mode)));
    if single && other {
        out.push(FieldError::forbidden(path.child("accessModes"), "may not use ReadWriteOncePod with other access modes"));
    }
    storage(spec, &path.child("resources").key("storage"), out);
    let class = text(&spec["storageClassName"]);
    if !class.is_empty() {
        faults(class, &path.child("storageClassName"), name::subdomain(class), out);
    }
    if has(spec, "volumeMode") {
        one_of(text(&spec["volumeMode"]), &["Block", "Filesystem"], &path.child("volumeMode"), out);
    }
    data_sources(spec, path, out);
    let attributes = text(&spec["volumeAttributesClassName"]);
    if !attributes.is_empty() {
        faults(attributes, &path.child("volumeAttributesClassName"), name::subdomain(attributes), out);
    }
}

fn storage(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let amount = &spec["resources"]["requests"]["storage"];
    if amount.is_null() {
        out.push(FieldError::required(path, ""));
    } else if quantity(amount) <= Quantity::ZERO {
        out.push(FieldError::invalid(path, amount.clone(), "must be greater than zero"));
    } else {
        resource_amount("storage", amount, path, out);
    }
}

fn data_sources(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (source, reference) = (&spec["dataSource"], &spec["dataSourceRef"]);
    if !source.is_null() {
        data_source(source, &path.child("dataSource"), out);
    }
    let namespace = text(&reference["namespace"]);
    if !reference.is_null() {
        let at = path.child("dataSourceRef");
        data_source(reference, &at, out);
        if !namespace.is_empty() {
            faults(namespace, &at.child("namespace"), name::label(namespace), out);
        }
    }
    if source.is_null() || reference.is_null() {
        return;
    }
    let same = ["apiGroup", "kind", "name"].iter().all(|key| source.get(*key) == reference.get(*key));
    if !namespace.is_empty() {
        out.push(FieldError::invalid_shown(path, "{}", "may not be specified when dataSourceRef.namespace is specified"));
    } else if !same {
        out.push(FieldError::invalid_shown(path, "{}", "must match dataSourceRef"));
    }
}

fn data_source(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    required(text(&source["name"]), &path.child("name"), out);
    let kind = text(&source["kind"]);
    required(kind, &path.child("kind"), out);
    let group = text(&source["apiGroup"]);
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        out.push(FieldError::invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"));
    }
    if !group.is_empty() {
        faults(group, &path.child("apiGroup"), name::subdomain(group), out);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_in_kubernetes_order() {
        let mut out = Vec::new();
        validate_spec(
            &json!({"accessModes": ["ReadWriteOncePod", "ReadWriteMany", "x"], "resources": {"requests": {"storage": "0"}}}),
            &Path::new("spec"),
            &mut out,
        );
        let told: Vec<String> = out.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "spec.accessModes: Unsupported value: \"x\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
                "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
                "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
            ]
        );
    }
}
