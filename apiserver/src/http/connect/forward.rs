//! `kubectl port-forward`: SPDY streams, inside a WebSocket or after an upgrade; each pair of them is one connection into the pod.
//! Other clients (the Python one) use a WebSocket's numbered channels instead: two a port, and one connection each.
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
use super::websocket::{self, Channels};
use crate::error::failure;
use crate::http::Edge;
use crate::http::body::Body;
use crate::http::query::Query;

/// The tunnel's subprotocol (`portforward.WebsocketsSPDYTunnelingPortForwardV1`).
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const STREAMS: &str = "portforward.k8s.io";
/// The subprotocols of numbered channels.
const CHANNELS: [&str; 2] = ["v4.channel.k8s.io", "v4.base64.channel.k8s.io"];
/// Bytes between the WebSocket and the SPDY inside it.
const BUFFER: usize = 64 * 1024;
/// Messages that wait for the agent.
const QUEUE: usize = 16;
/// Ports of one WebSocket: channels are numbered by a byte.
const MAX_PORTS: usize = 127;
/// Connections whose second stream has not come.
const MAX_HALVES: usize = 256;

/// Answers with the upgrade.
pub async fn answer(edge: &Edge, pod: &Pod, query: &Query, parts: &mut Parts) -> Result<Response<Body>, Status> {
    let kind = upgrade::kind(parts)?;
    let node = edge.nodes.client(&edge.server, pod.node()?).await?;
    let forwarder = Arc::new(Forwarder { node, pod: pod.clone() });
    match kind {
        Kind::WebSocket if !websocket::offered(parts).iter().any(|one| one == TUNNEL) => {
            let ports = ports(query)?;
            let upgrade = websocket::upgrade(parts, &CHANNELS)?;
            let channels = Channels::of(&upgrade.protocol);
            Ok(upgrade.start(move |socket| over_channels(forwarder, socket, channels, ports)))
        }
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

/// The `ports` of the query: `80,443`, or several times one.
fn ports(query: &Query) -> Result<Vec<u16>, Status> {
    let ports = query.all("ports").flat_map(|list| list.split(',')).map(|text| {
        let port = text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        port.ok_or_else(|| failure::bad_request(format!("unable to parse {text:?} as a port")))
    });
    let ports: Vec<u16> = ports.collect::<Result<_, _>>()?;
    if ports.is_empty() || ports.len() > MAX_PORTS {
        return Err(failure::bad_request("query parameter \"ports\" is required"));
    }
    Ok(ports)
}

/// Two channels a port, data and errors, each begun by the port's number in two bytes, the lower first.
/// See `kubelet/pkg/cri/streaming/portforward/websocket.go`.
async fn over_channels(forwarder: Arc<Forwarder>, socket: WebSocket, channels: Channels, ports: Vec<u16>) {
    let (mut sink, mut stream) = socket.split();
    let (outwards, mut queue) = mpsc::channel::<Message>(QUEUE);
    let mut inputs = Vec::new();
    for (port, data_channel) in ports.into_iter().zip((0u8..).step_by(2)) {
        let (sender, input) = mpsc::channel(QUEUE);
        inputs.push(sender);
        let (forwarder, outwards) = (forwarder.clone(), outwards.clone());
        tokio::spawn(async move {
            for channel in [data_channel, data_channel + 1] {
                if outwards.send(channels.message(channel, &port.to_le_bytes())).await.is_err() {
                    return;
                }
            }
            let back = Back::Channel { number: data_channel, channels, outwards: outwards.clone() };
            if let Err(why) = forwarder.copy(port.into(), input, back).await {
                let told = channels.message(data_channel + 1, forwarder.sentence(port.into(), &why).as_bytes());
                let _ = outwards.send(told).await; // a client that is gone needs no reason
            }
        });
    }
    drop(outwards);
    let hearing = async {
        while let Some(Ok(message)) = stream.next().await {
            let Some((channel, data)) = channels.read(message) else { continue };
            if let Some(input) = inputs.get(usize::from(channel / 2)).filter(|_| channel % 2 == 0)
                && input.send(data).await.is_err()
            {
                tracing::debug!(channel, "the pod has closed a forwarded connection");
            }
        }
    };
    let telling = async {
        while let Some(message) = queue.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = hearing => {}
        () = telling => {}
    }
    if let Ok(socket) = stream.reunite(sink) {
        websocket::close(socket).await;
    }
}

/// The way back to the client of one connection.
enum Back {
    /// A SPDY stream.
    Stream(spdy::Output),
    /// A numbered channel.
    Channel {
        /// Its number.
        number: u8,
        /// How it is written.
        channels: Channels,
        /// What the WebSocket sends.
        outwards: mpsc::Sender<Message>,
    },
}

impl Back {
    /// Sends data; false: the client is gone.
    async fn write(&self, data: &[u8]) -> bool {
        match self {
            Self::Stream(output) => output.write(data).await.is_ok(),
            Self::Channel { number, channels, outwards } => outwards.send(channels.message(*number, data)).await.is_ok(),
        }
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
        let told = match self.copy(port, data.input, Back::Stream(data.output.clone())).await {
            Ok(()) => [data.output.finish().await, error.output.finish().await],
            Err(why) => {
                tracing::debug!(pod = %self.pod.name, port, %why, "port-forward");
                let told = error.output.write(self.sentence(port, &why).as_bytes()).await;
                let _ = data.output.reset().await; // as below
                [told, error.output.finish().await]
            }
        };
        if told.iter().any(Result::is_err) {
            tracing::debug!(pod = %self.pod.name, port, "the client left a forwarded connection");
        }
    }

    fn sentence(&self, port: u32, why: &str) -> String {
        format!("error forwarding port {port} to pod {}, uid {}: {why}", self.pod.name, self.pod.uid)
    }

    /// Sends `input` to the pod's port and what comes back `back`, until either side ends it.
    async fn copy(&self, port: u32, mut input: mpsc::Receiver<Bytes>, back: Back) -> Result<(), String> {
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
                if !back.write(&chunk.data).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_off_the_query() {
        let read = |query: &str| ports(&Query::parse(query)).map_err(|status| status.code);
        assert_eq!(read("ports=80,443&ports=8080"), Ok(vec![80, 443, 8080]));
        for wrong in ["", "ports=", "ports=0", "ports=65536", "ports=http"] {
            assert_eq!(read(wrong), Err(400), "{wrong}");
        }
    }
}
