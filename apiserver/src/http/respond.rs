//! An [`ApiResponse`] or a refusal as an HTTP answer. Bytes of objects go out as they are stored unless another shape is asked for. Pure but for streams.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WARNING};
use http::{Response, StatusCode};
use serde_json::Value;
use skiff_proto::status::Status;

use super::body::Body;
use super::negotiate::{Encoding, Shape, Wanted};
use super::table::{Include, ListMeta, Tabler, damaged, partial, partial_list, wrong_number};
use super::{watch, write};
use crate::dispatch::{Answer, ApiResponse, Item};
use crate::registry::resource::Resource;
use crate::schema::Gvk;

/// What an answer is written by.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// What was negotiated.
    pub wanted: Wanted,
    /// What rows of tables carry.
    pub include: Include,
    /// Tells seconds since the epoch, for ages in tables.
    pub clock: fn() -> i64,
}

/// The whole answer. [`Answer::Connect`] is not for here: `http::connect` takes it before.
pub fn respond(response: ApiResponse, style: Style) -> Response<Body> {
    let warnings = response.warnings;
    let mut answer = match response.answer {
        Answer::Object { code, resource, gvk, item } => match object(&resource, &gvk, item, style) {
            Ok(body) => reply(code, style.wanted.encoding.content_type(), body),
            Err(status) => refuse(&status, style.wanted.encoding),
        },
        Answer::List { resource, gvk, revision, items, continue_token, remaining } => {
            let meta = ListMeta { revision: revision.to_string(), continue_token: &continue_token, remaining };
            match list(&resource, &gvk, &items, &meta, style) {
                Ok(body) => reply(200, style.wanted.encoding.content_type(), body),
                Err(status) => refuse(&status, style.wanted.encoding),
            }
        }
        Answer::Watch { resource, gvk, events } => watch::stream(resource, gvk, events, style),
        Answer::Status(status) => told(&status, style.wanted.encoding),
        Answer::Connect { .. } => refuse(&Status::failure(500, "InternalError", "a stream was answered to a plain request"), style.wanted.encoding),
    };
    for warning in warnings {
        if let Some(value) = warning_header(&warning) {
            answer.headers_mut().append(WARNING, value);
        }
    }
    answer
}

/// A refusal, as `metav1.Status` in the encoding that was asked for.
pub fn refuse(status: &Status, encoding: Encoding) -> Response<Body> {
    told(status, encoding)
}

fn told(status: &Status, encoding: Encoding) -> Response<Body> {
    // a success says no code but the one of a creation, as Kubernetes leaves it out
    let shown = if status.code == 200 { Cow::Owned(Status { code: 0, ..status.clone() }) } else { Cow::Borrowed(status) };
    let json = serde_json::to_vec(shown.as_ref()).unwrap_or_default(); // strings and numbers only: cannot fail
    let gvk = Gvk::parse("v1", "Status");
    let (content_type, body) = match encode(json.into(), &gvk, encoding) {
        Ok(body) => (encoding.content_type(), body),
        Err(_) => (Encoding::Json { pretty: false }.content_type(), Body::full(status.message.clone())),
    };
    let code = if status.code == 0 { 200 } else { status.code };
    let mut answer = reply(code, content_type, body);
    if let Some(details) = status.details.as_ref().filter(|details| details.retry_after_seconds > 0) {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(details.retry_after_seconds));
    }
    answer
}

/// An answer with this code, type and body.
pub fn reply(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// Plain text, as Go's `http.Error` sends it.
pub fn text(code: u16, message: impl Into<Bytes>) -> Response<Body> {
    let mut answer = reply(code, "text/plain; charset=utf-8", Body::full(message));
    answer.headers_mut().insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    answer
}

/// A document made for this answer.
pub fn document(value: &Value, encoding: Encoding) -> Response<Body> {
    let gvk = Gvk::parse(value["apiVersion"].as_str().unwrap_or("v1"), value["kind"].as_str().unwrap_or_default());
    match encode(value.to_string().into(), &gvk, encoding) {
        Ok(body) => reply(200, encoding.content_type(), body),
        Err(status) => refuse(&status, Encoding::Json { pretty: false }),
    }
}

fn object(resource: &Resource, gvk: &Gvk, item: Item, style: Style) -> Result<Body, Status> {
    match style.wanted.shape {
        Shape::Object => encode(item.json, gvk, style.wanted.encoding),
        Shape::Table(version) => {
            let tabler = Tabler { resource, gvk, version, include: style.include, now: (style.clock)() };
            let meta = Tabler::meta_of(&item);
            encode(tabler.table(&[item], &meta, true)?.into(), &Gvk::parse(version.api_version(), "Table"), style.wanted.encoding)
        }
        Shape::Partial(version) => {
            encode(partial(&item.json, version)?.into(), &Gvk::parse(version.api_version(), "PartialObjectMetadata"), style.wanted.encoding)
        }
        Shape::PartialList(_) => Err(wrong_number(gvk, false)),
    }
}

fn list(resource: &Resource, gvk: &Gvk, items: &[Item], meta: &ListMeta<'_>, style: Style) -> Result<Body, Status> {
    match style.wanted.shape {
        Shape::Object => match style.wanted.encoding {
            Encoding::Json { pretty: false } => Ok(Body::parts(list_parts(gvk, items, meta))),
            other => encode(list_parts(gvk, items, meta).concat().into(), &list_gvk(gvk), other),
        },
        Shape::Table(version) => {
            let tabler = Tabler { resource, gvk, version, include: style.include, now: (style.clock)() };
            encode(tabler.table(items, meta, true)?.into(), &Gvk::parse(version.api_version(), "Table"), style.wanted.encoding)
        }
        Shape::PartialList(version) => {
            encode(partial_list(items, meta, version)?.into(), &Gvk::parse(version.api_version(), "PartialObjectMetadataList"), style.wanted.encoding)
        }
        Shape::Partial(_) => Err(wrong_number(gvk, true)),
    }
}

fn list_gvk(gvk: &Gvk) -> Gvk {
    Gvk { kind: format!("{}List", gvk.kind), ..gvk.clone() }
}

/// The pieces of a list: its head, each item's stored bytes behind its type (which a list says once), and what ends it.
fn list_parts(gvk: &Gvk, items: &[Item], meta: &ListMeta<'_>) -> Vec<Bytes> {
    let api_version = gvk.api_version();
    let head = format!(r#"{{"kind":"{}List","apiVersion":"{api_version}","metadata":{},"items":["#, gvk.kind, meta.json());
    let types = [format!(r#"{{"apiVersion":"{api_version}","kind":"{}","#, gvk.kind), format!(r#"{{"kind":"{}","apiVersion":"{api_version}","#, gvk.kind)];
    let mut parts = Vec::with_capacity(items.len() * 2 + 2);
    parts.push(Bytes::from(head));
    for (index, item) in items.iter().enumerate() {
        let behind = types.iter().find(|prefix| item.json.starts_with(prefix.as_bytes())).map_or(0, String::len);
        let opening: &'static [u8] = match (index, behind) {
            (0, 0) => b"",
            (0, _) => b"{",
            (_, 0) => b",",
            (_, _) => b",{",
        };
        parts.push(Bytes::from_static(opening));
        parts.push(item.json.slice(behind..));
    }
    parts.push(Bytes::from_static(b"]}\n"));
    parts
}

/// One JSON document in the encoding that was asked for. Like Go's encoder, JSON ends its line.
pub fn encode(json: Bytes, gvk: &Gvk, encoding: Encoding) -> Result<Body, Status> {
    match encoding {
        Encoding::Json { pretty: false } => {
            let ends = json.ends_with(b"\n");
            Ok(if ends { Body::full(json) } else { Body::parts([json, Bytes::from_static(b"\n")]) })
        }
        Encoding::Json { pretty: true } => Ok(Body::full(write::pretty(&json))),
        Encoding::Yaml => {
            let value: Value = serde_json::from_slice(&json).map_err(damaged)?;
            Ok(Body::full(write::yaml(&value)))
        }
        Encoding::Protobuf => protobuf(&json, gvk).map(Body::full),
    }
}

/// The document as `k8s\0` and `runtime.Unknown`; `406` for a kind that has no protobuf (a `Table`).
pub fn protobuf(json: &[u8], gvk: &Gvk) -> Result<Vec<u8>, Status> {
    let value: Value = serde_json::from_slice(json).map_err(damaged)?;
    let refused = || Status::failure(406, "NotAcceptable", "only the following media types are accepted: application/json, application/yaml");
    crate::schema::protobuf::encode(gvk, &value).ok_or_else(refused)
}

/// `299 - "text"`, with what may not stand in a quoted string escaped (`apimachinery/pkg/util/net/http.go`).
pub(super) fn warning_header(text: &str) -> Option<HeaderValue> {
    let mut value = String::from("299 - \"");
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    value.push('"');
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;

    fn item(json: &str) -> Item {
        Item {
            key: Key { resource: "configmaps".into(), namespace: "d".into(), name: "a".into() },
            revision: 7,
            version: None,
            json: Bytes::from(json.to_owned()),
        }
    }

    #[test]
    fn lists_say_the_type_once() {
        let gvk = Gvk::parse("v1", "ConfigMap");
        let items = [
            item(r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#),
            item(r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"b"}}"#),
            item(r#"{"metadata":{"name":"c"}}"#),
        ];
        let text = |items: &[Item], meta: &ListMeta<'_>| String::from_utf8(list_parts(&gvk, items, meta).concat()).unwrap();
        let meta = ListMeta { revision: "9".to_owned(), continue_token: "abc", remaining: Some(4) };
        assert_eq!(
            text(&items, &meta),
            "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"continue\":\"abc\",\"remainingItemCount\":4,\"resourceVersion\":\"9\"},\
             \"items\":[{\"metadata\":{\"name\":\"a\"}},{\"metadata\":{\"name\":\"b\"}},{\"metadata\":{\"name\":\"c\"}}]}\n"
        );
        assert_eq!(text(&[], &ListMeta::default()), "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[]}\n");
    }

    #[test]
    fn warnings_are_quoted() {
        let value = warning_header("unknown field \"spec.foo\"\n").unwrap();
        assert_eq!(value.as_bytes(), br#"299 - "unknown field \"spec.foo\"""#);
    }
}
