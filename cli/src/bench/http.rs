//! Clients that cost little, for the load shares the cores with the server: one keep-alive connection over TLS, one request in flight.
//! [`Client`] speaks REST over HTTP/1.1, [`Calls`] gRPC.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use skiff_client::grpc::Credentials;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::grpc::Calls;
use super::lab::Lab;

/// Makes connections to one API server.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    port: u16,
}

/// One connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Connector {
    /// As the administrator, in HTTP/1.1.
    pub fn new(lab: &Lab) -> Result<Self> {
        Self::speaking(lab, b"http/1.1")
    }

    /// As the administrator, in HTTP/2.
    pub fn http2(lab: &Lab) -> Result<Self> {
        Self::speaking(lab, b"h2")
    }

    fn speaking(lab: &Lab, protocol: &[u8]) -> Result<Self> {
        let mut tls = Credentials::of(&lab.files.pki(), "admin").client_config()?;
        tls.alpn_protocols = vec![protocol.to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), port: lab.port })
    }

    /// Connects for REST.
    pub async fn connect(&self) -> Result<Client> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.open().await?)).await?;
        tokio::spawn(connection);
        Ok(Client { sender })
    }

    /// Connects for calls of one method of gRPC.
    pub async fn calls(&self, path: &'static str) -> Result<Calls<TlsStream<TcpStream>>> {
        Calls::new(self.open().await?, path).await
    }

    async fn open(&self) -> Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await?;
        tcp.set_nodelay(true)?;
        Ok(self.tls.connect(ServerName::try_from("127.0.0.1")?, tcp).await?)
    }
}

impl Client {
    /// Code and length of the answer.
    pub async fn get(&mut self, path: &str) -> Result<(u16, usize)> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// Code and length of the answer.
    pub async fn post(&mut self, path: &str, body: Bytes) -> Result<(u16, usize)> {
        self.send(Method::POST, path, body).await
    }

    /// The body of an answer that does not end, as it comes.
    pub async fn open(&mut self, path: &str) -> Result<hyper::body::Incoming> {
        let request = Request::get(path).header("host", "127.0.0.1").body(Full::new(Bytes::new()))?;
        let response = self.sender.send_request(request).await?;
        anyhow::ensure!(response.status().is_success(), "{path}: {}", response.status());
        Ok(response.into_body())
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<(u16, usize)> {
        self.sender.ready().await?;
        let request =
            Request::builder().method(method).uri(path).header("host", "127.0.0.1").header("content-type", "application/json").body(Full::new(body))?;
        let response = self.sender.send_request(request).await.context("sending")?;
        let code = response.status().as_u16();
        Ok((code, response.into_body().collect().await?.to_bytes().len()))
    }
}
