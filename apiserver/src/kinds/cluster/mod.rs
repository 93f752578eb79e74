//! Kinds that are not workloads: nodes, namespaces, configuration, services, storage, access.

mod config;
mod event;
mod namespace;
mod node;
mod service;
mod small;

use std::sync::Arc;

use crate::registry::strategy::Strategy;

/// The rules of a group-resource, if it is one of these.
pub fn strategy(group_resource: &str) -> Option<Arc<dyn Strategy>> {
    Some(match group_resource {
        "namespaces" => Arc::new(namespace::Namespace),
        "services" => Arc::new(service::Service),
        "nodes" => Arc::new(node::Node),
        "events" | "events.events.k8s.io" => Arc::new(event::Event),
        "configmaps" => Arc::new(config::ConfigMap),
        "secrets" => Arc::new(config::Secret),
        other => return small::strategy(other),
    })
}
