//! From a created pod to a bound one, and to a running one.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use skiff_client::api::WatchStream;
use skiff_proto::resource::{DEPLOYMENTS, PODS};
use skiff_proto::v1;

use super::lab::Lab;
use super::{Report, median};
use crate::cluster::process;

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

fn pod(name: &str, cpu: &str) -> Value {
    let container = json!({"name": "c", "image": "skiff/demo:1", "resources": {"requests": {"cpu": cpu}}});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}})
}

async fn create(lab: &Lab, resource: &str, object: &Value) -> Result<()> {
    let request = v1::CreateRequest { resource: resource.into(), namespace: "default".into(), json: object.to_string().into(), ..Default::default() };
    lab.api()?.create(request).await?;
    Ok(())
}

/// What is looked at of a pod: reading all of it would cost the cores that are measured.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Seen {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: Option<String>,
}

impl Seen {
    fn is_bound(&self) -> bool {
        self.spec.node_name.is_some()
    }

    fn is_running(&self) -> bool {
        self.status.phase.as_deref() == Some("Running") && self.metadata.deletion_timestamp.is_none()
    }
}

/// Pods as a watch tells of them.
struct Pods {
    stream: WatchStream,
    known: BTreeMap<String, Seen>,
}

impl Pods {
    async fn follow(lab: &Lab) -> Result<Self> {
        let stream = lab.api()?.watch(v1::WatchRequest { resource: PODS.into(), namespace: "default".into(), ..Default::default() }).await?;
        Ok(Self { stream, known: BTreeMap::new() })
    }

    /// Until `holds`; answers when that was.
    async fn until(&mut self, holds: impl Fn(&BTreeMap<String, Seen>) -> bool) -> Result<Instant> {
        let end = Instant::now() + PATIENCE;
        while !holds(&self.known) {
            let left = end.saturating_duration_since(Instant::now());
            let batch = tokio::time::timeout(left, self.stream.next()).await.context("the pods did not get there")?;
            for event in batch.context("the watch ended")?? {
                let kind = event.r#type();
                let Some(object) = event.object.filter(|object| !object.name.is_empty()) else { continue };
                if kind == v1::watch_event::Type::Deleted {
                    self.known.remove(&object.name);
                } else {
                    self.known.insert(object.name.clone(), serde_json::from_slice(&object.json)?);
                }
            }
        }
        Ok(Instant::now())
    }
}

fn bound(pods: &BTreeMap<String, Seen>) -> usize {
    pods.values().filter(|pod| pod.is_bound()).count()
}

fn running(pods: &BTreeMap<String, Seen>) -> usize {
    pods.values().filter(|pod| pod.is_running()).count()
}

/// Rows of the scheduler.
pub async fn measure_scheduling(report: &mut Report) -> Result<()> {
    let (many, one) = ("1,000 pods on 100 sim nodes, first create to last bound", "one pod, idle cluster: acknowledged to bound, p50");
    if report.wants(many) {
        let mut runs = Vec::new();
        for _ in 0..report.runs() {
            let lab = Lab::with_cluster(&["--runtime", "sim", "--nodes", "100", "--node-capacity", "cpu=4,memory=8Gi"])?;
            let mut pods = Pods::follow(&lab).await?;
            let began = Instant::now();
            lab.fill(PODS, 1000, 64, |number| pod(&format!("p{number}"), "10m").to_string()).await?;
            let ended = pods.until(|pods| bound(pods) == 1000).await?;
            runs.push((ended - began).as_secs_f64() * 1000.0);
        }
        report.add(many, "ms", 500.0, runs);
    }
    if report.wants(one) {
        let lab = Lab::with_cluster(&["--runtime", "sim", "--nodes", "3"])?;
        // Followed once: a watch begins with all that is there, and reading that would be measured too.
        let mut pods = Pods::follow(&lab).await?;
        let mut runs = Vec::new();
        for run in 0..report.runs() {
            let mut times = Vec::new();
            for number in 0..20 {
                let name = format!("r{run}-{number}");
                create(&lab, PODS, &pod(&name, "1m")).await?;
                let acknowledged = Instant::now();
                let ended = pods.until(|pods| pods.get(&name).is_some_and(Seen::is_bound)).await?;
                times.push(ended.saturating_duration_since(acknowledged).as_secs_f64() * 1000.0);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            runs.push(median(&times));
        }
        report.add(one, "ms", 2.0, runs);
    }
    Ok(())
}

fn deployment(name: &str, replicas: usize) -> Value {
    let labels = json!({"app": name});
    let container = json!({"name": "c", "image": "skiff/demo:1"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": labels}, "template": template});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
}

/// Rows that need Docker; none without it.
pub async fn measure_containers(report: &mut Report) -> Result<()> {
    let names = [
        "Deployment created to 1 pod Running",
        "Deployment created to 6 pods Running",
        "create to Running over `docker run`, p50",
        "agent killed to its pods Running elsewhere",
    ];
    if !names.iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    if let Err(why) = skiff_agent::runtime::docker::clean::reachable().await {
        eprintln!("skiff: no Docker, so nothing of containers is measured: {why}");
        return Ok(());
    }
    let lab = Lab::with_cluster(&["--nodes", "3"])?;
    deployed(report, &lab, names[0], 1, 600.0).await?;
    deployed(report, &lab, names[1], 6, 3_000.0).await?;
    over_docker_run(report, &lab, names[2]).await?;
    killed(report, &lab, names[3]).await
}

async fn deployed(report: &mut Report, lab: &Lab, name: &str, replicas: usize, target: f64) -> Result<()> {
    if !report.wants(name) {
        return Ok(());
    }
    let mut runs = Vec::new();
    for run in 0..report.runs() {
        let mut pods = Pods::follow(lab).await?;
        let began = Instant::now();
        let web = format!("d{replicas}-{run}");
        create(lab, DEPLOYMENTS, &deployment(&web, replicas)).await?;
        let ended = pods.until(|pods| running(pods) == replicas).await?;
        runs.push((ended - began).as_secs_f64() * 1000.0);
        delete(lab, DEPLOYMENTS, &web).await?;
        pods.until(BTreeMap::is_empty).await?;
    }
    report.add(name, "ms", target, runs);
    Ok(())
}

async fn delete(lab: &Lab, resource: &str, name: &str) -> Result<()> {
    let request = v1::DeleteRequest { resource: resource.into(), namespace: "default".into(), name: name.into(), ..Default::default() };
    lab.api()?.delete(request).await?;
    Ok(())
}

async fn over_docker_run(report: &mut Report, lab: &Lab, name: &str) -> Result<()> {
    if !report.wants(name) {
        return Ok(());
    }
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for number in 0..report.runs() * 2 {
        let began = Instant::now();
        let output = Command::new("docker").args(["run", "-d", "--rm", "skiff/demo:1"]).stderr(Stdio::inherit()).output()?;
        bare.push(began.elapsed().as_secs_f64() * 1000.0);
        ensure!(output.status.success(), "docker run");
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Command::new("docker").args(["rm", "-f", &id]).output()?;

        let pod_name = format!("one-{number}");
        let mut pods = Pods::follow(lab).await?;
        let began = Instant::now();
        create(lab, PODS, &pod(&pod_name, "1m")).await?;
        ours.push((pods.until(|pods| running(pods) == 1).await? - began).as_secs_f64() * 1000.0);
        delete(lab, PODS, &pod_name).await?;
        pods.until(BTreeMap::is_empty).await?;
    }
    report.add(name, "ms", 150.0, vec![median(&ours) - median(&bare)]);
    Ok(())
}

async fn killed(report: &mut Report, lab: &Lab, name: &str) -> Result<()> {
    if !report.wants(name) {
        return Ok(());
    }
    let mut pods = Pods::follow(lab).await?;
    create(lab, DEPLOYMENTS, &deployment("heals", 6)).await?;
    pods.until(|pods| running(pods) == 6).await?;
    let mut runs = Vec::new();
    for _ in 0..report.runs() {
        let elsewhere = |pods: &BTreeMap<String, Seen>| {
            let on = |pod: &&Seen| pod.is_running() && pod.spec.node_name.as_deref() != Some("node-2");
            pods.values().filter(on).count() == 6
        };
        let began = Instant::now();
        process::kill(&lab.files, "agent-node-2")?;
        runs.push((pods.until(elsewhere).await? - began).as_secs_f64());
        lab.skiff(&["node", "start", "node-2"])?;
        pods.until(|pods| running(pods) == 6 && pods.len() == 6).await?;
        // Spread again, so that the next run has something to replace.
        delete(lab, DEPLOYMENTS, "heals").await?;
        pods.until(BTreeMap::is_empty).await?;
        create(lab, DEPLOYMENTS, &deployment("heals", 6)).await?;
        pods.until(|pods| running(pods) == 6).await?;
    }
    report.add(name, "s", 6.0, runs);
    Ok(())
}
