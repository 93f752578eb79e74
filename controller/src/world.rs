//! Everything that reconcilers read: the caches, the indexes over them, and the clock.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use skiff_client::clock::Clock;
use skiff_client::informer::Cache;

use crate::index::{Index, by_controller, by_node};
use crate::view::{
    CaBundle, ControllerRevision, DaemonSet, Deployment, EndpointSlice, Endpoints, Job, Lease, Namespace, Node, Pod, Replicas, Service, ServiceAccount,
};

/// The caches of one cluster. Each is filled by one informer of [`crate::manager`].
pub struct World {
    /// Every pod.
    pub pods: Arc<Cache<Pod>>,
    /// Pods by their controller's uid.
    pub pods_by_controller: Index<Pod>,
    /// Pods by their node.
    pub pods_by_node: Index<Pod>,
    /// Every node.
    pub nodes: Arc<Cache<Node>>,
    /// The leases of `kube-node-lease`.
    pub leases: Arc<Cache<Lease>>,
    /// Every ReplicaSet.
    pub replica_sets: Arc<Cache<Replicas>>,
    /// Every ReplicationController.
    pub replication_controllers: Arc<Cache<Replicas>>,
    /// Every Deployment.
    pub deployments: Arc<Cache<Deployment>>,
    /// Every Job.
    pub jobs: Arc<Cache<Job>>,
    /// Every DaemonSet.
    pub daemon_sets: Arc<Cache<DaemonSet>>,
    /// Every ControllerRevision.
    pub revisions: Arc<Cache<ControllerRevision>>,
    /// Every service.
    pub services: Arc<Cache<Service>>,
    /// Every Endpoints object.
    pub endpoints: Arc<Cache<Endpoints>>,
    /// Every EndpointSlice.
    pub slices: Arc<Cache<EndpointSlice>>,
    /// Every namespace.
    pub namespaces: Arc<Cache<Namespace>>,
    /// Every service account.
    pub accounts: Arc<Cache<ServiceAccount>>,
    /// Every ConfigMap `kube-root-ca.crt`.
    pub bundles: Arc<Cache<CaBundle>>,
    /// What time it is.
    pub clock: Clock,
}

impl World {
    /// A world of these caches is complete once every one of them has synced.
    pub fn synced(&self) -> Result<(), String> {
        let all = [
            ("pods", self.pods.synced()),
            ("nodes", self.nodes.synced()),
            ("leases", self.leases.synced()),
            ("replicasets", self.replica_sets.synced()),
            ("replicationcontrollers", self.replication_controllers.synced()),
            ("deployments", self.deployments.synced()),
            ("jobs", self.jobs.synced()),
            ("daemonsets", self.daemon_sets.synced()),
            ("controllerrevisions", self.revisions.synced()),
            ("services", self.services.synced()),
            ("endpoints", self.endpoints.synced()),
            ("endpointslices", self.slices.synced()),
            ("namespaces", self.namespaces.synced()),
            ("serviceaccounts", self.accounts.synced()),
            ("configmaps", self.bundles.synced()),
        ];
        match all.iter().find(|(_, synced)| !synced) {
            Some((name, _)) => Err(format!("{name} are not in the cache yet")),
            None => Ok(()),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A world whose caches are empty, with this clock.
    pub fn empty(clock: Clock) -> Self {
        Self {
            pods: Arc::default(),
            pods_by_controller: Index::new(by_controller),
            pods_by_node: Index::new(by_node),
            nodes: Arc::default(),
            leases: Arc::default(),
            replica_sets: Arc::default(),
            replication_controllers: Arc::default(),
            deployments: Arc::default(),
            jobs: Arc::default(),
            daemon_sets: Arc::default(),
            revisions: Arc::default(),
            services: Arc::default(),
            endpoints: Arc::default(),
            slices: Arc::default(),
            namespaces: Arc::default(),
            accounts: Arc::default(),
            bundles: Arc::default(),
            clock,
        }
    }
}
