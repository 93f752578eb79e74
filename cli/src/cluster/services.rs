//! The flags of each service's process: written by `up`, read by the subcommand. One place, so that both always agree.

use std::path::PathBuf;

use clap::Args;

use super::files::Files;
use super::spec::{ClusterSpec, NodeSpec, Runtime, Timings};

/// `skiff apiserver`
#[derive(Clone, Debug, Args)]
pub struct ApiserverArgs {
    /// The port of REST and gRPC
    #[arg(long, default_value_t = 6443, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// How long pods tolerate a node that is gone: fast: 0 s, kubernetes: 300 s
    #[arg(long, value_enum, default_value = "kubernetes")]
    pub timings: Timings,
    /// Leave out an admission plugin of kube-apiserver (comma-separated): ServiceAccount, where nobody makes accounts
    #[arg(long = "disable-admission-plugins", value_enum, value_delimiter = ',', value_name = "NAME")]
    pub disable_admission_plugins: Vec<AdmissionPlugin>,
    /// Listen here besides 127.0.0.1 (may be given again)
    #[arg(long = "listen", value_name = "ADDRESS")]
    pub listen: Vec<std::net::IpAddr>,
}

/// An admission plugin that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AdmissionPlugin {
    /// Pods get an account and its token.
    #[value(name = "ServiceAccount")]
    ServiceAccount,
}

/// `skiff scheduler`
#[derive(Clone, Debug, Args)]
pub struct SchedulerArgs {
    /// The API server [default: the one of the data directory]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// `skiff controller`
#[derive(Clone, Debug, Args)]
pub struct ControllerArgs {
    /// The API server [default: the one of the data directory]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// How long a silent node is borne with
    #[arg(long, value_enum, default_value = "kubernetes")]
    pub timings: Timings,
}

/// `skiff agent`
#[derive(Clone, Debug, Args)]
pub struct AgentArgs {
    /// The API server [default: the one of the data directory]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// A node to host, and its place in the cluster's network (may be given again with --runtime sim)
    #[arg(long = "node", value_name = "NAME:INDEX", required = true)]
    pub nodes: Vec<String>,
    /// What runs containers
    #[arg(long, value_enum, default_value = "docker")]
    pub runtime: Runtime,
    /// How often the node reports, and how fast crashed containers are restarted
    #[arg(long, value_enum, default_value = "kubernetes")]
    pub timings: Timings,
    /// What each node says it has [default: what this machine has]
    #[arg(long, value_name = "cpu=2,memory=2Gi,pods=110", default_value = "")]
    pub node_capacity: String,
    /// Tells this cluster's containers and network from others'
    #[arg(long, default_value = "default")]
    pub cluster: String,
}

/// Services other than agents, in the order in which they are started.
pub const CONTROL_PLANE: [&str; 3] = ["apiserver", "scheduler", "controller"];

/// The command line of a service of this cluster.
pub fn command_line(files: &Files, spec: &ClusterSpec, service: &str) -> Vec<String> {
    let server = format!("https://127.0.0.1:{}", spec.port);
    let timings = spec.timings.as_str().to_owned();
    let mut args: Vec<String> = match service {
        "apiserver" => {
            let mut args: Vec<String> = vec!["apiserver".into(), "--port".into(), spec.port.to_string(), "--timings".into(), timings];
            if !spec.gives_accounts() {
                args.extend(["--disable-admission-plugins".into(), "ServiceAccount".into()]);
            }
            if let Some(bridge) = spec.bridge {
                args.extend(["--listen".into(), bridge.to_string()]);
            }
            args
        }
        "scheduler" => vec!["scheduler".into(), "--server".into(), server],
        "controller" => vec!["controller".into(), "--server".into(), server, "--timings".into(), timings],
        agent => {
            let mut args: Vec<String> = vec!["agent".into(), "--server".into(), server, "--timings".into(), timings];
            args.extend(["--runtime".into(), spec.runtime.as_str().into(), "--cluster".into(), spec.id.clone()]);
            if !spec.node_capacity.is_empty() {
                args.extend(["--node-capacity".into(), spec.node_capacity.clone()]);
            }
            for node in spec.nodes.iter().filter(|node| node.service == agent) {
                args.extend(["--node".into(), format!("{}:{}", node.name, node.index)]);
            }
            args
        }
    };
    args.extend(["--data-dir".into(), files.dir().display().to_string()]);
    args
}

/// `NAME:INDEX`
pub fn parse_node(text: &str, service: &str) -> anyhow::Result<NodeSpec> {
    let parsed = text.split_once(':').and_then(|(name, index)| Some((name, index.parse::<u8>().ok().filter(|index| (1..255).contains(index))?)));
    let (name, index) = parsed.ok_or_else(|| anyhow::anyhow!("--node {text}: NAME:INDEX with an index of 1 to 254 is expected"))?;
    Ok(NodeSpec { name: name.to_owned(), index, service: service.to_owned() })
}

/// The API server that a component of this data directory speaks to.
pub fn server_of(files: &Files, flag: Option<String>) -> anyhow::Result<String> {
    if let Some(url) = flag {
        return Ok(url);
    }
    let path: PathBuf = files.addr("apiserver");
    let address = std::fs::read_to_string(&path)
        .map_err(|error| anyhow::anyhow!("{}: {error}: start `skiff apiserver` on this data directory, or say --server", path.display()))?;
    Ok(format!("https://{}", address.trim()))
}

#[cfg(test)]
mod tests {
    use super::super::spec::Asked;
    use super::*;

    #[test]
    fn pods_get_accounts_where_there_are_nodes() {
        let line = |nodes| {
            let spec = ClusterSpec::of(None, &Asked { nodes: Some(nodes), ..Asked::default() }, "abc").unwrap();
            command_line(&Files::new(Some("/d".into())), &spec, "apiserver").join(" ")
        };
        assert!(line(0).contains("--disable-admission-plugins ServiceAccount"));
        assert!(!line(1).contains("disable"));
    }

    #[test]
    fn the_api_server_listens_on_the_bridge() {
        let mut spec = ClusterSpec::of(None, &Asked::default(), "abc").unwrap();
        let line = |spec: &ClusterSpec| command_line(&Files::new(Some("/d".into())), spec, "apiserver").join(" ");
        assert!(!line(&spec).contains("--listen"));
        spec.bridge = Some(std::net::Ipv4Addr::new(10, 9, 0, 1));
        assert!(line(&spec).contains("--listen 10.9.0.1"));
    }

    #[test]
    fn an_agent_is_told_its_nodes() {
        let spec = ClusterSpec::of(None, &Asked { nodes: Some(9), runtime: Some(Runtime::Sim), ..Asked::default() }, "abc").unwrap();
        let line = command_line(&Files::new(Some("/d".into())), &spec, "agent-sim").join(" ");
        assert!(line.contains("--node node-1:1 --node node-2:2") && line.ends_with("--data-dir /d"), "{line}");
        assert_eq!(parse_node("node-2:2", "agent-sim").unwrap(), spec.nodes[1]);
        assert!(parse_node("node-2:255", "x").is_err() && parse_node("node-2", "x").is_err());
    }
}
