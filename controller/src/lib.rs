//! skiff-controller
#![cfg_attr(test, allow(clippy::unwrap_used))]
pub mod deployment;
pub mod hash;
pub mod ownership;
pub mod replicaset;
pub mod view;
