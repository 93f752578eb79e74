//! The agent's own door: the `Node` service of `node.proto`, over mutual TLS, through which the API server reaches logs, exec, attach,
//! port-forward and usage. What kubelet serves on its port 10250.
//!
//! Who may come in is decided in [`tls`], which container is meant in `choose` (pure); `streams` only passes bytes on.

mod choose;
mod streams;
#[cfg(test)]
mod tests;
pub mod tls;
mod usage;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::jiff::Timestamp;
use skiff_client::grpc::Credentials;
use skiff_proto::v1::node_server::{Node, NodeServer};
use skiff_proto::v1::{self, exec_input::Input, port_forward_input};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::directory::{Directory, Entry};
use crate::runtime::{ExecRequest, LogOptions, LogStream, Runtime, RuntimeError, Session};

/// Connections that have been accepted and wait to be served.
const WAITING: usize = 16;
/// The longest a client may take for its part of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a connection without traffic is checked: a dead API server must not hold streams open.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// Listens on `address` (port 0: any) and serves until `stop`; answers where it listens. Streams under way end with `stop`.
pub async fn serve(
    address: SocketAddr,
    credentials: &Credentials,
    directory: Arc<Directory>,
    runtime: Arc<dyn Runtime>,
    stop: CancellationToken,
) -> Result<SocketAddr, ServeError> {
    let acceptor = tls::acceptor(credentials)?;
    let listen = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let local = listener.local_addr().map_err(listen)?;
    let (sender, accepted) = tokio::sync::mpsc::channel(WAITING);
    tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, acceptor, sender)));
    let service = NodeServer::with_interceptor(NodeService { directory, runtime }, tls::authorize);
    let server = tonic::transport::Server::builder().http2_keepalive_interval(Some(KEEP_ALIVE)).add_service(service);
    let incoming = ReceiverStream::new(accepted).map(Ok::<_, std::io::Error>);
    tokio::spawn(async move {
        if let Some(Err(fault)) = stop.run_until_cancelled(server.serve_with_incoming(incoming)).await {
            tracing::error!(%fault, "the node service ended");
        }
    });
    Ok(local)
}

async fn accept(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor, accepted: tokio::sync::mpsc::Sender<tls::Peer>) {
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(connection) => connection,
            Err(fault) => {
                tracing::warn!(%fault, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await; // out of file descriptors, say
                continue;
            }
        };
        let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, tls::handshake(acceptor, stream)).await {
                Ok(Ok(peer)) => {
                    accepted.send(peer).await.ok(); // fails only when the server has ended
                }
                Ok(Err(fault)) => tracing::debug!(%from, %fault, "no TLS"),
                Err(_) => tracing::debug!(%from, "no TLS in time"),
            }
        });
    }
}

/// The `Node` service of one node.
struct NodeService {
    directory: Arc<Directory>,
    runtime: Arc<dyn Runtime>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl NodeService {
    fn find(&self, namespace: &str, pod: &str, uid: &str) -> Result<Entry, Status> {
        self.directory.find(namespace, pod, uid).ok_or_else(|| choose::Refusal::NoPod(pod.to_owned()).into())
    }

    /// The container that an exec or attach is about, and what it is to do.
    async fn start(&self, inputs: &mut Streaming<v1::ExecInput>) -> Result<(String, ExecRequest), Status> {
        let Some(Input::Start(start)) = inputs.message().await?.and_then(|message| message.input) else {
            return Err(Status::invalid_argument("the first message says what to start"));
        };
        let entry = self.find(&start.namespace, &start.pod, &start.uid)?;
        let id = choose::running(&entry, &start.container)?;
        Ok((id, ExecRequest { command: start.command, stdin: start.stdin, stdout: start.stdout, stderr: start.stderr, tty: start.tty }))
    }
}

fn connected(session: Result<Session, RuntimeError>, inputs: Streaming<v1::ExecInput>) -> Result<Response<Answers<v1::ExecOutput>>, Status> {
    match session {
        Ok(session) => Ok(Response::new(streams::session(session, inputs).boxed())),
        Err(fault @ RuntimeError::StartFailed(_)) => Ok(Response::new(futures::stream::once(async move { Ok(streams::failed(&fault)) }).boxed())),
        Err(fault) => Err(failed(fault)),
    }
}

/// A runtime's error as the API server is to hear it.
fn failed(fault: RuntimeError) -> Status {
    let message = fault.to_string();
    match fault {
        RuntimeError::Unavailable(_) => Status::unavailable(message),
        RuntimeError::NotFound(_) => Status::not_found(message),
        RuntimeError::Timeout(_) => Status::deadline_exceeded(message),
        RuntimeError::Unsupported(_) => Status::unimplemented(message),
        RuntimeError::InvalidImage(_) | RuntimeError::Pull(_) | RuntimeError::CreateFailed(_) | RuntimeError::StartFailed(_) | RuntimeError::Failed(_) => {
            Status::internal(message)
        }
    }
}

#[tonic::async_trait]
impl Node for NodeService {
    type LogsStream = Answers<v1::Chunk>;
    async fn logs(&self, request: Request<v1::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let request = request.into_inner();
        let entry = self.find(&request.namespace, &request.pod, &request.uid)?;
        let id = choose::logged(&entry, &request.container, request.previous)?;
        let lines = self.runtime.logs(&id, &log_options(&request)?).await.map_err(failed)?;
        Ok(Response::new(streams::log(lines).boxed()))
    }

    type ExecStream = Answers<v1::ExecOutput>;
    async fn exec(&self, request: Request<Streaming<v1::ExecInput>>) -> Result<Response<Self::ExecStream>, Status> {
        let mut inputs = request.into_inner();
        let (id, request) = self.start(&mut inputs).await?;
        connected(self.runtime.exec_stream(&id, &request).await, inputs)
    }

    type AttachStream = Answers<v1::ExecOutput>;
    async fn attach(&self, request: Request<Streaming<v1::ExecInput>>) -> Result<Response<Self::AttachStream>, Status> {
        let mut inputs = request.into_inner();
        let (id, request) = self.start(&mut inputs).await?;
        connected(self.runtime.attach(&id, &request).await, inputs)
    }

    type PortForwardStream = Answers<v1::Chunk>;
    async fn port_forward(&self, request: Request<Streaming<v1::PortForwardInput>>) -> Result<Response<Self::PortForwardStream>, Status> {
        let mut inputs = request.into_inner();
        let Some(port_forward_input::Input::Start(start)) = inputs.message().await?.and_then(|message| message.input) else {
            return Err(Status::invalid_argument("the first message says where to connect to"));
        };
        let entry = self.find(&start.namespace, &start.pod, &start.uid)?;
        let port = u16::try_from(start.port).map_err(|_| Status::invalid_argument(format!("{} is no port", start.port)))?;
        let sandbox = choose::sandbox(&entry)?;
        let connection = self.runtime.dial(&sandbox, port).await.map_err(failed)?;
        Ok(Response::new(streams::connection(connection, inputs).boxed()))
    }

    async fn stats(&self, _: Request<v1::StatsRequest>) -> Result<Response<v1::StatsResponse>, Status> {
        let containers = self.runtime.stats().await.map_err(failed)?;
        let node = usage::node().await;
        let containers = containers
            .into_iter()
            .map(|used| v1::ContainerStats {
                namespace: used.pod.namespace,
                pod: used.pod.name,
                container: used.container,
                cpu_nanos: used.cpu_nanos,
                memory_bytes: used.memory_bytes,
            })
            .collect();
        Ok(Response::new(v1::StatsResponse { node_cpu_nanos: node.cpu_nanos, node_memory_bytes: node.memory_bytes, containers }))
    }
}

fn log_options(request: &v1::LogsRequest) -> Result<LogOptions, Status> {
    let stream = match request.stream.as_str() {
        "" | "All" => LogStream::All,
        "Stdout" => LogStream::Stdout,
        "Stderr" => LogStream::Stderr,
        other => return Err(Status::invalid_argument(format!("invalid stream type \"{other}\""))),
    };
    let since = request.since_nanos.map(|nanos| Timestamp::from_nanosecond(i128::from(nanos))).transpose();
    Ok(LogOptions {
        follow: request.follow,
        timestamps: request.timestamps,
        tail: request.tail_lines,
        limit: request.limit_bytes,
        since: since.map_err(|fault| Status::invalid_argument(fault.to_string()))?,
        stream,
    })
}
