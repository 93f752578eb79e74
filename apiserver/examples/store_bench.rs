//! Measures the store alone, without HTTP: `cargo run --release -p skiff-apiserver --example store_bench [DIR]`.
//!
//! Prints durable creates a second at 64 clients, gets, a list of 2,000, delivery to 100 watchers, and how long an open of 0, 10,000
//! and 150,000 pods takes, with the memory that they need.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use skiff_apiserver::store::{Attributes, Backend, Body, Describe, Expect, Key, Op, Options, Scope, Store, Write};

/// Reads no attributes: the benchmark's watches are of whole resources.
struct Plain;

impl Describe for Plain {
    fn attributes(&self, _: &str, _: &[u8]) -> Attributes {
        Attributes::default()
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let dir = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("skiff-store-bench"), PathBuf::from);
    remove(&dir)?;
    let empty = Instant::now();
    let store = open(&dir)?;
    println!("open, empty                {:>10.1} ms", ms(empty.elapsed()));

    let began = Instant::now();
    create(&store, 0, 60_000, 64, 1024).await?;
    println!("creates of 1 KiB, 64 at once {:>8.0} /s", 60_000.0 / began.elapsed().as_secs_f64());
    let metrics = store.metrics();
    println!("  {} groups, {:.2} ms each", metrics.groups, metrics.sync_nanos as f64 / metrics.groups as f64 / 1e6);
    gets(&store);
    lists(&store);
    delivery(&store).await?;
    store.close().await;
    drop(store);
    remove(&dir)?;

    for pods in [10_000, 150_000] {
        let store = open(&dir)?;
        create(&store, 0, pods, 256, 1750).await?;
        store.close().await;
        drop(store);
        let began = Instant::now();
        let store = open(&dir)?;
        println!("open, {pods} pods         {:>10.1} ms, {} MiB resident in all", ms(began.elapsed()), resident_mib());
        store.close().await;
        drop(store);
        remove(&dir)?;
    }
    Ok(())
}

fn open(dir: &Path) -> Result<Store, Failure> {
    Ok(Store::open(Backend::Sled(dir.to_owned()), Options::default(), Arc::new(Plain))?)
}

fn key(number: usize) -> Key {
    Key::new("pods", &format!("ns-{}", number % 30), &format!("pod-{number:06}"))
}

async fn create(store: &Store, from: usize, count: usize, clients: usize, bytes: usize) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (store, next) = (store.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed) as usize;
                if number >= count {
                    return Ok::<(), Failure>(());
                }
                let json = format!(r#"{{"metadata":{{"x":"{}"}}}}"#, "x".repeat(bytes)).into_bytes();
                let body = Body { json, at: 13, comma: true };
                let write = Write { key: key(from + number), expect: Expect::Absent, op: Op::Put(body), lazy: false };
                store.commit(vec![write]).await?;
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

fn gets(store: &Store) {
    let keys: Vec<Key> = (0..60_000).step_by(7).map(key).collect();
    let began = Instant::now();
    let found = (0..50).flat_map(|_| &keys).filter(|key| store.get(key).is_some()).count();
    println!("gets                       {:>10.0} /s", found as f64 / began.elapsed().as_secs_f64());
}

fn lists(store: &Store) {
    let began = Instant::now();
    let mut listed = 0;
    for round in 0..100 {
        listed += store.list("pods", Some(&format!("ns-{}", round % 30))).items.len();
    }
    println!("list of {:<6}             {:>10.3} ms", listed / 100, ms(began.elapsed()) / 100.0);
}

async fn delivery(store: &Store) -> Result<(), Failure> {
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..100 {
        let mut watcher = store.watch(Scope::all("leases"), store.revision())?;
        tasks.push(tokio::spawn(async move {
            let mut delays = Vec::new();
            while delays.len() < 500 {
                let Some(Ok(event)) = watcher.next().await else { break };
                let sent: u64 = event.version.key.name.parse().unwrap_or(0);
                delays.push(start.elapsed().as_nanos() as u64 - sent);
            }
            delays
        }));
    }
    for _ in 0..500 {
        let key = Key::new("leases", "", &(start.elapsed().as_nanos() as u64).to_string());
        let body = Body { json: br#"{"metadata":{}}"#.to_vec(), at: 13, comma: false };
        store.commit(vec![Write { key, expect: Expect::Absent, op: Op::Put(body), lazy: false }]).await?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut delays = Vec::new();
    for task in tasks {
        delays.extend(task.await?);
    }
    delays.sort_unstable();
    let at = |share: usize| delays.get(delays.len() * share / 100).map_or(0.0, |nanos| *nanos as f64 / 1e6);
    println!("write to delivery, 100 watchers: p50 {:.2} ms, p99 {:.2} ms", at(50), at(99));
    Ok(())
}

fn remove(dir: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map(|rest| rest.trim().trim_end_matches(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}
