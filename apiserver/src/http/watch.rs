//! A watch as a stream of frames: one JSON document a line, all events that were ready together in one chunk, sent at once.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::Response;
use skiff_proto::status::Status;

use super::body::Body;
use super::negotiate::{Encoding, Shape};
use super::respond::{Style, protobuf, refuse, reply};
use super::table::{ListMeta, Tabler, partial, wrong_number};
use crate::dispatch::{Item, WatchEvent};
use crate::registry::resource::Resource;
use crate::schema::Gvk;
use crate::schema::protobuf::watch_frame;

/// The answer to a watch.
pub fn stream(resource: Arc<Resource>, gvk: Gvk, events: BoxStream<'static, Vec<WatchEvent>>, style: Style) -> Response<Body> {
    match (style.wanted.encoding, style.wanted.shape) {
        (Encoding::Json { .. } | Encoding::Protobuf, Shape::PartialList(_)) => return refuse(&wrong_number(&gvk, false), style.wanted.encoding),
        (Encoding::Json { .. } | Encoding::Protobuf, Shape::Object | Shape::Table(_) | Shape::Partial(_)) => {}
        (Encoding::Yaml, _) => return refuse(&not_streamed(), Encoding::Json { pretty: false }),
    }
    let mut framer = Framer { resource, gvk, style, header: true };
    let frames = events.map(move |batch| Ok(framer.batch(&batch)));
    let content_type = match style.wanted.encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        other => other.content_type(),
    };
    reply(200, content_type, Body::Stream(frames.boxed()))
}

fn not_streamed() -> Status {
    let message = "only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    Status::failure(406, "NotAcceptable", message)
}

/// Writes the frames of one watch.
struct Framer {
    resource: Arc<Resource>,
    gvk: Gvk,
    style: Style,
    /// A watch as tables says what the columns are in its first event only.
    header: bool,
}

impl Framer {
    fn batch(&mut self, events: &[WatchEvent]) -> Bytes {
        let mut out = Vec::with_capacity(events.iter().map(size).sum());
        for event in events {
            match event {
                WatchEvent::Added(item) => self.frame("ADDED", item, &mut out),
                WatchEvent::Modified(item) => self.frame("MODIFIED", item, &mut out),
                WatchEvent::Deleted(item) => self.frame("DELETED", item, &mut out),
                WatchEvent::Bookmark { revision, json, .. } => {
                    let key = crate::store::Key { resource: "".into(), namespace: "".into(), name: "".into() };
                    self.frame("BOOKMARK", &Item { key, revision: *revision, json: json.clone(), version: None }, &mut out);
                }
                WatchEvent::Error(status) => self.error(status, &mut out),
            }
        }
        out.into()
    }

    fn frame(&mut self, kind: &str, item: &Item, out: &mut Vec<u8>) {
        let shaped = match self.style.wanted.shape {
            Shape::Object | Shape::PartialList(_) => Ok(None),
            Shape::Partial(version) => partial(&item.json, version).map(Some),
            Shape::Table(version) => {
                let tabler = Tabler { resource: &self.resource, gvk: &self.gvk, version, include: self.style.include, now: (self.style.clock)() };
                let meta = ListMeta { revision: item.revision.to_string(), ..ListMeta::default() };
                tabler.table(std::slice::from_ref(item), &meta, std::mem::take(&mut self.header)).map(Some)
            }
        };
        match shaped {
            Ok(shaped) => self.write(kind, &self.shaped_gvk(), shaped.as_deref().unwrap_or(&item.json), out),
            Err(status) => self.error(&status, out),
        }
    }

    /// What an event's object is once it has its shape.
    fn shaped_gvk(&self) -> Gvk {
        match self.style.wanted.shape {
            Shape::Object | Shape::PartialList(_) => self.gvk.clone(),
            Shape::Partial(version) => Gvk::parse(version.api_version(), "PartialObjectMetadata"),
            Shape::Table(version) => Gvk::parse(version.api_version(), "Table"),
        }
    }

    fn error(&self, status: &Status, out: &mut Vec<u8>) {
        let json = serde_json::to_vec(status).unwrap_or_default(); // strings and numbers only: cannot fail
        self.write("ERROR", &Gvk::parse("v1", "Status"), &json, out);
    }

    fn write(&self, kind: &str, gvk: &Gvk, json: &[u8], out: &mut Vec<u8>) {
        if self.style.wanted.encoding != Encoding::Protobuf {
            return write_frame(kind, json, out);
        }
        match protobuf(json, gvk) {
            Ok(object) => out.extend(watch_frame(kind, &object)),
            Err(status) => tracing::warn!(%status, kind = gvk.kind, "an event cannot be sent as protobuf and is left out"),
        }
    }
}

fn write_frame(kind: &str, json: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(json);
    out.extend_from_slice(b"}\n");
}

/// About how many bytes an event takes.
fn size(event: &WatchEvent) -> usize {
    40 + match event {
        WatchEvent::Added(item) | WatchEvent::Modified(item) | WatchEvent::Deleted(item) => item.json.len(),
        WatchEvent::Bookmark { json, .. } => json.len(),
        WatchEvent::Error(_) => 256,
    }
}
