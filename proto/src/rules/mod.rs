//! Rules of Kubernetes that several services apply, each a pure function over `k8s-openapi` types.

pub mod readiness;
