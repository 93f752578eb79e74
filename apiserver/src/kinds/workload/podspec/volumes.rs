//! Volumes and the sources that people use: `emptyDir`, `hostPath`, `configMap`, `secret`, `downwardAPI`, `projected`, claims, images.
//! Disks and file systems of storage vendors are in [`super::disks`]. See `ValidateVolumes`, `validateVolumeSource`.

use std::collections::BTreeSet;

use serde_json::Value;
use skiff_proto::quantity::Quantity;

use super::env::{field_ref, resource_ref};
use super::mounts::Volumes;
use super::paths::{no_backsteps, non_reserved};
use super::resources::quantity;
use super::{Options, disks};
use crate::error::FieldError;
use crate::kinds::check::{faults, label, one_of, required};
use crate::kinds::json::{has, int, is_empty, items, text};
use crate::kinds::path::Path;
use crate::kinds::{claim, name};

/// Every source in the order in which Kubernetes looks, the path under which a second one is refused, and under which it is checked.
const SOURCES: [(&str, &str, &str); 30] = [
    ("emptyDir", "emptyDir", "emptyDir"),
    ("hostPath", "hostPath", "hostPath"),
    ("gitRepo", "gitRepo", "gitRepo"),
    ("gcePersistentDisk", "gcePersistentDisk", "persistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret", "secret"),
    ("nfs", "nfs", "nfs"),
    ("iscsi", "iscsi", "iscsi"),
    ("glusterfs", "glusterfs", "glusterfs"),
    ("flocker", "flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd", "rbd"),
    ("cinder", "cinder", "cinder"),
    ("cephfs", "cephFS", "cephfs"),
    ("quobyte", "quobyte", "quobyte"),
    ("downwardAPI", "downwarAPI", "downwardAPI"),
    ("fc", "fc", "fc"),
    ("flexVolume", "flexVolume", "flexVolume"),
    ("configMap", "configMap", "configMap"),
    ("azureFile", "azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk", "azureDisk"),
    ("storageos", "storageos", "storageos"),
    ("projected", "projected", "projected"),
    ("scaleIO", "scaleIO", "scaleIO"),
    ("csi", "csi", "csi"),
    ("ephemeral", "ephemeral", "ephemeral"),
    ("image", "image", "image"),
];

/// What a file's mode must be.
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// `ValidateVolumes`: the valid ones by name. `pod` is the pod's name, where it is known.
pub fn volumes<'a>(spec: &'a Value, pod: &str, options: Options, path: &Path, out: &mut Vec<FieldError>) -> Volumes<'a> {
    let list = items(&spec["volumes"]);
    let made: BTreeSet<String> =
        list.iter().filter(|volume| !pod.is_empty() && has(volume, "ephemeral")).map(|volume| format!("{pod}-{}", text(&volume["name"]))).collect();
    let mut valid = Volumes::new();
    for (index, volume) in list.iter().enumerate() {
        let at = path.index(index);
        let mut found = Vec::new();
        source(volume, pod, options, &at, &mut found);
        let called = text(&volume["name"]);
        if required(called, &at.child("name"), &mut found) {
            label(called, &at.child("name"), &mut found);
        }
        if valid.contains_key(called) {
            found.push(FieldError::duplicate(at.child("name"), called));
        }
        if found.is_empty() {
            valid.insert(called, volume);
        }
        out.append(&mut found);
        let wanted = text(&volume["persistentVolumeClaim"]["claimName"]);
        if made.contains(wanted) {
            let at = at.child("persistentVolumeClaim").child("claimName");
            out.push(FieldError::invalid(at, wanted, "must not reference a PVC that gets created for an ephemeral volume"));
        }
    }
    valid
}

fn source(volume: &Value, pod: &str, options: Options, path: &Path, out: &mut Vec<FieldError>) {
    let mut found = false;
    for (key, second, first) in SOURCES {
        if !has(volume, key) {
            continue;
        }
        if found {
            out.push(FieldError::forbidden(path.child(second), "may not specify more than 1 volume type"));
        } else {
            check(key, &volume[key], options, &path.child(first), out);
            if key == "ephemeral" {
                claim_name(pod, text(&volume["name"]), &path.child("name"), out);
            }
        }
        found = true;
        if key == "iscsi" {
            disks::iscsi_name(&volume[key], text(&volume["name"]), path, out);
        }
    }
    if !found {
        out.push(FieldError::required(path, "must specify a volume type"));
    }
}

fn check(kind: &str, source: &Value, options: Options, path: &Path, out: &mut Vec<FieldError>) {
    match kind {
        "emptyDir" => {
            if quantity(&source["sizeLimit"]) < Quantity::ZERO {
                out.push(FieldError::forbidden(path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity"));
            }
        }
        "hostPath" => host_path(source, path, out),
        "secret" => {
            required(text(&source["secretName"]), &path.child("secretName"), out);
            keyed(source, path, out);
        }
        "configMap" => {
            required(text(&source["name"]), &path.child("name"), out);
            keyed(source, path, out);
        }
        "persistentVolumeClaim" => drop(required(text(&source["claimName"]), &path.child("claimName"), out)),
        "downwardAPI" => {
            mode(source, "defaultMode", path, out);
            items(&source["items"]).iter().for_each(|file| downward_file(file, path, out));
        }
        "projected" => {
            mode(source, "defaultMode", path, out);
            projected(source, path, out);
        }
        "ephemeral" => {
            if has(source, "volumeClaimTemplate") {
                claim::validate_template(&source["volumeClaimTemplate"], &path.child("volumeClaimTemplate"), out);
            } else {
                out.push(FieldError::required(path.child("volumeClaimTemplate"), ""));
            }
        }
        "image" => {
            if options.is_pod {
                required(text(&source["reference"]), &path.child("reference"), out);
            }
            super::containers::pull_policy(text(&source["pullPolicy"]), &path.child("pullPolicy"), out);
        }
        _ => disks::check(kind, source, path, out),
    }
}

/// The claim that an ephemeral volume gets must be nameable.
fn claim_name(pod: &str, volume: &str, path: &Path, out: &mut Vec<FieldError>) {
    if pod.is_empty() || volume.is_empty() {
        return;
    }
    let claim = format!("{pod}-{volume}");
    for fault in name::subdomain(&claim) {
        out.push(FieldError::invalid(path, volume, format!("PVC name {claim:?}: {fault}")));
    }
}

fn host_path(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let target = text(&source["path"]);
    if !required(target, &path.child("path"), out) {
        return;
    }
    no_backsteps(target, &path.child("path"), out);
    if has(source, "type") {
        let kinds = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
        one_of(text(&source["type"]), &kinds, &path.child("type"), out);
    }
}

fn mode(object: &Value, key: &str, path: &Path, out: &mut Vec<FieldError>) {
    if let Some(bits) = object[key].as_i64()
        && !(0..=0o777).contains(&bits)
    {
        out.push(FieldError::invalid(path.child(key), bits, MODE));
    }
}

/// Mode and items of a secret or a config map.
fn keyed(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    mode(source, "defaultMode", path, out);
    for (index, item) in items(&source["items"]).iter().enumerate() {
        key_to_path(item, &path.child("items").index(index), out);
    }
}

fn key_to_path(item: &Value, path: &Path, out: &mut Vec<FieldError>) {
    required(text(&item["key"]), &path.child("key"), out);
    required(text(&item["path"]), &path.child("path"), out);
    non_reserved(text(&item["path"]), &path.child("path"), out);
    mode(item, "mode", path, out);
}

/// `validateDownwardAPIVolumeFile`: told of the list's path, not of the element's.
fn downward_file(file: &Value, path: &Path, out: &mut Vec<FieldError>) {
    const FIELDS: [&str; 5] = ["metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"];
    required(text(&file["path"]), &path.child("path"), out);
    non_reserved(text(&file["path"]), &path.child("path"), out);
    match (has(file, "fieldRef"), has(file, "resourceFieldRef")) {
        (true, both) => {
            field_ref(&file["fieldRef"], &FIELDS, &path.child("fieldRef"), out);
            if both {
                out.push(FieldError::invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"));
            }
        }
        (false, true) => resource_ref(&file["resourceFieldRef"], true, &path.child("resourceFieldRef"), out),
        (false, false) => out.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required")),
    }
    mode(file, "mode", path, out);
}

/// `validateProjectionSources`. Projections whose feature is off were dropped before.
fn projected(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let mut paths: BTreeSet<&str> = BTreeSet::new();
    for (index, projection) in items(&source["sources"]).iter().enumerate() {
        let at = path.child("sources").index(index);
        let mut count = 0;
        for key in ["secret", "configMap"] {
            let inner = &projection[key];
            if inner.is_null() {
                continue;
            }
            count += 1;
            required(text(&inner["name"]), &at.child(key).child("name"), out);
            for (index, item) in items(&inner["items"]).iter().enumerate() {
                key_to_path(item, &at.child(key).child("items").index(index), out);
                if !is_empty(&item["path"]) && !paths.insert(text(&item["path"])) {
                    out.push(FieldError::invalid(path, text(&inner["name"]), "conflicting duplicate paths"));
                }
            }
        }
        if has(projection, "downwardAPI") {
            count += 1;
            for file in items(&projection["downwardAPI"]["items"]) {
                downward_file(file, &at.child("downwardAPI"), out);
                if !is_empty(&file["path"]) && !paths.insert(text(&file["path"])) {
                    out.push(FieldError::invalid(path, text(&file["path"]), "conflicting duplicate paths"));
                }
            }
        }
        if has(projection, "serviceAccountToken") {
            count += 1;
            token(&projection["serviceAccountToken"], &at.child("serviceAccountToken"), path, out);
        }
        if count > 1 {
            out.push(FieldError::forbidden(at, "may not specify more than 1 volume type per source"));
        }
    }
}

fn token(token: &Value, at: &Path, path: &Path, out: &mut Vec<FieldError>) {
    let seconds = int(&token["expirationSeconds"]);
    if seconds < 600 {
        out.push(FieldError::invalid(at.child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > 1 << 32 {
        out.push(FieldError::invalid(at.child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    if required(text(&token["path"]), &path.child("path"), out) {
        non_reserved(text(&token["path"]), &path.child("path"), out);
    }
}

/// `validatePodResourceClaims`: the pod's device claims, and their names.
pub fn resource_claims<'a>(pod: Option<&Value>, spec: &'a Value, path: &Path, out: &mut Vec<FieldError>) -> BTreeSet<&'a str> {
    let mirror = pod.is_some_and(|pod| has(&pod["metadata"]["annotations"], "kubernetes.io/config.mirror"));
    let mut names = BTreeSet::new();
    for (index, claim) in items(&spec["resourceClaims"]).iter().enumerate() {
        let at = path.index(index);
        if mirror {
            out.push(FieldError::forbidden("", "static pods do not support resource claims"));
            continue;
        }
        let called = text(&claim["name"]);
        if called.is_empty() {
            out.push(FieldError::required(at.child("name"), ""));
        } else if names.insert(called) {
            label(called, &at.child("name"), out);
        } else {
            out.push(FieldError::duplicate(at.child("name"), called));
        }
        let (object, template) = (&claim["resourceClaimName"], &claim["resourceClaimTemplateName"]);
        let shown = format!("{{\"Name\":{},\"ResourceClaimName\":{object},\"ResourceClaimTemplateName\":{template}}}", Value::from(called));
        if !object.is_null() && !template.is_null() {
            let told = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
            out.push(FieldError::invalid_shown(&at, shown, told));
        } else if object.is_null() && template.is_null() {
            out.push(FieldError::invalid_shown(&at, shown, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"));
        }
        for key in ["resourceClaimName", "resourceClaimTemplateName"] {
            if has(claim, key) {
                faults(text(&claim[key]), &at.child(key), name::subdomain(text(&claim[key])), out);
            }
        }
    }
    items(&spec["resourceClaims"]).iter().map(|claim| text(&claim["name"])).filter(|called| !called.is_empty()).collect()
}
