//! Containers through Docker.
//!
//! A pod is a pause container on the cluster's bridge ([`network`]) and containers that join its namespaces (`create`). Docker's events
//! (`events`) say what changed, and only that is inspected again (`cache`, `observe`); nothing polls. This file is the thin shell
//! around those pure parts: each method of [`Runtime`] is one or two calls of Docker's API.

mod cache;
pub mod clean;
mod create;
mod dial;
mod error;
mod events;
mod image;
mod labels;
pub mod network;
mod observe;
mod powers;
pub mod reference;
mod stats;
mod streams;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions, StartContainerOptions, StopContainerOptions,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use tokio::task::AbortHandle;

use super::{
    Connection, ContainerSpec, ContainerUsage, ExecRequest, ExecResult, Image, ListedImage, LogOptions, NamespaceMode, ObservedContainer, ObservedPod,
    ObservedSandbox, PodId, ResourceSpec, Runtime, RuntimeError, RuntimeEvent, SandboxSpec, SandboxState, Session,
};
use crate::images::OwnImages;
use cache::Cache;
use create::{Place, Shared};
use events::Pending;
use labels::{Owner, Told};
use observe::{Hearsay, Seen, Thing};
use powers::Powers;

/// Inspections under way at once.
const AT_ONCE: usize = 8;
/// What stopping a container may last beyond its grace.
const STOP_SLACK: Duration = Duration::from_secs(30);

/// Which node of which cluster a runtime acts for, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerConfig {
    /// The cluster: it tells containers and networks of several clusters apart.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// The cluster's Docker network, as [`network::ensure_bridge`] gives it.
    pub network: String,
    /// The node's InternalIP, where host ports are published. None: on every address of the machine.
    pub address: Option<Ipv4Addr>,
}

/// Docker, for one node.
pub struct DockerRuntime {
    docker: Docker,
    owner: Owner,
    place: Place,
    own_images: OwnImages,
    cache: Arc<Mutex<Cache>>,
    /// Held while everything is listed: two lists at once would do the same work twice.
    listing: tokio::sync::Mutex<()>,
    pending: Arc<Pending>,
    following: AbortHandle,
}

/// A client of the local Docker (`$DOCKER_HOST` where it is a socket), speaking the version that it speaks.
pub async fn connect() -> Result<Docker, RuntimeError> {
    Docker::connect_with_unix_defaults().map_err(error::general)?.negotiate_version().await.map_err(error::general)
}

impl DockerRuntime {
    /// Connects, begins to follow events, and begins to import the images that skiff brings along.
    pub async fn connect(config: DockerConfig) -> Result<Self, RuntimeError> {
        Ok(Self::with(connect().await?, config).await)
    }

    /// The same, with a client that is there already.
    pub async fn with(docker: Docker, config: DockerConfig) -> Self {
        let owner = Owner { cluster: config.cluster, node: config.node };
        let (cache, pending) = (Arc::default(), Arc::default());
        let follow = events::follow(docker.clone(), owner.clone(), config.address, Arc::clone(&cache), Arc::clone(&pending), SystemTime::now());
        let following = tokio::spawn(follow).abort_handle();
        let own_images = OwnImages::begin(docker.clone());
        let place = Place { network: config.network, address: config.address, powers: powers().await };
        Self { docker, owner, place, own_images, cache, listing: tokio::sync::Mutex::default(), pending, following }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that everything has been listed since the connection was made.
    async fn complete(&self) -> Result<(), RuntimeError> {
        if self.cache().is_complete() {
            return Ok(());
        }
        let _alone = self.listing.lock().await;
        if self.cache().is_complete() {
            return Ok(());
        }
        let began = self.cache().moment();
        let options = ListContainersOptions { all: true, filters: Some(self.owner.filter()), ..ListContainersOptions::default() };
        let listed = self.docker.list_containers(Some(options)).await.map_err(error::general)?;
        let found: Vec<(String, PodId)> = listed.into_iter().filter_map(|one| Some((one.id?, Told::read(&one.labels?)?.pod))).collect();
        self.cache().listed(began, &found);
        Ok(())
    }

    /// Inspects what is stale of one pod, or of all.
    async fn refresh(&self, uid: Option<&str>) -> Result<(), RuntimeError> {
        self.complete().await?;
        let stale = self.cache().stale(uid);
        let looks = stream::iter(stale).map(|(id, hearsay)| async move { self.look(&id, &hearsay).await });
        looks.buffer_unordered(AT_ONCE).fold(Ok(()), |all, one| async { all.and(one) }).await
    }

    async fn look(&self, id: &str, hearsay: &Hearsay) -> Result<(), RuntimeError> {
        let began = self.cache().moment();
        let mut seen = match self.docker.inspect_container(id, None::<InspectContainerOptions>).await {
            Ok(found) => observe::read(&found, hearsay),
            Err(fault) if error::code(&fault) == Some(404) => None,
            Err(fault) => return Err(error::general(fault)),
        };
        if let Some(Seen { pid: pid @ 1.., thing: Thing::Container(container), .. }) = &mut seen {
            // Not there, or not ours to read: then nobody knows who it is.
            container.user = tokio::fs::read_to_string(format!("/proc/{pid}/status")).await.ok().and_then(|status| observe::user(&status));
        }
        self.cache().saw(id, began, seen);
        Ok(())
    }

    async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<String, RuntimeError> {
        self.cache().busy(name);
        let made = self.create_in_place(name, body).await;
        self.cache().idle(name);
        made
    }

    /// Makes a container of this name, in place of one of ours that has the name already (made by an agent that was killed before it knew).
    async fn create_in_place(&self, name: &str, body: ContainerCreateBody) -> Result<String, RuntimeError> {
        let options = || Some(CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() });
        let mut made = self.docker.create_container(options(), body.clone()).await;
        if made.as_ref().is_err_and(|fault| error::code(fault) == Some(409)) && self.is_ours(name).await? {
            self.remove(name).await?;
            made = self.docker.create_container(options(), body).await;
        }
        made.map(|made| made.id).map_err(error::create)
    }

    async fn is_ours(&self, name: &str) -> Result<bool, RuntimeError> {
        let found = self.docker.inspect_container(name, None::<InspectContainerOptions>).await.map_err(error::general)?;
        Ok(found.config.and_then(|config| config.labels).is_some_and(|labels| self.owner.owns(&labels)))
    }

    async fn start(&self, id: &str) -> Result<(), bollard::errors::Error> {
        self.cache().busy(id);
        let started = self.docker.start_container(id, None::<StartContainerOptions>).await;
        let mut cache = self.cache();
        cache.idle(id);
        match &started {
            Ok(()) => cache.touch_known(id),
            Err(_) => cache.start_failed(id, now()),
        }
        started
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let docker = self.docker.clone().with_timeout(grace.saturating_add(STOP_SLACK));
        let stopped = docker.stop_container(id, Some(StopContainerOptions { t: Some(seconds), ..StopContainerOptions::default() })).await;
        self.cache().touch_known(id);
        error::gone_is_fine(stopped)
    }

    /// Removes a container with the volumes that its image declared.
    async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        let removed = self.docker.remove_container(id, Some(options)).await;
        // 409: somebody else is removing it just now, and its `destroy` event will say when it is done.
        if matches!(removed, Err(ref fault) if error::code(fault) == Some(409)) {
            self.cache().touch_known(id);
        } else if removed.is_ok() || matches!(removed, Err(ref fault) if error::code(fault) == Some(404)) {
            self.cache().forget(id);
        }
        error::gone_is_fine(removed)
    }

    /// The first process of a sandbox, and its address.
    async fn entrance(&self, sandbox: &str) -> Result<(i64, Option<Ipv4Addr>), RuntimeError> {
        let uid = self.cache().pod_of(sandbox).map(|pod| pod.uid.clone());
        let lost = || RuntimeError::NotFound(format!("no sandbox {sandbox}"));
        self.refresh(Some(&uid.ok_or_else(lost)?)).await?;
        let cache = self.cache();
        match cache.get(sandbox) {
            Some(Seen { pid: pid @ 1.., thing: Thing::Sandbox(seen, _), .. }) => Ok((*pid, seen.ip)),
            Some(_) => Err(RuntimeError::Failed("the pod's sandbox does not run".to_owned())),
            None => Err(lost()),
        }
    }
}

/// What dockerd, found by its pid file, may do; without one, what this process may.
async fn powers() -> Powers {
    let pid = tokio::fs::read_to_string("/var/run/docker.pid").await.map_or_else(|_| "self".to_owned(), |pid| pid.trim().to_owned());
    Powers::read(&tokio::fs::read_to_string(format!("/proc/{pid}/status")).await.unwrap_or_default())
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).ok().and_then(|nanos| Timestamp::from_nanosecond(nanos).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Drop for DockerRuntime {
    fn drop(&mut self) {
        self.following.abort();
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    async fn version(&self) -> Result<String, RuntimeError> {
        let version = self.docker.version().await.map_err(error::general)?;
        Ok(format!("docker://{}", version.version.unwrap_or_default()))
    }

    async fn pods(&self) -> Result<Vec<ObservedPod>, RuntimeError> {
        self.refresh(None).await?;
        Ok(self.cache().pods())
    }

    async fn pod(&self, uid: &str) -> Result<Option<ObservedPod>, RuntimeError> {
        self.refresh(Some(uid)).await?;
        Ok(self.cache().pod(uid))
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        Arc::clone(&self.pending).stream()
    }

    async fn create_sandbox(&self, spec: &SandboxSpec) -> Result<String, RuntimeError> {
        let name = labels::sandbox_name(spec);
        let body = create::sandbox(spec, &self.owner, &self.place, self.own_images.pause().await?);
        let mut made = self.create(&name, body.clone()).await;
        if matches!(&made, Err(RuntimeError::CreateFailed(why)) if why.contains("No such image")) {
            self.own_images.again().await?; // somebody tidied up
            made = self.create(&name, body).await;
        }
        let id = made?;
        let shared = Shared { host_network: spec.network == NamespaceMode::Node, host_ipc: spec.ipc == NamespaceMode::Node };
        let sandbox = ObservedSandbox {
            id: id.clone(),
            attempt: spec.attempt,
            state: SandboxState::Created,
            ip: spec.ip,
            host_network: shared.host_network,
            created_at: now(),
        };
        self.cache().made(&id, Seen { pod: spec.pod.clone(), pid: 0, thing: Thing::Sandbox(sandbox, shared) });
        Ok(id)
    }

    async fn start_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        self.start(id).await.map_err(error::general)
    }

    async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        self.stop(id, Duration::ZERO).await
    }

    async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let pod = {
            let cache = self.cache();
            cache.pod_of(id).and_then(|pod| cache.pod(&pod.uid))
        };
        let inside = pod.into_iter().flat_map(|pod| pod.containers).filter(|container| container.sandbox == id);
        for container in inside {
            self.remove(&container.id).await?;
        }
        self.remove(id).await
    }

    async fn create_container(&self, sandbox: &str, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        let shared = self.cache().shared(sandbox).ok_or_else(|| RuntimeError::NotFound(format!("no sandbox {sandbox}")))?;
        let image_user = match (spec.security.uid, spec.security.gid) {
            (None, Some(_)) => self.image(&spec.image_id).await?.map(|image| image.user).unwrap_or_default(),
            _ => String::new(),
        };
        let id = self.create(&labels::container_name(spec), create::container(spec, &self.owner, &self.place, sandbox, shared, &image_user)).await?;
        let container = ObservedContainer::created(id.clone(), sandbox, spec, now());
        self.cache().made(&id, Seen { pod: spec.pod.clone(), pid: 0, thing: Thing::Container(Box::new(container)) });
        Ok(id)
    }

    async fn start_container(&self, id: &str) -> Result<(), RuntimeError> {
        self.start(id).await.map_err(error::start)
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        self.stop(id, grace).await
    }

    async fn remove_container(&self, id: &str) -> Result<(), RuntimeError> {
        self.remove(id).await
    }

    async fn update_container(&self, id: &str, resources: &ResourceSpec) -> Result<(), RuntimeError> {
        self.docker.update_container(id, create::update(resources)).await.map_err(error::general)
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError> {
        if !self.own_images.brings(name) {
            return image::find(&self.docker, name).await;
        }
        self.own_images.pause().await?;
        if let Some(found) = image::find(&self.docker, name).await? {
            return Ok(Some(found));
        }
        self.own_images.again().await?; // somebody tidied up
        image::find(&self.docker, name).await
    }

    async fn pull_image(&self, name: &str) -> Result<Image, RuntimeError> {
        image::pull(&self.docker, name).await
    }

    async fn images(&self) -> Result<Vec<ListedImage>, RuntimeError> {
        image::list(&self.docker).await
    }

    async fn exec(&self, id: &str, command: &[String], timeout: Duration, limit: usize) -> Result<ExecResult, RuntimeError> {
        streams::exec(&self.docker, id, command, timeout, limit).await
    }

    async fn logs(&self, id: &str, options: &LogOptions) -> Result<BoxStream<'static, Result<Bytes, RuntimeError>>, RuntimeError> {
        streams::logs(&self.docker, id, options).await
    }

    async fn exec_stream(&self, id: &str, request: &ExecRequest) -> Result<Session, RuntimeError> {
        streams::exec_stream(&self.docker, id, request).await
    }

    async fn attach(&self, id: &str, request: &ExecRequest) -> Result<Session, RuntimeError> {
        streams::attach(&self.docker, id, request).await
    }

    async fn dial(&self, sandbox: &str, port: u16) -> Result<Box<dyn Connection>, RuntimeError> {
        let (pid, address) = self.entrance(sandbox).await?;
        let stream = dial::dial(pid, address, port).await;
        let stream = stream.map_err(|fault| RuntimeError::Failed(format!("failed to connect to localhost:{port} inside the pod: {}", dial::told(&fault))))?;
        Ok(Box::new(stream))
    }

    async fn disk_usage(&self, uid: &str) -> Result<BTreeMap<String, u64>, RuntimeError> {
        let containers = self.pod(uid).await?.map(|pod| pod.containers).unwrap_or_default();
        Ok(stats::disk(&self.docker, containers.into_iter().map(|container| (container.id, container.name)).collect()).await)
    }

    async fn stats(&self) -> Result<Vec<ContainerUsage>, RuntimeError> {
        self.complete().await?;
        let running = self.cache().running();
        Ok(stats::read(&self.docker, running).await)
    }
}
