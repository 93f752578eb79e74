//! A cluster of services that call each other's functions. What is random comes from one seed, and the time of day goes with tokio's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use skiff_agent::runtime::Runtime;
use skiff_agent::runtime::sim::Sim;
use skiff_apiserver::bootstrap::bootstrap;
use skiff_apiserver::dispatch::{Server, Settings};
use skiff_apiserver::grpc::ObjectService;
use skiff_apiserver::registry::Resources;
use skiff_apiserver::registry::clock::Environment;
use skiff_apiserver::registry::describe::Describer;
use skiff_apiserver::store::{Backend, Options, Store};
use skiff_client::api::Api;
use skiff_client::clock::Clock;
use skiff_client::local::Local;
use skiff_proto::identity::UserInfo;
use skiff_proto::quantity::Quantity;
use skiff_proto::v1;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cable::Cable;
use super::watchman::{Bounds, Watchman};

/// How often a test looks whether what it waits for is there.
const LOOK: Duration = Duration::from_millis(100);

/// Time and chance of the API server.
struct Seeded {
    clock: Clock,
    state: AtomicU64,
}

impl Environment for Seeded {
    fn now(&self) -> i64 {
        i64::try_from(self.clock.since_epoch().as_micros()).unwrap()
    }

    fn random(&self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

impl Seeded {
    /// SplitMix64.
    fn next(&self) -> u64 {
        let step = 0x9E37_79B9_7F4A_7C15_u64;
        let mut z = self.state.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// A service that runs.
struct Service {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Service {
    fn start<F: Future<Output = ()> + Send + 'static>(life: impl FnOnce(CancellationToken) -> F) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(life(stop.clone())), stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// A node: its containers outlive its agent.
struct Node {
    cable: Arc<Cable>,
    config: skiff_agent::Config,
    sim: Arc<Sim>,
    agent: Option<Service>,
}

impl Node {
    fn run(&mut self) {
        let config = self.config.clone();
        self.agent = Some(Service::start(|stop| async move { skiff_agent::run(config, stop).await.unwrap() }));
    }
}

/// See the module.
pub struct Cluster {
    server: Arc<Server>,
    seed: u64,
    clock: Clock,
    scheduler: Option<Service>,
    controllers: Option<Service>,
    nodes: BTreeMap<String, Node>,
    dir: PathBuf,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir); // a leftover in the temporary folder harms nobody
    }
}

impl Cluster {
    /// A cluster of these nodes, all Ready.
    pub async fn start(seed: u64, nodes: &[&str]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let clock = Clock::from("2026-01-01T00:00:00Z".parse().unwrap());
        let environment = Arc::new(Seeded { clock: clock.clone(), state: AtomicU64::new(seed) });
        let time = clock.clone();
        let options = Options { clock: Arc::new(move || UNIX_EPOCH + time.since_epoch()), ..Options::default() };
        let store = Store::open(Backend::Memory, options, Arc::new(Describer::new(&Resources::builtin()))).unwrap();
        let server = Server::new(Settings { store, environment, authenticator: None, toleration_seconds: 0, service_accounts: true });
        bootstrap(&server, 6443).await.unwrap();
        let dir = std::env::temp_dir().join(format!("skiff-one-process-{}-{number}", std::process::id()));
        let mut cluster = Self { server, seed, clock, scheduler: None, controllers: None, nodes: BTreeMap::new(), dir };
        cluster.restart_controllers().await;
        cluster.restart_scheduler().await;
        for (index, name) in (1..).zip(nodes) {
            let node = cluster.node(name, index);
            cluster.nodes.insert((*name).to_owned(), node);
        }
        cluster.until("every node is ready", Duration::from_secs(60), |now| nodes.iter().all(|node| is_ready(&now.node(node)))).await;
        cluster
    }

    fn api(&self, user: UserInfo) -> Arc<dyn Api> {
        Arc::new(Local::new(Arc::new(ObjectService::new(self.server.clone())), user))
    }

    fn node(&self, name: &str, index: u8) -> Node {
        let cable = Cable::new(self.api(UserInfo::new(format!("system:node:{name}"), &[UserInfo::NODES])));
        let sim = Arc::new(Sim::new(self.clock.clone()));
        let capacity = [("cpu", Quantity::from_units(4)), ("memory", Quantity::from_bytes(4 << 30)), ("pods", Quantity::from_units(110))];
        let config = skiff_agent::Config {
            node_name: name.to_owned(),
            api: cable.clone(),
            runtime: sim.clone(),
            data_dir: self.dir.join(name),
            node_ip: Ipv4Addr::new(127, 20, 0, index),
            pod_cidr: (Ipv4Addr::new(10, 20, index, 0), 24),
            capacity: capacity.map(|(name, amount)| (name.to_owned(), amount)).into(),
            labels: BTreeMap::new(),
            timings: skiff_agent::Timings::FAST,
            serve: None,
            cluster_dns: None,
            cluster_domain: "cluster.local".to_owned(),
            clock: self.clock.clone(),
        };
        let mut node = Node { cable, config, sim, agent: None };
        node.run();
        node
    }

    /// The controllers end, if they run, and begin.
    pub async fn restart_controllers(&mut self) {
        if let Some(running) = self.controllers.take() {
            running.stop().await;
        }
        let api = self.api(UserInfo::new(UserInfo::CONTROLLER, &[]));
        let config =
            skiff_controller::Config { clock: self.clock.clone(), ..skiff_controller::Config::new(api, skiff_controller::Timings::FAST, "CA".to_owned()) };
        self.controllers = Some(Service::start(|stop| skiff_controller::run(config, stop)));
    }

    /// The scheduler ends, if it runs, and begins.
    pub async fn restart_scheduler(&mut self) {
        if let Some(running) = self.scheduler.take() {
            running.stop().await;
        }
        let config = skiff_scheduler::Config { api: self.api(UserInfo::new(UserInfo::SCHEDULER, &[])), seed: self.seed, clock: self.clock.clone() };
        self.scheduler = Some(Service::start(|stop| skiff_scheduler::run(config, stop)));
    }

    /// An agent ends and begins; its containers run on.
    pub async fn restart_agent(&mut self, name: &str) {
        let node = self.nodes.get_mut(name).unwrap();
        node.agent.take().unwrap().stop().await;
        node.run();
    }

    /// Nobody hears from the node any more, nor it from anybody.
    pub fn cut(&mut self, name: &str) {
        self.nodes[name].cable.set(false);
    }

    /// The node is connected again.
    pub fn mend(&mut self, name: &str) {
        self.nodes[name].cable.set(true);
    }

    /// How many containers run on a node, as its runtime says.
    pub fn containers(&self, name: &str) -> usize {
        let observed = futures::executor::block_on(self.nodes[name].sim.pods()).unwrap();
        observed.iter().flat_map(|pod| &pod.containers).filter(|container| container.state.is_running()).count()
    }

    /// Time goes by.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits until something is; panics where it is not within `limit`.
    pub async fn until(&self, what: &str, limit: Duration, is: impl Fn(&Now) -> bool) {
        let end = tokio::time::Instant::now() + limit;
        while !is(&self.now()) {
            assert!(tokio::time::Instant::now() < end, "not within {limit:?}: {what}\n{}", self.now().describe());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The cluster as it is.
    pub fn now(&self) -> Now {
        Now { server: self.server.clone() }
    }

    /// Sees every change of a pod from now on.
    pub async fn watch(&self, bounds: Bounds) -> Watchman {
        Watchman::begin(self.api(UserInfo::admin()), bounds).await
    }

    /// Creates an object in `default`.
    pub async fn create(&mut self, resource: &str, object: Value) {
        let json = object.to_string().into();
        let request = v1::CreateRequest { resource: resource.to_owned(), namespace: "default".to_owned(), json, ..Default::default() };
        self.api(UserInfo::admin()).create(request).await.unwrap();
    }

    /// Patches an object in `default`.
    pub async fn patch(&mut self, resource: &str, name: &str, patch: Value) {
        let request = v1::PatchRequest {
            resource: resource.to_owned(),
            namespace: "default".to_owned(),
            name: name.to_owned(),
            r#type: v1::PatchType::Strategic.into(),
            patch: patch.to_string().into(),
            ..Default::default()
        };
        self.api(UserInfo::admin()).patch(request).await.unwrap();
    }

    /// Deletes an object in `default`, its dependents after it.
    pub async fn delete(&mut self, resource: &str, name: &str) {
        let (resource, namespace, name) = (resource.to_owned(), "default".to_owned(), name.to_owned());
        let request = v1::DeleteRequest { resource, namespace, name, propagation_policy: "Background".to_owned(), ..Default::default() };
        self.api(UserInfo::admin()).delete(request).await.unwrap();
    }
}

/// What the store holds.
pub struct Now {
    server: Arc<Server>,
}

impl Now {
    /// Every object of a resource in `default`.
    pub fn all(&self, resource: &str) -> Vec<Value> {
        self.server.store.list(resource, Some("default")).items.iter().map(|version| serde_json::from_slice(&version.json).unwrap()).collect()
    }

    /// Every pod.
    pub fn pods(&self) -> Vec<Value> {
        self.all("pods")
    }

    /// A node, or null.
    pub fn node(&self, name: &str) -> Value {
        self.server.store.find("nodes", "", name).map(|version| serde_json::from_slice(&version.json).unwrap()).unwrap_or_default()
    }

    /// Pods that run, are ready, and are not on their way out.
    pub fn running(&self) -> usize {
        self.pods().iter().filter(|pod| is_running(pod)).count()
    }

    /// Those on a node.
    pub fn running_on(&self, node: &str) -> usize {
        self.pods().iter().filter(|pod| is_running(pod) && pod["spec"]["nodeName"] == node).count()
    }

    /// What `kubectl rollout status` waits for.
    pub fn rolled_out(&self, deployment: &str) -> bool {
        let Some(deployment) = self.all("deployments.apps").into_iter().find(|one| one["metadata"]["name"] == deployment) else { return false };
        let (replicas, status) = (deployment["spec"]["replicas"].clone(), &deployment["status"]);
        status["observedGeneration"] == deployment["metadata"]["generation"]
            && status["updatedReplicas"] == replicas
            && status["availableReplicas"] == replicas
            && status["replicas"] == replicas
            && self.pods().len() as u64 == replicas.as_u64().unwrap_or_default()
    }

    /// Enough to see why a test waits in vain.
    fn describe(&self) -> String {
        let node = |node: &Value| format!("{} ready: {}", node["metadata"]["name"], is_ready(node));
        let nodes = self.server.store.list("nodes", None).items.iter().map(|version| node(&serde_json::from_slice(&version.json).unwrap())).collect::<Vec<_>>();
        let pod =
            |pod: &Value| format!("{} on {}: {} {}", pod["metadata"]["name"], pod["spec"]["nodeName"], pod["metadata"]["deletionTimestamp"], pod["status"]);
        let deployments = self.all("deployments.apps").iter().map(|one| one["status"].to_string()).collect::<Vec<_>>();
        let pods = self.pods().iter().map(pod).collect::<Vec<_>>();
        [nodes, deployments, pods].concat().join("\n")
    }
}

/// Whether a pod runs, is ready, and is not on its way out.
pub fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && !pod["metadata"]["deletionTimestamp"].is_string() && is_ready(pod)
}

/// Whether a pod or node has a condition `Ready` that is true.
pub fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"))
}

/// Who they are.
pub fn uids(objects: &[Value]) -> BTreeSet<String> {
    objects.iter().map(|object| object["metadata"]["uid"].to_string()).collect()
}

/// A Deployment in `default`; an empty strategy is Kubernetes' own. Its pods want no token: the volume of one is mounted by the machine's kernel.
pub fn deployment(name: &str, replicas: usize, strategy: Value) -> Value {
    let spec = json!({"containers": [{"name": "c", "image": "i:1"}], "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "strategy": strategy, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name, "v": "1"}}, "spec": spec},
        },
    })
}
