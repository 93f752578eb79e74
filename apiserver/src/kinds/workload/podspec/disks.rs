//! Disks and file systems of storage vendors as volumes: mostly, what must be named. See `validate*VolumeSource`.

use serde_json::Value;

use super::paths::descending;
use crate::error::FieldError;
use crate::kinds::check::{faults, label, one_of, required};
use crate::kinds::json::{entries, flag, has, int, is_empty, text};
use crate::kinds::name;
use crate::kinds::path::Path;

/// What each kind must name, in the order told.
const REQUIRED: [(&str, &[&str]); 13] = [
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("nfs", &["server", "path"]),
    ("glusterfs", &["endpoints", "path"]),
    ("cinder", &["volumeID"]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
];

/// The faults of a source of this kind.
pub fn check(kind: &str, source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for key in REQUIRED.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, keys)| keys) {
        required(text(&source[*key]), &path.child(key), out);
    }
    match kind {
        "gitRepo" => descending(text(&source["directory"]), &path.child("directory"), out),
        "gcePersistentDisk" | "awsElasticBlockStore" => partition(source, path, out),
        "nfs" if !text(&source["path"]).starts_with('/') => {
            out.push(FieldError::invalid(path.child("path"), text(&source["path"]), "must be an absolute path"));
        }
        "iscsi" => iscsi(source, path, out),
        "flocker" => flocker(source, path, out),
        "rbd" => {
            listed(source, "monitors", path, out);
            required(text(&source["image"]), &path.child("image"), out);
        }
        "cinder" if has(source, "secretRef") => {
            required(text(&source["secretRef"]["name"]), &path.child("secretRef").child("name"), out);
        }
        "cephfs" => listed(source, "monitors", path, out),
        "quobyte" => quobyte(source, path, out),
        "fc" => fibre_channel(source, path, out),
        "flexVolume" => flex_options(source, path, out),
        "azureDisk" => azure_disk(source, path, out),
        "storageos" => storage_os(source, path, out),
        "csi" => csi(source, path, out),
        _ => {} // only required fields
    }
}

fn listed(source: &Value, key: &str, path: &Path, out: &mut Vec<FieldError>) {
    if is_empty(&source[key]) {
        out.push(FieldError::required(path.child(key), ""));
    }
}

fn partition(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let number = int(&source["partition"]);
    if !(0..=255).contains(&number) {
        out.push(FieldError::invalid(path.child("partition"), number, name::range_error(1, 255)));
    }
}

fn lun(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let number = int(&source["lun"]);
    out.extend(name::in_range(number, 0, 255).into_iter().map(|fault| FieldError::invalid(path.child("lun"), number, fault)));
}

fn iscsi(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    required(text(&source["targetPortal"]), &path.child("targetPortal"), out);
    let iqn = text(&source["iqn"]);
    if required(iqn, &path.child("iqn"), out) {
        initiator(iqn, &path.child("iqn"), out);
    }
    lun(source, path, out);
    let authenticated = flag(&source["chapAuthDiscovery"]) || flag(&source["chapAuthSession"]);
    if authenticated && !has(source, "secretRef") {
        out.push(FieldError::required(path.child("secretRef"), ""));
    }
    if has(source, "initiatorName") {
        initiator(text(&source["initiatorName"]), &path.child("initiatorname"), out);
    }
}

/// With an initiator name, volume name and portal together are short.
pub fn iscsi_name(source: &Value, volume: &str, path: &Path, out: &mut Vec<FieldError>) {
    if has(source, "initiatorName") && volume.len() + 1 + text(&source["targetPortal"]).len() > 64 {
        let told = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
        out.push(FieldError::invalid(path.child("name"), volume, told));
    }
}

/// `iqn.2001-04.com.example:disk`, `eui.` and 16, or `naa.` and 32 letters and digits.
pub fn initiator(value: &str, path: &Path, out: &mut Vec<FieldError>) {
    let alphanumeric = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let valid = match value.get(..3) {
        Some("iqn") => is_iqn(value),
        Some("eui" | "naa") => value.get(4..).is_some_and(|rest| alphanumeric(rest, if value.starts_with("eui") { 16 } else { 32 })),
        _ => {
            out.push(FieldError::invalid(path, value, "must be valid format starting with iqn, eui, or naa"));
            return;
        }
    };
    if !valid {
        out.push(FieldError::invalid(path, value, "must be valid format"));
    }
}

/// `iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`
fn is_iqn(value: &str) -> bool {
    let digits = |text: Option<&str>| text.is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let Some(rest) = value.strip_prefix("iqn.") else { return false };
    let dated = digits(rest.get(..4)) && rest.get(4..5) == Some("-") && digits(rest.get(5..7)) && rest.get(7..8) == Some(".");
    let Some((authority, unique)) = rest.get(8..).and_then(|rest| rest.split_once(':')) else { return false };
    dated
        && !authority.is_empty()
        && authority.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        && !unique.is_empty()
        && !unique.contains(|c: char| ",;*&$|".contains(c) || c.is_ascii_whitespace())
}

fn flocker(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (dataset, uuid) = (text(&source["datasetName"]), text(&source["datasetUUID"]));
    if dataset.is_empty() && uuid.is_empty() {
        out.push(FieldError::required(path, "one of datasetName and datasetUUID is required"));
    }
    if !dataset.is_empty() && !uuid.is_empty() {
        out.push(FieldError::invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"));
    }
    if dataset.contains('/') {
        out.push(FieldError::invalid(path.child("datasetName"), dataset, "must not contain '/'"));
    }
}

fn quobyte(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = text(&source["registry"]);
    if registry.is_empty() {
        out.push(FieldError::required(path.child("registry"), PAIRS));
    } else if text(&source["tenant"]).len() >= 65 {
        out.push(FieldError::required(path.child("tenant"), "must be a UUID and may not exceed a length of 64 characters"));
    } else {
        let pair = |pair: &str| pair.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.starts_with('[') && host.ends_with(']'));
        for _ in registry.split(',').filter(|one| !pair(one)) {
            out.push(FieldError::invalid(path.child("registry"), registry, PAIRS));
        }
    }
    required(text(&source["volume"]), &path.child("volume"), out);
}

fn fibre_channel(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (targets, wwids) = (&source["targetWWNs"], &source["wwids"]);
    if is_empty(targets) && is_empty(wwids) {
        out.push(FieldError::required(path.child("targetWWNs"), "must specify either targetWWNs or wwids, but not both"));
    }
    if !is_empty(targets) && !is_empty(wwids) {
        let told = "targetWWNs and wwids can not be specified simultaneously";
        out.push(FieldError::invalid(path.child("targetWWNs"), targets.clone(), told));
    }
    if is_empty(targets) {
        return;
    }
    if has(source, "lun") {
        lun(source, path, out);
    } else {
        out.push(FieldError::required(path.child("lun"), "lun is required if targetWWNs is specified"));
    }
}

fn flex_options(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for (key, _) in entries(&source["options"]) {
        let namespace = format!(".{}", key.split('/').next().unwrap_or(key).to_lowercase());
        if namespace.ends_with(".kubernetes.io") || namespace.ends_with(".k8s.io") {
            let at = path.child("options").key(key);
            out.push(FieldError::invalid(at, key.as_str(), "kubernetes.io and k8s.io namespaces are reserved"));
        }
    }
}

fn azure_disk(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    const MANAGED: &str = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    if has(source, "cachingMode") {
        one_of(text(&source["cachingMode"]), &["None", "ReadOnly", "ReadWrite"], &path.child("cachingMode"), out);
    }
    if !has(source, "kind") {
        return;
    }
    let (kind, uri) = (text(&source["kind"]), text(&source["diskURI"]));
    one_of(kind, &["Dedicated", "Managed", "Shared"], &path.child("kind"), out);
    let (prefix, shown) = if kind == "Managed" { ("/subscriptions/", MANAGED) } else { ("https://", BLOB) };
    if !uri.starts_with(prefix) {
        out.push(FieldError::not_supported(path.child("diskURI"), uri, &[shown]));
    }
}

fn storage_os(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let (volume, namespace) = (text(&source["volumeName"]), text(&source["volumeNamespace"]));
    if required(volume, &path.child("volumeName"), out) {
        label(volume, &path.child("volumeName"), out);
    }
    if !namespace.is_empty() {
        label(namespace, &path.child("volumeNamespace"), out);
    }
    if has(source, "secretRef") {
        required(text(&source["secretRef"]["name"]), &path.child("secretRef").child("name"), out);
    }
}

fn csi(source: &Value, path: &Path, out: &mut Vec<FieldError>) {
    driver_name(text(&source["driver"]), &path.child("driver"), out);
    if has(source, "nodePublishSecretRef") {
        let secret = text(&source["nodePublishSecretRef"]["name"]);
        if required(secret, &path.child("nodePublishSecretRef").child("name"), out) {
            faults(secret, &path.child("name"), name::subdomain(secret), out);
        }
    }
}

/// `ValidateCSIDriverName`.
pub fn driver_name(driver: &str, path: &Path, out: &mut Vec<FieldError>) {
    if !required(driver, path, out) {
        return;
    }
    if driver.len() > 63 {
        out.push(FieldError::too_long(path, 63));
    }
    faults(driver, path, name::subdomain(&driver.to_lowercase()), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initiators() {
        let told = |value: &str| {
            let mut out = Vec::new();
            initiator(value, &Path::new("iqn"), &mut out);
            out.first().map(|error| error.detail.clone())
        };
        assert_eq!(told("iqn.2015-02.example.com:init"), None);
        assert_eq!(told("iqn.2015-02.example.com:test:init"), None);
        assert_eq!(told("eui.0123456789ABCDEF"), None);
        assert_eq!(told("naa.62004567BA64678D0123456789ABCDEF"), None);
        assert_eq!(told("iqn.2015-02.example.com:"), Some("must be valid format".to_owned()));
        assert_eq!(told("2015-02.example.com:test"), Some("must be valid format starting with iqn, eui, or naa".to_owned()));
    }
}
