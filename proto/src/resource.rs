//! Names of the resources that skiff's own components speak of: `resource` or `resource.group`, as in `kubectl api-resources`.

#![allow(missing_docs)]

pub const CONFIGMAPS: &str = "configmaps";
pub const ENDPOINTS: &str = "endpoints";
pub const EVENTS: &str = "events";
pub const NAMESPACES: &str = "namespaces";
pub const NODES: &str = "nodes";
pub const PERSISTENTVOLUMECLAIMS: &str = "persistentvolumeclaims";
pub const PERSISTENTVOLUMES: &str = "persistentvolumes";
pub const PODS: &str = "pods";
pub const REPLICATIONCONTROLLERS: &str = "replicationcontrollers";
pub const SECRETS: &str = "secrets";
pub const SERVICEACCOUNTS: &str = "serviceaccounts";
pub const SERVICES: &str = "services";
pub const CONTROLLERREVISIONS: &str = "controllerrevisions.apps";
pub const DAEMONSETS: &str = "daemonsets.apps";
pub const DEPLOYMENTS: &str = "deployments.apps";
pub const REPLICASETS: &str = "replicasets.apps";
pub const STATEFULSETS: &str = "statefulsets.apps";
pub const JOBS: &str = "jobs.batch";
pub const CRONJOBS: &str = "cronjobs.batch";
pub const LEASES: &str = "leases.coordination.k8s.io";
pub const ENDPOINTSLICES: &str = "endpointslices.discovery.k8s.io";
pub const PRIORITYCLASSES: &str = "priorityclasses.scheduling.k8s.io";
pub const RUNTIMECLASSES: &str = "runtimeclasses.node.k8s.io";
