//! Paths that are no resources: the list of paths, discovery, health, version, documents, metrics.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, EXPIRES, VARY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use skiff_proto::status::{Details, Status};

use super::Edge;
use super::body::Body;
use super::negotiate::{self, Encoding};
use super::query::Query;
use super::respond::{document, refuse, reply, text};
use super::{discovery, respond};
use crate::registry::Resources;
use crate::schema::openapi::V2_PROTOBUF;

const JSON: Encoding = Encoding::Json { pretty: false };

/// Answers a path that is no resource, once the caller may ask for it.
pub fn answer(edge: &Edge, method: &Method, path: &str, headers: &HeaderMap, query: &Query, body: &Bytes) -> Response<Body> {
    let resources = edge.server.resources();
    // a refusal is negotiated by itself: in YAML where the document is not
    let on_refusal = negotiate::document(headers, query).map_or(JSON, |wanted| wanted.encoding);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        [""] => root(&resources),
        [check @ ("healthz" | "livez" | "readyz"), rest @ ..] => health(edge, check, rest, query),
        ["version"] => negotiated(method, negotiate::json_only(headers, query), on_refusal, |_| Some(version())),
        ["api"] => groups(method, headers, query, &resources, true, || discovery::api_versions(&edge.address)),
        ["apis"] => groups(&Method::GET, headers, query, &resources, false, || discovery::group_list(&resources)),
        ["api", version] => negotiated(method, negotiate::document(headers, query), on_refusal, |_| discovery::resource_list(&resources, "", version)),
        ["apis", group, ..] if discovery::versions(&resources, group).is_empty() => not_found(),
        ["apis", group] => negotiated(&Method::GET, negotiate::document(headers, query), on_refusal, |_| discovery::group(&resources, group)),
        ["apis", group, version] => {
            negotiated(method, negotiate::document(headers, query), on_refusal, |_| discovery::resource_list(&resources, group, version))
        }
        ["openapi", rest @ ..] => openapi(&resources, rest, headers, query),
        ["metrics"] => reply(200, "text/plain; version=0.0.4; charset=utf-8", Body::full(edge.metrics_text())),
        ["debug", "flags", "v"] => log_level(edge, method, body),
        _ => not_found(),
    }
}

/// What Go's router says of a path that it does not know.
pub fn not_found() -> Response<Body> {
    text(404, "404 page not found\n")
}

/// The router of a known group says it as a Status.
pub fn no_such_resource() -> Status {
    Status { details: Some(Details::default()), ..Status::failure(404, "NotFound", "the server could not find the requested resource") }
}

/// What a known path says to a method that it does not have.
pub fn no_such_method() -> Status {
    let message = "the server does not allow this method on the requested resource";
    Status { details: Some(Details::default()), ..Status::failure(405, "MethodNotAllowed", message) }
}

/// A document behind go-restful's router: 405, then 406, then 404.
fn negotiated(method: &Method, wanted: Result<negotiate::Wanted, Status>, on_refusal: Encoding, make: impl FnOnce(()) -> Option<Value>) -> Response<Body> {
    if method != Method::GET {
        return refuse(&no_such_method(), JSON);
    }
    match wanted {
        Err(status) => refuse(&status, on_refusal),
        Ok(wanted) => match make(()) {
            Some(value) => document(&value, wanted.encoding),
            None => refuse(&no_such_resource(), wanted.encoding),
        },
    }
}

/// `/api` and `/apis`, plain or aggregated.
fn groups(method: &Method, headers: &HeaderMap, query: &Query, resources: &Resources, core: bool, plain: impl FnOnce() -> Value) -> Response<Body> {
    match negotiate::discovery(headers, query) {
        _ if method != Method::GET => refuse(&no_such_method(), JSON),
        Err(status) => refuse(&status, JSON),
        Ok((wanted, None)) => document(&plain(), wanted.encoding),
        Ok((_, Some(version))) => {
            let content_type = match version {
                "v2beta1" => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
                _ => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            };
            reply(200, content_type, Body::full(discovery::aggregated(resources, core, version).to_string()))
        }
    }
}

fn root(resources: &Resources) -> Response<Body> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned(), "/apis/".to_owned()];
    for group in discovery::groups(resources) {
        paths.push(format!("/apis/{group}"));
        paths.extend(discovery::versions(resources, group).into_iter().map(|version| format!("/apis/{group}/{version}")));
    }
    for check in ["healthz", "livez", "readyz"] {
        paths.push(format!("/{check}"));
        paths.extend(CHECKS.iter().map(|name| format!("/{check}/{name}")));
    }
    paths.extend(["/debug/flags/v", "/metrics", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/version"].map(str::to_owned));
    paths.sort_unstable();
    let mut pretty = super::write::pretty(json!({"paths": paths}).to_string().as_bytes());
    pretty.push(b'\n');
    reply(200, "application/json", Body::full(pretty))
}

/// What `/healthz`, `/livez` and `/readyz` look at.
const CHECKS: [&str; 3] = ["ping", "log", "etcd"];

/// `/readyz`, `/readyz/etcd`, `/readyz?verbose&exclude=etcd`: `apiserver/pkg/server/healthz/healthz.go`. The store answers to etcd's name.
fn health(edge: &Edge, endpoint: &str, rest: &[&str], query: &Query) -> Response<Body> {
    let failure = |check: &str| if check == "etcd" { edge.health().err() } else { None };
    match rest {
        [] => {}
        [check] if CHECKS.contains(check) => {
            return match failure(check) {
                None => text(200, "ok"),
                Some(why) => text(500, format!("internal server error: {why}\n")),
            };
        }
        _ => return not_found(),
    }
    let (mut lines, mut failed) = (String::new(), false);
    for check in CHECKS {
        let line = if query.all("exclude").any(|one| one == check) {
            format!("[+]{check} excluded: ok\n")
        } else if failure(check).is_some() {
            failed = true;
            format!("[-]{check} failed: reason withheld\n")
        } else {
            format!("[+]{check} ok\n")
        };
        lines.push_str(&line);
    }
    if failed {
        return text(500, format!("{lines}{endpoint} check failed\n"));
    }
    if query.get("verbose").is_some() { text(200, format!("{lines}{endpoint} check passed\n")) } else { text(200, "ok") }
}

/// `version.Info` of 1.35.
fn version() -> Value {
    json!({
        "major": "1",
        "minor": "35",
        "emulationMajor": "1",
        "emulationMinor": "35",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "34",
        "gitVersion": concat!("v1.35.0+skiff.", env!("CARGO_PKG_VERSION")),
        "gitCommit": "skiff",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "rust",
        "compiler": "rustc",
        "platform": if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" },
    })
}

/// Of a document that is not there, the handler of version 3 says nothing but 404.
fn no_such_document(rest: &[&str]) -> Response<Body> {
    if rest.first() != Some(&"v3") {
        return not_found();
    }
    let mut answer = Response::new(Body::full(Bytes::new()));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// `/openapi/v2`, `/openapi/v3` and what its index names. A document asked for by its hash may be kept for ever.
fn openapi(resources: &Resources, rest: &[&str], headers: &HeaderMap, query: &Query) -> Response<Body> {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let (path, media_type) = match rest {
        // kubectl before 1.27 asks for nothing else
        ["v2"] if accepted.contains("proto-openapi.spec.v2") => (V2_PROTOBUF.to_owned(), "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"),
        _ => (rest.join("/"), "application/json"),
    };
    let Some(bytes) = resources.openapi(&path) else { return no_such_document(rest) };
    let mut answer = reply(200, media_type, Body::full(bytes));
    let headers = answer.headers_mut();
    let hash = crate::schema::openapi::hash();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{hash}\"")) {
        headers.insert(ETAG, tag);
    }
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    if query.get("hash") == Some(hash.as_str()) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        headers.insert(EXPIRES, HeaderValue::from_static("Fri, 01 Jan 2100 00:00:00 GMT"));
    }
    answer
}

/// `PUT /debug/flags/v` with a level as body sets what is logged, as kube-apiserver's does; skiff takes a filter's text.
fn log_level(edge: &Edge, method: &Method, body: &Bytes) -> Response<Body> {
    if method != Method::PUT {
        return text(405, "unrecognized http method\n");
    }
    let asked = String::from_utf8_lossy(body);
    match (edge.set_log_level)(asked.trim()) {
        Ok(()) => text(200, format!("successfully set the log level to {}\n", asked.trim())),
        Err(why) => respond::text(400, format!("{why}\n")),
    }
}
