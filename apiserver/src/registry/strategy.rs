//! What a kind adds to the generic registry: sync hooks over the object's JSON. Every hook has a default, so that
//! a kind without rules of its own is a name and a schema.
//!
//! Mirrors `apiserver/pkg/registry/rest/{create,update}.go`: the pipeline strictly decodes (`schema`), then calls
//! `default → mutating admission → prepare → validate` in that order, and stores what comes out.

use serde_json::Value;

use crate::error::FieldError;

/// What a hook may know besides the object. No I/O, no clock: `now` is passed in.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// RFC 3339, seconds: `2026-01-02T03:04:05Z`.
    pub now: String,
    /// The version that the request was made in: `v1`, `v2`.
    pub version: String,
    /// The subresource that is written: empty, `status`, `ephemeralcontainers`, `resize`, `scale`, `finalize`.
    pub subresource: String,
    /// Name of the caller.
    pub user: String,
    /// Groups of the caller.
    pub groups: Vec<String>,
}

/// One column of `kubectl get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// `Name`, `Ready`, `Age`.
    pub name: &'static str,
    /// `string`, `integer`, `date`.
    pub kind: &'static str,
    /// `name` for the name's column.
    pub format: &'static str,
    /// What `kubectl explain` would say; may be empty.
    pub description: &'static str,
    /// 0: always shown; 1: with `-o wide`.
    pub priority: i32,
}

/// The rules of one kind. Objects arrive strictly decoded and in the storage version.
pub trait Strategy: Send + Sync {
    /// Fills in what was left out (`pkg/apis/*/v1/defaults.go`). Idempotent. Runs on create, update and patch, and on reads of older versions.
    fn default(&self, _object: &mut Value) {}

    /// Clears or sets what a client may not decide on create (status, generation is done by the registry).
    fn prepare_for_create(&self, _object: &mut Value, _context: &Context) {}

    /// The same on update; `old` is what is stored. The registry has already put `metadata`'s system fields right, has kept
    /// `status` on a write of the main resource and everything but `status` on a write of `/status`,
    /// and raises `generation` afterwards if `spec` changed.
    fn prepare_for_update(&self, _object: &mut Value, _old: &Value, _context: &Context) {}

    /// Every fault of a new object. `metadata` is validated by the registry, with [`Strategy::validate_name`].
    fn validate(&self, _object: &Value, _context: &Context) -> Vec<FieldError> {
        Vec::new()
    }

    /// Every fault of a change (also of `/status` and other subresources: see `context.subresource`).
    fn validate_update(&self, object: &Value, _old: &Value, context: &Context) -> Vec<FieldError> {
        self.validate(object, context)
    }

    /// The last touch on a valid new object before it is stored (`Canonicalize`, and what Kubernetes fills in when it reads the object back).
    fn canonicalize(&self, _object: &mut Value) {}

    /// What is wrong with a name, each as the rest of the sentence `metadata.name: Invalid value: "x": …`. `prefix`: it is a generateName.
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        crate::kinds::name::dns_subdomain(name, prefix)
    }

    /// Sentences for the `Warning:` header of a write.
    fn warnings(&self, _object: &Value, _old: Option<&Value>, _context: &Context) -> Vec<String> {
        Vec::new()
    }

    /// The columns of `kubectl get`, first to last.
    fn columns(&self) -> Vec<Column> {
        crate::kinds::table::name_and_created_at()
    }

    /// One row: a cell for each column. `now` is in seconds since the epoch, for ages.
    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        crate::kinds::table::name_and_created_at_row(object, now)
    }

    /// `conditions` of the table row: a `metav1.TableRowCondition` where a pod is over.
    fn row_conditions(&self, _object: &Value) -> Vec<Value> {
        Vec::new()
    }

    /// The grace period a deletion begins with, in seconds, where this kind is deleted gracefully; `None`: at once.
    /// (Pods: `spec.terminationGracePeriodSeconds`, 0 once never scheduled or finished.)
    fn graceful_deletion(&self, _object: &Value, _asked: Option<i64>) -> Option<i64> {
        None
    }

    /// Whether a deletion that names no policy leaves dependents behind (`DefaultGarbageCollectionPolicy`): jobs and replication controllers.
    fn orphans_by_default(&self) -> bool {
        false
    }

    /// Whether `spec` is compared to raise `metadata.generation`, which starts at 1 on create.
    fn has_generation(&self) -> bool {
        false
    }

    /// Whether a change (already prepared) raises `metadata.generation`: by default, whether `spec` differs.
    /// Asked only where [`Strategy::has_generation`].
    fn raises_generation(&self, object: &Value, old: &Value) -> bool {
        object.get("spec") != old.get("spec")
    }

    /// Whether an update may create the object (`PUT` of a name that is not there).
    fn create_on_update(&self) -> bool {
        false
    }

    /// Whether an update without a resourceVersion is taken as "whatever is there".
    fn unconditional_update(&self) -> bool {
        true
    }

    /// The paths that field selectors may name besides `metadata.name` and `metadata.namespace`, and how they are read.
    fn selectable_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// The value of one of [`Strategy::selectable_fields`]: by default the string (or bool) at that path, else empty.
    fn field(&self, object: &Value, path: &str) -> String {
        crate::kinds::table::text_at(object, path)
    }

    /// An object in the storage version, turned into `version`; and back. For kinds served in several versions that differ.
    fn convert(&self, object: Value, _to_version: &str) -> Value {
        object
    }
}
