//! From settings to an open door: bind, make what is missing of the PKI, write the kubeconfig, serve.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skiff_proto::v1::objects_server::ObjectsServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connect::Nodes;
use super::{Edge, SetLogLevel, now, server};
use crate::auth::Authenticator;
use crate::dispatch::Server;
use crate::grpc::ObjectService;
use crate::pki::{self, Pair, Pki, PkiError, Subject};
use crate::tls::{self, TlsError};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// No certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The authority's certificate cannot be trusted.
    #[error("cannot authenticate callers: {0}")]
    Authenticator(String),
}

/// Opens the ports: loopback and the cluster's bridge. Done first, so that a port in use changes nothing on disk.
pub async fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        listeners.push(TcpListener::bind(address).await.map_err(|source| StartError::Bind { address: *address, source })?);
    }
    Ok(listeners)
}

/// The certificates of a server and whom it trusts.
pub struct Trust {
    /// Who a caller is.
    pub authenticator: Arc<Authenticator>,
    pki: Pki,
    serving: Pair,
}

impl Trust {
    /// Opens or makes `DATA/pki`, with certificates for the components, the administrator, and a server under `addresses`.
    pub fn open(data_dir: &Path, addresses: &[IpAddr]) -> Result<Self, StartError> {
        let pki = Pki::open(data_dir, u64::try_from(now()).unwrap_or_default())?;
        for subject in [Subject::scheduler(), Subject::controller(), Subject::admin()] {
            pki.ensure(&subject)?;
        }
        let serving = pki.ensure(&Subject::apiserver(addresses))?;
        let authenticator = Arc::new(Authenticator::new(&pki.ca_der()?).map_err(StartError::Authenticator)?);
        Ok(Self { authenticator, pki, serving })
    }

    /// The key that signs the tokens of service accounts: `DATA/pki/service-account.key`, PEM.
    pub fn service_account_key(&self) -> Result<String, StartError> {
        let subject = Subject {
            file: "service-account".to_owned(),
            common_name: "service-accounts".to_owned(),
            organization: String::new(),
            dns_names: Vec::new(),
            addresses: Vec::new(),
        };
        Ok(self.pki.ensure(&subject)?.key)
    }

    /// Writes `DATA/kubeconfig` for a server at `address`.
    pub fn write_kubeconfig(&self, data_dir: &Path, address: SocketAddr) -> Result<PathBuf, StartError> {
        let admin = self.pki.ensure(&Subject::admin())?;
        Ok(pki::write_kubeconfig(data_dir, &format!("https://{}", reachable(address)), self.pki.ca_pem(), &admin)?)
    }
}

/// Answers on `listeners` (the first is the one that discovery names) until `stop`.
pub async fn serve(
    listeners: Vec<TcpListener>,
    trust: &Trust,
    api: Arc<Server>,
    grpc: ObjectsServer<ObjectService>,
    set_log_level: SetLogLevel,
    stop: CancellationToken,
) -> Result<(), StartError> {
    let address = listeners.first().and_then(|listener| listener.local_addr().ok()).map(|address| reachable(address).to_string());
    let edge = edge(trust, address.unwrap_or_default(), api, grpc, set_log_level, stop.clone())?;
    server::serve(listeners, Arc::new(tls::server(&trust.serving)?), Arc::new(edge), stop).await;
    Ok(())
}

/// What answers, before there is a socket. `address`: `host:port`, as discovery tells it.
pub fn edge(
    trust: &Trust,
    address: String,
    api: Arc<Server>,
    grpc: ObjectsServer<ObjectService>,
    set_log_level: SetLogLevel,
    stop: CancellationToken,
) -> Result<Edge, StartError> {
    Ok(Edge {
        server: api,
        authenticator: trust.authenticator.clone(),
        address,
        nodes: Nodes::new(tls::client(trust.pki.ca_pem(), &trust.serving)?, tls::to_pods()?),
        grpc,
        set_log_level,
        stop,
    })
}

/// The address to call for one that is listened on: loopback where it is every address.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}
