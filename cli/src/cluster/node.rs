//! `skiff node …`: nodes are added, stopped, killed, started again and deleted.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use skiff_apiserver::pki::{Pki, Subject};
use skiff_proto::resource::NODES;
use skiff_proto::v1;

use super::files::Files;
use super::services::command_line;
use super::spec::{ClusterSpec, OWN_PROCESS, Runtime};
use super::{process, up, wait};
use crate::say::say;

/// An agent has this long to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be done with nodes.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeCommand {
    /// Show the nodes and their agents
    List,
    /// Make another node and wait until it is Ready
    Add {
        /// Its name [default: the next node-N]
        name: Option<String>,
    },
    /// End a node's agent; its containers run on
    Stop {
        /// The node
        name: String,
    },
    /// Kill a node's agent and its containers at once, like a power cut
    Kill {
        /// The node
        name: String,
    },
    /// Start a node's agent again and wait until the node is Ready
    Start {
        /// The node
        name: String,
    },
    /// Remove a node: its object, its agent and its containers
    Delete {
        /// The node
        name: String,
    },
}

/// Does it.
pub async fn node(files: &Files, command: NodeCommand) -> Result<()> {
    let Some(spec) = ClusterSpec::read(&files.spec())? else {
        bail!("there is no cluster in {}: `skiff up` makes one", files.dir().display());
    };
    match command {
        NodeCommand::List => list(files, &spec).await,
        NodeCommand::Add { name } => add(files, spec, name).await,
        NodeCommand::Stop { name } => {
            process::stop(files, &own_service(&spec, &name)?, PATIENCE)?;
            say!("The agent of {name} is stopped; its containers run on.");
            Ok(())
        }
        NodeCommand::Kill { name } => {
            process::kill(files, &own_service(&spec, &name)?)?;
            remove_containers(&spec, &name).await?;
            say!("{name} is dead: its agent and its containers were killed. `skiff node start {name}` brings it back.");
            Ok(())
        }
        NodeCommand::Start { name } => start(files, &spec, &name).await,
        NodeCommand::Delete { name } => delete(files, spec, &name).await,
    }
}

async fn list(files: &Files, spec: &ClusterSpec) -> Result<()> {
    let ready = wait::ready_nodes(&*wait::admin(files, spec.port)?).await?;
    say!("{:<20} {:<10} {:<20} PID", "NODE", "STATUS", "AGENT");
    for node in &spec.nodes {
        let status = if ready.contains(&node.name) { "Ready" } else { "NotReady" };
        let pid = process::running(files, &node.service).map_or("dead".to_owned(), |pid| pid.to_string());
        say!("{:<20} {status:<10} {:<20} {pid}", node.name, node.service);
    }
    Ok(())
}

async fn add(files: &Files, mut spec: ClusterSpec, name: Option<String>) -> Result<()> {
    let name = name.unwrap_or_else(|| spec.next_name());
    let shared = spec.runtime == Runtime::Sim && spec.nodes.len() >= OWN_PROCESS;
    let before = spec.clone();
    let service = spec.add(name.clone(), shared)?.service.clone();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    Pki::open(files.dir(), now)?.ensure(&Subject::node(&name))?;
    if spec.gives_accounts() != before.gives_accounts() {
        up::find_bridge(files, Some(&before), &mut spec).await?;
        up::restart_apiserver(files, &spec)?;
    }
    spec.write(&files.spec())?;
    if shared {
        // The process that hosts it has to be told: it is started anew with one node more.
        process::stop(files, &service, PATIENCE)?;
    }
    start(files, &spec, &name).await
}

async fn start(files: &Files, spec: &ClusterSpec, name: &str) -> Result<()> {
    let service = spec.node(name)?.service.clone();
    if process::running(files, &service).is_none() {
        process::start(files, &service, &command_line(files, spec, &service))?;
    }
    let only = ClusterSpec { nodes: vec![spec.node(name)?.clone()], ..spec.clone() };
    let bar = wait::progress(&format!("waiting for {name}"));
    let api = wait::admin(files, spec.port)?;
    let outcome = wait::for_nodes(files, &only, &*api, &bar).await;
    bar.finish_and_clear();
    outcome?;
    say!("{name} is Ready.");
    Ok(())
}

async fn delete(files: &Files, mut spec: ClusterSpec, name: &str) -> Result<()> {
    let service = spec.node(name)?.service.clone();
    let request = v1::DeleteRequest { resource: NODES.into(), name: name.into(), ..Default::default() };
    let shared = spec.nodes.iter().filter(|node| node.service == service).count() > 1;
    process::stop(files, &service, PATIENCE)?;
    remove_containers(&spec, name).await?;
    match wait::admin(files, spec.port)?.delete(request).await {
        Err(status) if !status.is_not_found() => return Err(status).context("deleting the Node object"),
        Ok(_) | Err(_) => {}
    }
    spec.nodes.retain(|node| node.name != name);
    spec.write(&files.spec())?;
    if shared {
        process::start(files, &service, &command_line(files, &spec, &service))?;
    }
    say!("{name} is gone.");
    Ok(())
}

async fn remove_containers(spec: &ClusterSpec, name: &str) -> Result<()> {
    match spec.runtime {
        Runtime::Docker => skiff_agent::runtime::docker::clean::remove_node(&spec.id, name).await.with_context(|| format!("removing the containers of {name}")),
        Runtime::Sim => Ok(()),
    }
}

/// The process of a node that has one of its own.
fn own_service(spec: &ClusterSpec, name: &str) -> Result<String> {
    let service = spec.node(name)?.service.clone();
    let hosted = spec.nodes.iter().filter(|node| node.service == service).count();
    if hosted > 1 {
        bail!("{name} shares the process {service} with {} other nodes: only nodes with a process of their own can be stopped or killed", hosted - 1);
    }
    Ok(service)
}
