//! A call as a value, before it is said in either tongue.

use serde_json::Value;
use skiff_proto::v1::PatchType;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// May everything.
    Admin,
    /// May nothing.
    Jane,
    /// `system:kube-scheduler`
    Scheduler,
    /// Shows no certificate.
    Nobody,
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Act {
    /// One object.
    Get,
    /// A page.
    List {
        /// Empty: all.
        labels: &'static str,
        /// Empty: all.
        fields: &'static str,
        /// 0: no limit.
        limit: u64,
        /// Goes on where the last page ended.
        go_on: bool,
    },
    /// A new object.
    Create,
    /// Another in its place.
    Update,
    /// Its status.
    UpdateStatus,
    /// A change.
    Patch(PatchType),
    /// Its end.
    Delete(Delete),
    /// A pod to a node.
    Bind(&'static str),
    /// The same, as a batch of one.
    BindBatch(&'static str),
}

/// How an object is deleted.
#[derive(Clone, Debug, Default)]
pub struct Delete {
    /// Seconds.
    pub grace: Option<i64>,
    /// Preconditions; empty: none. `{uid}` and `{rv}` are those of the object answered last.
    pub uid: &'static str,
    /// See above.
    pub revision: &'static str,
    /// Empty: the kind's own.
    pub policy: &'static str,
}

/// The names of all acts, in order.
pub const ACTS: [&str; 9] = ["bind", "bind-batch", "create", "delete", "get", "list", "patch", "update", "update-status"];

impl Act {
    /// As the service calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List { .. } => "list",
            Self::Create => "create",
            Self::Update => "update",
            Self::UpdateStatus => "update-status",
            Self::Patch(_) => "patch",
            Self::Delete(_) => "delete",
            Self::Bind(_) => "bind",
            Self::BindBatch(_) => "bind-batch",
        }
    }
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who.
    pub who: Who,
    /// What.
    pub act: Act,
    /// `deployments.apps`
    pub resource: &'static str,
    /// Empty: cluster-scoped, or all.
    pub namespace: &'static str,
    /// Empty: a collection.
    pub name: &'static str,
    /// `status`, `scale`, `eviction`.
    pub subresource: &'static str,
    /// The body. `{uid}` and `{rv}` are those of the object answered last.
    pub body: String,
    /// Nothing is to be kept.
    pub dry_run: bool,
    /// Server-side apply takes fields from others.
    pub force: bool,
}

impl Call {
    fn new(act: Act, resource: &'static str, namespace: &'static str, name: &'static str, body: String) -> Self {
        Self { who: Who::Admin, act, resource, namespace, name, subresource: "", body, dry_run: false, force: false }
    }

    /// Reads an object.
    pub fn get(resource: &'static str, namespace: &'static str, name: &'static str) -> Self {
        Self::new(Act::Get, resource, namespace, name, String::new())
    }

    /// Reads a collection.
    pub fn list(resource: &'static str, namespace: &'static str) -> Self {
        Self::new(Act::List { labels: "", fields: "", limit: 0, go_on: false }, resource, namespace, "", String::new())
    }

    /// Reads a page, the first or the next.
    pub fn page(resource: &'static str, namespace: &'static str, limit: u64, go_on: bool) -> Self {
        Self::new(Act::List { labels: "", fields: "", limit, go_on }, resource, namespace, "", String::new())
    }

    /// Reads what is selected.
    pub fn select(resource: &'static str, namespace: &'static str, labels: &'static str, fields: &'static str) -> Self {
        Self::new(Act::List { labels, fields, limit: 0, go_on: false }, resource, namespace, "", String::new())
    }

    /// Creates an object.
    pub fn create(resource: &'static str, namespace: &'static str, body: Value) -> Self {
        Self::new(Act::Create, resource, namespace, "", body.to_string())
    }

    /// Replaces an object.
    pub fn update(resource: &'static str, namespace: &'static str, name: &'static str, body: Value) -> Self {
        Self::new(Act::Update, resource, namespace, name, body.to_string())
    }

    /// Replaces an object's status.
    pub fn update_status(resource: &'static str, namespace: &'static str, name: &'static str, body: Value) -> Self {
        Self::new(Act::UpdateStatus, resource, namespace, name, body.to_string())
    }

    /// Patches an object.
    pub fn patch(resource: &'static str, namespace: &'static str, name: &'static str, kind: PatchType, body: Value) -> Self {
        Self::new(Act::Patch(kind), resource, namespace, name, body.to_string())
    }

    /// Deletes an object.
    pub fn delete(resource: &'static str, namespace: &'static str, name: &'static str) -> Self {
        Self::new(Act::Delete(Delete::default()), resource, namespace, name, String::new())
    }

    /// Deletes an object in a certain way.
    pub fn delete_as(resource: &'static str, namespace: &'static str, name: &'static str, how: Delete) -> Self {
        Self::new(Act::Delete(how), resource, namespace, name, String::new())
    }

    /// Assigns a pod.
    pub fn bind(namespace: &'static str, name: &'static str, node: &'static str) -> Self {
        Self::new(Act::Bind(node), "pods", namespace, name, String::new())
    }

    /// Assigns a pod, in a batch.
    pub fn bind_batch(namespace: &'static str, name: &'static str, node: &'static str) -> Self {
        Self::new(Act::BindBatch(node), "pods", namespace, name, String::new())
    }

    /// The same of a subresource.
    pub fn of(self, subresource: &'static str) -> Self {
        Self { subresource, ..self }
    }

    /// The same by somebody else.
    pub fn by(self, who: Who) -> Self {
        Self { who, ..self }
    }

    /// The same, but nothing is kept.
    pub fn dry(self) -> Self {
        Self { dry_run: true, ..self }
    }

    /// The same, with this text for a body.
    pub fn text(self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self }
    }

    /// The same, named.
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }
}

/// An answer, after what is of one tongue only is taken away.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP code; of a success over gRPC, 200.
    pub code: u16,
    /// Object, list or Status.
    pub body: Value,
}

/// One event of a watch.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `ADDED`, …, `ERROR`.
    pub kind: String,
    /// Of a bookmark: whether the initial events end with it.
    pub initial_events_end: bool,
    /// The object; of a bookmark, its revision only.
    pub object: Value,
}

/// What later calls of a story need of earlier answers.
#[derive(Default)]
pub struct Memory {
    object: Value,
    /// `metadata.continue` of the last page.
    pub next_page: String,
}

impl Memory {
    /// Puts uid and revision of the object answered last in their places.
    pub fn fill(&self, text: &str) -> String {
        let of_object = |name: &str| self.object["metadata"][name].as_str().unwrap_or_default();
        text.replace("{uid}", of_object("uid")).replace("{rv}", of_object("resourceVersion"))
    }

    /// Remembers an answer.
    pub fn keep(&mut self, answer: &Answer) {
        if answer.code >= 400 || answer.body["kind"] == "Status" {
            return;
        }
        if let Some(token) = answer.body["continue"].as_str() {
            self.next_page = token.to_owned();
        } else if answer.body["metadata"]["resourceVersion"].is_string() {
            self.object = answer.body.clone();
        }
    }
}
