//! Runs everything: one informer a resource, whose changes feed indexes and queues, and a few workers a controller.

use std::sync::Arc;
use std::time::Duration;

use skiff_client::clock::Clock;
use skiff_client::events::{Recorder, Source, Style};
use skiff_client::informer::{Change, Informer, Key};
use skiff_client::queue::Queue;
use skiff_proto::resource::{
    CONFIGMAPS, CONTROLLERREVISIONS, DAEMONSETS, DEPLOYMENTS, ENDPOINTS, ENDPOINTSLICES, JOBS, LEASES, NAMESPACES, NODES, PODS, REPLICASETS,
    REPLICATIONCONTROLLERS, SERVICEACCOUNTS, SERVICES,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::connection::Connection;
use crate::execute::Writer;
use crate::gc::{Bare, Collector};
use crate::kinds::{self, KINDS};
use crate::metrics::Metrics;
use crate::not_implemented::Teller;
use crate::reconciler::{Reconciler, work};
use crate::replicaset::Flavor;
use crate::routes;
use crate::view::{Object, Replicas};
use crate::world::World;
use crate::{daemon_set, deployment, endpoint_slice, endpoints, job, namespace, node_lifecycle, pod_gc, replicaset, root_ca, service_account};

/// The queue of each controller.
#[derive(Clone, Default)]
pub struct Queues {
    deployments: Queue<Key>,
    replica_sets: Queue<Key>,
    replication_controllers: Queue<Key>,
    accounts: Queue<Key>,
    bundles: Queue<Key>,
    namespaces: Queue<Key>,
    evictions: Queue<Key>,
    endpoints: Queue<Key>,
    slices: Queue<Key>,
    mirrors: Queue<Key>,
    jobs: Queue<Key>,
    daemon_sets: Queue<Key>,
}

impl Queues {
    fn all(&self) -> [&Queue<Key>; 12] {
        let Self {
            deployments,
            replica_sets,
            replication_controllers,
            accounts,
            bundles,
            namespaces,
            evictions,
            endpoints,
            slices,
            mirrors,
            jobs,
            daemon_sets,
        } = self;
        [deployments, replica_sets, replication_controllers, accounts, bundles, namespaces, evictions, endpoints, slices, mirrors, jobs, daemon_sets]
    }
}

/// The informers of a world, before they run.
struct Informers {
    pods: Informer<crate::view::Pod>,
    nodes: Informer<crate::view::Node>,
    leases: Informer<crate::view::Lease>,
    replica_sets: Informer<Replicas>,
    replication_controllers: Informer<Replicas>,
    deployments: Informer<crate::view::Deployment>,
    jobs: Informer<crate::view::Job>,
    daemon_sets: Informer<crate::view::DaemonSet>,
    revisions: Informer<crate::view::ControllerRevision>,
    services: Informer<crate::view::Service>,
    endpoints: Informer<crate::view::Endpoints>,
    slices: Informer<crate::view::EndpointSlice>,
    namespaces: Informer<crate::view::Namespace>,
    accounts: Informer<crate::view::ServiceAccount>,
    bundles: Informer<crate::view::CaBundle>,
}

impl Informers {
    fn new(config: &Config) -> Self {
        let api = || config.api.clone();
        Self {
            pods: Informer::all(api(), PODS),
            nodes: Informer::all(api(), NODES),
            leases: Informer::all(api(), LEASES),
            replica_sets: Informer::all(api(), REPLICASETS),
            replication_controllers: Informer::all(api(), REPLICATIONCONTROLLERS),
            deployments: Informer::all(api(), DEPLOYMENTS),
            jobs: Informer::all(api(), JOBS),
            daemon_sets: Informer::all(api(), DAEMONSETS),
            revisions: Informer::all(api(), CONTROLLERREVISIONS),
            services: Informer::all(api(), SERVICES),
            endpoints: Informer::all(api(), ENDPOINTS),
            slices: Informer::all(api(), ENDPOINTSLICES),
            namespaces: Informer::all(api(), NAMESPACES),
            accounts: Informer::all(api(), SERVICEACCOUNTS),
            bundles: Informer::all(api(), CONFIGMAPS),
        }
    }

    fn world(&self, clock: Clock) -> World {
        World {
            pods: self.pods.cache(),
            nodes: self.nodes.cache(),
            leases: self.leases.cache(),
            replica_sets: self.replica_sets.cache(),
            replication_controllers: self.replication_controllers.cache(),
            deployments: self.deployments.cache(),
            jobs: self.jobs.cache(),
            daemon_sets: self.daemon_sets.cache(),
            revisions: self.revisions.cache(),
            services: self.services.cache(),
            endpoints: self.endpoints.cache(),
            slices: self.slices.cache(),
            namespaces: self.namespaces.cache(),
            accounts: self.accounts.cache(),
            bundles: self.bundles.cache(),
            ..World::empty(clock)
        }
    }
}

/// What the handlers of informers feed.
#[derive(Clone)]
struct Sinks {
    world: Arc<World>,
    queues: Queues,
    collector: Arc<Collector>,
    teller: Arc<Teller>,
    node_changed: Arc<Notify>,
    node_gone: Arc<Notify>,
}

impl Sinks {
    /// A handler that feeds the collector and the teller, then does what its kind needs.
    fn handler<T: Object>(&self, api_version: &str, kind: &str, then: fn(&Self, &Change<T>)) -> impl FnMut(Change<T>) + Send + use<T> {
        let (sinks, kind) = (self.clone(), kinds::find(api_version, kind));
        move |change| {
            if let Some(kind) = kind {
                sinks.collector.take(kind, &change);
                sinks.teller.take(kind, &change);
            }
            then(&sinks, &change);
        }
    }

    fn pod(&self, change: &Change<crate::view::Pod>) {
        let (world, queues) = (&self.world, &self.queues);
        world.pods_by_controller.take(change);
        world.pods_by_node.take(change);
        add_all(&queues.replica_sets, routes::sets_of_pod("ReplicaSet", &world.replica_sets, change));
        add_all(&queues.replication_controllers, routes::sets_of_pod("ReplicationController", &world.replication_controllers, change));
        add_all(&queues.daemon_sets, routes::daemon_sets_of_pod(world, change));
        add_all(&queues.jobs, routes::jobs_of_pod(world, change));
        add_all(&queues.deployments, routes::recreating_deployment(world, change));
        add_all(&queues.evictions, routes::movable_pod(world, change));
        for key in routes::services_of_pod(world, change) {
            queues.endpoints.add(key.clone());
            queues.slices.add(key);
        }
        if let Change::Deleted { key, .. } = change
            && world.namespaces.get("", &key.namespace).is_some_and(|namespace| namespace.metadata.is_deleting())
        {
            queues.namespaces.add(Key::new("", &key.namespace));
        }
    }

    fn node(&self, change: &Change<crate::view::Node>) {
        self.node_changed.notify_one();
        add_all(&self.queues.daemon_sets, routes::daemon_sets_of_node(&self.world, change));
        if matches!(change, Change::Deleted { .. }) {
            self.node_gone.notify_one();
        }
        node_lifecycle::pods_of_tainted_node(&self.world, change, &self.queues.evictions);
    }

    fn service(&self, change: &Change<crate::view::Service>) {
        for queue in [&self.queues.endpoints, &self.queues.slices, &self.queues.mirrors] {
            add_all(queue, routes::key(change).cloned());
        }
    }

    fn endpoints(&self, change: &Change<crate::view::Endpoints>) {
        add_all(&self.queues.mirrors, routes::key(change).cloned());
        // One that is deleted is made again. One that is there at our start may be left of a service that is gone; one that somebody makes
        // later without a service is theirs.
        if matches!(change, Change::Deleted { .. }) || !self.world.endpoints.synced() {
            add_all(&self.queues.endpoints, routes::key(change).cloned());
        }
    }

    fn slice(&self, change: &Change<crate::view::EndpointSlice>) {
        let keys = routes::services_of_slice(change);
        for queue in [&self.queues.slices, &self.queues.mirrors] {
            add_all(queue, keys.clone());
        }
    }

    fn replica_set(&self, change: &Change<Replicas>) {
        add_all(&self.queues.replica_sets, routes::key(change).cloned());
        add_all(&self.queues.deployments, routes::deployments_of_set(&self.world, change));
    }

    fn namespace(&self, change: &Change<crate::view::Namespace>) {
        for queue in [&self.queues.namespaces, &self.queues.accounts, &self.queues.bundles] {
            add_all(queue, routes::key(change).cloned());
        }
    }
}

fn add_all(queue: &Queue<Key>, keys: impl IntoIterator<Item = Key>) {
    keys.into_iter().for_each(|key| queue.add(key));
}

/// Runs every controller until `stop`.
pub async fn run(config: Config, stop: CancellationToken, ready: tokio::sync::watch::Sender<Result<(), String>>, metrics: Arc<Metrics>) {
    let connection = Arc::new(Connection::new(config.api.clone()));
    let config = Config { api: connection.clone(), ..config };
    let writer = Writer::new(connection.clone());
    let informers = Informers::new(&config);
    let world = Arc::new(informers.world(config.clock.clone()));
    let sinks = Sinks {
        world: world.clone(),
        queues: Queues::default(),
        collector: Arc::new(Collector::new(writer.clone())),
        teller: Arc::new(Teller::new(writer.clone(), config.clock.clone())),
        node_changed: Arc::default(),
        node_gone: Arc::default(),
    };
    let mut tasks = JoinSet::new();
    start_informers(informers, &sinks, &config, &stop, &mut tasks);
    let others = start_bare_informers(&config, &sinks, &stop, &mut tasks);
    let synced = || {
        world.synced().and_then(|()| if others.iter().all(|cache| cache.synced()) { Ok(()) } else { Err("other kinds are not in the cache yet".to_owned()) })
    };
    loop {
        let state = synced();
        let done = state.is_ok();
        drop(ready.send_replace(state));
        if done {
            break;
        }
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(Duration::from_millis(10)) => {} }
    }
    start_controllers(&config, &sinks, &writer, &metrics, &mut tasks);
    start_watchmen(&config, &sinks, &writer, connection, &stop, &mut tasks);
    stop.cancelled().await;
    sinks.queues.all().into_iter().for_each(Queue::close);
    sinks.collector.close();
    sinks.teller.close();
    tasks.shutdown().await;
}

fn start_informers(informers: Informers, sinks: &Sinks, _config: &Config, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    tasks.spawn(informers.pods.run(stop.clone(), sinks.handler("v1", "Pod", Sinks::pod)));
    tasks.spawn(informers.nodes.run(stop.clone(), sinks.handler("v1", "Node", Sinks::node)));
    tasks.spawn(informers.leases.run(stop.clone(), sinks.handler("coordination.k8s.io/v1", "Lease", |_, _| {})));
    tasks.spawn(informers.replica_sets.run(stop.clone(), sinks.handler("apps/v1", "ReplicaSet", Sinks::replica_set)));
    tasks.spawn(informers.replication_controllers.run(
        stop.clone(),
        sinks.handler("v1", "ReplicationController", |sinks, change| add_all(&sinks.queues.replication_controllers, routes::key(change).cloned())),
    ));
    tasks.spawn(
        informers
            .deployments
            .run(stop.clone(), sinks.handler("apps/v1", "Deployment", |sinks, change| add_all(&sinks.queues.deployments, routes::key(change).cloned()))),
    );
    tasks.spawn(informers.jobs.run(stop.clone(), sinks.handler("batch/v1", "Job", |sinks, change| add_all(&sinks.queues.jobs, routes::key(change).cloned()))));
    tasks.spawn(
        informers
            .daemon_sets
            .run(stop.clone(), sinks.handler("apps/v1", "DaemonSet", |sinks, change| add_all(&sinks.queues.daemon_sets, routes::key(change).cloned()))),
    );
    tasks.spawn(informers.revisions.run(stop.clone(), sinks.handler("apps/v1", "ControllerRevision", |_, _| {})));
    tasks.spawn(informers.services.run(stop.clone(), sinks.handler("v1", "Service", Sinks::service)));
    tasks.spawn(informers.endpoints.run(stop.clone(), sinks.handler("v1", "Endpoints", Sinks::endpoints)));
    tasks.spawn(informers.slices.run(stop.clone(), sinks.handler("discovery.k8s.io/v1", "EndpointSlice", Sinks::slice)));
    tasks.spawn(informers.namespaces.run(stop.clone(), sinks.handler("v1", "Namespace", Sinks::namespace)));
    tasks.spawn(
        informers.accounts.run(stop.clone(), sinks.handler("v1", "ServiceAccount", |sinks, change| add_all(&sinks.queues.accounts, namespace_of(change)))),
    );
    tasks.spawn(informers.bundles.run(
        stop.clone(),
        sinks.handler("v1", "ConfigMap", |sinks, change| {
            if routes::key(change).is_some_and(|key| &*key.name == root_ca::NAME) {
                add_all(&sinks.queues.bundles, namespace_of(change));
            }
        }),
    ));
}

fn namespace_of<T>(change: &Change<T>) -> Option<Key> {
    routes::key(change).map(|key| Key::new("", &key.namespace))
}

/// The kinds that only the garbage collector and the teller look at.
fn start_bare_informers(config: &Config, sinks: &Sinks, stop: &CancellationToken, tasks: &mut JoinSet<()>) -> Vec<Arc<skiff_client::informer::Cache<Bare>>> {
    const WATCHED_ABOVE: [&str; 15] = [
        PODS,
        NODES,
        LEASES,
        REPLICASETS,
        REPLICATIONCONTROLLERS,
        DEPLOYMENTS,
        JOBS,
        DAEMONSETS,
        CONTROLLERREVISIONS,
        SERVICES,
        ENDPOINTS,
        ENDPOINTSLICES,
        NAMESPACES,
        SERVICEACCOUNTS,
        CONFIGMAPS,
    ];
    // Events belong to nobody and are many: `DefaultIgnoredResources`.
    let others = KINDS.iter().filter(|kind| kind.resource != "events" && !WATCHED_ABOVE.contains(&kind.resource));
    others
        .map(|kind| {
            let informer = Informer::<Bare>::all(config.api.clone(), kind.resource);
            let cache = informer.cache();
            tasks.spawn(informer.run(stop.clone(), sinks.handler(kind.api_version, kind.kind, |_, _| {})));
            cache
        })
        .collect()
}

/// Who looks at the clock rather than at a queue.
fn start_watchmen(config: &Config, sinks: &Sinks, writer: &Writer, connection: Arc<Connection>, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    let (world, timings) = (&sinks.world, config.timings);
    let monitor = node_lifecycle::Monitor {
        world: world.clone(),
        writer: writer.clone(),
        connection,
        recorder: recorder(config, "node-controller"),
        timings,
        changed: sinks.node_changed.clone(),
    };
    tasks.spawn(monitor.run(stop.clone()));
    let collector = pod_gc::Collector {
        world: world.clone(),
        writer: writer.clone(),
        timings,
        threshold: config.terminated_pod_gc_threshold,
        node_gone: sinks.node_gone.clone(),
    };
    tasks.spawn(collector.run(stop.clone()));
}

fn recorder(config: &Config, component: &str) -> Recorder {
    Recorder::new(config.api.clone(), Source { component: component.to_owned(), host: String::new(), style: Style::Core }, config.clock.clone())
}

fn start_controllers(config: &Config, sinks: &Sinks, writer: &Writer, metrics: &Metrics, tasks: &mut JoinSet<()>) {
    let recorder = |component: &str| recorder(config, component);
    let (world, queues) = (&sinks.world, &sinks.queues);
    let set = |flavor: Flavor| Arc::new(replicaset::Controller::new(flavor, world.clone(), writer.clone(), recorder(flavor.component())));
    let slices = |source, component: &str| Arc::new(endpoint_slice::Controller::new(source, world.clone(), writer.clone(), recorder(component)));
    let controllers: [(Arc<dyn Reconciler>, &Queue<Key>); 12] = [
        (Arc::new(deployment::Controller::new(world.clone(), writer.clone(), recorder("deployment-controller"))), &queues.deployments),
        (Arc::new(node_lifecycle::Evictor::new(world.clone(), writer.clone(), recorder("taint-eviction-controller"))), &queues.evictions),
        (Arc::new(job::Controller::new(world.clone(), writer.clone(), recorder("job-controller"))), &queues.jobs),
        (Arc::new(daemon_set::Controller::new(world.clone(), writer.clone(), recorder("daemonset-controller"))), &queues.daemon_sets),
        (set(Flavor::ReplicaSet), &queues.replica_sets),
        (set(Flavor::ReplicationController), &queues.replication_controllers),
        (Arc::new(endpoints::Controller::new(world.clone(), writer.clone(), recorder("endpoint-controller"))), &queues.endpoints),
        (slices(endpoint_slice::Source::Selector, "endpoint-slice-controller"), &queues.slices),
        (slices(endpoint_slice::Source::Mirror, "endpoint-slice-mirroring-controller"), &queues.mirrors),
        (Arc::new(service_account::Controller { world: world.clone(), writer: writer.clone() }), &queues.accounts),
        (Arc::new(root_ca::Controller { world: world.clone(), writer: writer.clone(), root_ca: config.root_ca_pem.clone() }), &queues.bundles),
        (Arc::new(namespace::Controller { world: world.clone(), writer: writer.clone() }), &queues.namespaces),
    ];
    for (controller, queue) in controllers {
        let counters = metrics.of(controller.name(), queue);
        for _ in 0..config.workers {
            tasks.spawn(work(controller.clone(), queue.clone(), counters.clone()));
        }
    }
    for _ in 0..config.workers {
        tasks.spawn(sinks.collector.clone().work());
    }
    tasks.spawn(sinks.teller.clone().work());
}
