//! Compact views: what reconcilers read of an object and nothing more, decoded straight from the watched JSON.
//!
//! A `k8s-openapi` Pod takes 2.4 KB before its heap; caches here hold every pod of the cluster, so each view names only the fields that
//! some plan looks at. Because a view is not the whole object it is never written back: writes are patches.

pub mod daemon_set;
pub mod deployment;
pub mod job;
pub mod meta;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod replicas;
pub mod selector;
pub mod service;

use skiff_client::informer::{Cached, Key};
use skiff_proto::v1;

use crate::not_implemented::table;

pub use daemon_set::{ControllerRevision, DaemonSet};
pub use deployment::Deployment;
pub use job::Job;
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

    /// What is to be said of it because nobody acts on it: [`crate::not_implemented`].
    fn not_implemented(&self) -> Option<&str> {
        None
    }

    /// `namespace/name`, or the name alone.
    fn key(&self) -> Key {
        Key::new(&self.meta().namespace, &self.meta().name)
    }
}

impl<T: Object + ?Sized> Object for std::sync::Arc<T> {
    fn meta(&self) -> &Meta {
        (**self).meta()
    }
    fn not_implemented(&self) -> Option<&str> {
        (**self).not_implemented()
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
objects!(DaemonSet, ControllerRevision, Job, Deployment, Replicas, Pod, Node, Lease, Endpoints, EndpointSlice, ServiceAccount, CaBundle);

/// Views of kinds of which something is not done: they carry what is said of the object.
macro_rules! remarked {
    ($($view:ty),*) => {$(
        impl Object for $view {
            fn meta(&self) -> &Meta {
                &self.metadata
            }
            fn not_implemented(&self) -> Option<&str> {
                self.not_implemented.as_deref()
            }
        }
        impl Cached for $view {
            fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
                let view: Self = serde_json::from_slice(&object.json)?;
                Ok(Self { not_implemented: table::sentence(&object.resource, &object.json)?, ..view })
            }
        }
    )*};
}
remarked!(Service, Namespace);

macro_rules! cached {
    ($($view:ty),*) => {$(
        impl Cached for $view {
            fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
                serde_json::from_slice(&object.json)
            }
        }
    )*};
}
cached!(DaemonSet, ControllerRevision, Job, Deployment, Replicas, Pod, Node, Lease, Endpoints, EndpointSlice, ServiceAccount);

impl Cached for CaBundle {
    fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
        if object.name == crate::root_ca::NAME {
            return serde_json::from_slice(&object.json);
        }
        let bare = crate::gc::Bare::read(object)?;
        Ok(Self { metadata: bare.metadata, data: Labels::default() })
    }
}
