//! What is acknowledged stays, whatever is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use skiff_client::api::Api;
use skiff_client::grpc::{Credentials, Grpc};
use skiff_client::informer::{Change, Informer};
use skiff_proto::k8s_openapi::api::core::v1::ConfigMap;
use skiff_proto::resource::CONFIGMAPS;
use skiff_proto::v1;
use skiff_tests::Cluster;
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 20;
const WRITERS: usize = 16;

/// The API server is killed again and again under load: every acknowledged write is there, and two watchers that resume hear of each
/// exactly once.
#[test]
fn the_apiserver_killed_twenty_times_loses_nothing() {
    let cluster = Cluster::up(&["--runtime", "sim", "--nodes", "0"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let credentials = Credentials::of(&cluster.dir().join("pki"), "admin");
        let api: Arc<dyn Api> = Arc::new(Grpc::new(&format!("https://127.0.0.1:{}", cluster.port()), &credentials).unwrap());
        let stop = CancellationToken::new();
        let heard: Vec<_> = (0..2).map(|_| follow(&api, &stop)).collect();
        let (over, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let writers: Vec<_> = (0..WRITERS).map(|number| tokio::spawn(write(api.clone(), number, over.clone(), acknowledged.clone()))).collect();
        for _ in 0..ROUNDS {
            let before = acknowledged.load(Ordering::Relaxed);
            while acknowledged.load(Ordering::Relaxed) < before + 40 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cluster.kill("apiserver");
            cluster.start(&[]).ok();
        }
        over.store(true, Ordering::Relaxed);
        let mut written = Vec::new();
        for writer in writers {
            written.extend(writer.await.unwrap());
        }
        check(&*api, &written).await;
        for heard in heard {
            let missing = || written.iter().filter(|(name, _)| !heard.lock().unwrap().contains_key(name)).count();
            for _ in 0..400 {
                if missing() == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            assert_eq!(missing(), 0, "writes that a watcher did not hear of");
            assert!(heard.lock().unwrap().values().all(|times| *times == 1), "a watcher heard of a write twice");
        }
        stop.cancel();
    });
}

type Heard = Arc<std::sync::Mutex<std::collections::BTreeMap<String, usize>>>;

/// How often each object was told of as new.
fn follow(api: &Arc<dyn Api>, stop: &CancellationToken) -> Heard {
    let heard = Heard::default();
    let template = v1::WatchRequest { resource: CONFIGMAPS.into(), namespace: "default".into(), ..Default::default() };
    let told = heard.clone();
    let handler = move |change: Change<ConfigMap>| {
        if let Change::Added { key, .. } = change {
            *told.lock().unwrap().entry(key.name.to_string()).or_insert(0) += 1;
        }
    };
    tokio::spawn(Informer::new(api.clone(), template).run(stop.clone(), handler));
    heard
}

/// Writes objects until it is over; answers those that were acknowledged, with their revisions. Every tenth is large.
async fn write(api: Arc<dyn Api>, number: usize, over: Arc<AtomicBool>, acknowledged: Arc<AtomicUsize>) -> Vec<(String, u64)> {
    let mut written = Vec::new();
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        count += 1;
        let name = format!("w{number}-{count}");
        let size = if count % 10 == 0 { 900 << 10 } else { 200 };
        let json = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": "x".repeat(size)}});
        let request = v1::CreateRequest { resource: CONFIGMAPS.into(), namespace: "default".into(), json: json.to_string().into(), ..Default::default() };
        match api.create(request).await {
            Ok(object) => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                written.push((name, object.revision));
            }
            // It may have been written all the same, unacknowledged: the next has another name.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    written
}

async fn check(api: &dyn Api, written: &[(String, u64)]) {
    let mut revisions: Vec<u64> = written.iter().map(|(_, revision)| *revision).collect();
    revisions.sort_unstable();
    let count = revisions.len();
    revisions.dedup();
    assert_eq!(revisions.len(), count, "a revision was used twice");
    for (name, revision) in written {
        let request = v1::GetRequest { resource: CONFIGMAPS.into(), namespace: "default".into(), name: name.clone(), ..Default::default() };
        let object = api.get(request).await.unwrap_or_else(|status| panic!("{name} was acknowledged and is lost: {status}"));
        assert_eq!(object.revision, *revision, "{name}");
    }
}
