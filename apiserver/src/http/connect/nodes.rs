//! Connections to nodes' agents: one HTTP/2 channel a node, over mTLS, opened when first needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::Value;
use skiff_proto::status::Status;
use skiff_proto::v1::node_client::NodeClient;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::dispatch::{Answer, ApiRequest, Item, RequestInfo, Server, Verb};
use crate::registry::options::Options;
use skiff_proto::identity::UserInfo;

/// How long a dial may take.
const DIAL: Duration = Duration::from_secs(5);
/// Channels kept; a cluster has at most as many nodes that are asked for streams.
const MAX_CHANNELS: usize = 5_000;

/// How agents are called.
pub struct Nodes {
    tls: TlsConnector,
    /// How pods are called that speak TLS.
    pub(super) pods: TlsConnector,
    channels: Mutex<HashMap<String, (String, Channel)>>,
}

impl Nodes {
    /// Calls with this certificate, trusting this authority.
    /// `pods` is how pods are called that speak TLS.
    pub fn new(tls: rustls::ClientConfig, pods: rustls::ClientConfig) -> Self {
        Self { tls: TlsConnector::from(Arc::new(tls)), pods: TlsConnector::from(Arc::new(pods)), channels: Mutex::default() }
    }

    /// A client of the agent of `node`.
    pub async fn client(&self, server: &Server, node: &str) -> Result<NodeClient<Channel>, Status> {
        let address = address(&read(server, "", "v1", "nodes", "", node).await?, node)?;
        // a poisoned lock holds a whole map all the same
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match channels.get(node) {
            Some((known, channel)) if *known == address => channel.clone(),
            Some(_) | None => {
                let channel = self.channel(node, &address)?;
                if channels.len() >= MAX_CHANNELS {
                    channels.clear();
                }
                channels.insert(node.to_owned(), (address, channel.clone()));
                channel
            }
        };
        Ok(NodeClient::new(channel).max_decoding_message_size(16 << 20))
    }

    fn channel(&self, node: &str, address: &str) -> Result<Channel, Status> {
        let fault = |error: &dyn std::fmt::Display| internal(format!("cannot call the agent of node {node}: {error}"));
        let name = ServerName::try_from(node.to_owned()).map_err(|error| fault(&error))?;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| fault(&error))?;
        let (tls, address) = (self.tls.clone(), address.to_owned());
        let dial = move |_: Uri| {
            let (tls, name, address) = (tls.clone(), name.clone(), address.clone());
            async move {
                let dialled = async {
                    let socket = TcpStream::connect(&address).await?;
                    socket.set_nodelay(true)?;
                    tls.connect(name, socket).await
                };
                let stream = tokio::time::timeout(DIAL, dialled).await.map_err(std::io::Error::other).flatten();
                stream.map(TokioIo::new).map_err(|error| std::io::Error::new(error.kind(), format!("dial tcp {address}: {error}")))
            }
        };
        let endpoint = endpoint.http2_keep_alive_interval(Duration::from_secs(30)).keep_alive_while_idle(false);
        Ok(endpoint.connect_with_connector_lazy(service_fn(dial)))
    }
}

/// Reads an object as the API server itself, past whatever its caller may read.
pub async fn read(server: &Server, group: &str, version: &str, resource: &str, namespace: &str, name: &str) -> Result<Item, Status> {
    let info = RequestInfo {
        verb: Verb::Get,
        group: group.to_owned(),
        version: version.to_owned(),
        resource: resource.to_owned(),
        subresource: String::new(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        rest: String::new(),
    };
    let user = UserInfo::new("system:apiserver", &[UserInfo::MASTERS]);
    let request = ApiRequest { user, info, options: Options::default(), content_type: String::new(), user_agent: String::new(), body: bytes::Bytes::new() };
    match server.handle(request).await?.answer {
        Answer::Object { item, .. } => Ok(item),
        Answer::List { .. } | Answer::Watch { .. } | Answer::Status(_) | Answer::Connect { .. } => Err(internal(format!("{resource} {name} is not an object"))),
    }
}

/// `InternalIP:port` of a node's agent, from its status.
fn address(node: &Item, name: &str) -> Result<String, Status> {
    let object: Value = serde_json::from_slice(&node.json).map_err(crate::http::table::damaged)?;
    let addresses = object["status"]["addresses"].as_array();
    let ip = addresses.into_iter().flatten().find(|one| one["type"] == "InternalIP").and_then(|one| one["address"].as_str());
    let port = object["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64();
    match (ip, port) {
        (Some(ip), Some(port)) if ip.contains(':') => Ok(format!("[{ip}]:{port}")),
        (Some(ip), Some(port)) => Ok(format!("{ip}:{port}")),
        (None, _) => Err(internal(format!("no preferred addresses found; known addresses: [] of node {name}"))),
        (_, None) => Err(internal(format!("node {name} does not say where its agent listens"))),
    }
}

/// What an agent refuses, in the words that the kubelet's refusal would have reached kubectl in.
pub fn refusal(pod: &str, told: tonic::Status) -> Status {
    if let Ok(status) = serde_json::from_slice::<Status>(told.details())
        && status.code != 0
    {
        return status;
    }
    match told.code() {
        tonic::Code::NotFound => crate::error::failure::not_found("pods", pod),
        tonic::Code::FailedPrecondition | tonic::Code::InvalidArgument => crate::error::failure::bad_request(told.message()),
        tonic::Code::Unavailable => internal(format!("error dialing backend: {}", cause(&told))),
        _ => internal(told.message().to_owned()),
    }
}

/// The innermost error: the one that says what the system said.
fn cause(told: &tonic::Status) -> String {
    let mut error: &dyn std::error::Error = told;
    while let Some(source) = error.source() {
        error = source;
    }
    if std::ptr::addr_eq(error, told) { told.message().to_owned() } else { error.to_string() }
}

/// `Internal error occurred: …`, 500.
pub fn internal(why: String) -> Status {
    let mut status = Status::failure(500, "InternalError", format!("Internal error occurred: {why}"));
    status.details =
        Some(skiff_proto::status::Details { causes: vec![skiff_proto::status::Cause { message: why, ..Default::default() }], ..Default::default() });
    status
}
