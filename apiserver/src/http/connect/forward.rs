//! `kubectl port-forward`: SPDY streams, inside a WebSocket or after an upgrade; each pair of them is one connection into the pod.
//!
//! See `kubelet/pkg/cri/streaming/portforward/httpstream.go` and `apiserver/pkg/util/proxy/websocket.go` (the tunnel).

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::Response;
use http::request::Parts;
use skiff_proto::status::Status;
use skiff_proto::v1;
use skiff_proto::v1::node_client::NodeClient;
use skiff_proto::v1::port_forward_input::Input;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::spdy;
use super::target::Pod;
use super::upgrade::{self, Kind};
use super::websocket;
use crate::http::Edge;
use crate::http::body::Body;

/// The tunnel's subprotocol (`portforward.WebsocketsSPDYTunnelingPortForwardV1`).
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const STREAMS: &str = "portforward.k8s.io";
/// Bytes between the WebSocket and the SPDY inside it.
const BUFFER: usize = 64 * 1024;
/// Messages that wait for the agent.
const QUEUE: usize = 16;
/// Connections whose second stream has not come.
const MAX_HALVES: usize = 256;

/// Answers with the upgrade.
pub async fn answer(edge: &Edge, pod: &Pod, parts: &mut Parts) -> Result<Response<Body>, Status> {
    let kind = upgrade::kind(parts)?;
    let node = edge.nodes.client(&edge.server, pod.node()?).await?;
    let forwarder = Arc::new(Forwarder { node, pod: pod.clone() });
    match kind {
        Kind::WebSocket => {
            let upgrade = websocket::upgrade(parts, &[TUNNEL])?;
            Ok(upgrade.start(move |socket| async move {
                let (inside, outside) = tokio::io::duplex(BUFFER);
                tokio::join!(forwarder.serve(inside), tunnel(socket, outside));
            }))
        }
        Kind::Spdy => upgrade::spdy(parts, &[STREAMS], move |transport| async move { forwarder.serve(transport).await }),
    }
}

/// Moves bytes between a WebSocket's binary messages and what speaks SPDY, until either ends.
async fn tunnel(socket: WebSocket, outside: DuplexStream) {
    let (mut read, mut write) = tokio::io::split(outside);
    let (mut sink, mut stream) = socket.split();
    let inwards = async {
        while let Some(Ok(message)) = stream.next().await {
            let Message::Binary(data) = message else { continue };
            if write.write_all(&data).await.is_err() {
                break;
            }
        }
        let _ = write.shutdown().await; // the other side sees the end, or is gone
    };
    let outwards = async {
        let mut chunk = vec![0; BUFFER / 2];
        while let Ok(length @ 1..) = read.read(&mut chunk).await {
            if sink.send(Message::binary(chunk[..length].to_vec())).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = inwards => {}
        () = outwards => {}
    }
    if let Ok(socket) = stream.reunite(sink) {
        websocket::close(socket).await;
    }
}

/// Forwards the connections of one kubectl.
struct Forwarder {
    node: NodeClient<Channel>,
    pod: Pod,
}

impl Forwarder {
    async fn serve<T: AsyncRead + AsyncWrite + Send + 'static>(self: Arc<Self>, transport: T) {
        let mut accepted = spdy::accept(transport);
        let mut halves: HashMap<String, spdy::Stream> = HashMap::new();
        while let Some(stream) = accepted.recv().await {
            let request = stream.header("requestid").unwrap_or_default().to_owned();
            let (data, error) = match (halves.remove(&request), stream.header("streamtype")) {
                (Some(error), Some("data")) if error.header("streamtype") == Some("error") => (stream, error),
                (Some(data), Some("error")) if data.header("streamtype") == Some("data") => (data, stream),
                (None, Some("data" | "error")) if halves.len() < MAX_HALVES => {
                    halves.insert(request, stream);
                    continue;
                }
                _ => {
                    let _ = stream.output.reset().await; // a client that is gone needs no reset
                    continue;
                }
            };
            tokio::spawn(self.clone().connect(data, error));
        }
    }

    /// One connection into the pod.
    async fn connect(self: Arc<Self>, data: spdy::Stream, error: spdy::Stream) {
        let port = data.header("port").and_then(|port| port.parse::<u32>().ok()).unwrap_or_default();
        let told = match self.copy(port, data.input, &data.output).await {
            Ok(()) => [data.output.finish().await, error.output.finish().await],
            Err(why) => {
                tracing::debug!(pod = %self.pod.name, port, %why, "port-forward");
                let message = format!("error forwarding port {port} to pod {}, uid {}: {why}", self.pod.name, self.pod.uid);
                let told = error.output.write(message.as_bytes()).await;
                let _ = data.output.reset().await; // as below
                [told, error.output.finish().await]
            }
        };
        if told.iter().any(Result::is_err) {
            tracing::debug!(pod = %self.pod.name, port, "the client left a forwarded connection");
        }
    }

    async fn copy(&self, port: u32, mut input: mpsc::Receiver<Bytes>, output: &spdy::Output) -> Result<(), String> {
        let (to_agent, inputs) = mpsc::channel(QUEUE);
        let start = v1::PortForwardStart { namespace: self.pod.namespace.clone(), pod: self.pod.name.clone(), uid: self.pod.uid.clone(), port };
        let first = v1::PortForwardInput { input: Some(Input::Start(start)) };
        let inputs = futures::stream::once(std::future::ready(first)).chain(ReceiverStream::new(inputs));
        let mut chunks = self.node.clone().port_forward(inputs).await.map_err(|told| told.message().to_owned())?.into_inner();
        let sending = async move {
            while let Some(data) = input.recv().await {
                if to_agent.send(v1::PortForwardInput { input: Some(Input::Data(data)) }).await.is_err() {
                    return; // the pod has closed, which the chunks tell too
                }
            }
        };
        let receiving = async {
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|told| told.message().to_owned())?;
                if output.write(&chunk.data).await.is_err() {
                    return Ok(());
                }
            }
            Ok(())
        };
        let sending = tokio::spawn(sending);
        let received = receiving.await;
        sending.abort();
        received
    }
}
