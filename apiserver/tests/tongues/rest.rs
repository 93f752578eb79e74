//! A call in Kubernetes' REST.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use skiff_proto::v1::PatchType;

use super::call::{Act, Answer, Call, Event, Memory, Who};
use super::inside::Inside;
use super::user;

/// Speaks REST to a server.
pub struct Rest {
    server: Arc<Inside>,
    memory: Memory,
    token: Option<&'static str>,
}

impl Rest {
    /// To this server.
    pub fn new(server: impl Into<Arc<Inside>>) -> Self {
        Self { server: server.into(), memory: Memory::default(), token: None }
    }

    /// Shows this token instead of a certificate.
    pub fn with_token(self, token: &'static str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Says a call.
    pub async fn ask(&mut self, call: &Call) -> Answer {
        let mut request = Request::builder().method(method(call)).uri(uri(call, &self.memory)).header("host", "localhost");
        // as the gRPC service does: who does not say what manages the fields is named by it
        let agent = user(call.who).map(|user| user.name).unwrap_or_default();
        request = request.header("user-agent", agent);
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = body(call, &self.memory);
        if !body.is_empty() {
            request = request.header("content-type", content_type(&call.act));
        }
        let response = self.send(request.body(Full::new(body.into())).unwrap(), call.who).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        let answer = Answer { code, body: if matches!(call.act, Act::List { .. }) && code < 400 { list(&body) } else { body } };
        self.memory.keep(&answer);
        answer
    }

    async fn send(&self, request: Request<Full<Bytes>>, who: Who) -> Response<Incoming> {
        let user = if self.token.is_some() { None } else { user(who) };
        self.server.rest(user).await.send_request(request).await.unwrap()
    }

    /// Follows a resource, from the beginning or from a revision.
    pub async fn watch(&self, resource: &str, namespace: &str, labels: &str, from: Option<u64>) -> Watch {
        let from = from.map_or("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned(), |from| format!("&resourceVersion={from}"));
        let selector = escaped(labels);
        let uri = format!("{}?watch=1&allowWatchBookmarks=true&labelSelector={selector}{from}", collection(resource, namespace));
        let request = Request::get(uri).header("host", "localhost").body(Full::default()).unwrap();
        Watch { body: self.send(request, Who::Admin).await.into_body(), unread: Vec::new() }
    }
}

/// An open watch.
pub struct Watch {
    body: Incoming,
    unread: Vec<u8>,
}

impl Watch {
    /// The next so many events, or fewer if it ends.
    pub async fn next(&mut self, wanted: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < wanted {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                events.push(event(&serde_json::from_slice(&line).unwrap()));
                continue;
            }
            let Some(frame) = self.body.frame().await else { break };
            self.unread.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
        }
        events
    }
}

fn event(event: &Value) -> Event {
    let kind = event["type"].as_str().unwrap().to_owned();
    let end = event["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true";
    let object = if kind == "BOOKMARK" { event["object"]["metadata"]["resourceVersion"].clone() } else { event["object"].clone() };
    Event { kind, initial_events_end: end, object }
}

/// A list as both tongues have it: each item without the kind that a list says once.
fn list(body: &Value) -> Value {
    let metadata = &body["metadata"];
    json!({
        "items": body["items"],
        "revision": metadata["resourceVersion"],
        "continue": metadata["continue"].as_str().unwrap_or_default(),
        "remaining": metadata["remainingItemCount"].as_u64().unwrap_or(0),
    })
}

fn method(call: &Call) -> &'static str {
    match call.act {
        Act::Get | Act::List { .. } => "GET",
        Act::Create | Act::Bind(_) | Act::BindBatch(_) => "POST",
        Act::Update | Act::UpdateStatus => "PUT",
        Act::Patch(_) => "PATCH",
        Act::Delete(_) => "DELETE",
    }
}

fn content_type(act: &Act) -> &'static str {
    match act {
        Act::Patch(PatchType::Json) => "application/json-patch+json",
        Act::Patch(PatchType::Merge) => "application/merge-patch+json",
        Act::Patch(PatchType::Strategic) => "application/strategic-merge-patch+json",
        Act::Patch(PatchType::Apply) => "application/apply-patch+yaml",
        Act::Patch(PatchType::Unspecified) => "",
        Act::Get | Act::List { .. } | Act::Create | Act::Update | Act::UpdateStatus | Act::Delete(_) | Act::Bind(_) | Act::BindBatch(_) => "application/json",
    }
}

fn collection(resource: &str, namespace: &str) -> String {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
    if namespace.is_empty() { format!("{root}/{plural}") } else { format!("{root}/namespaces/{namespace}/{plural}") }
}

fn uri(call: &Call, memory: &Memory) -> String {
    let mut path = collection(call.resource, call.namespace);
    let subresource = match call.act {
        Act::UpdateStatus => "status",
        Act::Bind(_) | Act::BindBatch(_) => "binding",
        Act::Get | Act::List { .. } | Act::Create | Act::Update | Act::Patch(_) | Act::Delete(_) => call.subresource,
    };
    for part in [call.name, subresource].into_iter().filter(|part| !part.is_empty()) {
        path = format!("{path}/{part}");
    }
    let mut query = Vec::new();
    let mut add = |key: &str, value: String| {
        if !value.is_empty() {
            query.push(format!("{key}={}", escaped(&value)));
        }
    };
    if call.dry_run {
        add("dryRun", "All".to_owned());
    }
    match &call.act {
        Act::List { labels, fields, limit, go_on } => {
            add("labelSelector", (*labels).to_owned());
            add("fieldSelector", (*fields).to_owned());
            add("limit", if *limit == 0 { String::new() } else { limit.to_string() });
            add("continue", if *go_on { memory.next_page.clone() } else { String::new() });
        }
        Act::Delete(how) => {
            add("gracePeriodSeconds", how.grace.map(|seconds| seconds.to_string()).unwrap_or_default());
            add("propagationPolicy", how.policy.to_owned());
        }
        Act::Patch(PatchType::Apply) => {
            add("fieldManager", "tester".to_owned());
            add("force", call.force.to_string());
        }
        Act::Get | Act::Create | Act::Update | Act::UpdateStatus | Act::Patch(_) | Act::Bind(_) | Act::BindBatch(_) => {}
    }
    format!("{path}?{}", query.join("&"))
}

fn body(call: &Call, memory: &Memory) -> String {
    match &call.act {
        Act::Bind(node) | Act::BindBatch(node) => json!({"metadata": {"name": call.name}, "target": {"kind": "Node", "name": node}}).to_string(),
        Act::Delete(how) if !how.uid.is_empty() || !how.revision.is_empty() => {
            let given = |text: &str| (!text.is_empty()).then(|| memory.fill(text));
            json!({"preconditions": {"uid": given(how.uid), "resourceVersion": given(how.revision)}}).to_string()
        }
        Act::Get | Act::List { .. } | Act::Create | Act::Update | Act::UpdateStatus | Act::Patch(_) | Act::Delete(_) => memory.fill(&call.body),
    }
}

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
