//! Streams into pods: what the API server asks of a node's agent, or of a pod itself, when kubectl wants more than an object.
//!
//! [`target`] reads what is asked; [`log`], [`exec`], [`forward`] and [`proxy`] answer; [`nodes`] are the connections to agents,
//! [`upgrade`], [`websocket`] and [`spdy`] what clients speak.

pub mod exec;
pub mod forward;
pub mod log;
pub mod nodes;
pub mod proxy;
pub mod rewrite;
pub mod spdy;
pub mod target;
pub mod upgrade;
pub mod websocket;

use http::Response;
use http::request::Parts;
use hyper::body::Incoming;
use skiff_proto::status::Status;

pub use self::nodes::Nodes;
use self::target::Pod;
use super::Edge;
use super::body::Body;
use super::negotiate::Encoding;
use super::query::Query;
use super::respond::refuse;
use crate::dispatch::{Item, RequestInfo};
use crate::error::failure;

/// Whether a request is for a stream, whose body is not read beforehand.
pub fn is_connect(info: &RequestInfo) -> bool {
    info.group.is_empty()
        && matches!(
            (info.resource.as_str(), info.subresource.as_str()),
            ("pods", "log" | "exec" | "attach" | "portforward" | "proxy") | ("services" | "nodes", "proxy")
        )
}

/// The name of the object behind a path: `web` for the proxied `https:web:443`.
pub fn object_name(info: &RequestInfo) -> &str {
    if info.subresource == "proxy" { target::proxy_name(&info.name).map_or(&info.name, |parts| parts.name) } else { &info.name }
}

/// Answers a request for a stream, once it is known that the caller may ask and that the object exists.
/// `asked` is the object's name as the path has it.
pub async fn answer(edge: &Edge, item: &Item, info: &RequestInfo, asked: &str, parts: &mut Parts, incoming: Incoming) -> Response<Body> {
    let answered = stream(edge, item, info, asked, parts, incoming).await;
    answered.unwrap_or_else(|status| refuse(&status, Encoding::Json { pretty: false }))
}

async fn stream(edge: &Edge, item: &Item, info: &RequestInfo, asked: &str, parts: &mut Parts, incoming: Incoming) -> Result<Response<Body>, Status> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    match info.subresource.as_str() {
        "proxy" => proxy::answer(edge, item, info, asked, parts, incoming).await,
        "log" => log::answer(edge, &Pod::read(&item.json)?, &query, parts).await,
        "exec" => exec::answer(edge, &Pod::read(&item.json)?, &query, parts, true).await,
        "attach" => exec::answer(edge, &Pod::read(&item.json)?, &query, parts, false).await,
        "portforward" => forward::answer(edge, &Pod::read(&item.json)?, &query, parts).await,
        other => Err(failure::bad_request(format!("{other} is not a stream"))),
    }
}
