//! One small file a kind: how it is defaulted, validated and shown. [`strategy`] is the dispatch from a group-resource.
//!
//! Pods and what makes pods are in [`workload`]; everything else in [`cluster`]. What they share: [`name`] (what may be a name),
//! [`check`] (small checks), [`labels`] (labels, annotations, selectors), [`table`] (columns, ages), [`path`] (where a fault is), [`json`] (reading and filling objects).

pub mod check;
pub mod claim;
pub mod cluster;
pub mod conditions;
pub mod diff;
pub mod json;
pub mod labels;
pub mod name;
pub mod path;
pub mod table;
pub mod workload;

use std::sync::Arc;

use crate::registry::strategy::Strategy;

/// The rules of a group-resource (`pods`, `deployments.apps`); a kind without rules of its own gets [`Plain`].
pub fn strategy(group_resource: &str) -> Arc<dyn Strategy> {
    workload::strategy(group_resource).or_else(|| cluster::strategy(group_resource)).unwrap_or_else(|| Arc::new(Plain))
}

/// A kind without rules of its own.
pub struct Plain;

impl Strategy for Plain {}
