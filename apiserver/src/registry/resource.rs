//! What discovery says of a resource, and the registration that everything else is read off.

use std::sync::Arc;

use super::strategy::Strategy;

/// How a resource is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the store.
    Stored,
    /// Answered, never stored: `subjectaccessreviews`, `tokenreviews`, `bindings`, `componentstatuses`.
    Virtual,
    /// Another server answers (aggregated APIs; later).
    Proxied,
}

/// One served resource. Static facts come from `kinds/api-resources.tsv`.
#[derive(Clone)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    /// Every version served, the preferred one first.
    pub versions: Vec<String>,
    /// The version objects are stored in (of `group`).
    pub storage_version: String,
    /// `pods`
    pub plural: String,
    /// `pod`
    pub singular: String,
    /// `Pod`
    pub kind: String,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// `po`
    pub short_names: Vec<String>,
    /// `all`
    pub categories: Vec<String>,
    /// `create`, `delete`, `deletecollection`, `get`, `list`, `patch`, `update`, `watch`
    pub verbs: Vec<String>,
    /// Subresources.
    pub subresources: Vec<Subresource>,
    /// Stored or answered.
    pub storage: Storage,
    /// The kind's rules.
    pub strategy: Arc<dyn Strategy>,
}

/// One subresource of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// `status`, `scale`, `log`
    pub name: String,
    /// Group, version and kind of its body where they are not the resource's own: `autoscaling/v1 Scale`.
    pub group: String,
    /// See `group`; empty where it is the resource's own.
    pub version: String,
    /// `Pod`, `Scale`, `Eviction`
    pub kind: String,
    /// Its verbs.
    pub verbs: Vec<String>,
}

impl Resource {
    /// `pods`, `deployments.apps`: the resource's part of a store key.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `v1`, `apps/v1`
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }
}
