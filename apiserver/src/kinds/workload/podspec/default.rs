//! Fills in what a pod specification leaves out. See `pkg/apis/core/v1/defaults.go` (`SetDefaults_*`) and, for aliases, `conversion.go`.

use serde_json::{Value, json};
use skiff_proto::quantity::canonical_resource;

use super::resources;
use crate::kinds::json::{default, default_text, flag, has, int, is_empty, items_mut, object_at, present_mut, remove, set, text};

/// The lists of containers of a specification, in the order in which Kubernetes visits them.
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The defaults of the specification in a `PodTemplateSpec` (an object with `metadata` and `spec`).
pub fn template(template: &mut Value) {
    if let Some(spec) = object_at(template, "spec") {
        pod_spec(spec);
    }
}

/// The defaults of every specification: of pods and of templates.
pub fn pod_spec(spec: &mut Value) {
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default_text(spec, "restartPolicy", "Always");
    default(spec, "securityContext", json!({}));
    default(spec, "terminationGracePeriodSeconds", 30);
    default_text(spec, "schedulerName", "default-scheduler");
    alias_service_account(spec);
    if let Some(volumes) = present_mut(spec, "volumes") {
        items_mut(volumes).iter_mut().for_each(volume_source);
    }
    for list in CONTAINER_LISTS {
        if let Some(containers) = present_mut(spec, list) {
            items_mut(containers).iter_mut().for_each(container);
        }
    }
    if let Some(overhead) = present_mut(spec, "overhead") {
        resource_list(overhead);
    }
    if let Some(resources) = present_mut(spec, "resources") {
        resource_lists(resources);
    }
}

/// `serviceAccount` is an old name of `serviceAccountName`; both are answered, the new one wins.
fn alias_service_account(spec: &mut Value) {
    let name = match (text(&spec["serviceAccountName"]), text(&spec["serviceAccount"])) {
        ("", old) => old.to_owned(),
        (new, _) => new.to_owned(),
    };
    if name.is_empty() {
        remove(spec, "serviceAccount");
        remove(spec, "serviceAccountName");
    } else {
        set(spec, "serviceAccountName", name.as_str());
        set(spec, "serviceAccount", name);
    }
}

/// `SetDefaults_Container` and all below it.
pub fn container(container: &mut Value) {
    if text(&container["imagePullPolicy"]).is_empty() {
        let policy = pull_policy(text(&container["image"]));
        set(container, "imagePullPolicy", policy);
    }
    default_text(container, "terminationMessagePath", "/dev/termination-log");
    default_text(container, "terminationMessagePolicy", "File");
    if let Some(ports) = present_mut(container, "ports") {
        for port in items_mut(ports) {
            default_text(port, "protocol", "TCP");
        }
    }
    if let Some(variables) = present_mut(container, "env") {
        for variable in items_mut(variables) {
            if let Some(source) = present_mut(variable, "valueFrom") {
                field_ref(source);
                if let Some(file) = present_mut(source, "fileKeyRef") {
                    default(file, "optional", false);
                }
            }
        }
    }
    if let Some(resources) = object_at(container, "resources") {
        resource_lists(resources);
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = present_mut(container, name) {
            probe(found);
        }
    }
    if let Some(lifecycle) = present_mut(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(handler) = present_mut(lifecycle, name) {
                http_get(handler);
            }
        }
    }
}

/// `Always` for the tag `latest` (and for none), else `IfNotPresent`.
fn pull_policy(image: &str) -> &'static str {
    if tag(image).as_deref() == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// The tag of an image: `latest` if it has neither tag nor digest; `None` if it has a digest only, or cannot be read.
/// See `pkg/util/parsers` and `distribution/reference`.
pub fn tag(image: &str) -> Option<String> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let (name, tag) = match rest.rfind(':') {
        Some(colon) if !rest[colon..].contains('/') => (&rest[..colon], Some(&rest[colon + 1..])),
        _ => (rest, None),
    };
    if !is_repository(name) || digest.is_some_and(|digest| !digest.contains(':')) {
        return None;
    }
    match (tag, digest) {
        (Some(tag), _) if is_tag(tag) => Some(tag.to_owned()),
        (Some(_), _) | (None, Some(_)) => None,
        (None, None) => Some("latest".to_owned()),
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

/// Whether a name reads as `[domain/]path/…`: path components are lower case.
fn is_repository(name: &str) -> bool {
    let path = match name.split_once('/') {
        Some((domain, path)) if domain.contains(['.', ':']) || domain == "localhost" || domain.to_lowercase() != domain => path,
        _ => name,
    };
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let component = |part: &str| part.starts_with(alphanumeric) && part.ends_with(alphanumeric) && part.chars().all(|c| alphanumeric(c) || "._-".contains(c));
    let hex = name.len() == 64 && name.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    !hex && path.split('/').all(component)
}

fn field_ref(source: &mut Value) {
    if let Some(field) = present_mut(source, "fieldRef") {
        default_text(field, "apiVersion", "v1");
    }
}

fn probe(probe: &mut Value) {
    for (key, value) in [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)] {
        if int(&probe[key]) == 0 {
            set(probe, key, value);
        }
    }
    http_get(probe);
    if let Some(grpc) = present_mut(probe, "grpc") {
        default(grpc, "service", "");
    }
}

fn http_get(handler: &mut Value) {
    if let Some(action) = present_mut(handler, "httpGet") {
        default_text(action, "path", "/");
        default_text(action, "scheme", "HTTP");
    }
}

/// `limits` and `requests`.
fn resource_lists(resources: &mut Value) {
    for key in ["limits", "requests"] {
        if let Some(list) = present_mut(resources, key) {
            resource_list(list);
        }
    }
}

/// `SetDefaults_ResourceList`: at most three decimals, rounded up.
pub fn resource_list(list: &mut Value) {
    for (_, amount) in list.as_object_mut().into_iter().flatten() {
        if let Some(rounded) = amount.as_str().and_then(|text| canonical_resource(text).ok()) {
            *amount = rounded.into();
        }
    }
}

/// `SetDefaults_Volume` and all below it. A volume without a source is an `emptyDir`.
fn volume_source(volume: &mut Value) {
    if volume.as_object().is_some_and(|fields| fields.iter().all(|(key, value)| key == "name" || value.is_null())) {
        set(volume, "emptyDir", json!({}));
    }
    for (source, key, value) in
        [("secret", "defaultMode", 420), ("configMap", "defaultMode", 420), ("downwardAPI", "defaultMode", 420), ("projected", "defaultMode", 420)]
    {
        if let Some(found) = present_mut(volume, source) {
            default(found, key, value);
        }
    }
    for (source, key, value) in [
        ("iscsi", "iscsiInterface", "default"),
        ("rbd", "pool", "rbd"),
        ("rbd", "user", "admin"),
        ("rbd", "keyring", "/etc/ceph/keyring"),
        ("azureDisk", "cachingMode", "ReadWrite"),
        ("azureDisk", "fsType", "ext4"),
        ("azureDisk", "kind", "Shared"),
        ("scaleIO", "storageMode", "ThinProvisioned"),
        ("scaleIO", "fsType", "xfs"),
    ] {
        if let Some(found) = present_mut(volume, source) {
            default_text(found, key, value);
        }
    }
    if let Some(host) = present_mut(volume, "hostPath") {
        default(host, "type", "");
    }
    if let Some(disk) = present_mut(volume, "azureDisk") {
        default(disk, "readOnly", false);
    }
    if let Some(image) = present_mut(volume, "image")
        && text(&image["pullPolicy"]).is_empty()
    {
        let policy = pull_policy(text(&image["reference"]));
        set(image, "pullPolicy", policy);
    }
    if let Some(downward) = present_mut(volume, "downwardAPI") {
        downward_items(downward);
    }
    if let Some(projected) = present_mut(volume, "projected") {
        projections(projected);
    }
    if let Some(template) = present_mut(volume, "ephemeral").and_then(|source| present_mut(source, "volumeClaimTemplate")) {
        claim_template(template);
    }
}

fn downward_items(source: &mut Value) {
    if let Some(files) = present_mut(source, "items") {
        items_mut(files).iter_mut().for_each(field_ref);
    }
}

fn projections(projected: &mut Value) {
    let Some(sources) = present_mut(projected, "sources") else { return };
    for source in items_mut(sources) {
        if let Some(downward) = present_mut(source, "downwardAPI") {
            downward_items(downward);
        }
        if let Some(token) = present_mut(source, "serviceAccountToken") {
            default(token, "expirationSeconds", 3600);
        }
    }
}

/// `SetDefaults_PersistentVolumeClaimSpec` in a claim or a claim template.
pub fn claim_template(claim: &mut Value) {
    if let Some(spec) = object_at(claim, "spec") {
        default(spec, "volumeMode", "Filesystem");
        if let Some(resources) = object_at(spec, "resources") {
            resource_lists(resources);
        }
    }
}

/// What a pod has beyond its specification's defaults (`SetDefaults_Pod`, `Convert_v1_Pod_To_core_Pod`).
pub fn pod(pod: &mut Value) {
    if let Some(spec) = object_at(pod, "spec") {
        for list in ["containers", "initContainers"] {
            if let Some(containers) = present_mut(spec, list) {
                for container in items_mut(containers) {
                    requests_from_limits(container);
                }
            }
        }
        resources::default_pod_level(spec);
        default(spec, "enableServiceLinks", true);
        if flag(&spec["hostNetwork"]) {
            host_ports(spec);
        }
        if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
            set(spec, "terminationGracePeriodSeconds", 1);
        }
        pod_spec(spec);
    }
    drop_init_container_annotations(pod);
    if let Some(status) = present_mut(pod, "status") {
        pod_status(status);
    }
}

/// Limits without requests are requests too.
fn requests_from_limits(container: &mut Value) {
    let Some(resources) = present_mut(container, "resources") else { return };
    let Some(limits) = resources["limits"].as_object().cloned() else { return };
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = object_at(resources, "requests") {
        for (name, amount) in limits {
            default(requests, &name, amount);
        }
    }
}

/// On the host's network a container port is a host port.
fn host_ports(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        let Some(containers) = present_mut(spec, list) else { continue };
        for container in items_mut(containers) {
            let Some(ports) = present_mut(container, "ports") else { continue };
            for port in items_mut(ports) {
                if int(&port["hostPort"]) == 0 {
                    let number = port["containerPort"].clone();
                    set(port, "hostPort", number);
                }
            }
        }
    }
}

/// Annotations that carried init containers before 1.6.
fn drop_init_container_annotations(object: &mut Value) {
    let Some(metadata) = present_mut(object, "metadata") else { return };
    let Some(annotations) = present_mut(metadata, "annotations") else { return };
    for prefix in ["pod.beta.kubernetes.io", "pod.alpha.kubernetes.io"] {
        for suffix in ["init-containers", "init-container-statuses"] {
            remove(annotations, &format!("{prefix}/{suffix}"));
        }
    }
    if is_empty(annotations) {
        remove(metadata, "annotations");
    }
}

/// `podIP` is the first of `podIPs`; resource lists are rounded.
fn pod_status(status: &mut Value) {
    let first = status["podIPs"][0]["ip"].as_str().unwrap_or("").to_owned();
    let single = text(&status["podIP"]).to_owned();
    if !single.is_empty() && single != first {
        set(status, "podIPs", json!([{ "ip": single }]));
    } else if single.is_empty() && !first.is_empty() {
        set(status, "podIP", first);
    }
    for list in ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] {
        let Some(statuses) = present_mut(status, list) else { continue };
        for container in items_mut(statuses) {
            if let Some(allocated) = present_mut(container, "allocatedResources") {
                resource_list(allocated);
            }
            if let Some(resources) = present_mut(container, "resources") {
                resource_lists(resources);
            }
        }
    }
    if let Some(allocated) = present_mut(status, "allocatedResources") {
        resource_list(allocated);
    }
    if let Some(resources) = present_mut(status, "resources") {
        resource_lists(resources);
    }
}

/// Whether a container restarts by itself although it is an init container: a sidecar.
pub fn is_sidecar(container: &Value) -> bool {
    has(container, "restartPolicy") && text(&container["restartPolicy"]) == "Always"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (image, expected) in [
            ("nginx", Some("latest")),
            ("nginx:1.25", Some("1.25")),
            ("nginx:latest", Some("latest")),
            ("registry.example:5000/app", Some("latest")),
            ("registry.example:5000/app:v2", Some("v2")),
            ("app@sha256:0123456789012345678901234567890123456789012345678901234567890123", None),
            ("", None),
            ("UPPER", None),
            ("a b", None),
        ] {
            assert_eq!(tag(image).as_deref(), expected, "{image}");
        }
    }

    #[test]
    fn defaulting_is_idempotent() {
        let mut once = json!({"spec": {"serviceAccount": "robot", "volumes": [{"name": "v"}], "containers": [
            {"name": "a", "image": "x", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "0.0001"}},
             "livenessProbe": {"httpGet": {"port": 80}}, "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}]}});
        pod(&mut once);
        let mut twice = once.clone();
        pod(&mut twice);
        assert_eq!(once, twice);
        let container = &once["spec"]["containers"][0];
        assert_eq!(container["resources"], json!({"limits": {"cpu": "1m"}, "requests": {"cpu": "1m"}}));
        assert_eq!(once["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
        assert_eq!(once["spec"]["serviceAccountName"], "robot");
        assert_eq!(container["livenessProbe"]["httpGet"], json!({"path": "/", "port": 80, "scheme": "HTTP"}));
    }
}
