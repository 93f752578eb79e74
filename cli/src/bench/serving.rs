//! Creates, gets and lists a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use prost::Message;
use skiff_proto::resource::CONFIGMAPS;
use skiff_proto::v1;

use super::http::Connector;
use super::lab::Lab;
use super::{Report, median};

/// How long each run lasts.
const RUN: Duration = Duration::from_secs(3);
const PATH: &str = "/api/v1/namespaces/default/configmaps";

/// A ConfigMap of 1 KiB.
pub fn config_map(name: &str) -> String {
    let json = format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"v":"{{}}"}}}}"#);
    let fill = "x".repeat(1024 - json.len() + 2);
    json.replacen("{}", &fill, 1)
}

/// All rows.
pub async fn measure(report: &mut Report) -> Result<()> {
    for (clients, target) in [(1, 2_000.0), (16, 10_000.0), (64, 15_000.0)] {
        let name = format!("durable creates of 1 KiB, REST, {clients} client(s)");
        if report.wants(&name) {
            let lab = Lab::with_apiserver().await?;
            let mut runs = Vec::new();
            for run in 0..report.runs() {
                runs.push(rest(&lab, clients, Work::Create(run)).await?);
            }
            report.add(&name, "/s", target, runs);
        }
    }
    let name = "durable creates of 1 KiB, gRPC, 64 clients";
    if report.wants(name) {
        let lab = Lab::with_apiserver().await?;
        let mut runs = Vec::new();
        for run in 0..report.runs() {
            runs.push(grpc_creates(&lab, 64, run).await?);
        }
        report.add(name, "/s", 20_000.0, runs);
    }
    for (clients, target) in [(1, 8_000.0), (16, 50_000.0)] {
        let name = format!("gets, REST, {clients} client(s)");
        if report.wants(&name) {
            let lab = Lab::with_apiserver().await?;
            lab.fill(CONFIGMAPS, 1, 1, |_| config_map("one")).await?;
            let mut runs = Vec::new();
            for _ in 0..report.runs() {
                runs.push(rest(&lab, clients, Work::Get).await?);
            }
            report.add(&name, "/s", target, runs);
        }
    }
    lists(report).await
}

async fn lists(report: &mut Report) -> Result<()> {
    let name = "LIST of 2,000 ConfigMaps of 1 KiB, p50";
    if !report.wants(name) {
        return Ok(());
    }
    let lab = Lab::with_apiserver().await?;
    lab.fill(CONFIGMAPS, 2000, 64, |number| config_map(&format!("c{number}"))).await?;
    let mut client = Connector::new(&lab)?.connect().await?;
    let mut runs = Vec::new();
    for _ in 0..report.runs() {
        let mut times = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            let (code, length) = client.get(PATH).await?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            ensure!(code == 200 && length > 2_000 * 1024, "a list of {length} bytes, code {code}");
        }
        runs.push(median(&times));
    }
    report.add(name, "ms", 4.0, runs);
    Ok(())
}

#[derive(Clone, Copy)]
enum Work {
    /// New objects, named after the run.
    Create(usize),
    Get,
}

/// Requests a second of so many clients.
async fn rest(lab: &Lab, clients: usize, work: Work) -> Result<f64> {
    let connector = Connector::new(lab)?;
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for number in 0..clients {
        let (mut client, over, done) = (connector.connect().await?, over.clone(), done.clone());
        tasks.push(tokio::spawn(async move {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                count += 1;
                let (code, _) = match work {
                    Work::Create(run) => client.post(PATH, config_map(&format!("r{run}-c{number}-{count}")).into()).await?,
                    Work::Get => client.get("/api/v1/namespaces/default/configmaps/one").await?,
                };
                ensure!(code < 300, "code {code}");
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }));
    }
    rate(&over, &done, tasks).await
}

async fn grpc_creates(lab: &Lab, clients: usize, run: usize) -> Result<f64> {
    let connector = Connector::http2(lab)?;
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for number in 0..clients {
        let (mut client, over, done) = (connector.calls("/skiff.v1.Objects/Create").await?, over.clone(), done.clone());
        tasks.push(tokio::spawn(async move {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                count += 1;
                let json = config_map(&format!("g{run}-c{number}-{count}")).into();
                let request = v1::CreateRequest { resource: CONFIGMAPS.into(), namespace: "default".into(), json, ..Default::default() };
                client.call(&request.encode_to_vec()).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }));
    }
    rate(&over, &done, tasks).await
}

/// Lets the tasks warm up, counts what they do in [`RUN`], and ends them.
async fn rate(over: &AtomicBool, done: &AtomicU64, tasks: Vec<tokio::task::JoinHandle<Result<()>>>) -> Result<f64> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (began, before) = (Instant::now(), done.load(Ordering::Relaxed));
    tokio::time::sleep(RUN).await;
    #[allow(clippy::cast_precision_loss)] // counts of seconds
    let rate = (done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_kibibyte_is_a_kibibyte() {
        assert_eq!(super::config_map("a-name").len(), 1024);
    }
}
