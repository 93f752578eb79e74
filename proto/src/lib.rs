//! The contract between skiff's services: the gRPC messages and services of `proto/skiff/v1/*.proto`,
//! the identity that a caller has, and the rules of Kubernetes that several services apply
//! (quantities, selectors, what a pod asks for, taints, affinity, readiness, ownership).
//!
//! Nothing here does I/O. Read [`resource`] first, then the `.proto` files, then [`rules`].

pub mod identity;
pub mod quantity;
pub mod quote;
pub mod resource;
pub mod rules;
pub mod selector;
pub mod status;

/// The generated messages, clients and servers of `skiff.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used)]
pub mod v1 {
    tonic::include_proto!("skiff.v1");
}

pub use k8s_openapi;
