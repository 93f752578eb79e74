//! How fast things come up, and what they cost while nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use skiff_proto::resource::{CONFIGMAPS, PODS};

use super::Report;
use super::lab::Lab;
use super::serving::config_map;
use crate::cluster::process;
use crate::cluster::services::CONTROL_PLANE;

/// How long idleness is measured.
const IDLE: Duration = Duration::from_secs(30);

/// All rows.
pub async fn measure(report: &mut Report) -> Result<()> {
    apiserver(report, "apiserver start to /readyz, empty", CONFIGMAPS, 0, 100.0, &|_| String::new()).await?;
    let small = |number: usize| config_map(&format!("c{number}"));
    apiserver(report, "apiserver start to /readyz, 10,000 objects", CONFIGMAPS, 10_000, 250.0, &small).await?;
    if !report.quick() {
        apiserver(report, "apiserver start to /readyz, 150,000 pods", PODS, 150_000, 2_000.0, &pod).await?;
    }
    whole_cluster(report).await?;
    let name = "release binary";
    if report.wants(name) && !cfg!(debug_assertions) {
        #[allow(clippy::cast_precision_loss)]
        let size = std::fs::metadata(std::env::current_exe()?)?.len() as f64 / f64::from(1 << 20);
        report.add(name, "MiB", 25.0, vec![size]);
    }
    Ok(())
}

async fn apiserver(report: &mut Report, name: &str, resource: &str, count: usize, target: f64, json: &dyn Fn(usize) -> String) -> Result<()> {
    if !report.wants(name) {
        return Ok(());
    }
    let lab = Lab::with_apiserver().await?;
    lab.fill(resource, count, 64, json).await?;
    let mut runs = Vec::new();
    for _ in 0..report.runs() {
        lab.stop_apiserver()?;
        let began = Instant::now();
        lab.start_apiserver()?;
        lab.ready().await?;
        runs.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    report.add(name, "ms", target, runs);
    Ok(())
}

fn pod(number: usize) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{number}"), "labels": {"app": "bench"}},
        "spec": {"containers": [{"name": "c", "image": "skiff/demo:1", "resources": {"requests": {"cpu": "10m"}}}]},
    })
    .to_string()
}

async fn whole_cluster(report: &mut Report) -> Result<()> {
    let (started, control_plane, agents, cpu) =
        ("up to 3 nodes Ready, sim", "idle: apiserver + scheduler + controller", "idle: each agent", "idle: CPU of everything");
    if report.wants(started) {
        let mut runs = Vec::new();
        for _ in 0..report.runs() {
            let lab = Lab::new()?;
            let began = Instant::now();
            lab.up(&["--runtime", "sim", "--nodes", "3"])?;
            runs.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        report.add(started, "ms", 1000.0, runs);
    }
    if ![control_plane, agents, cpu].iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    let lab = Lab::with_cluster(&["--runtime", "sim", "--nodes", "3"])?;
    let pids = |services: &[&str]| -> Result<Vec<u32>> {
        services.iter().map(|service| process::running(&lab.files, service).with_context(|| format!("{service} died"))).collect()
    };
    let (planes, nodes) = (pids(&CONTROL_PLANE)?, pids(&["agent-node-1", "agent-node-2", "agent-node-3"])?);
    let all: Vec<u32> = planes.iter().chain(&nodes).copied().collect();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = ticks(&all);
    tokio::time::sleep(IDLE).await;
    #[allow(clippy::cast_precision_loss)] // small numbers
    {
        let used = (ticks(&all) - before) as f64 / 100.0 / IDLE.as_secs_f64() * 100.0;
        let mib = |pids: &[u32]| pids.iter().filter_map(|pid| process::resident_kib(*pid)).sum::<u64>() as f64 / 1024.0;
        report.add(control_plane, "MiB", 40.0, vec![mib(&planes)]);
        report.add(agents, "MiB", 14.0, vec![mib(&nodes) / 3.0]);
        report.add(cpu, "%", 1.5, vec![used]);
    }
    Ok(())
}

/// User and system time of processes, in hundredths of a second.
fn ticks(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<u64> = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        Some(fields.iter().sum::<u64>())
    };
    pids.iter().filter_map(of).sum()
}
