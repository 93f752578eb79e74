//! Pods, and the kinds that make pods.

pub mod pod;
pub mod podspec;

use std::sync::Arc;

use crate::registry::strategy::Strategy;

/// The rules of a group-resource, if it is one of these.
pub fn strategy(group_resource: &str) -> Option<Arc<dyn Strategy>> {
    Some(match group_resource {
        "pods" => Arc::new(pod::Pod),
        _ => return None,
    })
}
