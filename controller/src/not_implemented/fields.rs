//! Every field of the kinds that are acted on, and who acts on it. A field that Kubernetes adds is nobody's until somebody is named here.

use k8s_openapi::api::apps::v1::{DaemonSetSpec, DaemonSetUpdateStrategy, DeploymentSpec, DeploymentStrategy, ReplicaSetSpec};
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::{NamespaceSpec, NodeSpec, ReplicationControllerSpec, ServiceAccount, ServiceSpec};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::scheduling::v1::PriorityClass;

/// The event on the Service says that nothing is forwarded: this is part of it.
const TOLD: &str = "told by the event on the Service";
const METADATA: (&str, &str) = ("metadata", "API server");

type Fields = &'static [(&'static str, &'static str)];

const SERVICE: Fields = &[
    ("allocate_load_balancer_node_ports", "API server: allocation"),
    ("cluster_ip", TOLD),
    ("cluster_ips", TOLD),
    ("external_ips", TOLD),
    ("external_name", TOLD),
    ("external_traffic_policy", TOLD),
    ("health_check_node_port", TOLD),
    ("internal_traffic_policy", TOLD),
    ("ip_families", "endpoint_slice"),
    ("ip_family_policy", "API server: allocation"),
    ("load_balancer_class", TOLD),
    ("load_balancer_ip", TOLD),
    ("load_balancer_source_ranges", TOLD),
    ("ports", "endpoints, endpoint_slice; forwarding: told"),
    ("publish_not_ready_addresses", "endpoints, endpoint_slice"),
    ("selector", "endpoints, endpoint_slice"),
    ("session_affinity", TOLD),
    ("session_affinity_config", TOLD),
    ("traffic_distribution", TOLD),
    ("type_", TOLD),
];

const JOB: Fields = &[
    ("active_deadline_seconds", "job"),
    ("backoff_limit", "job"),
    ("backoff_limit_per_index", "told by job"),
    ("completion_mode", "job"),
    ("completions", "job"),
    ("managed_by", "job: left to whom it names, as in Kubernetes"),
    ("manual_selector", "API server"),
    ("max_failed_indexes", "only with backoffLimitPerIndex: told by job"),
    ("parallelism", "job"),
    ("pod_failure_policy", "told by job"),
    ("pod_replacement_policy", "job"),
    ("selector", "job"),
    ("success_policy", "told by job"),
    ("suspend", "job"),
    ("template", "job"),
    ("ttl_seconds_after_finished", "job"),
];

const DEPLOYMENT: Fields = &[
    ("min_ready_seconds", "deployment"),
    ("paused", "deployment"),
    ("progress_deadline_seconds", "deployment"),
    ("replicas", "deployment"),
    ("revision_history_limit", "deployment"),
    ("selector", "deployment"),
    ("strategy", "deployment"),
    ("template", "deployment"),
];

const REPLICAS: Fields = &[("min_ready_seconds", "replicaset"), ("replicas", "replicaset"), ("selector", "replicaset"), ("template", "replicaset")];

const DAEMON_SET: Fields = &[
    ("min_ready_seconds", "daemon_set"),
    ("revision_history_limit", "daemon_set"),
    ("selector", "daemon_set"),
    ("template", "daemon_set"),
    ("update_strategy", "daemon_set; maxSurge: told by it"),
];

const STRATEGY: Fields = &[("rolling_update", "deployment, daemon_set"), ("type_", "deployment, daemon_set")];

const NODE: Fields = &[
    ("config_source", "nobody: refused by Kubernetes since 1.24"),
    ("external_id", "nobody: kept as in Kubernetes"),
    ("pod_cidr", "agent"),
    ("pod_cidrs", "agent"),
    ("provider_id", "for clouds: kept as in Kubernetes"),
    ("taints", "scheduler, agent, node_lifecycle"),
    ("unschedulable", "scheduler"),
];

const ACCOUNT: Fields = &[
    ("automount_service_account_token", "API server: admission"),
    ("image_pull_secrets", "API server: admission; agent tells where a pull needs them"),
    METADATA,
    ("secrets", "API server: admission"),
];

const PRIORITY: Fields =
    &[("description", "for people"), ("global_default", "API server: admission"), METADATA, ("preemption_policy", "scheduler"), ("value", "scheduler")];

const CLUSTER_ROLE: Fields = &[("aggregation_rule", "told by an event"), METADATA, ("rules", "API server: authorization")];

#[test]
fn every_field_of_what_is_acted_on_is_accounted_for() {
    let kinds: [(String, Fields); 13] = [
        (format!("{:#?}", ServiceSpec::default()), SERVICE),
        (format!("{:#?}", JobSpec::default()), JOB),
        (format!("{:#?}", DeploymentSpec::default()), DEPLOYMENT),
        (format!("{:#?}", DeploymentStrategy::default()), STRATEGY),
        (format!("{:#?}", ReplicaSetSpec::default()), REPLICAS),
        (format!("{:#?}", ReplicationControllerSpec::default()), REPLICAS),
        (format!("{:#?}", DaemonSetSpec::default()), DAEMON_SET),
        (format!("{:#?}", DaemonSetUpdateStrategy::default()), STRATEGY),
        (format!("{:#?}", NodeSpec::default()), NODE),
        (format!("{:#?}", NamespaceSpec::default()), &[("finalizers", "namespace")]),
        (format!("{:#?}", ServiceAccount::default()), ACCOUNT),
        (format!("{:#?}", PriorityClass::default()), PRIORITY),
        (format!("{:#?}", ClusterRole::default()), CLUSTER_ROLE),
    ];
    for (debug, known) in kinds {
        // The debug form of a struct names its fields.
        let lines = debug.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     ") && line.contains(':'));
        let fields: Vec<&str> = lines.map(|line| line.trim().split(':').next().unwrap()).collect();
        let name = debug.lines().next().unwrap();
        assert!(!fields.is_empty(), "{name} was not read");
        for field in &fields {
            assert!(known.iter().any(|(name, _)| name == field), "{name} {field} is nobody's");
        }
        for (field, _) in known {
            assert!(fields.contains(field), "{name} has no field {field}");
        }
    }
}
