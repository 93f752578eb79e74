//! `…/proxy`: a plain HTTP request to a pod, or to one of a service's pods, and its answer as it comes.
//!
//! See `apimachinery/pkg/util/proxy/upgradeaware.go` and the `ResourceLocation` of pods and services.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, LOCATION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, BodyStream, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::Value;
use skiff_proto::status::Status;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::nodes::{internal, read};
use super::rewrite;
use super::target::{Pod, ProxyName, proxy_name};
use crate::dispatch::{Item, RequestInfo};
use crate::error::failure;
use crate::http::Edge;
use crate::http::body::Body;

const DIAL: Duration = Duration::from_secs(10);
/// The largest page whose links are rewritten; a larger one is refused.
const MAX_PAGE: usize = 16 * 1024 * 1024;
/// Headers of one connection, not of the message (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 9] =
    ["connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"];

/// Answers what the pod answers. `asked` is the name in the path: `web`, `web:80`, `https:web:443`.
pub async fn answer(edge: &Edge, item: &Item, info: &RequestInfo, asked: &str, parts: &mut Parts, incoming: Incoming) -> Result<Response<Body>, Status> {
    if info.rest.is_empty() && matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(add_slash(&parts.uri));
    }
    let invalid = || failure::bad_request(format!("invalid {} request {asked:?}", info.resource.trim_end_matches('s')));
    let name = proxy_name(asked).ok_or_else(invalid)?;
    let target = match info.resource.as_str() {
        "pods" => pod_target(&Pod::read(&item.json)?, &name)?,
        "services" => service_target(edge, item, info, &name).await?,
        _ => return Err(failure::bad_request(format!("node {asked} has no HTTP endpoint to proxy to: its agent speaks gRPC"))),
    };
    let connection = dial(edge, &target, name.scheme == "https").await?;
    forward(connection, &target, info, parts, incoming).await
}

/// A directory is asked for with its slash, or relative links would lead beside it.
fn add_slash(uri: &Uri) -> Response<Body> {
    let location = uri.query().map_or_else(|| format!("{}/", uri.path()), |query| format!("{}/?{query}", uri.path()));
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(value) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(LOCATION, value);
    }
    answer
}

fn pod_target(pod: &Pod, name: &ProxyName<'_>) -> Result<String, Status> {
    let allowed = pod.ip.parse::<IpAddr>().is_ok_and(|ip| !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast()));
    if !allowed {
        return Err(failure::bad_request("address not allowed"));
    }
    let port = match (name.port, pod.first_port) {
        ("", Some(first)) => first.to_string(),
        ("", None) => "80".to_owned(),
        (port, _) => port.to_owned(),
    };
    Ok(host_port(&pod.ip, &port))
}

fn host_port(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

async fn service_target(edge: &Edge, service: &Item, info: &RequestInfo, name: &ProxyName<'_>) -> Result<String, Status> {
    let service: Value = serde_json::from_slice(&service.json).map_err(crate::http::table::damaged)?;
    let mut port_name = name.port;
    if let Ok(number) = name.port.parse::<i64>() {
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let found = ports.into_iter().find(|port| port["port"].as_i64() == Some(number));
        let missing = || unavailable(format!("no service port {number} found for service {:?}", name.name));
        port_name = found.ok_or_else(missing)?["name"].as_str().unwrap_or_default();
    }
    let endpoints = read(&edge.server, "", "v1", "endpoints", &info.namespace, name.name).await?;
    let endpoints: Value = serde_json::from_slice(&endpoints.json).map_err(crate::http::table::damaged)?;
    choose_endpoint(&endpoints, port_name, pick()).ok_or_else(|| unavailable(format!("no endpoints available for service {:?}", name.name)))
}

/// One of the addresses that serve the port of this name. `pick` is any number.
fn choose_endpoint(endpoints: &Value, port_name: &str, pick: usize) -> Option<String> {
    let mut all = Vec::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        let port = subset["ports"].as_array().into_iter().flatten().find(|port| port["name"].as_str().unwrap_or_default() == port_name);
        let Some(port) = port.and_then(|port| port["port"].as_u64()) else { continue };
        all.extend(subset["addresses"].as_array().into_iter().flatten().filter_map(|one| Some(host_port(one["ip"].as_str()?, &port.to_string()))));
    }
    if all.is_empty() { None } else { Some(all.swap_remove(pick % all.len())) }
}

/// Any number: the nanoseconds of now.
fn pick() -> usize {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.subsec_nanos() as usize / 1000)
}

fn unavailable(why: String) -> Status {
    Status::failure(503, "ServiceUnavailable", why)
}

fn unreachable_service(why: &str) -> Status {
    unavailable(format!("error trying to reach service: {why}"))
}

/// A connection to a pod, in TLS or not.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects to `target`. Certificates of pods are not verified, as Kubernetes' proxy does not: there is nothing to verify them by.
async fn dial(edge: &Edge, target: &str, is_https: bool) -> Result<Box<dyn Connection>, Status> {
    let dialled = tokio::time::timeout(DIAL, TcpStream::connect(target)).await;
    let socket = match dialled {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return Err(unreachable_service(&format!("dial tcp {target}: connect: {}", go_words(&error)))),
        Err(_) => return Err(unreachable_service(&format!("dial tcp {target}: i/o timeout"))),
    };
    if !is_https {
        return Ok(Box::new(socket));
    }
    let fault = |error: &dyn std::fmt::Display| unreachable_service(&error.to_string());
    let address = socket.peer_addr().map_err(|error| fault(&error))?;
    let secured = tokio::time::timeout(DIAL, edge.nodes.pods.connect(ServerName::from(address.ip()), socket)).await;
    match secured {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(fault(&error)),
        Err(_) => Err(unreachable_service("net/http: TLS handshake timeout")),
    }
}

async fn forward(connection: Box<dyn Connection>, target: &str, info: &RequestInfo, parts: &mut Parts, incoming: Incoming) -> Result<Response<Body>, Status> {
    let fault = |error: hyper::Error| unreachable_service(&error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(fault)?;
    tokio::spawn(connection.with_upgrades()); // its errors reach us through the answer
    let client = parts.extensions.remove::<OnUpgrade>();
    let mut answer = sender.send_request(outgoing(target, info, parts, incoming)?).await.map_err(fault)?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(bridge(answer, client));
    }
    rewrite_location(answer.headers_mut(), parts.uri.path(), info);
    let (mut head, body) = answer.into_parts();
    strip(&mut head.headers);
    let is_page = head.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if is_page && parts.method != Method::HEAD {
        let page = Limited::new(body, MAX_PAGE).collect().await.map_err(|error| unreachable_service(&error.to_string()))?.to_bytes();
        let page = rewrite::page(&String::from_utf8_lossy(&page), &prefix(parts.uri.path(), info));
        head.headers.remove(CONTENT_LENGTH);
        return Ok(Response::from_parts(head, Body::full(page)));
    }
    let frames = BodyStream::new(body).filter_map(|frame| std::future::ready(frame.map(|frame| frame.into_data().ok()).map_err(Into::into).transpose()));
    let mut answer = Response::new(Body::Stream(frames.boxed()));
    *answer.status_mut() = head.status;
    *answer.headers_mut() = head.headers;
    Ok(answer)
}

/// What Go's net package says of a failed connect.
fn go_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

/// The request as the pod gets it: the path behind `/proxy`, without the caller's credentials.
fn outgoing(target: &str, info: &RequestInfo, parts: &Parts, incoming: Incoming) -> Result<Request<Incoming>, Status> {
    let path = raw_rest(parts.uri.path(), info);
    let uri: Uri = parts.uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}")).parse().map_err(|error| internal(format!("{error}")))?;
    let upgrade = parts.headers.get(UPGRADE).cloned();
    let mut request = Request::new(incoming);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    *headers = parts.headers.clone();
    strip(headers);
    headers.remove(AUTHORIZATION);
    headers.remove(ACCEPT_ENCODING); // links in a compressed page could not be rewritten
    let impersonating: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    for name in impersonating {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    if !headers.contains_key(HOST) {
        let host = parts.uri.authority().map_or(target, |authority| authority.as_str());
        headers.insert(HOST, HeaderValue::from_str(host).map_err(|error| internal(error.to_string()))?);
    }
    Ok(request)
}

/// The path behind `…/proxy`, as it was encoded.
fn raw_rest(path: &str, info: &RequestInfo) -> String {
    let behind = path.find("/proxy").map(|_| path.splitn(proxy_depth(info), '/').last().unwrap_or_default());
    match behind {
        Some(rest) if !info.rest.is_empty() => format!("/{}", rest.trim_start_matches('/')),
        Some(_) | None => "/".to_owned(),
    }
}

/// How many pieces a path has up to and with what follows `proxy`: `/api/v1/nodes/n/proxy/…` or `/api/v1/namespaces/d/pods/p/proxy/…`.
fn proxy_depth(info: &RequestInfo) -> usize {
    if info.namespace.is_empty() { 7 } else { 9 }
}

/// The path of the proxy itself: `/api/v1/namespaces/d/pods/p/proxy`.
fn prefix(path: &str, info: &RequestInfo) -> String {
    path.splitn(proxy_depth(info), '/').take(proxy_depth(info) - 1).collect::<Vec<_>>().join("/")
}

/// A redirect within the pod has to lead through the proxy again.
fn rewrite_location(headers: &mut HeaderMap, path: &str, info: &RequestInfo) {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(rewritten) = location.and_then(|location| rewrite::link(location, &prefix(path, info))) else { return };
    if let Ok(value) = HeaderValue::from_str(&rewritten) {
        headers.insert(LOCATION, value);
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The pod has agreed to speak something else: join both connections.
fn bridge(mut answer: Response<Incoming>, client: Option<OnUpgrade>) -> Response<Body> {
    let pod = hyper::upgrade::on(&mut answer);
    if let Some(client) = client {
        tokio::spawn(async move {
            if let (Ok(client), Ok(pod)) = tokio::join!(client, pod) {
                // either side may break off: the other sees it
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(pod)).await;
            }
        });
    }
    answer.map(|_| Body::Empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dispatch::Verb;

    fn info(namespace: &str, rest: &str) -> RequestInfo {
        RequestInfo {
            verb: Verb::Get,
            group: String::new(),
            version: "v1".into(),
            resource: "pods".into(),
            subresource: "proxy".into(),
            namespace: namespace.into(),
            name: "p".into(),
            rest: rest.into(),
        }
    }

    #[test]
    fn paths_stay_as_they_were_encoded() {
        for (path, namespace, rest, expected) in [
            ("/api/v1/namespaces/d/pods/p/proxy/a%2Fb/c", "d", "/a/b/c", "/a%2Fb/c"),
            ("/api/v1/namespaces/d/pods/p:80/proxy/", "d", "/", "/"),
            ("/api/v1/namespaces/d/pods/p/proxy", "d", "", "/"),
            ("/api/v1/nodes/n/proxy/logs/", "", "/logs/", "/logs/"),
            ("/api/v1/namespaces/proxy/pods/proxy/proxy/x", "proxy", "/x", "/x"),
        ] {
            assert_eq!(raw_rest(path, &info(namespace, rest)), expected, "{path}");
        }
    }

    #[test]
    fn redirects_lead_through_the_proxy() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static("/login"));
        rewrite_location(&mut headers, "/api/v1/namespaces/d/pods/p/proxy/a/b", &info("d", "/a/b"));
        assert_eq!(headers[LOCATION], "/api/v1/namespaces/d/pods/p/proxy/login");
    }

    #[test]
    fn endpoints_are_chosen_by_port_name() {
        let endpoints = json!({"subsets": [
            {"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"name": "web", "port": 8080}, {"name": "admin", "port": 9090}]},
            {"notReadyAddresses": [{"ip": "10.0.0.3"}], "ports": [{"name": "web", "port": 8080}]},
        ]});
        assert_eq!(choose_endpoint(&endpoints, "admin", 3), Some("10.0.0.2:9090".to_owned()));
        assert_eq!(choose_endpoint(&endpoints, "", 0), None);
    }

    #[test]
    fn a_pod_is_reached_at_its_first_port() {
        let pod = Pod { ip: "10.0.0.9".into(), first_port: Some(8080), ..Pod::default() };
        assert_eq!(pod_target(&pod, &proxy_name("p").unwrap()).unwrap(), "10.0.0.9:8080");
        assert_eq!(pod_target(&pod, &proxy_name("p:81").unwrap()).unwrap(), "10.0.0.9:81");
        assert_eq!(pod_target(&Pod::default(), &proxy_name("p").unwrap()).unwrap_err().message, "address not allowed");
    }
}
