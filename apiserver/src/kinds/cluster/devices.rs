//! Dynamic resource allocation. See `pkg/apis/resource/v1/defaults.go`.

use serde_json::Value;

use super::small::{Generation, NOTHING, Small, each};
use crate::kinds::json::{default_text, has, int, is_empty, object_at, text};
use crate::kinds::table::{age, name};

/// Classes of devices.
pub const DEVICE_CLASS: Small =
    Small { columns: "deviceclasses.v1.resource.k8s.io", cells: |object, now| vec![name(object), age(object, now)], generation: Generation::Counts, ..NOTHING };

/// Claims of devices.
pub const CLAIM: Small = Small {
    columns: "resourceclaims.v1.resource.k8s.io",
    cells: |object, now| {
        let status = &object["status"];
        let mut states = Vec::new();
        if !object["metadata"]["deletionTimestamp"].is_null() {
            states.push("deleted");
        }
        match (has(status, "allocation"), is_empty(&status["reservedFor"])) {
            (false, _) if states.is_empty() => states.push("pending"),
            (false, _) => {}
            (true, true) => states.push("allocated"),
            (true, false) => states.extend(["allocated", "reserved"]),
        }
        vec![name(object), states.join(",").into(), age(object, now)]
    },
    fill: |object| {
        if let Some(spec) = object.get_mut("spec") {
            requests(spec);
        }
    },
    ..NOTHING
};

/// Templates of claims.
pub const CLAIM_TEMPLATE: Small = Small {
    columns: "resourceclaimtemplates.v1.resource.k8s.io",
    cells: |object, now| vec![name(object), age(object, now)],
    fill: |object| {
        if let Some(spec) = object.get_mut("spec").and_then(|spec| spec.get_mut("spec")) {
            requests(spec);
        }
    },
    ..NOTHING
};

/// What a driver offers on a node.
pub const SLICE: Small = Small {
    columns: "resourceslices.v1.resource.k8s.io",
    cells: |object, now| {
        let spec = &object["spec"];
        vec![name(object), text(&spec["nodeName"]).into(), text(&spec["driver"]).into(), text(&spec["pool"]["name"]).into(), age(object, now)]
    },
    generation: Generation::Counts,
    fields: &["spec.nodeName", "spec.driver"],
    ..NOTHING
};

/// `SetDefaults_ExactDeviceRequest`, `SetDefaults_DeviceSubRequest`
fn requests(spec: &mut Value) {
    let Some(devices) = spec.get_mut("devices").filter(|devices| devices.is_object()) else { return };
    for request in each(devices, "requests") {
        if has(request, "exactly")
            && let Some(exactly) = object_at(request, "exactly")
        {
            one(exactly);
        }
        for alternative in each(request, "firstAvailable") {
            one(alternative);
        }
    }
}

fn one(request: &mut Value) {
    default_text(request, "allocationMode", "ExactCount");
    if text(&request["allocationMode"]) == "ExactCount" && int(&request["count"]) == 0 {
        crate::kinds::json::set(request, "count", 1);
    }
    for toleration in each(request, "tolerations") {
        default_text(toleration, "operator", "Equal");
    }
}
