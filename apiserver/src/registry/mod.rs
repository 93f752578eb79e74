//! The generic registry: one implementation of every verb, and what each kind adds to it.

pub mod options;
pub mod resource;
pub mod strategy;

use std::sync::Arc;

use resource::Resource;

/// Every served resource: what routes, discovery and tables are read off.
#[derive(Clone, Default)]
pub struct Resources {
    all: Vec<Arc<Resource>>,
}

impl Resources {
    /// In the order of discovery.
    pub fn all(&self) -> &[Arc<Resource>] {
        &self.all
    }

    /// The resource of a path, if that version of it is served.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.all.iter().find(|one| one.group == group && one.plural == plural && one.versions.iter().any(|have| have == version))
    }
}
