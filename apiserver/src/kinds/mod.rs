//! One small file a kind: how it is defaulted, validated and shown. [`all`] is the registration that routes, discovery and tables are read off.

pub mod name;
pub mod table;

use std::sync::Arc;

use crate::registry::strategy::Strategy;

/// The rules of a group-resource (`pods`, `deployments.apps`); a kind without rules of its own gets [`Plain`].
pub fn strategy(_group_resource: &str) -> Arc<dyn Strategy> {
    Arc::new(Plain)
}

/// A kind without rules of its own.
pub struct Plain;

impl Strategy for Plain {}
