//! Services in the foreground: each reads its flags, makes what it needs, serves until SIGINT or SIGTERM, and writes where it listens
//! to `run/<service>.addr`.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use skiff_client::api::Api;
use skiff_client::grpc::{Credentials, Grpc};
use skiff_client::health::{self, Probes};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::cluster::files::Files;
use crate::cluster::services::{ApiserverArgs, ControllerArgs, SchedulerArgs, server_of};
use crate::cluster::spec::Timings;
use crate::logging;

/// A runtime of this many threads; one is enough for whatever mostly waits.
pub fn runtime(threads: usize) -> Result<Runtime> {
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
        skiff_scheduler::run(skiff_scheduler::Config { api, seed: seed.into() }, stop).await;
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
        listen(files, "controller", Probes { ready, set_log_level: log_level, ..Probes::none() }, &stop).await?;
        controllers.run(stop.cancelled_owned()).await;
        Ok(())
    })
}

/// Runs a service until it ends or a signal asks it to.
pub fn serve<F>(threads: usize, service: impl FnOnce(health::SetLogLevel, CancellationToken) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let log_level = logging::start();
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
