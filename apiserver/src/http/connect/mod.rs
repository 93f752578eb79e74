//! Streams into pods: what the API server asks of a node's agent or of a pod itself when kubectl wants more than an object.

use std::sync::Arc;

use http::Response;
use http::request::Parts;
use hyper::body::Incoming;
use skiff_proto::status::Status;

use super::Edge;
use super::body::Body;
use super::negotiate::Encoding;
use super::respond::refuse;
use crate::dispatch::{Item, RequestInfo};
use crate::registry::resource::Resource;

/// Whether a request is for a stream, whose body is not read beforehand.
pub fn is_connect(info: &RequestInfo) -> bool {
    info.group.is_empty()
        && matches!(
            (info.resource.as_str(), info.subresource.as_str()),
            ("pods", "log" | "exec" | "attach" | "portforward" | "proxy") | ("services" | "nodes", "proxy")
        )
}

/// How agents are called.
pub struct Nodes {
    #[allow(dead_code)]
    tls: Arc<rustls::ClientConfig>,
}

impl Nodes {
    /// Calls with this certificate, trusting this authority.
    pub fn new(tls: rustls::ClientConfig) -> Self {
        Self { tls: Arc::new(tls) }
    }
}

/// Answers a request for a stream, once it is known that the caller may ask and that the object exists.
pub async fn answer(_edge: &Edge, _resource: &Arc<Resource>, _item: &Item, _info: &RequestInfo, _parts: &mut Parts, _incoming: Incoming) -> Response<Body> {
    refuse(&Status::failure(501, "NotImplemented", "not yet"), Encoding::Json { pretty: false })
}
