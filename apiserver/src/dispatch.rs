//! The one door: whatever tongue a request came in, it becomes an [`ApiRequest`] and is handled by [`Server::handle`].
//!
//! Nothing bypasses it, so authorization, admission and limits are applied once, here. REST (`http`) and gRPC (`grpc`)
//! are translations on both sides of this file: bytes into [`ApiRequest`], [`ApiResponse`] into bytes.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;

use crate::registry::options::Options;
use crate::registry::resource::Resource;
use crate::schema::Gvk;
use crate::store::{Key, Revision};

/// What a request wants to do, as `request.RequestInfo.Verb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `GET` of one object or of a subresource.
    Get,
    /// `GET` of a collection.
    List,
    /// `GET` of a collection with `watch=true` (or the deprecated `/watch/` paths).
    Watch,
    /// `POST`.
    Create,
    /// `PUT`.
    Update,
    /// `PATCH`.
    Patch,
    /// `DELETE` of one object.
    Delete,
    /// `DELETE` of a collection.
    DeleteCollection,
}

impl Verb {
    /// `get`, `list`, `deletecollection`: as authorization and discovery name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// Which resource a request is about: `apiserver/pkg/endpoints/request/requestinfo.go`. Made from a path by `http::request_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// What to do.
    pub verb: Verb,
    /// Empty for core.
    pub group: String,
    /// `v1`
    pub version: String,
    /// `pods`
    pub resource: String,
    /// `status`, `log`, `scale`; empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-scoped objects and for all namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    /// What follows the subresource: the path behind `/proxy/`, with its leading slash, else empty.
    pub rest: String,
}

/// A request, whichever tongue it came in.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// Who asks, once authenticated.
    pub user: UserInfo,
    /// What for.
    pub info: RequestInfo,
    /// The query (see [`Options::from_query`]).
    pub options: Options,
    /// Value of the `Content-Type` header as it was sent; empty: none. The registry answers 415 where it must.
    pub content_type: String,
    /// Value of the `User-Agent` header: the default field manager is what stands before its first `/`.
    pub user_agent: String,
    /// The body, whole.
    pub body: Bytes,
}

/// An answer that is not a refusal (those are `Err(Status)`).
pub struct ApiResponse {
    /// Texts of `Warning: 299 - "…"` headers, in order.
    pub warnings: Vec<String>,
    /// What to send.
    pub answer: Answer,
}

/// What to send.
pub enum Answer {
    /// One object.
    Object {
        /// 200 or 201.
        code: u16,
        /// The registration it belongs to, for tables.
        resource: Arc<Resource>,
        /// Group, version and kind of `item` (not the resource's own for `/scale`, `/token`, `/eviction`).
        gvk: Gvk,
        /// The object.
        item: Item,
    },
    /// A page of a collection.
    List {
        /// The registration, for tables.
        resource: Arc<Resource>,
        /// Of the items; the list's kind is this kind and `List`.
        gvk: Gvk,
        /// `metadata.resourceVersion` of the list.
        revision: Revision,
        /// In key order.
        items: Vec<Item>,
        /// `metadata.continue`; empty: the last page.
        continue_token: String,
        /// `metadata.remainingItemCount`, where it is known.
        remaining: Option<u64>,
    },
    /// Changes as they happen. The stream ends at `timeoutSeconds`, when the watcher falls behind, or with an error event.
    Watch {
        /// The registration, for tables.
        resource: Arc<Resource>,
        /// Of the objects.
        gvk: Gvk,
        /// Batches of events that were ready together.
        events: BoxStream<'static, Vec<WatchEvent>>,
    },
    /// A `metav1.Status` that tells of success, with `status.code` as HTTP code.
    Status(Status),
    /// The request is authorized and its object exists: `http::upgrade` now speaks with the node or the pod (`log`, `exec`, `attach`, `portforward`, `proxy`).
    Connect {
        /// The registration of the object.
        resource: Arc<Resource>,
        /// The pod, service or node.
        item: Item,
    },
}

/// An object's bytes: canonical JSON in the version that was asked for, shared with the store where that is the storage version.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it lives (an empty name for answers that are not stored).
    pub key: Key,
    /// Its `metadata.resourceVersion`; 0 for answers that are not stored.
    pub revision: Revision,
    /// The whole object, with `apiVersion` and `kind`.
    pub json: Bytes,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// New, or newly selected.
    Added(Item),
    /// Changed.
    Modified(Item),
    /// Gone, or no longer selected: its last state with the revision of the change.
    Deleted(Item),
    /// Everything up to `revision` has been sent; `json` is the bookmark object (kind, apiVersion, metadata only).
    Bookmark {
        /// See above.
        revision: Revision,
        /// The initial list is complete (annotation `k8s.io/initial-events-end`).
        initial_events_end: bool,
        /// The object that a bookmark carries.
        json: Bytes,
    },
    /// The watch failed; the stream ends after it.
    Error(Status),
}

/// The API server's heart, shared by both tongues.
pub struct Server {}

impl Server {
    /// Handles one request: authorize → find the resource → verb. Never blocks on I/O other than the store's commit.
    pub async fn handle(&self, _request: ApiRequest) -> Result<ApiResponse, Status> {
        Err(Status::failure(501, "NotImplemented", "not yet"))
    }

    /// Every served resource, a snapshot (the set changes with CustomResourceDefinitions).
    pub fn resources(&self) -> Arc<crate::registry::Resources> {
        Arc::new(crate::registry::Resources::default())
    }

    /// Whether `user` may ask for a path that is no resource (`/version`, `/metrics`, `/openapi/v3`, discovery).
    pub fn authorize_path(&self, _user: &UserInfo, _method: &str, _path: &str) -> Result<(), Status> {
        Ok(())
    }
}
