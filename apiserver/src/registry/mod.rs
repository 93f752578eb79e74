//! The generic registry: one implementation of every verb, and what each kind adds to it.
//!
//! Start with [`resource`] (what is served) and [`strategy`] (what a kind adds), then follow a verb: [`read`], [`watch`], [`create`],
//! [`update`], [`patch`], [`apply`], [`delete`]. [`managed`] notes who wrote what. [`subresource`] and [`virtuals`] are the special ones.

pub mod apply;
pub mod bind;
pub mod body;
pub mod call;
pub mod clock;
pub mod codec;
pub mod convert;
pub mod create;
pub mod delete;
pub mod describe;
pub mod managed;
pub mod meta;
pub mod options;
pub mod patch;
pub mod read;
pub mod resource;
pub mod selector;
pub mod strategy;
pub mod subresource;
pub mod token;
pub mod update;
pub mod virtuals;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use resource::Resource;

/// Every served resource: what routes, discovery and tables are read off.
#[derive(Clone, Default)]
pub struct Resources {
    all: Vec<Arc<Resource>>,
    by_path: BTreeMap<(String, String), Arc<Resource>>,
    by_key: BTreeMap<String, Arc<Resource>>,
    documents: Arc<crate::schema::openapi::Documents>,
}

impl Resources {
    /// These, in the order of discovery.
    pub fn new(all: Vec<Arc<Resource>>) -> Self {
        let mut resources = Self { all, ..Self::default() };
        for one in &resources.all {
            resources.by_path.insert((one.group.clone(), one.plural.clone()), one.clone());
            resources.by_key.entry(one.group_resource()).or_insert_with(|| one.clone());
        }
        resources
    }

    /// Every kind that is built in.
    pub fn builtin() -> Self {
        Self::new(resource::builtin().into_iter().map(Arc::new).collect())
    }

    /// The document under `/openapi/`: `v2`, `v3`, `v3/apis/apps/v1`. Nothing if there is none.
    pub fn openapi(&self, path: &str) -> Option<bytes::Bytes> {
        self.documents.get(path, self)
    }

    /// In the order of discovery.
    pub fn all(&self) -> &[Arc<Resource>] {
        &self.all
    }

    /// The resource of a path, if that version of it is served.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let found = self.by_path.get(&(group.to_owned(), plural.to_owned()))?;
        found.versions.iter().any(|have| have == version).then_some(found)
    }

    /// The resource of a group-resource (`pods`, `deployments.apps`), as gRPC and store keys name it.
    pub fn find_key(&self, group_resource: &str) -> Option<&Arc<Resource>> {
        self.by_key.get(group_resource)
    }
}
