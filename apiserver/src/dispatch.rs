//! The one door: whatever tongue a request came in, it becomes an [`ApiRequest`] and is handled by [`Server::handle`].
//!
//! Nothing bypasses it, so authorization, admission and limits are applied once, here. REST (`http`) and gRPC (`grpc`)
//! are translations on both sides of this file: bytes into [`ApiRequest`], [`ApiResponse`] into bytes.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use futures::stream::BoxStream;
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;

use crate::admission::Admission;
use crate::auth::Authenticator;
use crate::auth::authorize::Authorizer;
use crate::error::failure;
use crate::metrics::Metrics;
use crate::registry::Resources;
use crate::registry::call::Call;
use crate::registry::clock::Environment;
use crate::registry::options::Options;
use crate::registry::resource::{Resource, Storage};
use crate::schema::Gvk;
use crate::store::{Key, Revision, Store, Version};

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
    /// The stored version behind it, where other encodings of it can be shared (see [`Version::encoding`]).
    pub version: Option<Arc<Version>>,
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
pub struct Server {
    /// Every version of every object.
    pub store: Store,
    /// Time and chance.
    pub environment: Arc<dyn Environment>,
    /// Plugins that look at other objects.
    pub admission: Admission,
    /// Who may do what.
    pub authorizer: Authorizer,
    /// Requests of both tongues, counted.
    pub metrics: Metrics,
    authenticator: Option<Arc<Authenticator>>,
    resources: RwLock<Arc<Resources>>,
}

/// What a server is made with.
pub struct Settings {
    /// The open store.
    pub store: Store,
    /// Clock and randomness.
    pub environment: Arc<dyn Environment>,
    /// Who is trusted; `None` where every request brings its identity (one process, tests).
    pub authenticator: Option<Arc<Authenticator>>,
    /// `DefaultTolerationSeconds`.
    pub toleration_seconds: i64,
    /// `ServiceAccount` admission: a pod gets an account, and its token. Off where nobody makes accounts.
    pub service_accounts: bool,
}

impl Server {
    /// A server over an open store. Serves the built-in kinds.
    pub fn new(settings: Settings) -> Arc<Self> {
        let admission = Admission::new(&settings.store, settings.toleration_seconds, settings.service_accounts);
        Arc::new(Self {
            store: settings.store,
            environment: settings.environment,
            admission,
            authorizer: Authorizer,
            metrics: Metrics::default(),
            authenticator: settings.authenticator,
            resources: RwLock::new(Arc::new(Resources::builtin())),
        })
    }

    /// Handles one request: authorize → find the resource → verb. Never blocks on I/O other than the store's commit.
    pub async fn handle(&self, request: ApiRequest) -> Result<ApiResponse, Status> {
        self.authorizer.check(&request.user, &request.info, &self.store)?;
        let info = &request.info;
        let resource = self.resources().find(&info.group, &info.version, &info.resource).cloned().ok_or_else(failure::no_such_resource)?;
        let call = Call::new(self, &request, resource);
        call.check_method()?;
        if call.resource.storage == Storage::Virtual {
            return match (info.resource.as_str(), info.verb) {
                ("bindings", Verb::Create) => call.bind().await,
                ("componentstatuses", Verb::Get | Verb::List) => call.component_statuses(),
                _ => call.review(), // every other virtual kind is a review, and `check_method` lets only its creation through
            };
        }
        match info.subresource.as_str() {
            "scale" => match info.verb {
                Verb::Get => call.get_scale(),
                Verb::Patch => call.patch_scale().await,
                _ => call.update_scale().await, // `check_method` lets only these three through
            },
            "binding" => call.bind().await,
            "eviction" => call.evict().await,
            "token" => call.token(),
            "log" | "exec" | "attach" | "portforward" | "proxy" => call.connect(),
            _ => call.main().await, // the object, or a part of it that has its kind
        }
    }

    /// Every served resource, a snapshot (the set changes with CustomResourceDefinitions).
    pub fn resources(&self) -> Arc<Resources> {
        self.resources.read().unwrap_or_else(PoisonError::into_inner).clone() // swapped whole: never half changed
    }

    /// Serves these resources from now on.
    pub fn serve(&self, resources: Resources) {
        *self.resources.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(resources);
    }

    /// Who is trusted.
    pub fn authenticator(&self) -> Option<&Arc<Authenticator>> {
        self.authenticator.as_ref()
    }

    /// Whether `user` may ask for a path that is no resource (`/version`, `/metrics`, `/openapi/v3`, discovery). `method` in lower case.
    pub fn authorize_path(&self, user: &UserInfo, method: &str, path: &str) -> Result<(), Status> {
        self.authorizer.check_path(user, method, path, &self.store)
    }
}

impl Call<'_> {
    /// Whether the resource has the verb, in this place: discovery says which.
    fn check_method(&self) -> Result<(), Status> {
        let info = &self.request.info;
        let verb = info.verb.as_str();
        let verbs = if info.subresource.is_empty() { Some(&self.resource.verbs) } else { self.resource.subresource(&info.subresource).map(|one| &one.verbs) };
        let Some(verbs) = verbs else { return Err(failure::no_such_resource()) };
        let everywhere = matches!(info.verb, Verb::List | Verb::Watch) && info.subresource.is_empty();
        let placed = everywhere || !self.resource.namespaced || !info.namespace.is_empty();
        // only what has a name can be replaced or patched
        let placed = placed && (!matches!(info.verb, Verb::Update | Verb::Patch) || !info.name.is_empty());
        if placed && verbs.iter().any(|have| have == verb) { Ok(()) } else { Err(failure::method_not_allowed()) }
    }

    async fn main(&self) -> Result<ApiResponse, Status> {
        match self.request.info.verb {
            Verb::Get => {
                let response = self.get()?;
                if self.request.user.node_name().is_some() {
                    let node = self.find(self.name()).map(|version| version.node().to_owned()).unwrap_or_default(); // gone since: nothing to hide
                    crate::admission::node::restrict_get(self, &node)?;
                }
                Ok(response)
            }
            Verb::List | Verb::Watch => {
                crate::admission::node::restrict_read(self, &self.selection()?)?;
                if self.request.info.verb == Verb::List { self.list() } else { self.watch() }
            }
            Verb::Create => self.create().await,
            Verb::Update => self.update().await,
            Verb::Patch => self.patch().await,
            Verb::Delete => self.delete().await,
            Verb::DeleteCollection => self.delete_collection().await,
        }
    }
}
