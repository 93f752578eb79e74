//! Clients that cost little, for the load shares the cores with the server: one keep-alive connection over TLS, one request in flight.
//! [`Client`] speaks REST over HTTP/1.1, [`Http2`] carries gRPC without the queues that tonic's own channel puts between its callers and
//! their one connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use skiff_client::grpc::Credentials;
use skiff_proto::v1::objects_client::ObjectsClient;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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

    /// Connects for gRPC.
    pub async fn objects(&self) -> Result<ObjectsClient<Http2>> {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(self.open().await?)).await?;
        tokio::spawn(connection);
        let origin = format!("https://127.0.0.1:{}", self.port).parse()?;
        Ok(ObjectsClient::with_origin(Http2 { sender }, origin))
    }

    async fn open(&self) -> Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await?;
        tcp.set_nodelay(true)?;
        Ok(self.tls.connect(ServerName::try_from("127.0.0.1")?, tcp).await?)
    }
}

/// One HTTP/2 connection, as tonic wants to be carried.
#[derive(Clone)]
pub struct Http2 {
    sender: http2::SendRequest<tonic::body::Body>,
}

impl tower::Service<Request<tonic::body::Body>> for Http2 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
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
