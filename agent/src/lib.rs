//! The node: skiff's kubelet.
//!
//! Pods assigned to this node come in through `source.rs`; for each, `sync/plan.rs` decides (a pure function) what must be done and
//! `sync/worker.rs` does it through a [`runtime::Runtime`]; `status.rs` says what came of it, in kubelet's words.

pub mod images;
pub mod runtime;
