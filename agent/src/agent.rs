//! One node, put together: pods come in from the watch, each gets a worker; news of the runtime goes to the worker it concerns.

use crate::addresses::Addresses;
use crate::admit::{self, NodeView};
use crate::config::Config;
use crate::directory::Directory;
use crate::node::{self, Health};
use crate::objects::{Recent, ServiceView};
use crate::pod;
use crate::runtime::{ObservedPod, RuntimeEvent};
use crate::shared::Shared;
use crate::source::{Arrival, Source};
use crate::status::Failed;
use crate::sync::inbox::Inbox;
use crate::sync::spec::GRACE_LABEL;
use crate::sync::worker::Worker;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use skiff_client::events::{Recorder, Source as EventSource, Style, Type};
use skiff_client::informer::Informer;
use skiff_proto::resource;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Why an agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `Node` service cannot listen.
    #[error("the node's service cannot listen: {0}")]
    Listen(String),
    /// No client for probes.
    #[error("no HTTP client: {0}")]
    Http(String),
    /// The data directory cannot be made.
    #[error("{0}")]
    Files(#[from] std::io::Error),
}

/// Runs a node until `stop`. Containers stay as they are when it returns.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    std::fs::create_dir_all(config.data_dir.join("pods"))?;
    let source = EventSource { component: "kubelet".into(), host: config.node_name.clone(), style: Style::Core };
    let recorder = Recorder::new(config.api.clone(), source, config.clock.clone());
    let services = Informer::<ServiceView>::all(config.api.clone(), resource::SERVICES);
    // Only for what stands before the ids of containers: a Docker that does not answer yet is called docker all the same.
    let version = config.runtime.version().await.unwrap_or_default();
    let shared = Arc::new(Shared {
        recorder: recorder.clone(),
        services: services.cache(),
        recent: Recent::default(),
        directory: Arc::new(Directory::default()),
        addresses: Mutex::new(Addresses::new(config.pod_cidr)),
        scheme: version.split_once("://").map_or("docker", |(scheme, _)| scheme).to_owned(),
        http: crate::net::client().map_err(Error::Http)?,
        config: config.clone(),
    });
    let port = match &config.serve {
        Some((address, credentials)) => {
            let served = crate::server::serve(*address, credentials, shared.directory.clone(), config.runtime.clone(), stop.clone()).await;
            Some(served.map_err(|fault| Error::Listen(fault.to_string()))?)
        }
        None => None,
    };
    let health = Arc::new(Health::default());
    let pods = Arc::new(Source::default());
    let (done, finished) = mpsc::channel(64);
    let main = Agent { shared, health: health.clone(), workers: BTreeMap::new(), synced: false, done };
    tokio::join!(
        node::run(config.clone(), port.map(|address| address.port()), health, recorder, stop.clone()),
        services.run(stop.clone(), |_| {}),
        crate::source::follow(config.api.clone(), &config.node_name, pods.clone(), stop.clone()),
        main.run(pods, finished, stop),
    );
    Ok(())
}

struct Handle {
    inbox: Arc<Inbox>,
    pod: Arc<Pod>,
}

struct Agent {
    shared: Arc<Shared>,
    health: Arc<Health>,
    workers: BTreeMap<String, Handle>,
    synced: bool,
    done: mpsc::Sender<String>,
}

impl Agent {
    async fn run(mut self, source: Arc<Source>, mut finished: mpsc::Receiver<String>, stop: CancellationToken) {
        let mut events = self.shared.config.runtime.events();
        self.adopt().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                arrivals = source.next() => self.arrive(arrivals).await,
                Some(uid) = finished.recv() => self.finish(&uid),
                event = events.next() => match event {
                    Some(event) => self.hear(event).await,
                    // The stream ends with the runtime only.
                    None => events = futures::stream::pending().boxed(),
                },
            }
        }
    }

    /// Everything the runtime has, at start: pods keep the addresses they run with.
    async fn adopt(&mut self) -> Vec<ObservedPod> {
        match self.shared.config.runtime.pods().await {
            Ok(pods) => {
                self.health.runtime(None);
                let mut addresses = self.shared.addresses.lock().unwrap_or_else(PoisonError::into_inner);
                for pod in &pods {
                    if let Some(ip) = pod.sandboxes.iter().find_map(|sandbox| sandbox.ip) {
                        addresses.adopt(&pod.pod.uid, ip);
                    }
                }
                drop(addresses);
                pods
            }
            Err(error) => {
                self.health.runtime(Some(error.to_string()));
                Vec::new()
            }
        }
    }

    async fn hear(&mut self, event: RuntimeEvent) {
        match event {
            RuntimeEvent::Pod(uid) => {
                match self.workers.get(&uid) {
                    Some(handle) => handle.inbox.look(),
                    // What Docker was still making when we gave up on it, and has made now.
                    None => self.remove_orphans().await,
                }
            }
            RuntimeEvent::Down(message) => self.health.runtime(Some(message)),
            RuntimeEvent::Resync => {
                self.remove_orphans().await;
                self.workers.values().for_each(|handle| handle.inbox.look());
            }
        }
    }

    async fn arrive(&mut self, arrivals: Vec<Arrival>) {
        for arrival in arrivals {
            match arrival {
                Arrival::Pod(pod) => self.pod(pod).await,
                Arrival::Gone(pod) => self.gone(&pod),
                Arrival::Synced => {
                    self.synced = true;
                    self.remove_orphans().await;
                }
            }
        }
    }

    async fn pod(&mut self, pod: Arc<Pod>) {
        let uid = pod::id(&pod).uid;
        if let Some(handle) = self.workers.get_mut(&uid) {
            handle.pod = pod.clone();
            handle.inbox.changed(pod);
            return;
        }
        let mut refused = self.admit(&pod);
        if refused.is_some() {
            // The Node may have been labelled a moment ago: what is decided against a pod is decided by what is.
            self.health.reread(&self.shared.config).await;
            refused = self.admit(&pod);
        }
        let failed = refused.map(|refused| {
            self.shared.tell(&pod, Type::Warning, &refused.reason, refused.message.clone());
            Failed { message: format!("Pod was rejected: {}", refused.message), reason: refused.reason }
        });
        self.employ(pod, failed);
    }

    fn employ(&mut self, pod: Arc<Pod>, failed: Option<Failed>) -> Arc<Inbox> {
        let uid = pod::id(&pod).uid;
        let inbox = Arc::new(Inbox::default());
        let worker = Worker::new(self.shared.clone(), inbox.clone(), pod.clone(), failed);
        let done = self.done.clone();
        self.workers.insert(uid.clone(), Handle { inbox: inbox.clone(), pod });
        tokio::spawn(async move {
            worker.run().await;
            // Nobody listens any more: the agent is stopping.
            let _ = done.send(uid).await;
        });
        inbox
    }

    /// A pod that is new here is refused where it does not fit; one the node has begun with is not asked again.
    fn admit(&self, pod: &Pod) -> Option<Failed> {
        let begun = pod.status.as_ref().is_some_and(|status| status.start_time.is_some());
        if begun || pod::is_terminal(pod) || pod::is_deleted(pod) {
            return None;
        }
        let uses = |handle: &&Handle| {
            let told = self.shared.directory.find("", "", &pod::id(&handle.pod).uid);
            let over = told.is_some_and(|entry| matches!(entry.status.phase.as_deref(), Some("Succeeded" | "Failed")));
            !over && !pod::is_terminal(&handle.pod)
        };
        let others: Vec<&Pod> = self.workers.values().filter(uses).map(|handle| &*handle.pod).collect();
        let node = self.health.node();
        let view = NodeView { node: node.as_deref(), allocatable: &self.shared.config.capacity };
        admit::refuse(pod, &others, &view)
    }

    fn gone(&mut self, pod: &Pod) {
        if let Some(handle) = self.workers.get_mut(&pod::id(pod).uid) {
            handle.inbox.changed(Arc::new(pod.clone()));
            handle.inbox.gone();
        }
    }

    fn finish(&mut self, uid: &str) {
        self.workers.remove(uid);
    }

    /// What the runtime has of pods that are nobody's any more is stopped and removed.
    async fn remove_orphans(&mut self) {
        let observed = self.adopt().await;
        if !self.synced {
            return;
        }
        for orphan in observed {
            if self.workers.contains_key(&orphan.pod.uid) {
                continue;
            }
            tracing::info!(pod = %orphan.pod.name, namespace = %orphan.pod.namespace, "its pod is gone: removing");
            let inbox = self.employ(Arc::new(remains(&orphan)), None);
            inbox.gone();
        }
        self.remove_stray_files();
    }

    fn remove_stray_files(&self) {
        let dir = self.shared.config.data_dir.join("pods");
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let uid = entry.file_name().to_string_lossy().into_owned();
            if self.workers.contains_key(&uid) {
                continue;
            }
            if let Err(error) = crate::volumes::tear_down(&entry.path()) {
                tracing::warn!(%uid, %error, "files of a pod that is gone are left");
            }
        }
    }
}

/// What is known of a pod whose object is gone.
fn remains(observed: &ObservedPod) -> Pod {
    let label = observed.containers.iter().find_map(|container| container.labels.get(GRACE_LABEL));
    let grace: i64 = label.and_then(|label| label.parse().ok()).unwrap_or(1);
    let mut pod = Pod { spec: Some(PodSpec { termination_grace_period_seconds: Some(grace), ..PodSpec::default() }), ..Pod::default() };
    pod.metadata.name = Some(observed.pod.name.clone());
    pod.metadata.namespace = Some(observed.pod.namespace.clone());
    pod.metadata.uid = Some(observed.pod.uid.clone());
    pod
}
