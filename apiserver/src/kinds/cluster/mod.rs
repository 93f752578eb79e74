//! Kinds that are not workloads: nodes, namespaces, configuration, services, storage, access.

use std::sync::Arc;

use crate::registry::strategy::Strategy;

/// The rules of a group-resource, if it is one of these.
pub fn strategy(_group_resource: &str) -> Option<Arc<dyn Strategy>> {
    None
}
