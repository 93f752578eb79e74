//! Environment variables. See `ValidateEnv`, `ValidateEnvFrom`, `validateFileKeyRefVolumes`.

use serde_json::Value;

use super::visit_containers;
use crate::error::FieldError;
use crate::kinds::check::{faults, label, one_of, qualified, required};
use crate::kinds::json::{has, items, text};
use crate::kinds::name;
use crate::kinds::path::Path;

/// Fields of a pod that a variable may take.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const RESOURCES: [&str; 6] = ["limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"];

/// `ValidateEnv`.
pub fn env(variables: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for (index, variable) in items(variables).iter().enumerate() {
        let at = path.index(index);
        let called = text(&variable["name"]);
        if required(called, &at.child("name"), out) {
            faults(called, &at.child("name"), name::env_var(called), out);
        }
        if has(variable, "valueFrom") {
            value_from(variable, &at.child("valueFrom"), out);
        }
    }
}

fn value_from(variable: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let source = &variable["valueFrom"];
    let mut sources = 0;
    for key in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"] {
        if !has(source, key) {
            continue;
        }
        sources += 1;
        let (found, at) = (&source[key], path.child(key));
        match key {
            "fieldRef" => field_ref(found, &FIELDS, &at, out),
            "resourceFieldRef" => resource_ref(found, false, &at, out),
            "fileKeyRef" => file_key(found, &at, out),
            _ => config_key(found, &at, out),
        }
    }
    if sources == 0 {
        let told = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        out.push(FieldError::invalid(path, "", told));
    } else if !text(&variable["value"]).is_empty() {
        out.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
    } else if sources > 1 {
        out.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
    }
}

/// `validateObjectFieldSelector`: one of `expressions`, or a label or annotation by its key.
pub fn field_ref(selector: &Value, expressions: &[&str], path: &Path, out: &mut Vec<FieldError>) {
    let (version, wanted) = (text(&selector["apiVersion"]), text(&selector["fieldPath"]));
    if !required(version, &path.child("apiVersion"), out) || !required(wanted, &path.child("fieldPath"), out) {
        return;
    }
    let field = match downward_field(version, wanted) {
        Ok(field) => field,
        Err(why) => {
            out.push(FieldError::invalid(path.child("fieldPath"), wanted, format!("error converting fieldPath: {why}")));
            return;
        }
    };
    match subscript(field) {
        Some(("metadata.annotations", key)) => qualified(&key.to_lowercase(), path, out),
        Some(("metadata.labels", key)) => qualified(key, path, out),
        Some((other, _)) => out.push(FieldError::invalid(path, other, "does not support subscript")),
        None => one_of(field, expressions, &path.child("fieldPath"), out),
    }
}

/// `ConvertDownwardAPIFieldLabel`.
fn downward_field<'a>(version: &str, label: &'a str) -> Result<&'a str, String> {
    const KNOWN: [&str; 14] = [
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "spec.schedulerName",
        "status.phase",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    if version != "v1" {
        return Err(format!("unsupported pod version: {version}"));
    }
    match subscript(label) {
        Some(("metadata.annotations" | "metadata.labels", _)) => Ok(label),
        Some(_) => Err(format!("field label does not support subscript: {label}")),
        None if KNOWN.contains(&label) => Ok(label),
        None if label == "spec.host" => Ok("spec.nodeName"),
        None => Err(format!("field label not supported: {label}")),
    }
}

/// `metadata.labels['app']` → `metadata.labels` and `app`.
fn subscript(field: &str) -> Option<(&str, &str)> {
    field.strip_suffix("']").and_then(|rest| rest.split_once("['")).filter(|(path, _)| !path.is_empty())
}

/// `validateContainerResourceFieldSelector`; in a volume it must name the container.
pub fn resource_ref(selector: &Value, volume: bool, path: &Path, out: &mut Vec<FieldError>) {
    let resource = text(&selector["resource"]);
    let huge = ["requests.hugepages-", "limits.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if volume && text(&selector["containerName"]).is_empty() {
        out.push(FieldError::required(path.child("containerName"), ""));
    } else if required(resource, &path.child("resource"), out) && !huge {
        one_of(resource, &RESOURCES, &path.child("resource"), out);
    }
    divisor(resource, selector, path, out);
}

fn divisor(resource: &str, selector: &Value, path: &Path, out: &mut Vec<FieldError>) {
    const BYTES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let by = &selector["divisor"];
    if super::resources::quantity(by).is_zero() {
        return;
    }
    let (supported, what): (&[&str], &str) = match resource {
        "limits.cpu" | "requests.cpu" => (&["1m", "1"], "cpu"),
        "limits.memory" | "requests.memory" => (&BYTES, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => (&BYTES, "local ephemeral storage"),
        _ if resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-") => (&BYTES, "hugepages"),
        _ => return,
    };
    if supported.contains(&text(by)) {
        return;
    }
    let values = if what == "cpu" { "1m and 1".to_owned() } else { BYTES.join(", ") };
    let told = format!("only divisor's values {values} are supported with the {what} resource");
    out.push(FieldError::invalid(path.child("divisor"), resource, told));
}

/// `validateConfigMapKeySelector`, `validateSecretKeySelector`.
fn config_key(selector: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (object, key) = (text(&selector["name"]), text(&selector["key"]));
    faults(object, &path.child("name"), name::subdomain(object), out);
    if required(key, &path.child("key"), out) {
        faults(key, &path.child("key"), name::config_key(key), out);
    }
}

fn file_key(selector: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (key, volume, file) = (text(&selector["key"]), text(&selector["volumeName"]), text(&selector["path"]));
    if required(key, &path.child("key"), out) {
        faults(key, &path.child("key"), name::env_var(key), out);
    }
    if required(volume, &path.child("volumeName"), out) {
        label(volume, &path.child("volumeName"), out);
    }
    if required(file, &path.child("path"), out) {
        super::paths::no_backsteps(file, &path.child("path"), out);
    }
}

/// `ValidateEnvFrom`.
pub fn env_from(sources: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for (index, source) in items(sources).iter().enumerate() {
        let at = path.index(index);
        let prefix = text(&source["prefix"]);
        if !prefix.is_empty() {
            faults(prefix, &at.child("prefix"), name::env_var(prefix), out);
        }
        let mut count = 0;
        for key in ["configMapRef", "secretRef"] {
            if has(source, key) {
                count += 1;
                let object = text(&source[key]["name"]);
                let at = at.child(key).child("name");
                if required(object, &at, out) {
                    faults(object, &at, name::dns_subdomain(object, true), out);
                }
            }
        }
        if count == 0 {
            out.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"));
        } else if count > 1 {
            out.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
        }
    }
}

/// `validateFileKeyRefVolumes`: files of variables lie in an `emptyDir`.
pub fn file_key_volumes(spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for (container, at) in visit_containers(spec, path) {
        for (index, variable) in items(&container["env"]).iter().enumerate() {
            let file = &variable["valueFrom"]["fileKeyRef"];
            if file.is_null() {
                continue;
            }
            let wanted = text(&file["volumeName"]);
            let at = at.child("env").index(index).child("valueFrom").child("fileKeyRef").child("volumeName");
            match items(&spec["volumes"]).iter().rfind(|volume| text(&volume["name"]) == wanted) {
                None => out.push(FieldError::not_found(at, wanted)),
                Some(volume) if !has(volume, "emptyDir") => {
                    out.push(FieldError::invalid(at, wanted, "referenced volume must be of type emptyDir"));
                }
                Some(_) => {}
            }
        }
    }
}
