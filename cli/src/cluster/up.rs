//! `skiff up`: starts what is dead, adds nodes up to `--nodes`, and returns when every node is Ready.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use skiff_agent::runtime::docker;
use skiff_apiserver::pki::{Pki, Subject, write_kubeconfig};

use super::files::Files;
use super::services::{CONTROL_PLANE, command_line};
use super::spec::{Asked, ClusterSpec, Runtime, Timings};
use super::{process, wait};
use crate::kubeconfig;
use crate::say::say;

/// The flags of `skiff up`; what is left out stays as it was.
#[derive(Clone, Debug, Args)]
pub struct UpArgs {
    /// At least this many nodes [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=254))]
    pub nodes: Option<u16>,
    /// What runs containers [default: docker]
    #[arg(long, value_enum)]
    pub runtime: Option<Runtime>,
    /// The API server's port [default: 6443]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// fast: a dead node's pods are replaced after seconds; kubernetes: after minutes [default: fast]
    #[arg(long, value_enum)]
    pub timings: Option<Timings>,
    /// What each node says it has [default: what this machine has]
    #[arg(long, value_name = "cpu=2,memory=2Gi,pods=110")]
    pub node_capacity: Option<String>,
    /// Leave the user's own kubeconfig alone
    #[arg(long)]
    pub no_kubeconfig: bool,
}

/// Brings the cluster up.
pub async fn up(files: &Files, args: &UpArgs) -> Result<()> {
    let begin = Instant::now();
    let asked =
        Asked { nodes: args.nodes.map(usize::from), port: args.port, runtime: args.runtime, timings: args.timings, node_capacity: args.node_capacity.clone() };
    let old = ClusterSpec::read(&files.spec())?;
    let new_id = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
    let mut spec = ClusterSpec::of(old.clone(), &asked, &new_id)?;
    check(files, old.as_ref(), &spec)?;
    if spec.runtime == Runtime::Docker {
        docker::clean::reachable().await.map_err(|why| anyhow::anyhow!("{}", no_docker(&why.to_string())))?;
    }
    find_bridge(files, old.as_ref(), &mut spec).await?;
    std::fs::create_dir_all(files.dir()).with_context(|| files.dir().display().to_string())?;
    spec.write(&files.spec())?;
    make_credentials(files, &spec)?;
    if old.as_ref().is_some_and(|old| old.gives_accounts() != spec.gives_accounts()) {
        restart_apiserver(files, &spec)?;
    }
    start_dead(files, &spec)?;

    let bar = wait::progress("starting the API server");
    let api = wait::admin(files, spec.port)?;
    let outcome = async {
        wait::for_apiserver(files, &*api).await?;
        wait::for_nodes(files, &spec, &*api, &bar).await
    };
    let outcome = outcome.await;
    bar.finish_and_clear();
    outcome?;

    let merged = if files.is_default() && !args.no_kubeconfig { Some(kubeconfig::merge(&files.kubeconfig())?) } else { None };
    print_next(files, &spec, merged, begin.elapsed());
    Ok(())
}

/// Makes the cluster's bridge before the API server starts, so that it can listen there too: pods reach no loopback but their own.
pub async fn find_bridge(files: &Files, old: Option<&ClusterSpec>, spec: &mut ClusterSpec) -> Result<()> {
    let starts = process::running(files, "apiserver").is_none() || old.is_some_and(|old| old.gives_accounts() != spec.gives_accounts());
    if !starts {
        return Ok(());
    }
    spec.bridge = None;
    if spec.runtime == Runtime::Docker && !spec.nodes.is_empty() {
        let docker = docker::connect().await.context("Docker")?;
        let bridge = docker::network::ensure_bridge(&docker, &spec.id).await.context("the cluster's network")?;
        // Where Docker is on another machine the address is not ours to listen on.
        spec.bridge = Some(bridge.gateway()).filter(|address| TcpListener::bind((*address, 0)).is_ok());
    }
    Ok(())
}

/// What stands in the way, before anything is started or written.
fn check(files: &Files, old: Option<&ClusterSpec>, spec: &ClusterSpec) -> Result<()> {
    let apiserver_runs = process::running(files, "apiserver").is_some();
    if let (true, Some(old)) = (apiserver_runs, old)
        && (old.port != spec.port || old.timings != spec.timings)
    {
        bail!("the cluster runs with --port {} --timings {}: `skiff down` first", old.port, old.timings.as_str());
    }
    if !apiserver_runs && !becomes_free(spec.port) {
        bail!("port {} of 127.0.0.1 is in use: is another cluster running? Choose another with --port", spec.port);
    }
    skiff_agent::capacity::parse(&spec.node_capacity).map_err(|why| anyhow::anyhow!("--node-capacity {}: {why}", spec.node_capacity))?;
    Ok(())
}

/// Whether nobody listens on the port, or whoever does is just ending (a process that was killed takes a moment).
fn becomes_free(port: u16) -> bool {
    let end = Instant::now() + Duration::from_secs(1);
    loop {
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn no_docker(why: &str) -> String {
    format!(
        "Docker cannot be reached ({why}): install it (Debian, Ubuntu: `apt-get install docker.io`) and start it, \
         or try skiff without containers: `skiff up --runtime sim`"
    )
}

/// Every certificate that the cluster's processes need, before any of them starts.
fn make_credentials(files: &Files, spec: &ClusterSpec) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let pki = Pki::open(files.dir(), now)?;
    let admin = pki.ensure(&Subject::admin())?;
    pki.ensure(&Subject::scheduler())?;
    pki.ensure(&Subject::controller())?;
    for node in &spec.nodes {
        pki.ensure(&Subject::node(&node.name))?;
    }
    write_kubeconfig(files.dir(), &format!("https://127.0.0.1:{}", spec.port), pki.ca_pem(), &admin)?;
    Ok(())
}

/// The first node changes what the API server is told: it is started anew. Everybody connects again by itself.
pub fn restart_apiserver(files: &Files, spec: &ClusterSpec) -> Result<()> {
    if process::running(files, "apiserver").is_none() {
        return Ok(());
    }
    process::stop(files, "apiserver", Duration::from_secs(10))?;
    process::start(files, "apiserver", &command_line(files, spec, "apiserver"))?;
    Ok(())
}

/// Starts every service that does not run.
pub fn start_dead(files: &Files, spec: &ClusterSpec) -> Result<()> {
    let control_plane = CONTROL_PLANE.iter().map(|service| (*service).to_owned());
    for service in control_plane.chain(spec.agent_services()) {
        if process::running(files, &service).is_none() {
            process::start(files, &service, &command_line(files, spec, &service))?;
        }
    }
    Ok(())
}

fn print_next(files: &Files, spec: &ClusterSpec, merged: Option<PathBuf>, took: Duration) {
    let names: Vec<&str> = spec.nodes.iter().map(|node| node.name.as_str()).collect();
    let nodes = match names.as_slice() {
        [] => "no nodes".to_owned(),
        [one] => format!("{one} Ready"),
        [first, .., last] => format!("{first} … {last} Ready"),
    };
    say!("skiff is up at https://127.0.0.1:{} ({nodes}, {} runtime) after {:.1} s.", spec.port, spec.runtime.as_str(), took.as_secs_f64());
    match merged {
        Some(path) => say!("kubectl's context is now `skiff` ({}).", path.display()),
        None => say!("export KUBECONFIG={}", files.kubeconfig().display()),
    }
    let skiff = called(std::env::args().next());
    say!();
    say!("Try:  kubectl apply -f examples/web.yaml");
    say!("      kubectl get pods -o wide -w");
    if let Some(node) = names.get(1).or(names.first()) {
        say!("      {skiff} node kill {node}        # and watch it heal; then: {skiff} node start {node}");
    }
    say!("      {skiff} status; {skiff} down");
}

/// How to call this program again from the same place: by its path, unless the shell found it.
fn called(first_argument: Option<String>) -> String {
    first_argument.filter(|name| name.contains('/')).unwrap_or_else(|| "skiff".to_owned())
}

#[cfg(test)]
mod tests {
    use super::called;

    #[test]
    fn what_to_type_next_works_where_it_is_read() {
        for (argument, typed) in [(Some("target/release/skiff"), "target/release/skiff"), (Some("skiff"), "skiff"), (None, "skiff")] {
            assert_eq!(called(argument.map(str::to_owned)), typed);
        }
    }
}
