//! The small HTTP listener of a service without a port of its own to people: `/healthz /livez /readyz /metrics`, and `/loglevel` (GET, PUT).

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// A log filter is short.
const MAX_BODY: usize = 4096;

/// Takes a log filter, or says what is wrong with it.
pub type SetLogLevel = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// What the listener answers with. Each is asked at each request.
#[derive(Clone)]
pub struct Probes {
    /// `Err(why)`: `/readyz` answers 503 with that text.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Prometheus text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Takes a new log filter (`info`, `skiff_agent=debug`); `Err` tells what is wrong with it.
    pub set_log_level: SetLogLevel,
}

impl Probes {
    /// Always ready, no metrics, no log level.
    pub fn none() -> Self {
        Self {
            ready: Arc::new(|| Ok(())),
            metrics: Arc::new(String::new),
            set_log_level: Arc::new(|_| Err("the log level of this service cannot be changed".to_owned())),
        }
    }
}

/// Listens on `address` (port 0: any) and serves until `stop`; answers where it listens.
pub async fn serve(address: SocketAddr, probes: Probes, stop: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! { () = stop.cancelled() => return, accepted = listener.accept() => accepted };
            let Ok((stream, _)) = accepted else { continue };
            let probes = probes.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let probes = probes.clone();
                    async move { Ok::<_, std::convert::Infallible>(answer(&probes, request).await) }
                });
                if let Err(error) = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                    debug!(%error, "health connection ended");
                }
            });
        }
    });
    Ok(local)
}

async fn answer(probes: &Probes, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/healthz" | "/livez") => text(StatusCode::OK, "ok"),
        (&Method::GET, "/readyz") => match (probes.ready)() {
            Ok(()) => text(StatusCode::OK, "ok"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
        },
        (&Method::GET, "/metrics") => text(StatusCode::OK, (probes.metrics)()),
        (&Method::PUT, "/loglevel") => match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => match (probes.set_log_level)(String::from_utf8_lossy(&body.to_bytes()).trim()) {
                Ok(()) => text(StatusCode::OK, "ok"),
                Err(why) => text(StatusCode::BAD_REQUEST, why),
            },
            Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
        },
        (_, _) => text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

fn text(code: StatusCode, body: impl Into<String>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.into() + "\n")));
    *response.status_mut() = code;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
