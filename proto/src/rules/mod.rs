//! Rules of Kubernetes that several services apply, each a pure function over `k8s-openapi` types.

pub mod affinity;
pub mod cron;
pub mod owner;
pub mod readiness;
pub mod requests;
pub mod taints;
