//! What a client sees of the edge itself: identities, limits, encodings, watches, many streams on one connection, and the end of a server.

#![allow(clippy::unwrap_used)] // what a test unwraps, it asserts; the exemption for tests does not reach their helpers

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use skiff_apiserver::config::{Config, Timings};
use skiff_apiserver::pki::{Pair, Pki, Subject};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "/api/v1/namespaces/default/configmaps";

struct Running {
    data: PathBuf,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = std::fs::remove_dir_all(&self.data); // a leftover in the temporary folder harms nobody
    }
}

impl Running {
    async fn start(name: &str) -> Self {
        let data = std::env::temp_dir().join(format!("skiff-edge-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data); // mostly there is none
        let (ready, address) = tokio::sync::oneshot::channel();
        let stop = CancellationToken::new();
        let (config, stopped) = (Config::new(data.clone(), 0, Timings::Fast), stop.clone());
        let serving = tokio::spawn(async move { skiff_apiserver::run(config, Some(ready), stopped).await.unwrap() });
        Self { data, address: address.await.unwrap(), stop, serving }
    }

    fn pki(&self) -> Pki {
        Pki::open(&self.data, u64::try_from(skiff_apiserver::http::now()).unwrap()).unwrap()
    }

    fn admin(&self) -> Pair {
        self.pki().ensure(&Subject::admin()).unwrap()
    }

    async fn tls(&self, pair: Option<&Pair>, protocol: &str) -> TlsStream<TcpStream> {
        let pki = self.pki();
        let mut config = match pair {
            Some(pair) => skiff_apiserver::tls::client(pki.ca_pem(), pair).unwrap(),
            None => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(pki.ca_der().unwrap()).unwrap();
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let socket = TcpStream::connect(self.address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap()
    }

    async fn http1(&self, pair: Option<&Pair>) -> http1::SendRequest<Full<Bytes>> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.tls(pair, "http/1.1").await)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn ask(&self, pair: Option<&Pair>, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.http1(pair).await.send_request(request).await.unwrap()
    }
}

fn request(method: Method, path: &str, headers: &[(http::HeaderName, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

fn get(path: &str) -> Request<Full<Bytes>> {
    request(Method::GET, path, &[], "")
}

fn create(name: &str) -> Request<Full<Bytes>> {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}});
    request(Method::POST, NAMESPACE, &[(CONTENT_TYPE, "application/json")], body.to_string())
}

async fn text(answer: Response<Incoming>) -> (u16, String) {
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

async fn document(answer: Response<Incoming>) -> (u16, Value) {
    let (code, text) = text(answer).await;
    (code, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn strangers_get_a_status_to_read() {
    let server = Running::start("strangers").await;
    let other = server.data.join("other");
    let stranger = Pki::open(&other, u64::try_from(skiff_apiserver::http::now()).unwrap()).unwrap().ensure(&Subject::admin()).unwrap();
    let (code, status) = document(server.ask(Some(&stranger), get(NAMESPACE)).await).await;
    assert_eq!((code, &status["kind"], &status["reason"], &status["message"]), (401, &json!("Status"), &json!("Unauthorized"), &json!("Unauthorized")));
    let (code, status) = document(server.ask(None, get(NAMESPACE)).await).await;
    let message = "configmaps is forbidden: User \"system:anonymous\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"";
    assert_eq!((code, &status["message"]), (403, &json!(message)));
    assert_eq!(document(server.ask(None, get("/version")).await).await.0, 200);
    assert_eq!(text(server.ask(None, get("/readyz")).await).await, (200, "ok".to_owned()));
    let token = request(Method::GET, NAMESPACE, &[(http::header::AUTHORIZATION, "Bearer nonsense")], "");
    assert_eq!(document(server.ask(None, token).await).await.0, 401);
    assert_eq!(document(server.ask(Some(&server.admin()), get(NAMESPACE)).await).await.0, 200);
}

#[tokio::test]
async fn a_body_of_more_than_three_mebibytes_is_refused_and_read() {
    let server = Running::start("large").await;
    let headers = [(CONTENT_TYPE, "application/json")];
    let body = json!({"metadata": {"name": "m"}, "data": {"a": "x".repeat(3 * 1024 * 1024)}}).to_string();
    let (code, status) = document(server.ask(Some(&server.admin()), request(Method::POST, NAMESPACE, &headers, body)).await).await;
    assert_eq!((code, &status["message"]), (413, &json!("Request entity too large: limit is 3145728")));
}

#[tokio::test]
async fn answers_take_the_shape_that_is_asked_for() {
    let server = Running::start("shapes").await;
    let admin = server.admin();
    assert_eq!(document(server.ask(Some(&admin), create("m")).await).await.0, 201);
    let path = format!("{NAMESPACE}/m");
    let (_, plain) = text(server.ask(Some(&admin), get(&path)).await).await;
    assert!(plain.ends_with("}\n") && plain.lines().count() == 1);
    let (_, lines) = text(server.ask(Some(&admin), request(Method::GET, &path, &[(USER_AGENT, "curl/8.0")], "")).await).await;
    assert_eq!(serde_json::from_str::<Value>(&lines).unwrap(), serde_json::from_str::<Value>(&plain).unwrap());
    assert!(lines.starts_with("{\n  \""));
    let (_, yaml) = text(server.ask(Some(&admin), request(Method::GET, &path, &[(ACCEPT, "application/yaml")], "")).await).await;
    assert!(yaml.starts_with("apiVersion: v1\ndata:\n  a: b\nkind: ConfigMap\n"), "{yaml}");
    let protobuf = server.ask(Some(&admin), request(Method::GET, &path, &[(ACCEPT, "application/vnd.kubernetes.protobuf")], "")).await;
    assert!(protobuf.into_body().collect().await.unwrap().to_bytes().starts_with(b"k8s\0"));
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let (_, table) = document(server.ask(Some(&admin), request(Method::GET, NAMESPACE, &[(ACCEPT, table)], "")).await).await;
    let names: Vec<&Value> = table["rows"].as_array().unwrap().iter().map(|row| &row["cells"][0]).collect();
    assert!(names.contains(&&json!("m")));
    let (_, list) = document(server.ask(Some(&admin), get(NAMESPACE)).await).await;
    let item = list["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "m").unwrap();
    assert_eq!((&list["kind"], &item["kind"]), (&json!("ConfigMapList"), &Value::Null), "a list says the kind once");
}

#[tokio::test]
async fn a_watch_sends_events_at_once_and_ends_with_the_server() {
    let mut server = Running::start("watch").await;
    let admin = server.admin();
    let mut watching = server.ask(Some(&admin), get(&format!("{NAMESPACE}?watch=1&fieldSelector=metadata.name%3Dm"))).await.into_body();
    assert_eq!(document(server.ask(Some(&admin), create("m")).await).await.0, 201);
    let frame = tokio::time::timeout(Duration::from_secs(10), watching.frame()).await.expect("an event").unwrap().unwrap();
    let event: Value = serde_json::from_slice(frame.data_ref().unwrap()).unwrap();
    assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("m")));
    server.stop.cancel();
    assert!(tokio::time::timeout(Duration::from_secs(10), watching.frame()).await.expect("an end").is_none());
    tokio::time::timeout(Duration::from_secs(10), &mut server.serving).await.expect("the server ends").unwrap();
}

#[tokio::test]
async fn one_connection_carries_hundreds_of_watches() {
    let server = Running::start("streams").await;
    let admin = server.admin();
    let stream = server.tls(Some(&admin), "h2").await;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut watches = Vec::new();
    for _ in 0..400 {
        let mut sender: http2::SendRequest<Full<Bytes>> = sender.clone();
        sender.ready().await.unwrap();
        let asked = Request::builder().uri(format!("https://localhost{NAMESPACE}?watch=1&fieldSelector=metadata.name%3Dm")).body(Full::default()).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(30), sender.send_request(asked)).await.expect("a stream").unwrap();
        watches.push(answer.into_body());
    }
    assert_eq!(document(server.ask(Some(&admin), create("m")).await).await.0, 201);
    for mut watch in watches {
        let frame = tokio::time::timeout(Duration::from_secs(30), watch.frame()).await.expect("an event").unwrap().unwrap();
        assert!(frame.data_ref().unwrap().starts_with(b"{\"type\":\"ADDED\""));
    }
}

#[tokio::test]
async fn a_port_in_use_changes_nothing() {
    let server = Running::start("first").await;
    let data = std::env::temp_dir().join(format!("skiff-edge-second-{}", std::process::id()));
    let config = Config { listen: vec![server.address], ..Config::new(data.clone(), 0, Timings::Fast) };
    let refused = skiff_apiserver::run(config, None, CancellationToken::new()).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("cannot listen on {}: Address already in use (os error 98)", server.address));
    assert!(!data.exists());
}
