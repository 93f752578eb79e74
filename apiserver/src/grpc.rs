//! The other tongue: `skiff.v1.Objects`, as skiff's own components speak it. Every call becomes the [`ApiRequest`] that the REST call of
//! the same meaning becomes, and its [`ApiResponse`] becomes messages; nothing is decided here.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use skiff_proto::identity::UserInfo;
use skiff_proto::resource::PODS;
use skiff_proto::status::Status;
use skiff_proto::v1::objects_server::Objects;
use skiff_proto::v1::{self, PatchType, watch_event};
use tonic::{Request, Response};

use crate::dispatch::{Answer, ApiRequest, ApiResponse, Item, RequestInfo, Server, Verb, WatchEvent};
use crate::error::failure;
use crate::registry::options::Options;

/// The most bytes of objects in one message of a watch; a message holds at least one event.
const BATCH_BYTES: usize = 1 << 20;

/// The service, for `http` to mount and for one-process clusters to call. The caller's [`UserInfo`] is taken from the request's extensions.
#[derive(Clone)]
pub struct ObjectService {
    server: Arc<Server>,
}

impl ObjectService {
    /// Speaks for this server.
    pub fn new(server: Arc<Server>) -> Self {
        Self { server }
    }

    /// A request about a group-resource, in its first version.
    fn request(&self, user: UserInfo, verb: Verb, target: Target<'_>) -> Result<ApiRequest, Status> {
        let resources = self.server.resources();
        let resource = resources.find_key(target.resource).ok_or_else(failure::no_such_resource)?;
        let info = RequestInfo {
            verb,
            group: resource.group.clone(),
            version: resource.versions.first().cloned().unwrap_or_default(),
            resource: resource.plural.clone(),
            subresource: target.subresource.to_owned(),
            // As on a path, a namespace is in itself.
            namespace: if resource.plural == "namespaces" && resource.group.is_empty() { target.name.to_owned() } else { target.namespace.to_owned() },
            name: target.name.to_owned(),
            rest: String::new(),
        };
        let user_agent = component(&user.name).to_owned();
        let content_type = "application/json".to_owned();
        Ok(ApiRequest { user, info, options: Options { answer_object: true, ..Options::default() }, content_type, user_agent, body: Bytes::new() })
    }

    /// Through the one door, and counted as a REST request is.
    async fn handle(&self, request: ApiRequest) -> Result<ApiResponse, Status> {
        let began = Instant::now();
        let (verb, resource) = (request.info.verb.as_str(), request.info.resource.clone());
        let outcome = self.server.handle(request).await;
        let code = match &outcome {
            Ok(ApiResponse { answer: Answer::Object { code, .. }, .. }) => *code,
            Ok(_) => 200,
            Err(status) => status.code,
        };
        self.server.metrics.observe(verb, &resource, code, began.elapsed());
        outcome
    }

    /// One result a binding; each is counted as the `POST` to `pods/binding` that it stands for.
    async fn bind_all(&self, user: UserInfo, bindings: Vec<v1::Binding>) -> Vec<v1::BindResult> {
        let began = Instant::now();
        let outcomes = self.server.bind_all(user, bindings).await;
        for outcome in &outcomes {
            let code = outcome.as_ref().map_or_else(|status| status.code, |()| 201);
            self.server.metrics.observe(Verb::Create.as_str(), PODS, code, began.elapsed());
        }
        outcomes.into_iter().map(result).collect()
    }

    async fn object(&self, request: ApiRequest, resource: &str) -> Result<Response<v1::Object>, tonic::Status> {
        let response = self.handle(request).await?;
        Ok(Response::new(one(response, resource)?))
    }
}

/// What a message names.
#[derive(Clone, Copy, Default)]
struct Target<'a> {
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
    subresource: &'a str,
}

/// What a component would call itself in `User-Agent`, where its field manager is read from: `kube-scheduler`, `kubelet`.
fn component(user: &str) -> &str {
    match user.strip_prefix("system:") {
        Some(node) if node.starts_with("node:") => "kubelet",
        Some(name) => name,
        None => user,
    }
}

/// The caller, as authentication has put it into the request.
fn caller<T>(request: &Request<T>) -> UserInfo {
    request.extensions().get::<UserInfo>().cloned().unwrap_or_else(UserInfo::anonymous)
}

fn one(response: ApiResponse, resource: &str) -> Result<v1::Object, Status> {
    match response.answer {
        Answer::Object { item, .. } => Ok(message(resource, item)),
        Answer::Status(status) => {
            let json = Bytes::from(serde_json::to_vec(&status).map_err(|why| failure::internal(&why.to_string()))?);
            Ok(v1::Object { resource: resource.to_owned(), json, ..v1::Object::default() })
        }
        Answer::List { .. } | Answer::Watch { .. } | Answer::Connect { .. } => Err(failure::internal("the answer is no object")),
    }
}

fn message(resource: &str, item: Item) -> v1::Object {
    v1::Object {
        resource: resource.to_owned(),
        namespace: item.key.namespace.to_string(),
        name: item.key.name.to_string(),
        revision: item.revision,
        json: item.json,
    }
}

fn write_options(request: &mut ApiRequest, options: Option<v1::WriteOptions>) {
    let Some(options) = options else { return };
    if options.dry_run {
        request.options.dry_run = vec!["All".to_owned()];
    }
    request.options.field_manager = options.field_manager;
}

/// The object that a `metadata.name=x` selector of a list or watch names, as `RequestInfo` of a path has it.
fn named(field_selector: &str) -> String {
    let parsed = crate::registry::selector::parse_fields(field_selector).unwrap_or_default(); // what is wrong with it, the verb says
    parsed.into_iter().find(|one| one.field == "metadata.name" && !one.negated).map(|one| one.value).unwrap_or_default()
}

#[tonic::async_trait]
impl Objects for ObjectService {
    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::Object>, tonic::Status> {
        let user = caller(&request);
        let asked = request.into_inner();
        let target = Target { resource: &asked.resource, namespace: &asked.namespace, name: &asked.name, subresource: &asked.subresource };
        let request = self.request(user, Verb::Get, target)?;
        self.object(request, &asked.resource).await
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, tonic::Status> {
        let user = caller(&request);
        let asked = request.into_inner();
        let name = named(&asked.field_selector);
        let target = Target { resource: &asked.resource, namespace: &asked.namespace, name: &name, subresource: "" };
        let mut request = self.request(user, Verb::List, target)?;
        request.options.label_selector = asked.label_selector;
        request.options.field_selector = asked.field_selector;
        request.options.limit = asked.limit;
        request.options.continue_token = asked.r#continue;
        let Answer::List { items, revision, continue_token, remaining, .. } = self.handle(request).await?.answer else {
            return Err(failure::internal("the answer is no list").into());
        };
        let items = items.into_iter().map(|item| message(&asked.resource, item)).collect();
        Ok(Response::new(v1::ListResponse { items, revision, r#continue: continue_token, remaining: remaining.unwrap_or(0) }))
    }

    async fn create(&self, request: Request<v1::CreateRequest>) -> Result<Response<v1::Object>, tonic::Status> {
        let user = caller(&request);
        let asked = request.into_inner();
        let target = Target { resource: &asked.resource, namespace: &asked.namespace, name: &asked.name, subresource: &asked.subresource };
        let mut request = self.request(user, Verb::Create, target)?;
        if asked.name.is_empty() && asked.resource == "namespaces" {
            request.info.namespace.clear();
        }
        request.body = asked.json;
        write_options(&mut request, asked.options);
        self.object(request, &asked.resource).await
    }

    async fn update(&self, request: Request<v1::UpdateRequest>) -> Result<Response<v1::Object>, tonic::Status> {
        let user = caller(&request);
        let asked = request.into_inner();
        let target = Target { resource: &asked.resource, namespace: &asked.namespace, name: &asked.name, subresource: &asked.subresource };
        let mut request = self.request(user, Verb::Update, target)?;
        request.body = asked.json;
        write_options(&mut request, asked.options);
        self.object(request, &asked.resource).await
    }

    async fn update_status(&self, mut request: Request<v1::UpdateRequest>) -> Result<Response<v1::Object>, tonic::Status> {
        request.get_mut().subresource = "status".to_owned();
        self.update(request).await
    }

    async fn patch(&self, request: Request<v1::PatchRequest>) -> Result<Response<v1::Object>, tonic::Status> {
        let user = caller(&request);
        let asked = request.into_inner();
        let target = Target { resource: &asked.resource, namespace: &asked.namespace, name: &asked.name, subresource: &asked.subresource };
        let mut request = self.request(user, Verb::Patch, target)?;
        let kind = PatchType::try_from(asked.r#type).unwrap_or(PatchType::Unspecified);
        request.content_type = match kind {
            PatchType::Json => "application/json-patch+json",
            PatchType::Merge => "application/merge-patch+json",
            PatchType::Strategic => "application/strategic-merge-patch+json",
            PatchType::Apply => "application/apply-patch+yaml",
            PatchType::Unspecified => return Err(failure::bad_request("the type of the patch is not given").into()),
        }
        .to_owned();
        request.options.force = (kind == PatchType::Apply).then_some(asked.force);
        request.body = asked.patch;
        write_options(&mut request, asked.options);
        self.object(request, &asked.resource).await
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Result<Response<v1::Object>, tonic::Status> {
        let user = caller(&request);
        let asked = request.into_inner();
        let target = Target { resource: &asked.resource, namespace: &asked.namespace, name: &asked.name, subresource: "" };
        let mut request = self.request(user, Verb::Delete, target)?;
        let given = |text: String| (!text.is_empty()).then_some(text);
        request.options.grace_period_seconds = asked.grace_period_seconds;
        request.options.precondition_uid = given(asked.uid);
        request.options.precondition_resource_version = given(asked.resource_version);
        request.options.propagation_policy = given(asked.propagation_policy);
        if asked.dry_run {
            request.options.dry_run = vec!["All".to_owned()];
        }
        self.object(request, &asked.resource).await
    }

    async fn bind(&self, request: Request<v1::Binding>) -> Result<Response<v1::BindResult>, tonic::Status> {
        let user = caller(&request);
        let results = self.bind_all(user, vec![request.into_inner()]).await;
        Ok(Response::new(results.into_iter().next().unwrap_or_default()))
    }

    async fn bind_batch(&self, request: Request<v1::BindBatchRequest>) -> Result<Response<v1::BindBatchResponse>, tonic::Status> {
        let user = caller(&request);
        let results = self.bind_all(user, request.into_inner().bindings).await;
        Ok(Response::new(v1::BindBatchResponse { results }))
    }

    type WatchStream = BoxStream<'static, Result<v1::WatchBatch, tonic::Status>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, tonic::Status> {
        let user = caller(&request);
        let asked = request.into_inner();
        let name = named(&asked.field_selector);
        let target = Target { resource: &asked.resource, namespace: &asked.namespace, name: &name, subresource: "" };
        let mut request = self.request(user, Verb::Watch, target)?;
        let options = &mut request.options;
        options.watch = true;
        options.allow_watch_bookmarks = true;
        options.label_selector = asked.label_selector;
        options.field_selector = asked.field_selector;
        match asked.from_revision {
            Some(revision) => options.resource_version = revision.to_string(),
            None => {
                options.send_initial_events = Some(true);
                options.resource_version_match = "NotOlderThan".to_owned();
            }
        }
        let Answer::Watch { events, .. } = self.handle(request).await?.answer else {
            return Err(failure::internal("the answer is no watch").into());
        };
        let resource: Arc<str> = asked.resource.into();
        Ok(Response::new(events.flat_map(move |events| stream::iter(batches(&resource, events))).boxed()))
    }
}

fn result(outcome: Result<(), Status>) -> v1::BindResult {
    match outcome {
        Ok(()) => v1::BindResult::default(),
        Err(status) => {
            let json = serde_json::to_vec(&status).unwrap_or_default(); // strings and numbers only: cannot fail
            v1::BindResult { code: u32::from(status.code), status: json.into() }
        }
    }
}

/// Events as messages of a bounded size; an error ends the stream.
fn batches(resource: &str, events: Vec<WatchEvent>) -> Vec<Result<v1::WatchBatch, tonic::Status>> {
    let mut all = Vec::new();
    let mut batch = v1::WatchBatch::default();
    let mut bytes = 0;
    for event in events {
        let told = match event {
            WatchEvent::Added(item) => told(watch_event::Type::Added, message(resource, item)),
            WatchEvent::Modified(item) => told(watch_event::Type::Modified, message(resource, item)),
            WatchEvent::Deleted(item) => told(watch_event::Type::Deleted, message(resource, item)),
            WatchEvent::Bookmark { revision, initial_events_end, .. } => {
                let object = v1::Object { revision, ..v1::Object::default() };
                v1::WatchEvent { initial_events_end, ..told(watch_event::Type::Bookmark, object) }
            }
            WatchEvent::Error(status) => {
                if !batch.events.is_empty() {
                    all.push(Ok(batch));
                }
                all.push(Err(status.into()));
                return all;
            }
        };
        bytes += told.object.as_ref().map_or(0, |object| object.json.len());
        batch.events.push(told);
        if bytes > BATCH_BYTES {
            all.push(Ok(std::mem::take(&mut batch)));
            bytes = 0;
        }
    }
    if !batch.events.is_empty() {
        all.push(Ok(batch));
    }
    all
}

fn told(kind: watch_event::Type, object: v1::Object) -> v1::WatchEvent {
    v1::WatchEvent { r#type: kind.into(), object: Some(object), initial_events_end: false }
}
