//! How long after a write is acknowledged its watchers have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::http::Connector;
use super::lab::Lab;
use super::serving::config_map;
use super::{Report, percentile};

const PATH: &str = "/api/v1/namespaces/default/configmaps";
/// How long events are written for each run.
const RUN: Duration = Duration::from_secs(5);

/// When each object was first seen by each watcher: its name and the time.
type Seen = Arc<Mutex<Vec<(String, Instant)>>>;

/// Both rows.
pub async fn measure(report: &mut Report) -> Result<()> {
    for (watchers, rate, target) in [(100, 100, 2.0), (1000, 10, 15.0)] {
        let name = format!("acknowledged to delivered: {watchers} watchers, {rate} events/s, p99");
        if !report.wants(&name) {
            continue;
        }
        let lab = Lab::with_apiserver().await?;
        let connector = Connector::new(&lab)?;
        let seen = Seen::default();
        for _ in 0..watchers {
            let mut client = connector.connect().await?;
            let body = client.open(&format!("{PATH}?watch=true&resourceVersion=0")).await?;
            let seen = seen.clone();
            tokio::spawn(async move {
                let _client = client; // the connection lasts as long as its watch
                follow(body, &seen).await;
            });
        }
        let mut runs = Vec::new();
        for run in 0..report.runs() {
            runs.push(deliver(&connector, &seen, run, watchers, rate).await?);
        }
        report.add(&name, "ms", target, runs);
    }
    Ok(())
}

async fn deliver(connector: &Connector, seen: &Seen, run: usize, watchers: usize, rate: u32) -> Result<f64> {
    seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let mut client = connector.connect().await?;
    let mut acknowledged = HashMap::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    let began = Instant::now();
    while began.elapsed() < RUN {
        tick.tick().await;
        let name = format!("w{run}-{}", acknowledged.len());
        let (code, _) = client.post(PATH, config_map(&name).into()).await?;
        ensure!(code == 201, "code {code}");
        acknowledged.insert(name, Instant::now());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let delays: Vec<f64> = seen.iter().filter_map(|(name, at)| Some(at.saturating_duration_since(*acknowledged.get(name)?).as_secs_f64() * 1000.0)).collect();
    ensure!(delays.len() == watchers * acknowledged.len(), "{} of {} events were delivered", delays.len(), watchers * acknowledged.len());
    Ok(percentile(&delays, 0.99))
}

/// Notes each object that is told of, until the stream ends.
async fn follow(mut body: Incoming, seen: &Seen) {
    let mut rest = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let now = Instant::now();
        if let Ok(data) = frame.into_data() {
            rest.extend_from_slice(&data);
        }
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if let Some(name) = name_of(&line) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push((name, now));
            }
        }
    }
}

/// The first `"name":"…"` of an event.
fn name_of(line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?;
    let after = text.split_once("\"name\":\"")?.1;
    Some(after.split_once('"')?.0.to_owned())
}
