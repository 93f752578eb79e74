//! From a [`Config`] to a serving API server, and the housekeeping beside it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use skiff_proto::v1::objects_server::ObjectsServer;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::auth::token::Tokens;
use crate::config::Config;
use crate::dispatch::{Server, Settings};
use crate::grpc::ObjectService;
use crate::http::start::{self, StartError, Trust};
use crate::registry::Resources;
use crate::registry::clock::System;
use crate::registry::describe::Describer;
use crate::store::{Backend, Body, CommitError, Expect, Op, Options, Store, StoreError, Write};
use crate::{advertise, bootstrap};

/// How often old changes are forgotten.
const COMPACT_EVERY: Duration = Duration::from_secs(30);
/// How often events are looked through.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// How often the `kubernetes` Service is looked for: `--endpoint-reconciler`'s 10 s.
const REPAIR_EVERY: Duration = Duration::from_secs(10);
/// How long an event is kept: `--event-ttl`.
const EVENT_TTL: i64 = 3600;
/// The largest message: an object of 1.5 MiB and its envelope; requests bring at most 3 MiB.
const MESSAGE_BYTES: usize = 4 << 20;

/// Why an API server does not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store cannot be opened.
    #[error("cannot open the store in {path}")]
    Store {
        /// The directory.
        path: String,
        /// What is wrong.
        source: StoreError,
    },
    /// The port is taken, or there are no certificates.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system's own objects cannot be made.
    #[error("cannot make the system's objects: {0}")]
    Bootstrap(Box<skiff_proto::status::Status>),
}

/// Serves until `stop`. `ready` is told the address once requests are answered.
///
/// The ports are opened first: where one is taken nothing is written and no store is opened.
pub async fn run(config: Config, ready: Option<oneshot::Sender<SocketAddr>>, stop: CancellationToken) -> Result<(), RunError> {
    let listeners = start::bind(&config.listen).await?;
    let address = listeners.first().and_then(|listener| listener.local_addr().ok()).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let addresses: Vec<IpAddr> = config.listen.iter().map(SocketAddr::ip).collect();
    let listening: Vec<SocketAddr> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let trust = Trust::open(&config.data_dir, &addresses)?;
    let path = config.data_dir.join("store");
    let store = open(path.clone()).await.map_err(|source| RunError::Store { path: path.display().to_string(), source })?;
    let tokens = Tokens::new(&trust.service_account_key()?).map_err(|why| StartError::Authenticator(why.to_string()))?;
    trust.authenticator.believe(tokens, store.clone());
    let api = Server::new(Settings {
        store: store.clone(),
        environment: Arc::new(System),
        authenticator: Some(trust.authenticator.clone()),
        toleration_seconds: config.timings.toleration_seconds(),
        service_accounts: config.service_accounts,
    });
    let failed = |status| RunError::Bootstrap(Box::new(status));
    bootstrap::bootstrap(&api, address.port()).await.map_err(failed)?;
    if advertise::reachable(&listening).is_empty() {
        tracing::info!(?listening, "the kubernetes Service gets no endpoints: pods reach no loopback but their own");
    }
    advertise::advertise(&api, &listening).await.map_err(failed)?;
    trust.write_kubeconfig(&config.data_dir, address)?;
    let keeper = tokio::spawn(keep(api.clone(), listening, stop.clone()));
    if let Some(ready) = ready {
        // Whoever asked may have stopped waiting: it can still read the address where it serves.
        let _ = ready.send(address);
    }
    let set_log_level = config.set_log_level.unwrap_or_else(|| Box::new(|_| Err("the log level of this process is fixed".to_owned())));
    let served = start::serve(listeners, &trust, api.clone(), grpc(&api), set_log_level, stop).await;
    keeper.abort();
    store.close().await;
    Ok(served?)
}

/// Reads the store off the disk, away from the runtime's threads.
async fn open(path: std::path::PathBuf) -> Result<Store, StoreError> {
    let opened = tokio::task::spawn_blocking(move || {
        let describe = Arc::new(Describer::new(&Resources::builtin()));
        Store::open(Backend::Sled(path), Options::default(), describe)
    });
    opened.await.unwrap_or_else(|panicked| Err(StoreError::Thread(std::io::Error::other(panicked))))
}

/// The gRPC tongue of a server: one service, so that nothing needs to choose among several.
pub fn grpc(api: &Arc<Server>) -> ObjectsServer<ObjectService> {
    ObjectsServer::new(ObjectService::new(api.clone())).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(usize::MAX)
}

/// Forgets old changes and old events, and makes the system's objects again where somebody removed them, for as long as the server runs.
async fn keep(api: Arc<Server>, listening: Vec<SocketAddr>, stop: CancellationToken) {
    let store = &api.store;
    let mut compact = tokio::time::interval(COMPACT_EVERY);
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    let mut repair = tokio::time::interval(REPAIR_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = compact.tick() => store.compact(SystemTime::now()),
            _ = expire.tick() => expire_events(store, crate::http::now()).await,
            _ = repair.tick() => repair_system(&api, &listening).await,
        }
    }
}

async fn repair_system(api: &Server, listening: &[SocketAddr]) {
    if let Err(status) = advertise::advertise(api, listening).await {
        tracing::warn!(%status, "the endpoints of the kubernetes Service are not as they should be");
    }
    if api.store.find("services", "default", "kubernetes").is_some() {
        return;
    }
    if let Err(status) = bootstrap::bootstrap(api, listening.first().map_or(0, SocketAddr::port)).await {
        tracing::warn!(%status, "the system's objects are not all there");
    }
}

/// Removes events that nobody repeated for an hour.
pub async fn expire_events(store: &Store, now: i64) {
    for version in store.list("events", None).items {
        if !is_old_event(&version.json, now) {
            continue;
        }
        let Ok(event) = serde_json::from_slice::<Value>(&version.json) else { continue }; // the registry wrote it: it parses
        let Body { json, at, comma } = crate::registry::body::encode(&event);
        let write = Write { key: version.key.clone(), expect: Expect::At(version.revision), op: Op::Delete(Body { json, at, comma }), lazy: false };
        match store.commit(vec![write]).await {
            Ok(_) | Err(CommitError::Conflict { .. } | CommitError::Missing(_) | CommitError::Exists(_)) => {} // repeated or gone meanwhile
            Err(CommitError::Unavailable(why)) => return tracing::warn!(%why, "events are not expired"),
            Err(CommitError::TooLarge { .. }) => {} // a removal as large as what is stored: cannot be
        }
    }
}

/// Whether the newest time that an event names is older than [`EVENT_TTL`].
fn is_old_event(json: &[u8], now: i64) -> bool {
    let event: Value = serde_json::from_slice(json).unwrap_or_default(); // the registry wrote it: it parses
    let times = [&event["lastTimestamp"], &event["series"]["lastObservedTime"], &event["eventTime"], &event["metadata"]["creationTimestamp"]];
    let newest = times.into_iter().filter_map(Value::as_str).filter_map(crate::kinds::table::parse_time).max();
    newest.is_some_and(|newest| newest + EVENT_TTL < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_as_old_as_its_last_repetition() {
        let event = br#"{"metadata":{"creationTimestamp":"2026-01-01T00:00:00Z"},"lastTimestamp":"2026-01-01T02:00:00Z"}"#;
        let at = crate::kinds::table::parse_time("2026-01-01T02:59:59Z").unwrap();
        assert!(!is_old_event(event, at));
        assert!(is_old_event(event, at + 3600));
        assert!(!is_old_event(b"{}", at));
    }
}
