//! WebSockets as Kubernetes uses them: the upgrade, and the numbered channels of `*.channel.k8s.io`.
//!
//! See `apimachinery/pkg/util/httpstream/wsstream` and `remotecommand/websocket.go`.

use std::future::Future;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use base64::Engine;
use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Response};
use skiff_proto::status::Status;

use crate::error::failure;
use crate::http::body::Body;

/// How long the other side may take to close, once we have.
const CLOSE: Duration = Duration::from_secs(2);

/// Whether the client asks for a WebSocket.
pub fn is_asked(parts: &Parts) -> bool {
    has_token(parts, CONNECTION, "upgrade") && has_token(parts, UPGRADE, "websocket")
}

/// Whether a header lists a word.
pub fn has_token(parts: &Parts, name: http::HeaderName, word: &str) -> bool {
    let values = parts.headers.get_all(name);
    values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}

/// The subprotocols that the client offers, in its order.
pub fn offered(parts: &Parts) -> Vec<String> {
    let values = parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(|one| one.trim().to_owned()).collect()
}

/// An upgrade that is agreed on and not yet made.
pub struct Upgrade {
    upgrade: WebSocketUpgrade,
    /// The subprotocol; empty where the client offered none.
    pub protocol: String,
}

/// Agrees on the first of the client's subprotocols that is `known`.
pub fn upgrade(parts: &mut Parts, known: &[&str]) -> Result<Upgrade, Status> {
    let offered = offered(parts);
    let chosen = offered.iter().find(|one| known.contains(&one.as_str())).cloned();
    let protocol = match chosen {
        Some(protocol) => protocol,
        None if offered.is_empty() => String::new(),
        None => return Err(failure::bad_request(format!("unable to upgrade: client supports [{}], server accepts [{}]", offered.join(" "), known.join(" ")))),
    };
    // nothing in this extraction waits: it reads headers
    let mut extraction = std::pin::pin!(WebSocketUpgrade::from_request_parts(parts, &()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let extracted = match extraction.as_mut().poll(&mut context) {
        std::task::Poll::Ready(extracted) => extracted,
        std::task::Poll::Pending => return Err(failure::bad_request("the WebSocket handshake is not complete")),
    };
    let mut upgrade = extracted.map_err(|rejection| failure::bad_request(rejection.body_text()))?;
    if let Ok(value) = HeaderValue::from_str(&protocol)
        && !protocol.is_empty()
    {
        upgrade.set_selected_protocol(value);
    }
    Ok(Upgrade { upgrade, protocol })
}

impl Upgrade {
    /// The answer that makes the upgrade; `speak` then has the socket.
    pub fn start<F, Fut>(self, speak: F) -> Response<Body>
    where
        F: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.upgrade.on_upgrade(speak).map(|_| Body::Empty)
    }
}

/// Says goodbye and waits a moment for the other side to say it too, so that it reads everything.
pub async fn close(mut socket: WebSocket) {
    let frame = CloseFrame { code: close_code::NORMAL, reason: "".into() };
    if socket.send(Message::Close(Some(frame))).await.is_err() {
        return; // gone already
    }
    let drained = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = tokio::time::timeout(CLOSE, drained).await; // it may never answer
}

/// How channels are told apart and how bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Text messages: the channel's digit and base64.
    pub is_base64: bool,
    /// The error channel carries a Status, not a sentence.
    pub has_status: bool,
}

/// Channel numbers.
pub mod channel {
    /// What the command reads.
    pub const STDIN: u8 = 0;
    /// What it writes.
    pub const STDOUT: u8 = 1;
    /// What it complains about.
    pub const STDERR: u8 = 2;
    /// How it ended.
    pub const ERROR: u8 = 3;
    /// The terminal's size.
    pub const RESIZE: u8 = 4;
    /// v5: the channel whose number follows is closed.
    pub const CLOSE: u8 = 255;
}

impl Channels {
    /// The subprotocols of exec and attach.
    pub const PROTOCOLS: [&str; 5] = ["v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io"];

    /// What a subprotocol means.
    pub fn of(protocol: &str) -> Self {
        Self { is_base64: protocol.contains("base64"), has_status: protocol.starts_with("v4.") || protocol.starts_with("v5.") }
    }

    /// A message on a channel.
    pub fn message(self, channel: u8, data: &[u8]) -> Message {
        if self.is_base64 {
            return Message::text(format!("{}{}", char::from(b'0' + channel), to_base64(data)));
        }
        let mut framed = Vec::with_capacity(data.len() + 1);
        framed.push(channel);
        framed.extend_from_slice(data);
        Message::binary(framed)
    }

    /// The channel and the bytes of a message; none: it carries nothing.
    pub fn read(self, message: Message) -> Option<(u8, Bytes)> {
        let data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => Bytes::from(text.as_bytes().to_vec()),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return None,
        };
        let channel = *data.first()?;
        if self.is_base64 {
            let decoded = base64::engine::general_purpose::STANDARD.decode(&data[1..]).ok()?;
            return Some((channel.checked_sub(b'0')?, decoded.into()));
        }
        Some((channel, data.slice(1..)))
    }
}

/// Bytes as text.
pub fn to_base64(data: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_go_both_ways() {
        for protocol in Channels::PROTOCOLS {
            let channels = Channels::of(protocol);
            let back = channels.read(channels.message(channel::STDERR, b"oh no"));
            assert_eq!(back, Some((channel::STDERR, Bytes::from("oh no"))), "{protocol}");
        }
        assert_eq!(Channels::of("channel.k8s.io").read(Message::binary(Vec::new())), None);
    }
}
