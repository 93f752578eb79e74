//! A call to the `Objects` service.

use std::sync::Arc;

use serde_json::{Value, json};
use skiff_proto::status::Status;
use skiff_proto::v1::{self, watch_event};
use tonic::{Request, Streaming};

use super::call::{Act, Answer, Call, Delete, Event, Memory};
use super::inside::Inside;
use super::user;

/// Speaks gRPC to a server.
pub struct Grpc {
    server: Arc<Inside>,
    memory: Memory,
    token: Option<&'static str>,
}

impl Grpc {
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
        let answer = match self.said(call).await {
            Ok(body) => Answer { code: 200, body },
            Err(status) => {
                let status = Status::from(status);
                Answer { code: status.code, body: serde_json::to_value(status).unwrap() }
            }
        };
        self.memory.keep(&answer);
        answer
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        request
    }

    async fn said(&self, call: &Call) -> Result<Value, tonic::Status> {
        let user = if self.token.is_some() { None } else { user(call.who) };
        let mut client = self.server.grpc(user).await;
        let (resource, namespace, name, subresource) = (call.resource.to_owned(), call.namespace.to_owned(), call.name.to_owned(), call.subresource.to_owned());
        let json = self.memory.fill(&call.body).into();
        let manager = if matches!(call.act, Act::Patch(v1::PatchType::Apply)) { "tester" } else { "" };
        let options = Some(v1::WriteOptions { dry_run: call.dry_run, field_manager: manager.to_owned() });
        let update = |json| v1::UpdateRequest {
            resource: resource.clone(),
            namespace: namespace.clone(),
            name: name.clone(),
            subresource: subresource.clone(),
            json,
            options: options.clone(),
        };
        let object = match &call.act {
            Act::Get => client.get(self.request(v1::GetRequest { resource, namespace, name, subresource })).await?,
            Act::Create => client.create(self.request(v1::CreateRequest { resource, namespace, name, subresource, json, options })).await?,
            Act::Update => client.update(self.request(update(json))).await?,
            Act::UpdateStatus => client.update_status(self.request(update(json))).await?,
            Act::Patch(kind) => {
                let (r#type, patch, force) = (i32::from(*kind), json, call.force);
                client.patch(self.request(v1::PatchRequest { resource, namespace, name, subresource, r#type, patch, force, options })).await?
            }
            Act::Delete(how) => client.delete(self.request(self.delete(call, how))).await?,
            Act::List { labels, fields, limit, go_on } => {
                let (label_selector, field_selector) = ((*labels).to_owned(), (*fields).to_owned());
                let r#continue = if *go_on { self.memory.next_page.clone() } else { String::new() };
                let asked = v1::ListRequest { resource, namespace, label_selector, field_selector, limit: *limit, r#continue };
                return Ok(list(client.list(self.request(asked)).await?.into_inner()));
            }
            Act::Bind(node) => return bound(client.bind(self.request(binding(call, node))).await?.into_inner()),
            Act::BindBatch(node) => {
                let batch = v1::BindBatchRequest { bindings: vec![binding(call, node)] };
                return bound(client.bind_batch(self.request(batch)).await?.into_inner().results.remove(0));
            }
        };
        Ok(self::object(object.into_inner()))
    }

    fn delete(&self, call: &Call, how: &Delete) -> v1::DeleteRequest {
        v1::DeleteRequest {
            resource: call.resource.to_owned(),
            namespace: call.namespace.to_owned(),
            name: call.name.to_owned(),
            grace_period_seconds: how.grace,
            uid: self.memory.fill(how.uid),
            resource_version: self.memory.fill(how.revision),
            propagation_policy: how.policy.to_owned(),
            dry_run: call.dry_run,
        }
    }

    /// Follows a resource, from the beginning or from a revision.
    pub async fn watch(&self, resource: &str, namespace: &str, labels: &str, from: Option<u64>) -> Watch {
        let asked = v1::WatchRequest {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            label_selector: labels.to_owned(),
            field_selector: String::new(),
            from_revision: from,
        };
        let mut client = self.server.grpc(user(super::call::Who::Admin)).await;
        Watch { stream: client.watch(asked).await.unwrap().into_inner(), unread: Vec::new() }
    }
}

/// An open watch.
pub struct Watch {
    stream: Streaming<v1::WatchBatch>,
    unread: Vec<Event>,
}

impl Watch {
    /// The next so many events, or fewer if it ends.
    pub async fn next(&mut self, wanted: usize) -> Vec<Event> {
        while self.unread.len() < wanted {
            match self.stream.message().await {
                Ok(Some(batch)) => self.unread.extend(batch.events.into_iter().map(event)),
                Ok(None) => break,
                Err(status) => {
                    let object = serde_json::to_value(Status::from(status)).unwrap();
                    self.unread.push(Event { kind: "ERROR".to_owned(), initial_events_end: false, object });
                    break;
                }
            }
        }
        self.unread.drain(..wanted.min(self.unread.len())).collect()
    }
}

fn event(event: v1::WatchEvent) -> Event {
    let kind = event.r#type();
    let told = event.object.unwrap();
    let object = if kind == watch_event::Type::Bookmark { json!(told.revision.to_string()) } else { object(told) };
    Event { kind: kind.as_str_name().to_owned(), initial_events_end: event.initial_events_end, object }
}

/// What is in an envelope; what is written on it says the same.
fn object(envelope: v1::Object) -> Value {
    let object: Value = serde_json::from_slice(&envelope.json).unwrap();
    if object["kind"] != "Status" && envelope.revision != 0 {
        let of = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        assert_eq!((envelope.namespace.as_str(), envelope.name.as_str()), (of("namespace"), of("name")));
        assert_eq!(envelope.revision.to_string(), of("resourceVersion"));
    }
    object
}

/// A list as both tongues have it: each item without the kind that a list says once.
fn list(list: v1::ListResponse) -> Value {
    let items = list.items.into_iter().map(|item| {
        let mut item = object(item);
        let fields = item.as_object_mut().unwrap();
        assert!(fields.remove("kind").is_some() && fields.remove("apiVersion").is_some(), "an object of an envelope is whole");
        item
    });
    json!({"items": items.collect::<Vec<_>>(), "revision": list.revision.to_string(), "continue": list.r#continue, "remaining": list.remaining})
}

fn binding(call: &Call, node: &str) -> v1::Binding {
    v1::Binding { namespace: call.namespace.to_owned(), name: call.name.to_owned(), uid: String::new(), node: node.to_owned() }
}

fn bound(result: v1::BindResult) -> Result<Value, tonic::Status> {
    if result.code == 0 {
        return Ok(Value::Null);
    }
    let status: Status = serde_json::from_slice(&result.status).unwrap();
    assert_eq!(u32::from(status.code), result.code);
    Err(status.into())
}
