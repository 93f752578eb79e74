//! postStart and preStop: a command in the container, an HTTP request, or a pause (`lifecycle/handlers.go`).

use crate::net;
use crate::pod;
use crate::shared::Shared;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};
use std::time::Duration;

/// A postStart hook has no limit of its own; this bounds it all the same.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// Runs a hook to its end; the error says how it failed.
pub async fn run(shared: &Shared, pod: &Pod, container: &Container, id: &str, handler: &LifecycleHandler, limit: Duration) -> Result<(), String> {
    if let Some(exec) = &handler.exec {
        let command = exec.command.clone().unwrap_or_default();
        let result = shared.config.runtime.exec(id, &command, limit, 1024).await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&result.output);
        return if result.code == 0 { Ok(()) } else { Err(format!("command '{}' exited with {}: {text}", command.join(" "), result.code)) };
    }
    if let Some(request) = &handler.http_get {
        let ip = shared.reachable(pod).ok_or("the pod has no address")?;
        let target = net::Target::of_get(request, container, &ip.to_string())?;
        let response = net::get(&shared.http, &target, limit).await?;
        return if response.0 < 400 { Ok(()) } else { Err(format!("HTTP hook failed with status {}", response.0)) };
    }
    if let Some(sleep) = &handler.sleep {
        let seconds = Duration::from_secs(sleep.seconds.try_into().unwrap_or(0));
        tokio::time::sleep(seconds.min(limit)).await;
        return Ok(());
    }
    if handler.tcp_socket.is_some() {
        return Err("invalid handler: tcpSocket is not supported in lifecycle hooks".into());
    }
    let name = pod::id(pod).name;
    Err(format!("invalid handler of container {} of pod {name}", container.name))
}
