//! Services in the foreground: each reads its flags, makes what it needs, serves until SIGINT or SIGTERM, and writes where it listens
//! to `run/<service>.addr`.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use skiff_agent::capacity::Capacity;
use skiff_agent::runtime::docker;
use skiff_agent::turns::Turns;
use skiff_client::api::Api;
use skiff_client::clock::Clock;
use skiff_client::grpc::{Credentials, Grpc};
use skiff_client::health::{self, Probes};
use tokio::runtime::{Builder, Runtime as Executor};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cluster::files::Files;
use crate::cluster::services::{AdmissionPlugin, AgentArgs, ApiserverArgs, ControllerArgs, SchedulerArgs, parse_node, server_of};
use crate::cluster::spec::{NodeSpec, Runtime, Timings};
use crate::logging;

/// A runtime of this many threads; one is enough for whatever mostly waits.
pub fn runtime(threads: usize) -> Result<Executor> {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().context("starting the asynchronous runtime")
}

/// `skiff scheduler`
pub fn scheduler(files: &Files, args: SchedulerArgs) -> Result<()> {
    serve(1, async move |log_level, stop| {
        let api = connect(files, args.server, "scheduler")?;
        let probes = Probes { set_log_level: log_level, ..Probes::none() };
        listen(files, "scheduler", probes, &stop).await?;
        let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        skiff_scheduler::run(skiff_scheduler::Config { api, seed: seed.into(), clock: Clock::system() }, stop).await;
        Ok(())
    })
}

/// `skiff controller`
pub fn controller(files: &Files, args: ControllerArgs) -> Result<()> {
    serve(1, async move |log_level, stop| {
        let api = connect(files, args.server, "controller")?;
        let ca_file = files.pki().join("ca.crt");
        let ca = std::fs::read_to_string(&ca_file).with_context(|| ca_file.display().to_string())?;
        let timings = match args.timings {
            Timings::Fast => skiff_controller::Timings::FAST,
            Timings::Kubernetes => skiff_controller::Timings::KUBERNETES,
        };
        let controllers = skiff_controller::Controllers::new(skiff_controller::Config::new(api, timings, ca));
        let readiness = controllers.readiness();
        let ready = Arc::new(move || readiness.borrow().clone());
        let counted = controllers.metrics();
        let metrics = Arc::new(move || counted.text());
        listen(files, "controller", Probes { ready, metrics, set_log_level: log_level }, &stop).await?;
        controllers.run(stop).await;
        Ok(())
    })
}

/// Runs a service until it ends or a signal asks it to.
pub fn serve<F>(threads: usize, service: impl FnOnce(health::SetLogLevel, CancellationToken) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let log_level = logging::start()?;
    runtime(threads)?.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_at_signal(stop.clone()));
        service(log_level, stop).await
    })
}

async fn stop_at_signal(stop: CancellationToken) {
    // A hang-up of the terminal that started the cluster is no reason to stop it.
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut terminate), Ok(mut interrupt), Ok(_hangup)) = signals else { return };
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM"),
        _ = interrupt.recv() => info!("SIGINT"),
    }
    stop.cancel();
}

/// The API as this user of the data directory.
pub fn connect(files: &Files, server: Option<String>, user: &str) -> Result<Arc<dyn Api>> {
    let server = server_of(files, server)?;
    Ok(Arc::new(Grpc::new(&server, &Credentials::of(&files.pki(), user))?))
}

/// Opens the health listener of a service and writes down where it is.
pub async fn listen(files: &Files, service: &str, probes: Probes, stop: &CancellationToken) -> Result<()> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let address = health::serve(anywhere, probes, stop.clone()).await.context("opening the health listener")?;
    write_address(files, service, address)
}

/// Writes `run/<service>.addr`.
pub fn write_address(files: &Files, service: &str, address: SocketAddr) -> Result<()> {
    std::fs::create_dir_all(files.run()).with_context(|| files.run().display().to_string())?;
    std::fs::write(files.addr(service), format!("{address}\n")).with_context(|| files.addr(service).display().to_string())
}

/// `skiff apiserver`
pub fn apiserver(files: &Files, args: ApiserverArgs) -> Result<()> {
    use skiff_apiserver::config::{Config, Timings as Patience};
    serve(2, async move |log_level, stop| {
        let timings = match args.timings {
            Timings::Fast => Patience::Fast,
            Timings::Kubernetes => Patience::Kubernetes,
        };
        let mut config = Config::new(files.dir().to_path_buf(), args.port, timings);
        config.service_accounts = !args.disable_admission_plugins.contains(&AdmissionPlugin::ServiceAccount);
        config.listen.extend(args.listen.iter().map(|address| SocketAddr::new(*address, args.port)));
        config.set_log_level = Some(Box::new(move |text| log_level(text)));
        let (sender, ready) = tokio::sync::oneshot::channel();
        let told = async {
            // Nothing is told where the server does not come up: its error is.
            if let Ok(address) = ready.await {
                write_address(files, "apiserver", address)?;
                info!(%address, "ready");
            }
            Ok::<(), anyhow::Error>(())
        };
        let (served, told) = tokio::join!(skiff_apiserver::run::run(config, Some(sender), stop), told);
        served?;
        told
    })
}

/// `skiff agent`
pub fn agent(files: &Files, args: AgentArgs) -> Result<()> {
    let service = if args.nodes.len() == 1 { "agent" } else { "agent-sim" };
    let nodes = args.nodes.iter().map(|text| parse_node(text, service)).collect::<Result<Vec<_>>>()?;
    anyhow::ensure!(nodes.len() == 1 || args.runtime == Runtime::Sim, "several nodes in one process need --runtime sim");
    let capacity = skiff_agent::capacity::parse(&args.node_capacity).map_err(|why| anyhow::anyhow!("--node-capacity: {why}"))?;
    serve(1, async move |log_level, stop| {
        let name = if nodes.len() == 1 { format!("agent-{}", nodes[0].name) } else { "agent-sim".to_owned() };
        listen(files, &name, Probes { set_log_level: log_level, ..Probes::none() }, &stop).await?;
        let mut running = tokio::task::JoinSet::new();
        let turns = (nodes.len() > 1).then(Turns::default);
        for node in nodes {
            let mut config = node_config(files, &args, &node, &capacity).await?;
            if let Some(turns) = &turns {
                config.api = turns.of(config.api);
            }
            running.spawn(skiff_agent::run(config, stop.clone()));
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok(())
    })
}

async fn node_config(files: &Files, args: &AgentArgs, node: &NodeSpec, capacity: &Capacity) -> Result<skiff_agent::Config> {
    let data_dir = files.node(&node.name);
    let clock = Clock::system();
    let (runtime, node_ip, pod_cidr): (Arc<dyn skiff_agent::runtime::Runtime>, _, _) = match args.runtime {
        Runtime::Sim => {
            let cluster = args.cluster.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 200 + 20;
            let sim = skiff_agent::runtime::sim::Sim::new(clock.clone());
            (Arc::new(sim), Ipv4Addr::new(127, cluster, 0, node.index), (Ipv4Addr::new(10, cluster, node.index, 0), 24))
        }
        Runtime::Docker => {
            let docker = docker::connect().await.context("Docker")?;
            let place = docker::network::settle(&docker, &args.cluster, node.index).await.context("the cluster's network")?;
            if let Some(why) = &place.warning {
                warn!(address = %place.address, why, "pods cannot reach the node: this machine may not be given its address");
            }
            let owner = docker::DockerConfig { cluster: args.cluster.clone(), node: node.name.clone(), network: place.network, address: Some(place.address) };
            let runtime = docker::DockerRuntime::with(docker, owner).await;
            (Arc::new(runtime), place.address, place.pod_cidr)
        }
    };
    let mut all = skiff_agent::capacity::of_machine(&data_dir);
    all.extend(capacity.clone());
    Ok(skiff_agent::Config {
        api: connect(files, args.server.clone(), &node.name)?,
        serve: Some((SocketAddr::from((node_ip, 0)), Credentials::of(&files.pki(), &node.name))),
        node_name: node.name.clone(),
        runtime,
        data_dir,
        node_ip,
        pod_cidr,
        capacity: all,
        labels: std::collections::BTreeMap::new(),
        timings: match args.timings {
            Timings::Fast => skiff_agent::Timings::FAST,
            Timings::Kubernetes => skiff_agent::Timings::KUBERNETES,
        },
        cluster_dns: None,
        cluster_domain: "cluster.local".to_owned(),
        clock,
    })
}
