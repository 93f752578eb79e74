//! From settings to an open door: bind, make what is missing of the PKI, write the kubeconfig, serve.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connect::Nodes;
use super::metrics::Metrics;
use super::{Edge, Hooks, now, server};
use crate::auth::Authenticator;
use crate::dispatch::Server;
use crate::pki::{self, Pki, PkiError, Subject};
use crate::tls::{self, TlsError};

/// Where to listen and what to tell.
pub struct Settings {
    /// Holds `pki/` and `kubeconfig`.
    pub data_dir: PathBuf,
    /// Loopback, and the cluster's bridge; the first is the one that the kubeconfig names. Port 0: any free one (then name one address only).
    pub listen: Vec<SocketAddr>,
    /// What the process lends.
    pub hooks: Hooks,
}

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

/// A server whose port is open and that has not begun to answer.
pub struct Door {
    listeners: Vec<TcpListener>,
    tls: Arc<rustls::ServerConfig>,
    edge: Arc<Edge>,
    /// Where it listens, the first address of the settings with its real port.
    pub address: SocketAddr,
}

impl Door {
    /// Binds first, so that a port in use changes nothing on disk.
    pub async fn open(settings: Settings, api: Arc<Server>, grpc: tonic::service::Routes) -> Result<Self, StartError> {
        let mut listeners = Vec::with_capacity(settings.listen.len());
        for address in &settings.listen {
            listeners.push(TcpListener::bind(address).await.map_err(|source| StartError::Bind { address: *address, source })?);
        }
        let configured = settings.listen.first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = listeners.first().and_then(|listener| listener.local_addr().ok()).unwrap_or(configured);
        let pki = Pki::open(&settings.data_dir, u64::try_from(now()).unwrap_or_default())?;
        for subject in [Subject::scheduler(), Subject::controller()] {
            pki.ensure(&subject)?;
        }
        let addresses: Vec<IpAddr> = settings.listen.iter().map(SocketAddr::ip).collect();
        let serving = pki.ensure(&Subject::apiserver(&addresses))?;
        let admin = pki.ensure(&Subject::admin())?;
        pki::write_kubeconfig(&settings.data_dir, &format!("https://{}", reachable(address)), pki.ca_pem(), &admin)?;
        let edge = Edge {
            server: api,
            authenticator: Authenticator::new(&pki.ca_der()?).map_err(StartError::Authenticator)?,
            address: reachable(address).to_string(),
            nodes: Nodes::new(tls::client(pki.ca_pem(), &serving)?),
            grpc,
            metrics: Metrics::default(),
            hooks: settings.hooks,
        };
        Ok(Self { listeners, tls: Arc::new(tls::server(&serving)?), edge: Arc::new(edge), address })
    }

    /// Answers until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        server::serve(self.listeners, self.tls, self.edge, stop).await;
    }
}

/// The address to call for one that is listened on: loopback where it is every address.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}
