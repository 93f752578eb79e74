//! What a pod may ask for that this node cannot do (yet): such a pod stays Pending, and an event names the field. `tests/house/pod_fields.rs`
//! walks every field of a pod: it is done, it is not a node's affair, or it is here. What is done only in part is told while the pod runs.

use crate::pod;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};

/// Sentences that name the fields; empty where the node can do all that the pod asks for.
pub fn fields(pod: &Pod) -> Vec<String> {
    let spec = pod::spec(pod);
    let mut found = Vec::new();
    let mut say = |asked: bool, field: &str| {
        if asked {
            found.push(format!("this node does not implement spec.{field} yet: the pod cannot run on it"));
        }
    };
    say(spec.host_users == Some(false), "hostUsers: false");
    say(spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty()), "resourceClaims");
    say(spec.runtime_class_name.as_ref().is_some_and(|name| !name.is_empty()), "runtimeClassName");
    say(spec.os.as_ref().is_some_and(|os| os.name != "linux"), "os other than linux");
    let context = spec.security_context.as_ref();
    say(context.is_some_and(|context| context.windows_options.is_some()), "securityContext.windowsOptions");
    say(context.and_then(|context| context.supplemental_groups_policy.as_deref()) == Some("Strict"), "securityContext.supplementalGroupsPolicy: Strict");
    let localhost = |profile: Option<&k8s_openapi::api::core::v1::AppArmorProfile>| profile.is_some_and(|profile| profile.type_ == "Localhost");
    say(localhost(context.and_then(|context| context.app_armor_profile.as_ref())), "securityContext.appArmorProfile of type Localhost");
    for volume in spec.volumes.iter().flatten() {
        if let Some(source) = unsupported_volume(volume) {
            say(true, &format!("volumes[{}].{source}", volume.name));
        }
    }
    let ephemeral = pod::ephemeral_containers(pod);
    let lists = pod::init_containers(pod).iter().map(|container| ("initContainers", container));
    let lists = lists.chain(pod::regular_containers(pod).iter().map(|container| ("containers", container)));
    for (list, container) in lists.chain(ephemeral.iter().map(|(container, _)| ("ephemeralContainers", container))) {
        for field in unsupported_in(container) {
            say(true, &format!("{list}[{}].{field}", container.name));
        }
    }
    found
}

/// Sentences that name what is done only in part; the pod runs.
pub fn partly(pod: &Pod) -> Vec<String> {
    let of_pod = pod::spec(pod).resources.as_ref();
    let sidecars = pod::init_containers(pod).iter().filter(|container| pod::is_sidecar(container));
    let running: Vec<&Container> = pod::regular_containers(pod).iter().chain(sidecars).collect();
    let limited = ["cpu", "memory"].into_iter().filter(|name| running.len() > 1 && pod::limit(of_pod, name).is_some());
    let bounded_otherwise = |name: &str| {
        let each: Option<i128> = running.iter().map(|container| Some(pod::limit(container.resources.as_ref(), name)?.nanos())).sum();
        each.zip(pod::limit(of_pod, name)).is_some_and(|(sum, limit)| sum <= limit.nanos())
    };
    let limits = limited
        .filter(|name| !bounded_otherwise(name))
        .map(|name| format!("this node does not implement spec.resources.limits.{name} for a pod as a whole yet: each container without a limit of its own is held to it, but not all of them together"));
    let labels = unlabelled(pod).map(|field| format!("this node does not implement spec.{field} yet: what it asks for is not labelled so"));
    limits.chain(labels).collect()
}

/// SELinux labels that are asked for.
fn unlabelled(pod: &Pod) -> impl Iterator<Item = String> {
    let spec = pod::spec(pod);
    let of_pod = spec.security_context.as_ref().filter(|context| context.se_linux_options.is_some()).map(|_| "securityContext.seLinuxOptions".to_owned());
    let lists = [("initContainers", pod::init_containers(pod)), ("containers", pod::regular_containers(pod))];
    let containers = lists.into_iter().flat_map(|(list, containers)| containers.iter().map(move |container| (list, container)));
    let labelled = containers.filter(|(_, container)| container.security_context.as_ref().is_some_and(|context| context.se_linux_options.is_some()));
    of_pod.into_iter().chain(labelled.map(|(list, container)| format!("{list}[{}].securityContext.seLinuxOptions", container.name)))
}

fn unsupported_volume(volume: &Volume) -> Option<&'static str> {
    let done =
        volume.empty_dir.is_some() || volume.host_path.is_some() || volume.config_map.is_some() || volume.secret.is_some() || volume.downward_api.is_some();
    if let Some(projected) = &volume.projected {
        let sources = projected.sources.iter().flatten();
        return sources.into_iter().find_map(|source| {
            if source.cluster_trust_bundle.is_some() {
                Some("projected.sources[].clusterTrustBundle")
            } else if source.pod_certificate.is_some() {
                Some("projected.sources[].podCertificate")
            } else {
                None
            }
        });
    }
    if done {
        return None;
    }
    // An empty source is an emptyDir; every other kind is named.
    let value = serde_json::to_value(volume).unwrap_or_default();
    let kind = value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).find(|key| key != "name")?;
    VOLUMES.iter().find(|known| **known == kind).copied().or(Some("of this kind"))
}

const VOLUMES: [&str; 24] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "image",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

fn unsupported_in(container: &Container) -> Vec<&'static str> {
    let mut found = Vec::new();
    let context = container.security_context.as_ref();
    let mut say = |asked: bool, field: &'static str| {
        if asked {
            found.push(field);
        }
    };
    say(container.volume_devices.as_ref().is_some_and(|devices| !devices.is_empty()), "volumeDevices");
    say(
        container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()).any(|from| from.file_key_ref.is_some()),
        "env[].valueFrom.fileKeyRef",
    );
    say(
        container.volume_mounts.iter().flatten().any(|mount| mount.recursive_read_only.as_deref() == Some("Enabled")),
        "volumeMounts[].recursiveReadOnly: Enabled",
    );
    say(context.is_some_and(|context| context.windows_options.is_some()), "securityContext.windowsOptions");
    say(
        context.and_then(|context| context.app_armor_profile.as_ref()).is_some_and(|profile| profile.type_ == "Localhost"),
        "securityContext.appArmorProfile of type Localhost",
    );
    let resources = container.resources.as_ref();
    say(resources.is_some_and(|resources| resources.claims.as_ref().is_some_and(|claims| !claims.is_empty())), "resources.claims");
    let named = resources.into_iter().flat_map(|resources| resources.limits.iter().flatten().chain(resources.requests.iter().flatten()));
    say(named.into_iter().any(|(name, _)| name.starts_with("hugepages-")), "resources of hugepages");
    let restarts_all = container.restart_policy_rules.iter().flatten().any(|rule| rule.action == "RestartAllContainers");
    say(restarts_all, "restartPolicyRules[].action: RestartAllContainers");
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_done_in_part_is_named() {
        let one = json!({"name": "a"});
        let held = |cpu: &str| json!({"name": "b", "resources": {"limits": {"cpu": cpu}}});
        let cases = [
            (json!({"containers": [one, one]}), 0),
            (json!({"containers": [one], "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}), 0),
            (json!({"containers": [one, one], "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}), 2),
            (json!({"containers": [one], "initContainers": [{"name": "s", "restartPolicy": "Always"}], "resources": {"limits": {"cpu": "1"}}}), 1),
            (json!({"containers": [held("500m"), held("500m")], "resources": {"limits": {"cpu": "1"}}}), 0),
            (json!({"containers": [held("500m"), held("600m")], "resources": {"limits": {"cpu": "1"}}}), 1),
            (json!({"containers": [one], "securityContext": {"seLinuxOptions": {"level": "s0"}}}), 1),
            (json!({"containers": [{"name": "a", "securityContext": {"seLinuxOptions": {"level": "s0"}}}]}), 1),
        ];
        for (spec, expected) in cases {
            let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
            assert_eq!(partly(&pod).len(), expected, "{spec}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let cases: [(Value, &str); 6] = [
            (json!({"hostUsers": false}), "hostUsers: false"),
            (json!({"runtimeClassName": "gvisor"}), "runtimeClassName"),
            (json!({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]}), "volumes[v].nfs"),
            (json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}), "volumes[v].persistentVolumeClaim"),
            (json!({"containers": [{"name": "c", "volumeDevices": [{"name": "d", "devicePath": "/dev/x"}]}]}), "containers[c].volumeDevices"),
            (json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "projected": {"sources": []}}]}), ""),
        ];
        for (mut spec, expected) in cases {
            if spec["containers"].is_null() {
                spec["containers"] = json!([{"name": "c"}]);
            }
            let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
            let expected: Vec<String> = Some(expected)
                .filter(|field| !field.is_empty())
                .map(|field| format!("this node does not implement spec.{field} yet: the pod cannot run on it"))
                .into_iter()
                .collect();
            assert_eq!(fields(&pod), expected);
        }
    }
}
