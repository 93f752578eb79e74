//! Leaving HTTP behind: which kind of upgrade a client asks for, and the one to SPDY.

use std::future::Future;

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use skiff_proto::status::Status;

use super::websocket;
use crate::error::failure;
use crate::http::body::Body;

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// The bytes of a connection that is no longer HTTP.
pub type Transport = TokioIo<Upgraded>;

/// What a client wants the connection to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `Upgrade: websocket`
    WebSocket,
    /// `Upgrade: SPDY/3.1`
    Spdy,
}

/// What the client asks for; a plain request is refused as Kubernetes refuses it.
pub fn kind(parts: &Parts) -> Result<Kind, Status> {
    if websocket::is_asked(parts) {
        Ok(Kind::WebSocket)
    } else if websocket::has_token(parts, UPGRADE, "SPDY/3.1") {
        Ok(Kind::Spdy)
    } else {
        Err(failure::bad_request("Upgrade request required"))
    }
}

/// The answer that makes the connection SPDY, with the first of `known` stream protocols that the client offers; `speak` then has it.
pub fn spdy<F, Fut>(parts: &mut Parts, known: &[&'static str], speak: F) -> Result<Response<Body>, Status>
where
    F: FnOnce(Transport) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let offered = parts.headers.get_all(STREAM_PROTOCOL);
    let offered: Vec<&str> = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim).collect();
    let Some(protocol) = offered.iter().find_map(|one| known.iter().find(|known| *known == one)) else {
        let message = format!("unable to upgrade: unable to negotiate protocol: client supports {offered:?}, server accepts {known:?}");
        return Err(Status::failure(403, "Forbidden", message));
    };
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
    let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| failure::bad_request("this connection cannot be upgraded"))?;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => speak(TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!(%error, "the client did not upgrade"),
        }
    });
    Ok(answer)
}
