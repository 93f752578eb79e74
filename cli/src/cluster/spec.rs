//! What was asked of a cluster: the flags of the first `up`, kept as the defaults of the next.

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What runs containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Real containers through Docker.
    Docker,
    /// Containers that are only pretended.
    Sim,
}

/// How long the cluster waits before it acts on silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Timings {
    /// A dead node's pods are replaced after seconds.
    Fast,
    /// Kubernetes' own: after minutes.
    Kubernetes,
}

impl Timings {
    /// As the flag is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Kubernetes => "kubernetes",
        }
    }
}

impl Runtime {
    /// As the flag is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Sim => "sim",
        }
    }
}

/// More sim nodes than this are hosted by one process, `agent-sim`.
pub const OWN_PROCESS: usize = 8;

/// One node of the cluster, and where it is hosted, which is fixed when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// `node-1`
    pub name: String,
    /// Its place in the cluster's network: pods get `10.x.<index>.0/24`. Never used twice.
    pub index: u8,
    /// The process it lives in: `agent-node-1`, or `agent-sim`.
    pub service: String,
}

/// `cluster.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// Tells this cluster's containers and network from others'.
    pub id: String,
    /// Where the API server listens.
    pub port: u16,
    /// What runs containers.
    pub runtime: Runtime,
    /// How long silence is borne.
    pub timings: Timings,
    /// `cpu=2,memory=2Gi,pods=110`; empty: what the machine has.
    #[serde(default)]
    pub node_capacity: String,
    /// The machine's own address on the cluster's bridge, where pods find the API server; none: it listens on loopback only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<std::net::Ipv4Addr>,
    /// The nodes, in the order they were made.
    pub nodes: Vec<NodeSpec>,
}

/// What `up` was told; what it was not told stays as it is, or takes the default.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// At least this many nodes.
    pub nodes: Option<usize>,
    /// See [`ClusterSpec`].
    pub port: Option<u16>,
    /// See [`ClusterSpec`].
    pub runtime: Option<Runtime>,
    /// See [`ClusterSpec`].
    pub timings: Option<Timings>,
    /// See [`ClusterSpec`].
    pub node_capacity: Option<String>,
}

impl ClusterSpec {
    /// A new cluster, or an old one with what was asked now. Nodes are added, never removed.
    pub fn of(old: Option<Self>, asked: &Asked, new_id: &str) -> Result<Self> {
        let is_new = old.is_none();
        let mut spec = old.unwrap_or_else(|| Self {
            id: new_id.to_owned(),
            port: 6443,
            runtime: Runtime::Docker,
            timings: Timings::Fast,
            node_capacity: String::new(),
            bridge: None,
            nodes: Vec::new(),
        });
        if let Some(runtime) = asked.runtime {
            if runtime != spec.runtime && !spec.nodes.is_empty() {
                bail!("this cluster's nodes run on {}: `skiff down --purge` first, or use another --data-dir", spec.runtime.as_str());
            }
            spec.runtime = runtime;
        }
        spec.port = asked.port.unwrap_or(spec.port);
        spec.timings = asked.timings.unwrap_or(spec.timings);
        if let Some(capacity) = &asked.node_capacity {
            spec.node_capacity.clone_from(capacity);
        }
        let wanted = asked.nodes.unwrap_or(if is_new { 3 } else { 0 });
        let shared = spec.runtime == Runtime::Sim && wanted > OWN_PROCESS;
        let mut number = 0;
        while spec.nodes.len() < wanted {
            number += 1;
            let name = format!("node-{number}");
            if spec.nodes.iter().all(|node| node.name != name) {
                spec.add(name, shared)?;
            }
        }
        Ok(spec)
    }

    /// Adds a node; `shared`: hosted by `agent-sim`.
    pub fn add(&mut self, name: String, shared: bool) -> Result<&NodeSpec> {
        if self.nodes.iter().any(|node| node.name == name) {
            bail!("there is a node {name} already");
        }
        let index = (1..=u8::MAX - 1).find(|index| self.nodes.iter().all(|node| node.index != *index));
        let index = index.context("a cluster has at most 254 nodes with an address of their own")?;
        let service = if shared { "agent-sim".to_owned() } else { format!("agent-{name}") };
        self.nodes.push(NodeSpec { name, index, service });
        self.nodes.last().context("just added")
    }

    /// The next free `node-N`.
    pub fn next_name(&self) -> String {
        let taken = |name: &String| self.nodes.iter().any(|node| node.name == *name);
        (1..).map(|number| format!("node-{number}")).find(|name| !taken(name)).unwrap_or_default()
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Result<&NodeSpec> {
        let names = || self.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        self.nodes.iter().find(|node| node.name == name).with_context(|| format!("there is no node {name}; there are: {}", names()))
    }

    /// Whether pods get service accounts and tokens. A control plane without nodes runs no pod and keeps each as it was written: there
    /// is nobody who would mount a token.
    pub fn gives_accounts(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// The processes of the agents, in order, each once.
    pub fn agent_services(&self) -> Vec<String> {
        let mut services: Vec<String> = Vec::new();
        for node in &self.nodes {
            if !services.contains(&node.service) {
                services.push(node.service.clone());
            }
        }
        services
    }

    /// Reads `cluster.json`; none: there is no cluster here yet.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Writes `cluster.json`, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let new = path.with_extension("json.new");
        std::fs::write(&new, serde_json::to_vec_pretty(self)?).with_context(|| new.display().to_string())?;
        std::fs::rename(&new, path).with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(spec: &ClusterSpec) -> Vec<&str> {
        spec.nodes.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn the_first_up_has_three_nodes_and_the_next_keeps_them() {
        let first = ClusterSpec::of(None, &Asked::default(), "abc").unwrap();
        assert_eq!(names(&first), ["node-1", "node-2", "node-3"]);
        let next = ClusterSpec::of(Some(first.clone()), &Asked::default(), "other").unwrap();
        assert_eq!(next, first);
    }

    #[test]
    fn a_cluster_without_nodes_stays_without() {
        let none = ClusterSpec::of(None, &Asked { nodes: Some(0), ..Asked::default() }, "abc").unwrap();
        assert!(ClusterSpec::of(Some(none), &Asked::default(), "abc").unwrap().nodes.is_empty());
    }

    #[test]
    fn up_adds_nodes_and_never_removes_any() {
        let first = ClusterSpec::of(None, &Asked { nodes: Some(2), ..Asked::default() }, "abc").unwrap();
        let more = ClusterSpec::of(Some(first), &Asked { nodes: Some(4), ..Asked::default() }, "abc").unwrap();
        assert_eq!(names(&more), ["node-1", "node-2", "node-3", "node-4"]);
        let fewer = ClusterSpec::of(Some(more.clone()), &Asked { nodes: Some(1), ..Asked::default() }, "abc").unwrap();
        assert_eq!(fewer, more);
    }

    #[test]
    fn many_sim_nodes_share_a_process_and_old_ones_stay_where_they_are() {
        let few = ClusterSpec::of(None, &Asked { nodes: Some(3), runtime: Some(Runtime::Sim), ..Asked::default() }, "abc").unwrap();
        let many = ClusterSpec::of(Some(few), &Asked { nodes: Some(20), ..Asked::default() }, "abc").unwrap();
        assert_eq!(many.agent_services(), ["agent-node-1", "agent-node-2", "agent-node-3", "agent-sim"]);
    }

    #[test]
    fn an_index_is_free_again_only_when_its_node_is_gone() {
        let mut spec = ClusterSpec::of(None, &Asked::default(), "abc").unwrap();
        spec.nodes.remove(1);
        assert_eq!(spec.next_name(), "node-2");
        assert_eq!(spec.add("edge".to_owned(), false).unwrap().index, 2);
        assert!(spec.add("edge".to_owned(), false).is_err());
    }

    #[test]
    fn a_runtime_cannot_change() {
        let first = ClusterSpec::of(None, &Asked::default(), "abc").unwrap();
        assert!(ClusterSpec::of(Some(first), &Asked { runtime: Some(Runtime::Sim), ..Asked::default() }, "abc").is_err());
    }
}
