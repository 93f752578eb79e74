//! The API over gRPC and mutual TLS, on one HTTP/2 connection that is made again whenever it breaks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use skiff_proto::status::Status;
use skiff_proto::v1::{self, objects_client::ObjectsClient};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::api::{Api, WatchStream};

/// Objects of up to 3 MiB travel many to a batch.
const MAX_MESSAGE: usize = 64 << 20;

/// Who we are and whom we trust.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The cluster's CA certificate, PEM.
    pub ca: PathBuf,
    /// Our certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl Credentials {
    /// `pki/ca.crt`, `pki/<user>.crt`, `pki/<user>.key`.
    pub fn of(pki: &Path, user: &str) -> Self {
        Self { ca: pki.join("ca.crt"), certificate: pki.join(format!("{user}.crt")), key: pki.join(format!("{user}.key")) }
    }

    /// The TLS configuration of a client that is this.
    pub fn client_config(&self) -> Result<rustls::ClientConfig, ConnectError> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.ca).map_err(|e| ConnectError::file(&self.ca, e))? {
            let certificate = certificate.map_err(|e| ConnectError::file(&self.ca, e))?;
            roots.add(certificate).map_err(|e| ConnectError::file(&self.ca, e))?;
        }
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| ConnectError::file(&self.certificate, e))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| ConnectError::file(&self.key, e))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

/// Why a client cannot be made. None of these pass by waiting.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A certificate or key file.
    #[error("{path}: {why}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The key does not fit the certificate, or the like.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The server's address.
    #[error("server address {0}: {1}")]
    Address(String, String),
}

impl ConnectError {
    fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { path: path.display().to_string(), why: why.to_string() }
    }
}

/// The API of a server at `https://host:port`. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Grpc {
    client: ObjectsClient<Channel>,
}

impl Grpc {
    /// Connects when first used, and again after each break.
    pub fn new(server: &str, credentials: &Credentials) -> Result<Self, ConnectError> {
        let channel = channel(server, credentials)?;
        let client = ObjectsClient::new(channel).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
        Ok(Self { client })
    }
}

/// A lazy HTTP/2 channel over mutual TLS to `https://host:port`.
pub fn channel(server: &str, credentials: &Credentials) -> Result<Channel, ConnectError> {
    let wrong = |why: String| ConnectError::Address(server.to_owned(), why);
    let uri: Uri = server.parse().map_err(|e: http::uri::InvalidUri| wrong(e.to_string()))?;
    let host = uri.host().ok_or_else(|| wrong("no host".to_owned()))?.to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let name = ServerName::try_from(host.clone()).map_err(|e| wrong(e.to_string()))?;
    let tls = tokio_rustls::TlsConnector::from(Arc::new(credentials.client_config()?));
    let connector = tower::service_fn(move |_: Uri| {
        let (tls, name, host) = (tls.clone(), name.clone(), host.clone());
        async move {
            let tcp = tokio::net::TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            let stream = tls.connect(name, tcp).await?;
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    });
    // The transport is already TLS: tonic is told plain HTTP so that it does not wrap it again.
    let endpoint = Endpoint::from_shared(format!("http://{}:{port}", uri.host().unwrap_or_default())).map_err(|e| wrong(e.to_string()))?;
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20);
    Ok(endpoint.connect_with_connector_lazy(connector))
}

#[async_trait]
impl Api for Grpc {
    async fn get(&self, request: v1::GetRequest) -> Result<v1::Object, Status> {
        Ok(self.client.clone().get(request).await?.into_inner())
    }
    async fn list(&self, request: v1::ListRequest) -> Result<v1::ListResponse, Status> {
        Ok(self.client.clone().list(request).await?.into_inner())
    }
    async fn create(&self, request: v1::CreateRequest) -> Result<v1::Object, Status> {
        Ok(self.client.clone().create(request).await?.into_inner())
    }
    async fn update(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        Ok(self.client.clone().update(request).await?.into_inner())
    }
    async fn update_status(&self, request: v1::UpdateRequest) -> Result<v1::Object, Status> {
        Ok(self.client.clone().update_status(request).await?.into_inner())
    }
    async fn patch(&self, request: v1::PatchRequest) -> Result<v1::Object, Status> {
        Ok(self.client.clone().patch(request).await?.into_inner())
    }
    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::Object, Status> {
        Ok(self.client.clone().delete(request).await?.into_inner())
    }
    async fn bind_batch(&self, bindings: Vec<v1::Binding>) -> Result<Vec<v1::BindResult>, Status> {
        Ok(self.client.clone().bind_batch(v1::BindBatchRequest { bindings }).await?.into_inner().results)
    }
    async fn watch(&self, request: v1::WatchRequest) -> Result<WatchStream, Status> {
        let batches = self.client.clone().watch(request).await?.into_inner();
        Ok(batches.map(|batch| batch.map(|batch| batch.events).map_err(Status::from)).boxed())
    }
}
