//! The `skiff` binary: `up`, `down`, `status` and `node` handle a cluster on this machine ([`cluster`]); `apiserver`, `scheduler`,
//! `controller` and `agent` are its services, one process each ([`service`]); `get`, `apply`, `describe`, `logs` and `delete` serve where
//! there is no kubectl ([`objects`]); `bench` measures ([`mod@bench`]).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod cluster;
mod kubeconfig;
mod logging;
mod objects;
mod say;
mod service;

use cluster::files::Files;
use cluster::node::NodeCommand;
use cluster::services::{AgentArgs, ApiserverArgs, ControllerArgs, SchedulerArgs};
use cluster::up::UpArgs;

/// Exit code of a command line that makes no sense (`EX_USAGE`).
const USAGE: u8 = 64;

/// A Kubernetes you can read in a week and start in a second.
#[derive(Parser)]
#[command(name = "skiff", version, about, propagate_version = true)]
struct Cli {
    /// Where the cluster keeps its files [default: ~/.skiff]
    #[arg(long, global = true, env = "SKIFF_DATA_DIR", value_name = "DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a cluster, or what is dead of it; returns when every node is Ready
    Up(UpArgs),
    /// Stop the cluster: processes and containers
    Down {
        /// Forget it, too: its objects, certificates and logs
        #[arg(long)]
        purge: bool,
    },
    /// Show which processes run and which nodes are Ready
    Status,
    /// Add, stop, kill, start or delete a node
    #[command(subcommand)]
    Node(NodeCommand),
    /// Create or change objects from YAML or JSON
    Apply(objects::ApplyArgs),
    /// Show objects
    Get(objects::GetArgs),
    /// Show one object with its events
    Describe(objects::DescribeArgs),
    /// Print the log of a pod's container
    Logs(objects::LogsArgs),
    /// Delete objects
    Delete(objects::DeleteArgs),
    /// Run the API server in the foreground
    Apiserver(ApiserverArgs),
    /// Run the scheduler in the foreground
    Scheduler(SchedulerArgs),
    /// Run the controllers in the foreground
    Controller(ControllerArgs),
    /// Run a node's agent in the foreground
    Agent(AgentArgs),
    /// Measure this machine and print a table
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done where even stderr is closed.
            error.print().ok();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("skiff: {error:#}");
            if error.is::<logging::BadFilter>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let files = Files::new(cli.data_dir);
    let done = |()| ExitCode::SUCCESS;
    match cli.command {
        Command::Apiserver(args) => service::apiserver(&files, args).map(done),
        Command::Scheduler(args) => service::scheduler(&files, args).map(done),
        Command::Controller(args) => service::controller(&files, args).map(done),
        Command::Agent(args) => service::agent(&files, args).map(done),
        Command::Bench(args) => bench::bench(args).map(done),
        command => service::runtime(1)?.block_on(run_command(&files, command)),
    }
}

async fn run_command(files: &Files, command: Command) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Up(args) => cluster::up::up(files, &args).await.map(done),
        Command::Down { purge } => cluster::down::down(files, purge).await.map(done),
        Command::Status => Ok(if cluster::status::status(files).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Command::Node(command) => cluster::node::node(files, command).await.map(done),
        Command::Apply(args) => objects::apply(files, args).await.map(done),
        Command::Get(args) => objects::get(files, args).await.map(done),
        Command::Describe(args) => objects::describe(files, args).await.map(done),
        Command::Logs(args) => objects::logs(files, args).await.map(done),
        Command::Delete(args) => objects::delete(files, args).await.map(done),
        Command::Apiserver(_) | Command::Scheduler(_) | Command::Controller(_) | Command::Agent(_) | Command::Bench(_) => {
            unreachable!("services have their own runtimes")
        }
    }
}
