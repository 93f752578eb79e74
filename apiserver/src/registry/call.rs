//! One request on its way through the registry: the request, its resource, the server, and the moment. Each verb is an `impl Call`
//! in the file of its name.

use std::sync::Arc;

use serde_json::Value;
use skiff_proto::status::Status;

use super::clock::rfc3339;
use super::resource::Resource;
use super::strategy::Context;
use super::{body, convert, watch};
use crate::dispatch::{Answer, ApiRequest, ApiResponse, Item, Server, WatchEvent};
use crate::error::failure;
use crate::schema::Gvk;
use crate::store::{Key, Revision, Version};

/// See the module.
pub struct Call<'a> {
    /// Store, clock, admission.
    pub server: &'a Server,
    /// What was asked.
    pub request: &'a ApiRequest,
    /// What it is asked of.
    pub resource: Arc<Resource>,
    /// When it was asked, in microseconds.
    pub now: i64,
}

impl<'a> Call<'a> {
    /// A request at this moment.
    pub fn new(server: &'a Server, request: &'a ApiRequest, resource: Arc<Resource>) -> Self {
        Self { server, request, resource, now: server.environment.now() }
    }

    /// The version of the path.
    pub fn version(&self) -> &str {
        &self.request.info.version
    }

    /// The object's name; empty for a collection.
    pub fn name(&self) -> &str {
        &self.request.info.name
    }

    /// Empty for cluster-scoped objects and for all namespaces.
    pub fn namespace(&self) -> &str {
        if self.resource.namespaced { &self.request.info.namespace } else { "" }
    }

    /// The store key of a name in the request's namespace.
    pub fn key(&self, name: &str) -> Key {
        Key::new(&self.resource.storage_key(), self.namespace(), name)
    }

    /// The stored object of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Version>> {
        self.server.store.find(&self.resource.storage_key(), self.namespace(), name)
    }

    /// `pods "x" not found`
    pub fn not_found(&self) -> Status {
        failure::not_found(&self.resource.group_resource(), self.name())
    }

    /// What hooks may know.
    pub fn context(&self) -> Context {
        Context {
            now: rfc3339(self.now),
            version: self.version().to_owned(),
            subresource: self.request.info.subresource.clone(),
            user: self.request.user.name.clone(),
            groups: self.request.user.groups.clone(),
        }
    }

    /// How the client sees stored objects.
    pub fn shape(&self) -> Shape {
        Shape { resource: self.resource.clone(), version: self.version().to_owned() }
    }

    /// A stored version as the client sees it.
    pub fn item(&self, version: &Arc<Version>) -> Item {
        item(&self.resource, self.version(), version)
    }

    /// An object that is not (or not yet) stored, as the client sees it.
    pub fn unstored(&self, object: Value) -> Item {
        let name = super::meta::get(&object, "name").to_owned();
        let object = convert::from_storage(&self.resource, self.version(), object);
        Item { key: self.key(&name), revision: 0, json: body::bytes(&object), version: None }
    }

    /// An answer of one object of the resource's kind.
    pub fn answer(&self, code: u16, item: Item) -> ApiResponse {
        self.answer_as(code, self.resource.gvk(self.version()), item)
    }

    /// An answer of one object of another kind (`Scale`).
    pub fn answer_as(&self, code: u16, gvk: Gvk, item: Item) -> ApiResponse {
        ApiResponse { warnings: Vec::new(), answer: Answer::Object { code, resource: self.resource.clone(), gvk, item } }
    }
}

/// The form that a client sees stored objects in: a resource in a version. Outlives the call, for watches.
#[derive(Clone)]
pub struct Shape {
    resource: Arc<Resource>,
    version: String,
}

impl Shape {
    /// See [`Call::item`].
    pub fn item(&self, version: &Arc<Version>) -> Item {
        item(&self.resource, &self.version, version)
    }

    /// A bookmark at a revision.
    pub fn bookmark(&self, at: Revision, initial_events_end: bool) -> WatchEvent {
        let json = watch::bookmark_json(&self.resource.api_version(&self.version), &self.resource.kind, at, initial_events_end);
        WatchEvent::Bookmark { revision: at, initial_events_end, json }
    }
}

fn item(resource: &Resource, asked: &str, version: &Arc<Version>) -> Item {
    let json = if convert::is_stored_form(resource, asked) {
        version.json.clone()
    } else {
        let object = serde_json::from_slice(&version.json).unwrap_or_default(); // the registry wrote it: it parses
        body::bytes(&convert::from_storage(resource, asked, object))
    };
    Item { key: version.key.clone(), revision: version.revision, json, version: Some(version.clone()) }
}
