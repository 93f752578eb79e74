//! Nothing is silently ignored: every field that a pod may have is acted on, or told of, or refused, and this says where. A field that a new version of
//! Kubernetes brings has nobody, and neither has one whose code is taken away: both fail here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use skiff_proto::k8s_openapi::api::core::v1 as core;
use skiff_tests::repository;

/// Type, the file that sees to its fields (`agent/src/unsupported.rs`: keeps the pod Pending, or tells), and the fields.
const SEEN_TO: &[(&str, &str, &str)] = &[
    ("PodSpec", "agent/src/sync/plan.rs", "active_deadline_seconds restart_policy termination_grace_period_seconds"),
    ("PodSpec", "scheduler/src/view.rs", "affinity preemption_policy priority scheduler_name scheduling_gates tolerations topology_spread_constraints"),
    ("PodSpec", "apiserver/src/admission/service_account.rs", "automount_service_account_token service_account"),
    ("PodSpec", "agent/src/pod.rs", "containers ephemeral_containers host_network init_containers"),
    ("PodSpec", "agent/src/files.rs", "dns_config dns_policy host_aliases hostname hostname_override set_hostname_as_fqdn subdomain"),
    ("PodSpec", "agent/src/sync/start.rs", "enable_service_links image_pull_secrets"),
    ("PodSpec", "agent/src/sync/spec.rs", "host_ipc host_pid resources security_context share_process_namespace"),
    ("PodSpec", "agent/src/unsupported.rs", "host_users os resource_claims runtime_class_name"),
    ("PodSpec", "agent/src/source.rs", "node_name"),
    ("PodSpec", "scheduler/src/plugins/node_affinity.rs", "node_selector"),
    ("PodSpec", "proto/src/rules/requests.rs", "overhead"),
    ("PodSpec", "apiserver/src/admission/pod.rs", "priority_class_name"),
    ("PodSpec", "agent/src/status/conditions.rs", "readiness_gates"),
    ("PodSpec", "agent/src/tokens.rs", "service_account_name"),
    ("PodSpec", "agent/src/volumes/mod.rs", "volumes"),
    ("PodSpec", "apiserver/src/kinds/workload/podspec/drop_fields.rs", "workload_ref"),
    ("Container", "agent/src/sync/spec.rs", "args command name ports resources security_context stdin stdin_once tty volume_mounts working_dir"),
    ("Container", "agent/src/env.rs", "env env_from"),
    ("Container", "agent/src/sync/start.rs", "image image_pull_policy lifecycle termination_message_path"),
    ("Container", "agent/src/probe/prober.rs", "liveness_probe readiness_probe startup_probe"),
    ("Container", "agent/src/sync/rules.rs", "resize_policy restart_policy"),
    ("Container", "agent/src/pod.rs", "restart_policy_rules"),
    ("Container", "agent/src/sync/worker.rs", "termination_message_policy"),
    ("Container", "agent/src/unsupported.rs", "volume_devices"),
    ("PodSecurityContext", "agent/src/unsupported.rs", "app_armor_profile supplemental_groups_policy windows_options se_linux_options"),
    ("PodSecurityContext", "agent/src/volumes/mod.rs", "fs_group"),
    ("PodSecurityContext", "agent/src/sync/spec.rs", "run_as_group run_as_non_root run_as_user seccomp_profile supplemental_groups sysctls"),
    ("PodSecurityContext", "apiserver/src/kinds/workload/podspec/security.rs", "se_linux_change_policy"),
    (
        "SecurityContext",
        "agent/src/sync/spec.rs",
        "allow_privilege_escalation capabilities privileged proc_mount read_only_root_filesystem run_as_group run_as_non_root run_as_user seccomp_profile",
    ),
    ("SecurityContext", "agent/src/unsupported.rs", "app_armor_profile windows_options se_linux_options"),
    ("Probe", "agent/src/probe/check.rs", "exec grpc http_get tcp_socket"),
    ("Probe", "agent/src/probe/mod.rs", "failure_threshold initial_delay_seconds period_seconds success_threshold timeout_seconds"),
    ("Probe", "agent/src/sync/worker.rs", "termination_grace_period_seconds"),
    ("Lifecycle", "agent/src/sync/start.rs", "post_start"),
    ("Lifecycle", "agent/src/sync/stop.rs", "pre_stop"),
    ("Lifecycle", "agent/src/sync/spec.rs", "stop_signal"),
    ("LifecycleHandler", "agent/src/hooks.rs", "exec http_get sleep tcp_socket"),
    (
        "Volume",
        "agent/src/unsupported.rs",
        "aws_elastic_block_store azure_disk azure_file cephfs cinder csi ephemeral fc flex_volume flocker gce_persistent_disk git_repo glusterfs image iscsi nfs persistent_volume_claim photon_persistent_disk portworx_volume quobyte rbd scale_io storageos vsphere_volume",
    ),
    ("Volume", "agent/src/volumes/mod.rs", "config_map downward_api empty_dir host_path name projected secret"),
    ("VolumeMount", "agent/src/sync/spec.rs", "mount_path mount_propagation name read_only sub_path sub_path_expr"),
    ("VolumeMount", "agent/src/unsupported.rs", "recursive_read_only"),
    ("ContainerPort", "agent/src/sync/spec.rs", "container_port host_ip host_port protocol"),
    ("ContainerPort", "agent/src/net.rs", "name"),
    ("EnvVarSource", "agent/src/env.rs", "config_map_key_ref field_ref resource_field_ref secret_key_ref"),
    ("EnvVarSource", "agent/src/unsupported.rs", "file_key_ref"),
    ("EnvFromSource", "agent/src/env.rs", "config_map_ref prefix secret_ref"),
    ("ResourceRequirements", "agent/src/unsupported.rs", "claims"),
    ("ResourceRequirements", "agent/src/pod.rs", "limits"),
    ("ResourceRequirements", "proto/src/rules/requests.rs", "requests"),
    ("PodDNSConfig", "agent/src/files.rs", "nameservers options searches"),
    ("HostAlias", "agent/src/files.rs", "hostnames ip"),
    ("ProjectedVolumeSource", "agent/src/volumes/payload.rs", "default_mode sources"),
    ("VolumeProjection", "agent/src/unsupported.rs", "cluster_trust_bundle pod_certificate"),
    ("VolumeProjection", "agent/src/volumes/payload.rs", "config_map downward_api secret service_account_token"),
    ("ConfigMapVolumeSource", "agent/src/volumes/payload.rs", "default_mode items name optional"),
    ("SecretVolumeSource", "agent/src/volumes/payload.rs", "default_mode items optional secret_name"),
    ("EmptyDirVolumeSource", "agent/src/volumes/mod.rs", "medium size_limit"),
    ("HostPathVolumeSource", "agent/src/volumes/mod.rs", "path type_"),
    ("HTTPGetAction", "agent/src/net.rs", "host http_headers path port scheme"),
    ("SeccompProfile", "agent/src/sync/spec.rs", "localhost_profile type_"),
    ("Capabilities", "agent/src/sync/spec.rs", "add drop"),
    ("Toleration", "proto/src/rules/taints.rs", "effect key operator value"),
    ("Toleration", "controller/src/node_lifecycle/evict.rs", "toleration_seconds"),
    (
        "TopologySpreadConstraint",
        "scheduler/src/plugins/topology_spread.rs",
        "label_selector match_label_keys max_skew min_domains node_affinity_policy node_taints_policy topology_key when_unsatisfiable",
    ),
    ("Affinity", "scheduler/src/plugins/node_affinity.rs", "node_affinity"),
    ("Affinity", "scheduler/src/plugins/inter_pod_affinity.rs", "pod_affinity pod_anti_affinity"),
    ("ServiceAccountTokenProjection", "agent/src/tokens.rs", "audience expiration_seconds"),
    ("ServiceAccountTokenProjection", "agent/src/volumes/payload.rs", "path"),
];

/// Fields that need nobody, each with its reason.
const NEEDS_NOBODY: [(&str, &str, &str); 1] =
    [("PodSecurityContext", "fs_group_change_policy", "says how a persistent volume changes hands; it has no effect on the volumes that there are")];

/// Types whose fields are walked.
fn types() -> Vec<(&'static str, BTreeSet<String>)> {
    let shown = vec![
        ("PodSpec", debug::<core::PodSpec>()),
        ("Container", debug::<core::Container>()),
        ("PodSecurityContext", debug::<core::PodSecurityContext>()),
        ("SecurityContext", debug::<core::SecurityContext>()),
        ("Probe", debug::<core::Probe>()),
        ("Lifecycle", debug::<core::Lifecycle>()),
        ("LifecycleHandler", debug::<core::LifecycleHandler>()),
        ("Volume", debug::<core::Volume>()),
        ("VolumeMount", debug::<core::VolumeMount>()),
        ("ContainerPort", debug::<core::ContainerPort>()),
        ("EnvVarSource", debug::<core::EnvVarSource>()),
        ("EnvFromSource", debug::<core::EnvFromSource>()),
        ("ResourceRequirements", debug::<core::ResourceRequirements>()),
        ("PodDNSConfig", debug::<core::PodDNSConfig>()),
        ("HostAlias", debug::<core::HostAlias>()),
        ("ProjectedVolumeSource", debug::<core::ProjectedVolumeSource>()),
        ("VolumeProjection", debug::<core::VolumeProjection>()),
        ("ConfigMapVolumeSource", debug::<core::ConfigMapVolumeSource>()),
        ("SecretVolumeSource", debug::<core::SecretVolumeSource>()),
        ("EmptyDirVolumeSource", debug::<core::EmptyDirVolumeSource>()),
        ("HostPathVolumeSource", debug::<core::HostPathVolumeSource>()),
        ("HTTPGetAction", debug::<core::HTTPGetAction>()),
        ("SeccompProfile", debug::<core::SeccompProfile>()),
        ("Capabilities", debug::<core::Capabilities>()),
        ("Toleration", debug::<core::Toleration>()),
        ("TopologySpreadConstraint", debug::<core::TopologySpreadConstraint>()),
        ("Affinity", debug::<core::Affinity>()),
        ("ServiceAccountTokenProjection", debug::<core::ServiceAccountTokenProjection>()),
    ];
    shown.into_iter().map(|(name, shown)| (name, fields(&shown))).collect()
}

/// The debug form of a struct names its fields.
fn debug<T: Default + Debug>() -> String {
    format!("{:#?}", T::default())
}

fn fields(shown: &str) -> BTreeSet<String> {
    let of_struct = shown.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     ") && line.contains(':'));
    of_struct.map(|line| line.trim().split(':').next().unwrap().to_owned()).collect()
}

/// `hostUsers` and `host_users` are one.
fn flat(word: &str) -> String {
    word.replace('_', "").to_lowercase()
}

/// The words of a file, but for its tests.
fn words(file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository().join(file)).unwrap_or_else(|why| panic!("{file}: {why}"));
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.split(|c: char| !c.is_alphanumeric() && c != '_').map(flat).collect()
}

#[test]
fn every_field_of_a_pod_is_seen_to() {
    let mut seen: BTreeMap<(&str, &str), &str> = NEEDS_NOBODY.iter().map(|(of, field, _)| ((*of, *field), "")).collect();
    for (of, file, fields) in SEEN_TO {
        seen.extend(fields.split(' ').map(|field| ((*of, field), *file)));
    }
    let mut complaints = Vec::new();
    for (of, fields) in types() {
        assert!(!fields.is_empty(), "{of} shows no fields");
        complaints.extend(fields.iter().filter(|field| !seen.contains_key(&(of, field.as_str()))).map(|field| format!("{of}.{field} is nobody's")));
        let named = seen.keys().filter(|(other, _)| *other == of);
        complaints.extend(named.filter(|(_, field)| !fields.contains(*field)).map(|(_, field)| format!("{of} has no {field}")));
    }
    let words: BTreeMap<&str, BTreeSet<String>> = SEEN_TO.iter().map(|(_, file, _)| (*file, words(file))).collect();
    let forgotten = seen.iter().filter(|((_, field), file)| !file.is_empty() && !words[*file].contains(&flat(field)));
    complaints.extend(forgotten.map(|((of, field), file)| format!("{of}.{field}: {file} does not know it")));
    assert_eq!(complaints, Vec::<String>::new());
}
