//! Where a container has its volumes. See `ValidateVolumeMounts`, `ValidateVolumeDevices`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::paths::{descending, no_backsteps};
use crate::error::FieldError;
use crate::kinds::check::{one_of, required};
use crate::kinds::json::{flag, has, items, text};
use crate::kinds::path::Path;

/// The valid volumes of a pod by name.
pub type Volumes<'a> = BTreeMap<&'a str, &'a Value>;

/// `ValidateVolumeMounts`, then `ValidateVolumeDevices`.
pub fn volumes_of(container: &Value, volumes: &Volumes<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let pairs = |list: &str, key: &str| -> BTreeMap<String, String> {
        items(&container[list]).iter().map(|one| (text(&one["name"]).to_owned(), text(&one[key]).to_owned())).collect()
    };
    mounts(container, &pairs("volumeDevices", "devicePath"), volumes, &path.child("volumeMounts"), out);
    devices(container, &pairs("volumeMounts", "mountPath"), volumes, &path.child("volumeDevices"), out);
}

fn mounts(container: &Value, devices: &BTreeMap<String, String>, volumes: &Volumes<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let mut points = BTreeSet::new();
    for (index, mount) in items(&container["volumeMounts"]).iter().enumerate() {
        let at = path.index(index);
        let (volume, point) = (text(&mount["name"]), text(&mount["mountPath"]));
        required(volume, &at.child("name"), out);
        if !volumes.contains_key(volume) {
            out.push(FieldError::not_found(at.child("name"), volume));
        }
        required(point, &at.child("mountPath"), out);
        if !points.insert(point) {
            out.push(FieldError::invalid(at.child("mountPath"), point, "must be unique"));
        }
        if devices.contains_key(volume) {
            out.push(FieldError::invalid(at.child("name"), volume, "must not already exist in volumeDevices"));
        }
        if devices.values().any(|device| device == point) {
            out.push(FieldError::invalid(at.child("mountPath"), point, "must not already exist as a path in volumeDevices"));
        }
        sub_paths(mount, path, &at, out);
        if has(mount, "mountPropagation") {
            propagation(text(&mount["mountPropagation"]), container, &path.child("mountPropagation"), out);
        }
        if has(mount, "recursiveReadOnly") {
            recursive_read_only(mount, &path.child("recursiveReadOnly"), out);
        }
    }
}

/// Kubernetes tells some faults of the list's path, not of the element's.
fn sub_paths(mount: &Value, path: &Path, at: &Path, out: &mut Vec<FieldError>) {
    let (sub, expression) = (text(&mount["subPath"]), text(&mount["subPathExpr"]));
    if !sub.is_empty() {
        descending(sub, &path.child("subPath"), out);
    }
    if !expression.is_empty() {
        if !sub.is_empty() {
            out.push(FieldError::invalid(at.child("subPathExpr"), expression, "subPathExpr and subPath are mutually exclusive"));
        }
        descending(expression, &path.child("subPathExpr"), out);
    }
}

fn propagation(mode: &str, container: &Value, path: &Path, out: &mut Vec<FieldError>) {
    one_of(mode, &["Bidirectional", "HostToContainer", "None"], path, out);
    if mode == "Bidirectional" && !flag(&container["securityContext"]["privileged"]) {
        out.push(FieldError::forbidden(path, "Bidirectional mount propagation is available only to privileged containers"));
    }
}

fn recursive_read_only(mount: &Value, path: &Path, out: &mut Vec<FieldError>) {
    match text(&mount["recursiveReadOnly"]) {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !flag(&mount["readOnly"]) {
                out.push(FieldError::forbidden(path, "may only be specified when readOnly is true"));
            }
            if has(mount, "mountPropagation") && text(&mount["mountPropagation"]) != "None" {
                out.push(FieldError::forbidden(path, "may only be specified when mountPropagation is None or not specified"));
            }
        }
        other => out.push(FieldError::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"])),
    }
}

fn devices(container: &Value, mounts: &BTreeMap<String, String>, volumes: &Volumes<'_>, path: &Path, out: &mut Vec<FieldError>) {
    let (mut names, mut points) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in items(&container["volumeDevices"]).iter().enumerate() {
        let at = path.index(index);
        let (volume, point) = (text(&device["name"]), text(&device["devicePath"]));
        required(volume, &at.child("name"), out);
        if names.contains(volume) {
            out.push(FieldError::invalid(at.child("name"), volume, "must be unique"));
        }
        match volumes.get(volume) {
            Some(source) if !has(source, "persistentVolumeClaim") && !has(source, "ephemeral") => {
                let told = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                out.push(FieldError::invalid(at.child("name"), volume, told));
            }
            Some(_) => {}
            None => out.push(FieldError::not_found(at.child("name"), volume)),
        }
        required(point, &at.child("devicePath"), out);
        if points.contains(point) {
            out.push(FieldError::invalid(at.child("devicePath"), point, "must be unique"));
        }
        let mut backsteps = Vec::new();
        no_backsteps(point, path, &mut backsteps);
        if backsteps.is_empty() {
            points.insert(point);
        } else {
            out.push(FieldError::invalid(at.child("devicePath"), point, "can not contain backsteps ('..')"));
        }
        if mounts.contains_key(volume) {
            out.push(FieldError::invalid(at.child("name"), volume, "must not already exist in volumeMounts"));
        }
        if mounts.values().any(|mount| mount == point) {
            out.push(FieldError::invalid(at.child("devicePath"), point, "must not already exist as a path in volumeMounts"));
        }
        if !volume.is_empty() {
            names.insert(volume);
        }
    }
}
