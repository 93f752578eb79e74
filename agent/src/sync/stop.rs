//! Stopping containers: preStop hook, stop signal, grace, kill; sidecars after the others, the last first (`killContainersWithSyncResult`).

use crate::hooks;
use crate::pod::{self, Kind};
use crate::runtime::{ObservedPod, RuntimeError};
use crate::shared::Shared;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use skiff_client::events::Type;
use std::time::Duration;
use tokio::time::Instant;

/// However short its grace is, a container keeps at least this much time to end by itself (`minimumGracePeriodInSeconds`).
const LEAST: Duration = Duration::from_secs(2);

/// Which container to stop, and why.
pub struct Kill<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The container.
    pub container: &'a Container,
    /// In which list it is.
    pub kind: Kind,
    /// Its id.
    pub id: &'a str,
    /// The event's message.
    pub message: String,
    /// How long it may take.
    pub grace: Duration,
}

/// Stops one container.
pub async fn container(shared: &Shared, kill: &Kill<'_>) -> Result<(), RuntimeError> {
    let tell = |kind, reason: &str, message: &str| shared.tell_container(kill.pod, (kill.kind, &kill.container.name), kind, reason, message);
    tell(Type::Normal, "Killing", &kill.message);
    let mut grace = kill.grace;
    let handler = kill.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    if let Some(handler) = handler.filter(|_| !grace.is_zero()) {
        let began = Instant::now();
        if let Err(message) = hooks::run(shared, kill.pod, kill.container, kill.id, handler, grace).await {
            tracing::info!(pod = %pod::id(kill.pod).name, container = %kill.container.name, %message, "preStop hook failed");
            tell(Type::Warning, "FailedPreStopHook", "PreStopHook failed");
        }
        grace = grace.saturating_sub(began.elapsed());
    }
    shared.config.runtime.stop_container(kill.id, grace.max(LEAST)).await
}

/// Stops every running container of a pod: the others together, then the sidecars from the last to the first, all within `grace`.
pub async fn all(shared: &Shared, pod: &Pod, observed: &ObservedPod, grace: Duration) -> Result<(), RuntimeError> {
    let began = Instant::now();
    let sidecars: Vec<&Container> = pod::init_containers(pod).iter().filter(|container| pod::is_sidecar(container)).collect();
    let is_sidecar = |name: &str| sidecars.iter().any(|container| container.name == name);
    let running: Vec<_> = observed.containers.iter().filter(|container| container.state.is_running()).collect();
    let stop = |id: String, name: String, grace: Duration| async move {
        let (kind, container) = pod::find(pod, &name).unwrap_or_else(|| (Kind::Regular, Container { name: name.clone(), ..Container::default() }));
        let message = format!("Stopping container {name}");
        self::container(shared, &Kill { pod, container: &container, kind, id: &id, message, grace }).await
    };
    let others = running.iter().filter(|container| !is_sidecar(&container.name));
    join_all(others.map(|container| stop(container.id.clone(), container.name.clone(), grace))).await.into_iter().collect::<Result<Vec<()>, _>>()?;
    for sidecar in sidecars.iter().rev() {
        for container in running.iter().filter(|container| container.name == sidecar.name) {
            stop(container.id.clone(), container.name.clone(), grace.saturating_sub(began.elapsed())).await?;
        }
    }
    Ok(())
}
