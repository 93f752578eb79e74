//! Requests that the node itself sends to its pods, for probes and hooks (`pkg/probe/http`, `pkg/probe/tcp`).

use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Of a body, at most this much is kept (`maxRespBodyLength`).
const BODY: usize = 10 * 1024;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `http://10.5.1.2:8080/healthz`
    pub url: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
}

/// A port by number, or by its name in the container.
pub fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => match container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name)) {
            Some(port) => port.container_port,
            None => name.parse().map_err(|_| format!("couldn't find port: {name} in container"))?,
        },
    };
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| format!("invalid port number: {number}"))
}

impl Target {
    /// Of an `httpGet`.
    pub fn of_get(action: &HTTPGetAction, container: &Container, pod_ip: &str) -> Result<Self, String> {
        let scheme = action.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(pod_ip);
        let port = port(&action.port, container)?;
        let path = action.path.as_deref().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let headers = action.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone())).collect();
        Ok(Self { url: format!("{scheme}://{host}:{port}{path}"), headers })
    }
}

/// A client for probes and hooks: it believes every certificate, as kubelet's does, and knows no proxy.
pub fn client() -> Result<reqwest::Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = versions.map_err(|error| error.to_string())?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Gullible(provider))).with_no_client_auth();
    let client = reqwest::Client::builder().use_preconfigured_tls(config).no_proxy().pool_max_idle_per_host(0).build();
    client.map_err(|error| error.to_string())
}

#[derive(Debug)]
struct Gullible(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Sends a GET; answers the status code and the beginning of the body, or how it could not be sent, in Go's words.
pub async fn get(client: &reqwest::Client, target: &Target, timeout: Duration) -> Result<(u16, String), String> {
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", HeaderValue::from_static("kube-probe/1.35"));
    headers.insert("accept", HeaderValue::from_static("*/*"));
    for (name, value) in &target.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("invalid header name {name}"))?;
        headers.insert(name, value.parse().map_err(|_| format!("invalid header value {value}"))?);
    }
    let url = &target.url;
    let told = |error: reqwest::Error| {
        if error.is_timeout() {
            return format!("Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
        }
        format!("Get \"{url}\": {}", go_error(&error, target))
    };
    let mut response = client.get(url).headers(headers).timeout(timeout).send().await.map_err(told)?;
    let code = response.status().as_u16();
    let mut body = Vec::new();
    while body.len() < BODY {
        match response.chunk().await.map_err(told)? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    body.truncate(BODY);
    Ok((code, String::from_utf8_lossy(&body).into_owned()))
}

/// What went wrong, as Go's `net` says it where it has words for it.
fn go_error(error: &(dyn std::error::Error + 'static), target: &Target) -> String {
    let authority = target.url.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
    let mut last = error;
    loop {
        if let Some(words) = last.downcast_ref::<io::Error>().and_then(|error| go_words(error.kind())) {
            return format!("dial tcp {authority}: {words}");
        }
        match last.source() {
            Some(source) => last = source,
            None => return last.to_string(),
        }
    }
}

fn go_words(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("connect: connection refused"),
        io::ErrorKind::HostUnreachable => Some("connect: no route to host"),
        io::ErrorKind::NetworkUnreachable => Some("connect: network is unreachable"),
        io::ErrorKind::ConnectionReset => Some("read: connection reset by peer"),
        io::ErrorKind::TimedOut => Some("i/o timeout"),
        _ => None,
    }
}

/// Opens a TCP connection and closes it again.
pub async fn connect(host: &str, port: u16, timeout: Duration) -> Result<(), String> {
    match tokio::time::timeout(timeout, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(format!("dial tcp {host}:{port}: connect: connection refused")),
        Ok(Err(error)) => Err(format!("dial tcp {host}:{port}: {error}")),
        Err(_) => Err(format!("dial tcp {host}:{port}: i/o timeout")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refusals_in_gos_words() {
        let target = Target { url: "http://10.5.1.2:80/x".into(), headers: Vec::new() };
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(go_error(&refused, &target), "dial tcp 10.5.1.2:80: connect: connection refused");
        assert_eq!(go_error(&io::Error::other("odd"), &target), "odd");
    }

    #[test]
    fn targets() {
        let container: Container = serde_json::from_value(json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]})).unwrap();
        let cases = [
            (json!({"port": 80}), Ok("http://1.2.3.4:80/".to_owned())),
            (json!({"port": "web", "path": "/healthz?x=1"}), Ok("http://1.2.3.4:8080/healthz?x=1".into())),
            (json!({"port": "9", "path": "x", "scheme": "HTTPS", "host": "h"}), Ok("https://h:9/x".into())),
            (json!({"port": "none"}), Err("couldn't find port: none in container".into())),
            (json!({"port": 0}), Err("invalid port number: 0".into())),
        ];
        for (action, expected) in cases {
            let action: HTTPGetAction = serde_json::from_value(action).unwrap();
            assert_eq!(Target::of_get(&action, &container, "1.2.3.4").map(|target| target.url), expected);
        }
    }
}
