//! Everything between the socket and [`dispatch`](crate::dispatch).
//!
//! [`start`] opens the port; a connection is accepted and its holder authenticated in [`server`]; [`Edge::answer`] here takes one request: what it is about
//! ([`request_info`], [`query`]), who asks ([`impersonate`]), in which shape ([`negotiate`]); what `dispatch` answers is written
//! by [`mod@respond`] ([`table`], [`mod@write`], [`watch`], [`body`]). Paths that are no resources are in [`paths`] and [`discovery`],
//! streams into pods in [`connect`].

pub mod body;
pub mod coalesce;
pub mod connect;
pub mod discovery;
pub mod impersonate;
pub mod negotiate;
pub mod paths;
pub mod query;
pub mod request_info;
pub mod respond;
pub mod server;
pub mod start;
pub mod table;
pub mod watch;
pub mod write;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use rustls_pki_types::CertificateDer;
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;
use skiff_proto::v1::objects_server::ObjectsServer;
use tokio_util::sync::CancellationToken;
use tower::Service;

use self::body::{Body, Grpc};
use self::negotiate::{Encoding, Shape, Wanted};
use self::query::Query;
use self::request_info::Target;
use self::respond::{Style, refuse, respond};
use self::table::Include;
use crate::auth::Authenticator;
use crate::dispatch::{Answer, ApiRequest, ApiResponse, RequestInfo, Server};
use crate::error::failure;
use crate::grpc::ObjectService;
use crate::registry::options::Options;

/// The largest body that is read (`apiserver/pkg/server/config.go`, `MaxRequestBodyBytes`).
const BODY_LIMIT: usize = 3 * 1024 * 1024;
/// How much of a body that is too large is thrown away so that its sender reads our answer.
const DRAIN_LIMIT: usize = 16 * 1024 * 1024;

/// The outermost layer: what turns HTTP requests into answers.
pub struct Edge {
    /// The door behind.
    pub server: Arc<Server>,
    /// Who a caller is.
    pub authenticator: Arc<Authenticator>,
    /// `host:port`, as discovery tells it.
    pub address: String,
    /// How agents are called.
    pub nodes: connect::Nodes,
    /// The same door in gRPC.
    pub grpc: ObjectsServer<ObjectService>,
    /// Changes what is logged.
    pub set_log_level: SetLogLevel,
    /// The order to stop: watches end with it.
    pub stop: CancellationToken,
}

/// Changes what is logged: takes a filter's text; an error is a sentence.
pub type SetLogLevel = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Who is at the other end of a connection.
pub struct Peer {
    /// The certificate shown, if one was.
    certificate: Option<CertificateDer<'static>>,
    /// Who that is, found out once a connection.
    user: Result<UserInfo, Status>,
}

impl Peer {
    /// The holder of `certificate`, or nobody.
    pub fn new(edge: &Edge, certificate: Option<CertificateDer<'static>>) -> Self {
        let user = edge.authenticator.authenticate(certificate.as_deref(), None, now());
        Self { certificate, user }
    }

    /// Somebody who is known without a certificate: the other end is in this process.
    pub fn known(user: UserInfo) -> Self {
        Self { certificate: None, user: Ok(user) }
    }
}

impl Edge {
    /// Answers one request, whichever tongue it is in.
    pub async fn answer(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
        let is_grpc = request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        match self.user(&peer, request.headers()) {
            Ok(user) if is_grpc => self.answer_grpc(user, request).await,
            Ok(user) => self.answer_rest(user, request).await,
            Err(status) if is_grpc => tonic::Status::from(status).into_http::<()>().map(|()| Body::Empty),
            Err(status) => refuse(&status, Encoding::Json { pretty: false }),
        }
    }

    fn user(&self, peer: &Peer, headers: &HeaderMap) -> Result<UserInfo, Status> {
        let user = match headers.get(AUTHORIZATION) {
            None => peer.user.clone()?,
            Some(value) => {
                // not text: no credentials of ours, which the authenticator says of the empty token too
                let authorization = value.to_str().unwrap_or("Bearer");
                self.authenticator.authenticate(peer.certificate.as_deref(), Some(authorization), now())?
            }
        };
        impersonate::act_as(user, headers)
    }

    async fn answer_grpc(&self, user: UserInfo, mut request: Request<Incoming>) -> Response<Body> {
        request.extensions_mut().insert(user);
        match self.grpc.clone().call(request).await {
            Ok(response) => response.map(|body| Body::Grpc(Grpc::new(body, &self.stop))),
            Err(never) => match never {},
        }
    }

    async fn answer_rest(&self, user: UserInfo, request: Request<Incoming>) -> Response<Body> {
        let started = Instant::now();
        let (parts, incoming) = request.into_parts();
        let path = query::decode_path(parts.uri.path()).into_owned();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        match request_info::parse(&parts.method, &path, &query) {
            Target::Path => self.answer_path(&user, &parts, &path, &query, incoming).await,
            Target::NoMethod(_) => refuse(&paths::no_such_method(), Encoding::Json { pretty: false }),
            Target::Resource(info) => {
                let (verb, resource) = (info.verb.as_str(), info.resource.clone());
                let deprecated = deprecation(&info);
                tracing::debug!(user = %user.name, verb, %resource, namespace = %info.namespace, name = %info.name, "request");
                let mut answer = self.answer_resource(user, info, parts, &query, incoming).await;
                if let Some(warning) = deprecated.and_then(respond::warning_header) {
                    answer.headers_mut().append(http::header::WARNING, warning);
                }
                self.server.metrics.observe(verb, &resource, answer.status().as_u16(), started.elapsed());
                answer
            }
        }
    }

    async fn answer_path(&self, user: &UserInfo, parts: &Parts, path: &str, query: &Query, incoming: Incoming) -> Response<Body> {
        let json = Encoding::Json { pretty: false };
        let method = parts.method.as_str().to_ascii_lowercase();
        if let Err(status) = self.server.authorize_path(user, &method, path) {
            return refuse(&status, json);
        }
        match read_body(incoming).await {
            Ok(body) => paths::answer(self, &parts.method, path, &parts.headers, query, &body),
            Err(status) => refuse(&status, json),
        }
    }

    async fn answer_resource(&self, user: UserInfo, mut info: RequestInfo, mut parts: Parts, query: &Query, incoming: Incoming) -> Response<Body> {
        let is_connect = connect::is_connect(&info);
        let asked = info.name.clone();
        if is_connect {
            info.name = connect::object_name(&info).to_owned();
        }
        // what a pod or its log answers is not for us to shape
        let wanted = if is_connect { Ok(Wanted::PLAIN) } else { negotiate::resource(&parts.headers, query) };
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(status) => return refuse(&status, Encoding::Json { pretty: false }),
        };
        let (body, incoming) = if is_connect { (Ok(Bytes::new()), Some(incoming)) } else { (read_body(incoming).await, None) };
        let style = Style { wanted, include: Include::Metadata, clock: now };
        let outcome = match body {
            Ok(body) => self.handle(user, info.clone(), &parts, body, query, style).await,
            Err(status) => Err(status),
        };
        match (outcome, incoming) {
            (Ok((response, style)), None) => respond(self.until_stopped(response), style),
            (Ok((response, style)), Some(incoming)) => match response.answer {
                Answer::Connect { item, .. } => connect::answer(self, &item, &info, &asked, &mut parts, incoming).await,
                answer => respond(ApiResponse { warnings: response.warnings, answer }, style),
            },
            (Err(status), _) => self.refuse_resource(&status, &info, wanted.encoding),
        }
    }

    async fn handle(
        &self,
        user: UserInfo,
        info: RequestInfo,
        parts: &Parts,
        body: Bytes,
        query: &Query,
        mut style: Style,
    ) -> Result<(ApiResponse, Style), Status> {
        let options = Options::from_query(&info, parts.uri.query().unwrap_or_default())?;
        if matches!(style.wanted.shape, Shape::Table(_)) {
            style.include = Include::parse(query.get("includeObject"))?;
        }
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let request = ApiRequest { user, info, options, content_type: text(CONTENT_TYPE), user_agent: text(USER_AGENT), body };
        let response = self.server.handle(request).await?;
        Ok((response, style))
    }

    /// A watch would hold a server that stops.
    fn until_stopped(&self, mut response: ApiResponse) -> ApiResponse {
        if let Answer::Watch { resource, gvk, events } = response.answer {
            let events = events.take_until(self.stop.clone().cancelled_owned()).boxed();
            response.answer = Answer::Watch { resource, gvk, events };
        }
        response
    }

    /// A refusal; of a group that nobody serves, in the words of Go's router.
    fn refuse_resource(&self, status: &Status, info: &RequestInfo, encoding: Encoding) -> Response<Body> {
        if status.code == 404 && !info.group.is_empty() && discovery::versions(&self.server.resources(), &info.group).is_empty() {
            return paths::not_found();
        }
        refuse(status, encoding)
    }

    /// Whether the store can be written: what `/readyz` asks.
    fn health(&self) -> Result<(), String> {
        self.server.store.health()
    }

    fn metrics_text(&self) -> String {
        let mut text = self.server.metrics.text();
        crate::metrics::store(&self.server.store.metrics(), &mut text);
        text
    }
}

/// What every request for a deprecated kind is warned of (`APILifecycleDeprecated` in `k8s.io/api/core/v1/lifecycle.go`).
fn deprecation(info: &RequestInfo) -> Option<&'static str> {
    match (info.group.as_str(), info.resource.as_str()) {
        ("", "endpoints") => Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
        ("", "componentstatuses") => Some("v1 ComponentStatus is deprecated in v1.19+"),
        _ => None,
    }
}

/// The whole body, or `413` once it is known to be too large.
async fn read_body(mut incoming: Incoming) -> Result<Bytes, Status> {
    if incoming.is_end_stream() {
        return Ok(Bytes::new());
    }
    let expected = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
    let (mut first, mut whole, mut read) = (None, Vec::new(), 0);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| failure::bad_request(format!("error reading the body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        read += data.len();
        if read > DRAIN_LIMIT {
            break;
        }
        if read > BODY_LIMIT {
            continue; // thrown away
        }
        if read == data.len() && data.len() >= expected {
            first = Some(data); // most bodies come in one piece, which is kept as it is
        } else {
            if let Some(before) = first.take() {
                whole = Vec::from(before);
            }
            whole.extend_from_slice(&data);
        }
    }
    if read > BODY_LIMIT {
        return Err(Status::failure(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {BODY_LIMIT}")));
    }
    Ok(first.unwrap_or_else(|| whole.into()))
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
