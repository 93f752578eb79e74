//! Waiting for the cluster: the API server answers, every node is Ready. Ends early, with the log, where a process has died.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use skiff_client::api::Api;
use skiff_client::grpc::{Credentials, Grpc};
use skiff_proto::k8s_openapi::api::core::v1::Node;
use skiff_proto::resource::{NAMESPACES, NODES};
use skiff_proto::rules::readiness::is_node_ready;
use skiff_proto::v1;
use tokio::time::{Instant, sleep};

use super::files::Files;
use super::process;
use super::spec::ClusterSpec;

/// How long a start may take before it is called failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The administrator's connection to the cluster.
pub fn admin(files: &Files, port: u16) -> Result<Arc<dyn Api>> {
    let credentials = Credentials::of(&files.pki(), "admin");
    Ok(Arc::new(Grpc::new(&format!("https://127.0.0.1:{port}"), &credentials).context("the administrator's certificate")?))
}

/// A line that tells what is being waited for; drawn only on a terminal.
pub fn progress(message: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar.set_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(80));
    bar
}

/// Until the API server answers the administrator.
pub async fn for_apiserver(files: &Files, api: &dyn Api) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let request = v1::GetRequest { resource: NAMESPACES.into(), name: "default".into(), ..Default::default() };
        let Err(status) = api.get(request).await else { return Ok(()) };
        alive(files, "apiserver")?;
        if Instant::now() > end {
            bail!("the API server does not answer: {status}\n{}", process::log_tail(files, "apiserver", 5));
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Until every node of the cluster that is hosted by a running agent is Ready.
pub async fn for_nodes(files: &Files, spec: &ClusterSpec, api: &dyn Api, bar: &ProgressBar) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let ready = ready_nodes(api).await.unwrap_or_default();
        let waiting: Vec<&str> = spec.nodes.iter().map(|node| node.name.as_str()).filter(|name| !ready.iter().any(|one| one == name)).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        bar.set_message(format!("{} of {} nodes Ready", spec.nodes.len() - waiting.len(), spec.nodes.len()));
        for service in spec.agent_services() {
            alive(files, &service)?;
        }
        if Instant::now() > end {
            let service = spec.node(waiting[0])?.service.clone();
            bail!("not Ready after {} s: {}\n{}", PATIENCE.as_secs(), waiting.join(", "), process::log_tail(files, &service, 5));
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Names of the nodes that are Ready.
pub async fn ready_nodes(api: &dyn Api) -> Result<Vec<String>> {
    let list = api.list(v1::ListRequest { resource: NODES.into(), ..Default::default() }).await?;
    let mut ready = Vec::new();
    for item in &list.items {
        let node: Node = serde_json::from_slice(&item.json).with_context(|| format!("node {}", item.name))?;
        if is_node_ready(&node) {
            ready.push(item.name.clone());
        }
    }
    Ok(ready)
}

fn alive(files: &Files, service: &str) -> Result<()> {
    if process::running(files, service).is_none() {
        bail!("{service} ended; the end of {}:\n{}", files.log_of(service).display(), process::log_tail(files, service, 5));
    }
    Ok(())
}
