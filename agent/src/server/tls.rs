//! Who may come in: holders of a certificate of the cluster's own authority, and of those only the API server and administrators.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use skiff_client::grpc::Credentials;
use skiff_proto::identity::UserInfo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tonic::{Request, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The name on the certificate with which the API server calls agents.
const API_SERVER: &str = "kube-apiserver";

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or is not what it should be.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The certificates do not fit together.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authority's certificate.
    #[error("TLS: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// Accepts connections as the holder of these credentials, from holders of certificates that its authority signed.
pub fn acceptor(credentials: &Credentials) -> Result<TlsAcceptor, TlsError> {
    let wrong = |path: &std::path::Path, why: rustls::pki_types::pem::Error| TlsError::File { path: path.display().to_string(), why: why.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&credentials.ca).map_err(|why| wrong(&credentials.ca, why))? {
        roots.add(certificate.map_err(|why| wrong(&credentials.ca, why))?)?;
    }
    let chain = CertificateDer::pem_file_iter(&credentials.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|why| wrong(&credentials.certificate, why))?;
    let key = PrivateKeyDer::from_pem_file(&credentials.key).map_err(|why| wrong(&credentials.key, why))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A connection whose other side has shown its certificate.
pub struct Peer {
    stream: TlsStream<TcpStream>,
    caller: Caller,
}

/// Whose certificate it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    name: String,
    groups: Vec<String>,
}

/// Shakes hands.
pub async fn handshake(acceptor: TlsAcceptor, stream: TcpStream) -> std::io::Result<Peer> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let caller = leaf.and_then(|leaf| caller(leaf)).ok_or_else(|| std::io::Error::other("a certificate without a name"))?;
    Ok(Peer { stream, caller })
}

/// Reads a certificate's subject: CN is the name, each O a group.
fn caller(der: &[u8]) -> Option<Caller> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned).collect();
    Some(Caller { name, groups })
}

impl Caller {
    fn may_call(&self) -> bool {
        self.name == API_SERVER || self.groups.iter().any(|group| group == UserInfo::MASTERS)
    }
}

/// Lets a request pass if its caller may call.
// The signature is tonic's.
#[allow(clippy::result_large_err)]
pub fn authorize(request: Request<()>) -> Result<Request<()>, Status> {
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.may_call() => Ok(request),
        Some(caller) => Err(Status::permission_denied(format!("user \"{}\" may not call a node's agent", caller.name))),
        None => Err(Status::unauthenticated("no certificate")),
    }
}

impl Connected for Peer {
    type ConnectInfo = Caller;
    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_call() {
        for (name, groups, may) in [
            ("kube-apiserver", vec![], true),
            ("admin", vec!["system:masters"], true),
            ("system:node:node-1", vec!["system:nodes"], false),
            ("system:kube-scheduler", vec![], false),
            ("kube-apiserver-2", vec![], false),
        ] {
            let caller = Caller { name: name.to_owned(), groups: groups.into_iter().map(str::to_owned).collect() };
            let mut request = Request::new(());
            request.extensions_mut().insert(caller);
            assert_eq!(authorize(request).is_ok(), may, "{name}");
        }
        assert_eq!(authorize(Request::new(())).unwrap_err().code(), tonic::Code::Unauthenticated);
    }
}
