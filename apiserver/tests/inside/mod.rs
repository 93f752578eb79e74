//! An API server in this process: the memory store and the whole edge, reached through pipes instead of sockets.

// What a test unwraps, it asserts. Each test program uses a part of this.
#![allow(clippy::unwrap_used, dead_code)]

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use skiff_apiserver::auth::Authenticator;
use skiff_apiserver::auth::token::Tokens;
use skiff_apiserver::bootstrap::bootstrap;
use skiff_apiserver::dispatch::{Server, Settings};
use skiff_apiserver::http::start::{Trust, edge};
use skiff_apiserver::http::{Edge, Peer, server};
use skiff_apiserver::pki::Pki;
use skiff_apiserver::registry::Resources;
use skiff_apiserver::registry::clock::{Environment, System};
use skiff_apiserver::registry::describe::Describer;
use skiff_apiserver::run::grpc;
use skiff_apiserver::store::{Backend, Options, Store};
use skiff_proto::identity::UserInfo;
use skiff_proto::v1::objects_client::ObjectsClient;
use tokio::io::DuplexStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Channel, Endpoint};

/// Bytes that a pipe holds.
const PIPE: usize = 1 << 16;
/// What discovery says of the server's address.
const ADDRESS: &str = "127.0.0.1:6443";

/// A clock that the test moves and dice that count: two servers with one each that are asked the same answer the same, byte for byte.
pub struct Pretended {
    /// Microseconds since the epoch.
    pub now: AtomicI64,
    dice: AtomicU64,
}

impl Default for Pretended {
    fn default() -> Self {
        Self { now: AtomicI64::new(1_767_225_600_000_000), dice: AtomicU64::new(1) }
    }
}

impl Environment for Pretended {
    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }
    fn random(&self) -> u128 {
        u128::from(self.dice.fetch_add(1, Ordering::Relaxed)) * 0x9E37_79B9_7F4A_7C15
    }
}

/// A server; it ends when this is dropped.
pub struct Inside {
    edge: Arc<Edge>,
    stop: CancellationToken,
    _stopped_with_this: DropGuard,
}

impl Inside {
    /// A new cluster's server, on the machine's clock.
    pub async fn start() -> Self {
        Self::start_with(Arc::new(System)).await
    }

    /// The same, where pods get accounts and their tokens.
    pub async fn with_accounts() -> Self {
        Self::make(Arc::new(System), true).await
    }

    /// With time and chance of the test's own.
    pub async fn start_with(environment: Arc<dyn Environment>) -> Self {
        Self::make(environment, false).await
    }

    async fn make(environment: Arc<dyn Environment>, service_accounts: bool) -> Self {
        let store = store(environment.clone());
        let authenticator = Arc::new(Authenticator::new(&keys().ca).unwrap());
        authenticator.believe(Tokens::new(&keys().service_accounts).unwrap(), store.clone());
        let api = Server::new(Settings { store, environment, authenticator: Some(authenticator.clone()), toleration_seconds: 300, service_accounts });
        bootstrap(&api, 6443).await.unwrap();
        let stop = CancellationToken::new();
        let edge = edge(&keys().trust, ADDRESS.to_owned(), api.clone(), grpc(&api), Box::new(|_| Ok(())), stop.clone()).unwrap();
        Self { edge: Arc::new(Edge { authenticator, ..edge }), stop: stop.clone(), _stopped_with_this: stop.drop_guard() }
    }

    /// The door behind the edge.
    pub fn server(&self) -> &Arc<Server> {
        &self.edge.server
    }

    /// A connection of `user`; `None`: of somebody who shows no certificate.
    pub fn connect(&self, user: Option<UserInfo>, is_http2: bool) -> DuplexStream {
        let (near, far) = tokio::io::duplex(PIPE);
        let peer = Arc::new(user.map_or_else(|| Peer::new(&self.edge, None), Peer::known));
        let (edge, stop) = (self.edge.clone(), self.stop.clone());
        tokio::spawn(async move {
            let _ = server::speak(far, is_http2, &edge, &peer, stop).await; // an end without a goodbye is an end
        });
        near
    }

    /// Who sends REST requests as `user`.
    pub async fn rest(&self, user: Option<UserInfo>) -> http1::SendRequest<Full<Bytes>> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.connect(user, false))).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Who calls the gRPC service as `user`.
    pub async fn grpc(&self, user: Option<UserInfo>) -> ObjectsClient<Channel> {
        let mut pipe = Some(TokioIo::new(self.connect(user, true)));
        let once = tower::service_fn(move |_| {
            let pipe = pipe.take().ok_or_else(|| std::io::Error::other("there is one connection"));
            async move { pipe }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(once).await.unwrap();
        ObjectsClient::new(channel)
    }
}

/// The door alone, behind which everybody is believed to be who they say. Nobody makes accounts, so no pod gets one.
pub async fn api(environment: Arc<dyn Environment>) -> Arc<Server> {
    let store = store(environment.clone());
    let api = Server::new(Settings { store, environment, authenticator: None, toleration_seconds: 300, service_accounts: false });
    bootstrap(&api, 6443).await.unwrap();
    api
}

fn store(environment: Arc<dyn Environment>) -> Store {
    let clock = move || UNIX_EPOCH + Duration::from_micros(u64::try_from(environment.now()).unwrap());
    let describe = Arc::new(Describer::new(&Resources::builtin()));
    Store::open(Backend::Memory, Options { clock: Arc::new(clock), ..Options::default() }, describe).unwrap()
}

/// The keys of every server of this test program.
struct Keys {
    trust: Trust,
    ca: Vec<u8>,
    service_accounts: String,
}

/// Made once; what was written for it is removed at once.
fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("skiff-inside-{}", std::process::id()));
        let trust = Trust::open(&folder, &[IpAddr::from([127, 0, 0, 1])]).unwrap();
        let ca = Pki::open(&folder, u64::try_from(skiff_apiserver::http::now()).unwrap()).unwrap().ca_der().unwrap().to_vec();
        let service_accounts = trust.service_account_key().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        Keys { trust, ca, service_accounts }
    })
}
