//! Storage: classes, volumes, claims, and what CSI drivers publish. See `pkg/apis/{core,storage}/v1/defaults.go`, `printPersistentVolume*`.

use serde_json::{Value, json};

use super::small::{Generation, NOTHING, Small};
use crate::error::FieldError;
use crate::kinds::json::{default, default_text, flag, has, is_empty, items, object_at, set, text};
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
    create: |object, context| set(object, "status", json!({"phase": "Pending", "lastPhaseTransitionTime": context.now})),
    ..NOTHING
};

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
    create: |object, _| set(object, "status", json!({"phase": "Pending"})),
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
