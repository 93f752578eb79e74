//! Storage: classes, volumes, claims, and what CSI drivers publish. See `pkg/apis/{core,storage}/v1/defaults.go`, `printPersistentVolume*`.

use serde_json::{Value, json};

use super::small::{Generation, NOTHING, Small};
use crate::error::FieldError;
use crate::kinds::check;
use crate::kinds::json::{default, default_text, flag, has, is_empty, items, object_at, set, text};
use crate::kinds::name as names;
use crate::kinds::path::Path;
use crate::kinds::table::{age, name};

/// The amount of storage, "0" where none is told.
fn storage(capacity: &Value) -> &str {
    if text(&capacity["storage"]).is_empty() { "0" } else { text(&capacity["storage"]) }
}

/// Storage classes.
pub const STORAGE_CLASS: Small = Small {
    columns: "storageclasses.v1.storage.k8s.io",
    cells: |object, now| {
        let default = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
        let marked = default.iter().any(|key| object["metadata"]["annotations"][*key] == "true");
        let shown = if marked { format!("{} (default)", text(&object["metadata"]["name"])) } else { text(&object["metadata"]["name"]).to_owned() };
        vec![
            shown.into(),
            text(&object["provisioner"]).into(),
            text(&object["reclaimPolicy"]).into(),
            text(&object["volumeBindingMode"]).into(),
            flag(&object["allowVolumeExpansion"]).into(),
            age(object, now),
        ]
    },
    fill: |object| {
        default_text(object, "reclaimPolicy", "Delete");
        default_text(object, "volumeBindingMode", "Immediate");
    },
    faults: |object| {
        let mut errors = Vec::new();
        let provisioner = text(&object["provisioner"]);
        if provisioner.is_empty() {
            errors.push(FieldError::required("provisioner", ""));
        } else {
            let lower = provisioner.to_lowercase();
            errors.extend(names::qualified(&lower).into_iter().map(|why| FieldError::invalid("provisioner", lower.as_str(), why)));
        }
        if object["parameters"].get("").is_some() {
            errors.push(FieldError::invalid("parameters", "", "field can not be empty."));
        }
        check::one_of(text(&object["reclaimPolicy"]), &["Delete", "Retain"], &Path::new("reclaimPolicy"), &mut errors);
        check::one_of(text(&object["volumeBindingMode"]), &["Immediate", "WaitForFirstConsumer"], &Path::new("volumeBindingMode"), &mut errors);
        errors
    },
    changed: |object, old| {
        let mut errors = Vec::new();
        for key in ["parameters", "provisioner", "reclaimPolicy"] {
            if object[key] != old[key] {
                errors.push(FieldError::forbidden(key, format!("updates to {key} are forbidden.")));
            }
        }
        if object["volumeBindingMode"] != old["volumeBindingMode"] {
            errors.push(FieldError::invalid("volumeBindingMode", object["volumeBindingMode"].clone(), "field is immutable"));
        }
        errors
    },
    ..NOTHING
};

/// `GetAccessModesAsString`
fn access_modes(modes: &Value) -> String {
    let known = [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let shown: Vec<&str> = known.iter().filter(|(mode, _)| items(modes).iter().any(|one| one == mode)).map(|(_, short)| *short).collect();
    shown.join(",")
}

fn terminating<'a>(object: &'a Value, phase: &'a str) -> &'a str {
    if object["metadata"]["deletionTimestamp"].is_null() { phase } else { "Terminating" }
}

fn unset(value: &Value) -> &str {
    if text(value).is_empty() { "<unset>" } else { text(value) }
}

/// Persistent volumes.
pub const VOLUME: Small = Small {
    columns: "persistentvolumes",
    cells: |object, now| {
        let (spec, status) = (&object["spec"], &object["status"]);
        let claim =
            if spec["claimRef"].is_null() { String::new() } else { format!("{}/{}", text(&spec["claimRef"]["namespace"]), text(&spec["claimRef"]["name"])) };
        vec![
            name(object),
            storage(&spec["capacity"]).into(),
            access_modes(&spec["accessModes"]).into(),
            text(&spec["persistentVolumeReclaimPolicy"]).into(),
            terminating(object, text(&status["phase"])).into(),
            claim.into(),
            text(&spec["storageClassName"]).into(),
            unset(&spec["volumeAttributesClassName"]).into(),
            text(&status["reason"]).into(),
            age(object, now),
            unset(&spec["volumeMode"]).into(),
        ]
    },
    fill: |object| {
        if let Some(spec) = object_at(object, "spec") {
            default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
            default_text(spec, "volumeMode", "Filesystem");
            if let Some(path) = spec.get_mut("hostPath") {
                default(path, "type", "");
            }
        }
    },
    faults: volume_faults,
    create: |object, context| set(object, "status", json!({"phase": "Pending", "lastPhaseTransitionTime": context.now})),
    ..NOTHING
};

/// Where a volume's bytes may be.
const SOURCES: &[&str] = &[
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "hostPath",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "flexVolume",
    "cinder",
    "cephfs",
    "fc",
    "flocker",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// `ValidatePersistentVolumeSpec`
fn volume_faults(object: &Value) -> Vec<FieldError> {
    let (spec, path) = (&object["spec"], Path::new("spec"));
    let mut errors = Vec::new();
    if is_empty(&spec["accessModes"]) {
        errors.push(FieldError::required(path.child("accessModes"), ""));
    }
    for mode in items(&spec["accessModes"]).iter().map(text) {
        check::one_of(mode, &crate::kinds::claim::ACCESS_MODES, &path.child("accessModes"), &mut errors);
    }
    let capacity = &spec["capacity"];
    if is_empty(capacity) {
        errors.push(FieldError::required(path.child("capacity"), ""));
    }
    let sizes = crate::kinds::json::entries(capacity).count();
    if sizes != 1 || !has(capacity, "storage") {
        let shown = if capacity.is_null() { "null".to_owned() } else { capacity.to_string() };
        let mut error = FieldError::invalid_shown(path.child("capacity"), shown, "supported values: \"storage\"");
        error.kind = crate::error::FieldErrorKind::NotSupported;
        errors.push(error);
    }
    for (resource, amount) in crate::kinds::json::entries(capacity) {
        let positive = crate::kinds::workload::podspec::resources::quantity(amount) > skiff_proto::quantity::Quantity::ZERO;
        if !positive {
            errors.push(FieldError::invalid(path.child("capacity").key(resource), amount.clone(), "must be greater than zero"));
        }
    }
    check::one_of(text(&spec["persistentVolumeReclaimPolicy"]), &["Delete", "Recycle", "Retain"], &path.child("persistentVolumeReclaimPolicy"), &mut errors);
    let mut given = SOURCES.iter().filter(|source| has(spec, source));
    match given.next() {
        None => errors.push(FieldError::required(&path, "must specify a volume type")),
        Some(_) => errors.extend(given.map(|source| FieldError::forbidden(path.child(source), "may not specify more than 1 volume type"))),
    }
    if has(spec, "local") && !has(spec, "nodeAffinity") {
        errors.push(FieldError::required(path.child("nodeAffinity"), "Local volume requires node affinity"));
    }
    if text(&spec["hostPath"]["path"]) == "/" && text(&spec["persistentVolumeReclaimPolicy"]) == "Recycle" {
        errors.push(FieldError::forbidden(path.child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'"));
    }
    check::one_of(text(&spec["volumeMode"]), &["Block", "Filesystem"], &path.child("volumeMode"), &mut errors);
    errors
}

/// Persistent volume claims.
pub const CLAIM: Small = Small {
    columns: "persistentvolumeclaims",
    cells: |object, now| {
        let (spec, status) = (&object["spec"], &object["status"]);
        let bound = !text(&spec["volumeName"]).is_empty();
        let (capacity, modes) = if bound { (storage(&status["capacity"]), access_modes(&status["accessModes"])) } else { ("", String::new()) };
        vec![
            name(object),
            terminating(object, text(&status["phase"])).into(),
            text(&spec["volumeName"]).into(),
            capacity.into(),
            modes.into(),
            text(&spec["storageClassName"]).into(),
            unset(&spec["volumeAttributesClassName"]).into(),
            age(object, now),
            unset(&spec["volumeMode"]).into(),
        ]
    },
    fill: |object| {
        if let Some(spec) = object_at(object, "spec") {
            default_text(spec, "volumeMode", "Filesystem");
        }
    },
    create: |object, _| {
        set(object, "status", json!({"phase": "Pending"}));
        // A source that no volume can be made from is dropped, as `dataSource` has always done (`dataSourceRef` keeps it).
        let (group, kind) = (text(&object["spec"]["dataSource"]["apiGroup"]).to_owned(), text(&object["spec"]["dataSource"]["kind"]).to_owned());
        let usable = matches!((group.as_str(), kind.as_str()), ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot"));
        if !kind.is_empty() && !usable {
            drop(object.get_mut("spec").map(|spec| crate::kinds::json::remove(spec, "dataSource")));
        }
    },
    faults: |object| {
        let mut errors = Vec::new();
        crate::kinds::claim::validate_spec(&object["spec"], &Path::new("spec"), &mut errors);
        errors
    },
    changed: |object, old| {
        // The size that is asked for may change once bound, and a name of a volume may be given once.
        let fixed = |claim: &Value| {
            let mut spec = claim["spec"].clone();
            if let Some(members) = spec.as_object_mut() {
                members.remove("volumeAttributesClassName");
                if text(&old["spec"]["volumeName"]).is_empty() {
                    members.remove("volumeName");
                }
            }
            if old["status"]["phase"] == "Bound" {
                spec["resources"] = Value::Null;
            }
            spec
        };
        if fixed(object) == fixed(old) {
            return Vec::new();
        }
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        vec![FieldError::forbidden("spec", why)]
    },
    fields: &["name"],
    ..NOTHING
};

/// CSI drivers.
pub const CSI_DRIVER: Small = Small {
    columns: "csidrivers.v1.storage.k8s.io",
    cells: |object, now| {
        let spec = &object["spec"];
        let tokens: Vec<&str> = items(&spec["tokenRequests"]).iter().map(|one| text(&one["audience"])).collect();
        let modes: Vec<&str> = items(&spec["volumeLifecycleModes"]).iter().map(text).collect();
        vec![
            name(object),
            (spec["attachRequired"] != false).into(),
            flag(&spec["podInfoOnMount"]).into(),
            flag(&spec["storageCapacity"]).into(),
            if tokens.is_empty() { "<unset>".to_owned() } else { tokens.join(",") }.into(),
            flag(&spec["requiresRepublish"]).into(),
            if modes.is_empty() { "<none>".to_owned() } else { modes.join(",") }.into(),
            age(object, now),
        ]
    },
    fill: |object| {
        let Some(spec) = object_at(object, "spec") else { return };
        default(spec, "attachRequired", true);
        for key in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
            default(spec, key, false);
        }
        default_text(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        if is_empty(&spec["volumeLifecycleModes"]) {
            spec["volumeLifecycleModes"] = json!(["Persistent"]);
        }
    },
    warn: |object| {
        let spec = &object["spec"];
        let unset = !is_empty(&spec["tokenRequests"]) && !has(spec, "serviceAccountTokenInSecrets");
        let why = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";
        if unset { vec![why.to_owned()] } else { Vec::new() }
    },
    generation: Generation::None,
    ..NOTHING
};

/// CSI nodes.
pub const CSI_NODE: Small = Small {
    columns: "csinodes.v1.storage.k8s.io",
    cells: |object, now| vec![name(object), items(&object["spec"]["drivers"]).len().into(), age(object, now)],
    ..NOTHING
};

/// Volume attachments.
pub const ATTACHMENT: Small = Small {
    columns: "volumeattachments.v1.storage.k8s.io",
    cells: |object, now| {
        let spec = &object["spec"];
        vec![
            name(object),
            text(&spec["attacher"]).into(),
            text(&spec["source"]["persistentVolumeName"]).into(),
            text(&spec["nodeName"]).into(),
            flag(&object["status"]["attached"]).into(),
            age(object, now),
        ]
    },
    changed: |object, old| {
        if object["spec"] == old["spec"] { Vec::new() } else { vec![FieldError::invalid("spec", object["spec"].clone(), "field is immutable")] }
    },
    ..NOTHING
};

/// Volume attributes classes.
pub const ATTRIBUTES_CLASS: Small = Small {
    columns: "volumeattributesclasses.v1.storage.k8s.io",
    cells: |object, now| {
        let default = object["metadata"]["annotations"]["volumeattributesclass.alpha.kubernetes.io/is-default-class"] == "true";
        let shown = if default { format!("{} (default)", text(&object["metadata"]["name"])) } else { text(&object["metadata"]["name"]).to_owned() };
        vec![shown.into(), text(&object["driverName"]).into(), age(object, now)]
    },
    ..NOTHING
};
