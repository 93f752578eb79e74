//! A little API server in memory: enough of one for a node, and a watch that tells every change.
#![allow(dead_code, clippy::unwrap_used)]

use async_trait::async_trait;
use futures::StreamExt;
use serde_json::{Value, json};
use skiff_client::api::{Api, WatchStream};
use skiff_proto::status::Status;
use skiff_proto::v1::{self, watch_event::Type};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::broadcast;

type Key = (String, String, String);

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    revision: u64,
}

pub struct FakeApi {
    state: Mutex<State>,
    changes: broadcast::Sender<v1::WatchEvent>,
}

impl FakeApi {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changes: broadcast::channel(10_000).0 })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    fn put(&self, key: Key, mut object: Value, kind: Type) -> v1::Object {
        let mut state = self.state();
        state.revision += 1;
        object["metadata"]["resourceVersion"] = json!(state.revision.to_string());
        let envelope = envelope(&key, &object);
        if kind == Type::Deleted {
            state.objects.remove(&key)
        } else {
            state.objects.insert(key, object)
        };
        drop(state);
        // Nobody may be watching.
        let _ = self.changes.send(v1::WatchEvent { r#type: kind.into(), object: Some(envelope.clone()), initial_events_end: false });
        envelope
    }

    /// Creates or replaces an object as a person would.
    pub fn apply(&self, resource: &str, object: Value) {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = (resource.to_owned(), text("namespace"), text("name"));
        let kind = if self.state().objects.contains_key(&key) { Type::Modified } else { Type::Added };
        self.put(key, object, kind);
    }

    pub fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.state().objects.get(&(resource.into(), namespace.into(), name.into())).cloned()
    }

    /// Begins a graceful deletion.
    pub fn delete_gracefully(&self, namespace: &str, name: &str, grace: i64) {
        let mut pod = self.find("pods", namespace, name).expect("the pod is there");
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:10:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        self.apply("pods", pod);
    }

    /// Removes an object at once.
    pub fn remove(&self, resource: &str, namespace: &str, name: &str) {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let object = self.state().objects.get(&key).cloned().expect("the object is there");
        self.put(key, object, Type::Deleted);
    }

    /// Reason and message of each event about a pod, in the order they were first told.
    pub fn events(&self, pod: &str) -> Vec<String> {
        let state = self.state();
        let of = state.objects.iter().filter(|((resource, ..), _)| resource == "events").map(|(_, event)| event);
        let mut told: Vec<(u64, String)> = of
            .filter(|event| event["involvedObject"]["name"] == pod)
            .map(|event| {
                (
                    event["metadata"]["creation"].as_u64().unwrap_or(0),
                    format!("{} {}: {}", event["type"].as_str().unwrap(), event["reason"].as_str().unwrap(), event["message"].as_str().unwrap()),
                )
            })
            .collect();
        told.sort();
        told.into_iter().map(|(_, text)| text).collect()
    }
}

fn envelope((resource, namespace, name): &Key, object: &Value) -> v1::Object {
    let revision = object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    v1::Object { resource: resource.clone(), namespace: namespace.clone(), name: name.clone(), revision, json: object.to_string().into_bytes().into() }
}

fn not_found(resource: &str, name: &str) -> Status {
    Status::failure(404, "NotFound", format!("{resource} \"{name}\" not found"))
}

/// A merge that knows the lists a node patches: conditions by type, addresses and pod IPs replaced.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in fields {
        match (key.as_str(), value) {
            (_, Value::Null) => {
                into.as_object_mut().unwrap().remove(key);
            }
            ("conditions", Value::Array(items)) => {
                let list = into.as_object_mut().unwrap().entry(key).or_insert_with(|| json!([]));
                for item in items {
                    let list = list.as_array_mut().unwrap();
                    if item["$patch"] == "delete" {
                        list.retain(|other| other["type"] != item["type"]);
                        continue;
                    }
                    match list.iter_mut().find(|other| other["type"] == item["type"]) {
                        Some(other) => *other = item.clone(),
                        None => list.push(item.clone()),
                    }
                }
            }
            (_, Value::Object(_)) => merge(&mut into[key], value),
            _ => into[key] = value.clone(),
        }
    }
}

#[async_trait]
impl Api for FakeApi {
    async fn get(&self, request: v1::GetRequest) -> Result<v1::Object, Status> {
        let key = (request.resource.clone(), request.namespace, request.name.clone());
        let state = self.state();
        state.objects.get(&key).map(|object| envelope(&key, object)).ok_or_else(|| not_found(&request.resource, &request.name))
    }

    async fn list(&self, _: v1::ListRequest) -> Result<v1::ListResponse, Status> {
        unreachable!("a node lists nothing")
    }

    async fn create(&self, request: v1::CreateRequest) -> Result<v1::Object, Status> {
        let mut object: Value = serde_json::from_slice(&request.json).expect("JSON");
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = (request.resource, request.namespace, name);
        if self.state().objects.contains_key(&key) {
            return Err(Status::failure(409, "AlreadyExists", format!("{} already exists", key.2)));
        }
        object["metadata"]["creation"] = json!(self.state().revision);
        object["metadata"]["uid"] = json!(format!("uid-{}", key.2));
        Ok(self.put(key, object, Type::Added))
    }

    async fn update(&self, _: v1::UpdateRequest) -> Result<v1::Object, Status> {
        unreachable!("a node replaces nothing")
    }

    async fn update_status(&self, _: v1::UpdateRequest) -> Result<v1::Object, Status> {
        unreachable!("a node patches statuses")
    }

    async fn patch(&self, request: v1::PatchRequest) -> Result<v1::Object, Status> {
        let key = (request.resource.clone(), request.namespace.clone(), request.name.clone());
        let patch: Value = serde_json::from_slice(&request.patch).expect("JSON");
        let mut object = self.state().objects.get(&key).cloned().ok_or_else(|| not_found(&request.resource, &request.name))?;
        if patch["metadata"]["uid"].is_string() && patch["metadata"]["uid"] != object["metadata"]["uid"] {
            return Err(Status::failure(409, "Conflict", "another uid"));
        }
        merge(&mut object, &patch);
        Ok(self.put(key, object, Type::Modified))
    }

    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::Object, Status> {
        let key = (request.resource.clone(), request.namespace.clone(), request.name.clone());
        let object = self.state().objects.get(&key).cloned().ok_or_else(|| not_found(&request.resource, &request.name))?;
        Ok(self.put(key, object, Type::Deleted))
    }

    async fn bind_batch(&self, _: Vec<v1::Binding>) -> Result<Vec<v1::BindResult>, Status> {
        unreachable!("a node binds nothing")
    }

    async fn watch(&self, request: v1::WatchRequest) -> Result<WatchStream, Status> {
        let receiver = self.changes.subscribe();
        let state = self.state();
        let of = state.objects.iter().filter(|((resource, ..), _)| *resource == request.resource);
        let mut initial: Vec<v1::WatchEvent> =
            of.map(|(key, object)| v1::WatchEvent { r#type: Type::Added.into(), object: Some(envelope(key, object)), initial_events_end: false }).collect();
        let end = v1::Object { revision: state.revision, ..Default::default() };
        initial.push(v1::WatchEvent { r#type: Type::Bookmark.into(), object: Some(end), initial_events_end: true });
        let node = request.field_selector.strip_prefix("spec.nodeName=").map(str::to_owned);
        let resource = request.resource;
        let live = futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.ok().map(|event| (event, receiver)) });
        let live = live.filter(move |event| {
            let object = event.object.clone().unwrap_or_default();
            let value: Value = serde_json::from_slice(&object.json).unwrap_or_default();
            let mine = node.as_ref().is_none_or(|node| value["spec"]["nodeName"] == **node);
            futures::future::ready(object.resource == resource && mine)
        });
        Ok(futures::stream::iter([Ok(initial)]).chain(live.map(|event| Ok(vec![event]))).boxed())
    }
}
