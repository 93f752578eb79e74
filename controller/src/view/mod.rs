//! Compact views: what reconcilers read of an object and nothing more, decoded straight from the watched JSON.
//!
//! A `k8s-openapi` Pod takes 2.4 KB before its heap; caches here hold every pod of the cluster, so each view names only the fields that
//! some plan looks at. Because a view is not the whole object it is never written back: writes are patches.

pub mod deployment;
pub mod meta;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod replicas;
pub mod selector;
pub mod service;

use skiff_proto::v1;

pub use deployment::Deployment;
pub use meta::{Labels, Meta, Owner};
pub use namespace::{CaBundle, Namespace, ServiceAccount};
pub use node::{Lease, Node};
pub use pod::Pod;
pub use replicas::Replicas;
pub use selector::LabelSelector;
pub use service::{EndpointSlice, Endpoints, Service};

/// Anything with metadata.
pub trait Object {
    /// The object's metadata.
    fn meta(&self) -> &Meta;

    /// `namespace/name`, or the name alone.
    fn key(&self) -> Key {
        Key::new(&self.meta().namespace, &self.meta().name)
    }
}

/// An object's namespace (empty for cluster-wide kinds) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty for a cluster-wide object.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl Key {
    /// A key of these two.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of an envelope.
    pub fn of(object: &v1::Object) -> Self {
        Self::new(&object.namespace, &object.name)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

impl<T: Object + ?Sized> Object for std::sync::Arc<T> {
    fn meta(&self) -> &Meta {
        (**self).meta()
    }
}

macro_rules! objects {
    ($($view:ty),*) => {$(
        impl Object for $view {
            fn meta(&self) -> &Meta {
                &self.metadata
            }
        }
    )*};
}
objects!(Deployment, Replicas, Pod, Node, Lease, Service, Endpoints, EndpointSlice, Namespace, ServiceAccount, CaBundle);
