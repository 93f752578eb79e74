//! What every pod and every pod template has: its specification, filled in and checked.
//!
//! [`default`] mirrors `pkg/apis/core/v1/{defaults,zz_generated.defaults,conversion}.go`; [`validate`] and the others, one concern a file, mirror
//! `pkg/apis/core/validation/validation.go` in its order, since the order of faults shows in answers.

pub mod affinity;
pub mod amounts;
pub mod annotations;
pub mod containers;
pub mod default;
pub mod disks;
pub mod drop_fields;
pub mod env;
pub mod mounts;
pub mod paths;
pub mod probes;
pub mod resources;
pub mod security;
pub mod validate;
pub mod volumes;
pub mod windows;

use serde_json::Value;

use crate::kinds::json::items;
use crate::kinds::path::Path;

/// What a specification is part of.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of a pod, not of a template.
    pub is_pod: bool,
}

/// Every container with its path: init, regular, ephemeral (`VisitContainersWithPath`).
pub fn visit_containers<'a>(spec: &'a Value, path: &Path) -> Vec<(&'a Value, Path)> {
    let list = |key: &'static str| items(&spec[key]).iter().enumerate().map(move |(index, container)| (key, index, container));
    let all = default::CONTAINER_LISTS.iter().flat_map(|key| list(key));
    all.map(|(key, index, container)| (container, path.child(key).index(index))).collect()
}
