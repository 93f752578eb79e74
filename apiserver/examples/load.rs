//! A load generator: `load KUBECONFIG-FOLDER ADDRESS CLIENTS SECONDS get|list|create`. Each client keeps one TLS connection and one request in flight.
//!
//! `get` reads one 1 KiB ConfigMap, `list` reads a namespace of 2,000, `create` makes new ones; all in namespace `load`, which is made first.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use skiff_apiserver::pki::{Pki, Subject};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn connect(tls: &TlsConnector, address: &str) -> Result<SendRequest<Full<Bytes>>, Fault> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let stream = tls.connect(ServerName::try_from("localhost")?, socket).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, method: Method, path: &str, body: Bytes) -> Result<(u16, usize), Fault> {
    sender.ready().await?;
    let request = Request::builder().method(method).uri(path).header("host", "localhost").header("content-type", "application/json").body(Full::new(body))?;
    let answer = sender.send_request(request).await?;
    let code = answer.status().as_u16();
    Ok((code, answer.into_body().collect().await?.to_bytes().len()))
}

fn config_map(name: &str) -> Bytes {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"a":"{}"}}}}"#, "x".repeat(800)).into()
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let words: Vec<String> = std::env::args().collect();
    let [_, folder, address, clients, seconds, what] = words.as_slice() else { return Err("FOLDER ADDRESS CLIENTS SECONDS get|list|create".into()) };
    let (clients, seconds): (usize, u64) = (clients.parse()?, seconds.parse()?);
    let pki = Pki::open(Path::new(folder), u64::try_from(skiff_apiserver::http::now())?)?;
    let mut tls = skiff_apiserver::tls::client(pki.ca_pem(), &pki.ensure(&Subject::admin())?)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = TlsConnector::from(Arc::new(tls));
    let mut first = connect(&tls, address).await?;
    send(&mut first, Method::POST, "/api/v1/namespaces", r#"{"metadata":{"name":"load"}}"#.into()).await?;
    let base = "/api/v1/namespaces/load/configmaps";
    let wanted = if what == "list" { 2000 } else { 1 };
    for index in 0..wanted {
        send(&mut first, Method::POST, base, config_map(&format!("c{index}"))).await?;
    }
    let started = Instant::now();
    let end = started + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for client in 0..clients {
        let (tls, address, what) = (tls.clone(), address.clone(), what.clone());
        tasks.push(tokio::spawn(async move {
            let mut sender = connect(&tls, &address).await?;
            let mut took = Vec::new();
            while Instant::now() < end {
                let at = Instant::now();
                let (code, _) = match what.as_str() {
                    "get" => send(&mut sender, Method::GET, &format!("{base}/c0"), Bytes::new()).await?,
                    "list" => send(&mut sender, Method::GET, base, Bytes::new()).await?,
                    _ => send(&mut sender, Method::POST, base, config_map(&format!("n-{client}-{}-{}", took.len(), std::process::id()))).await?,
                };
                assert!(code < 300, "answered {code}");
                took.push(at.elapsed());
            }
            Ok::<_, Fault>(took)
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    took.sort_unstable();
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    println!("{what} x{clients}: {rate:.0}/s, p50 {:?}, p99 {:?}", took[took.len() / 2], took[took.len() * 99 / 100]);
    Ok(())
}
