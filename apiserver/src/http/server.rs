//! The socket: accept, handshake, one task a connection, and a shutdown that lets requests end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::BoxError;
use super::coalesce::{coalesce, drive};
use super::{Edge, Peer};

/// More connections than this wait to be accepted.
const MAX_CONNECTIONS: usize = 20_000;
/// Streams of one HTTP/2 connection; hyper's default of 200 starves a component with many watches.
const MAX_STREAMS: u32 = 10_000;
/// How long a client may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests may take to end after the order to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until `stop`, then lets running requests end for a moment. The listeners may be several: loopback and the cluster's bridge.
pub async fn serve(listeners: Vec<TcpListener>, tls: Arc<rustls::ServerConfig>, edge: Arc<Edge>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let accepting = TaskTracker::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for listener in listeners {
        let accept =
            Accept { tls: TlsAcceptor::from(tls.clone()), edge: edge.clone(), stop: stop.clone(), connections: connections.clone(), room: room.clone() };
        accepting.spawn(accept.run(listener));
    }
    accepting.close();
    accepting.wait().await;
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::info!(open = connections.len(), "connections were still open and are cut");
    }
}

struct Accept {
    tls: TlsAcceptor,
    edge: Arc<Edge>,
    stop: CancellationToken,
    connections: TaskTracker,
    room: Arc<Semaphore>,
}

impl Accept {
    async fn run(self, listener: TcpListener) {
        loop {
            let Ok(permit) = self.room.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // out of file descriptors, mostly: trying again at once would spin
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (tls, edge, stop) = (self.tls.clone(), self.edge.clone(), self.stop.clone());
            self.connections.spawn(async move {
                edge.server.metrics.connection(true);
                if let Err(error) = connection(socket, tls, &edge, stop).await {
                    tracing::debug!(%error, "connection ended");
                }
                edge.server.metrics.connection(false);
                drop(permit);
            });
        }
    }
}

/// One connection from its handshake to its end.
async fn connection(socket: TcpStream, tls: TlsAcceptor, edge: &Arc<Edge>, stop: CancellationToken) -> Result<(), BoxError> {
    socket.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE, tls.accept(socket)).await??;
    let (_, session) = stream.get_ref();
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let certificate = session.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.clone().into_owned());
    let peer = Arc::new(Peer::new(edge, certificate));
    speak(stream, is_http2, edge, &peer, stop).await
}

/// Answers the requests of one caller on one connection, until either side ends it or `stop`. What carries the bytes does not matter: TLS over TCP,
/// or a pipe in this process.
pub async fn speak<S>(stream: S, is_http2: bool, edge: &Arc<Edge>, peer: &Arc<Peer>, stop: CancellationToken) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (edge, peer) = (edge.clone(), peer.clone());
    let service = service_fn(move |request| {
        let (edge, peer) = (edge.clone(), peer.clone());
        async move { Ok::<_, Infallible>(edge.answer(peer, request).await) }
    });
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS).keep_alive_interval(Duration::from_secs(30));
        builder.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 22).max_send_buf_size(1 << 18);
        let (stream, sender) = coalesce(stream);
        let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = drive(serving.as_mut(), &sender) => return ended,
            () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
        }
        drive(serving, &sender).await
    } else {
        let mut builder = http1::Builder::new();
        builder.pipeline_flush(true);
        let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
        tokio::select! {
            ended = serving.as_mut() => return Ok(ended?),
            () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
        }
        Ok(serving.await?)
    }
}
