//! OpenAPI documents of the built-in types: what `kubectl explain` prints, and what `kubectl apply` asks before it writes.
//!
//! [`index`], [`v3`] and [`v2`] are made from the table of types (`schemas`) and the registered resources (`paths`) when they are
//! first asked for; [`Documents`] keeps them.

mod docs;
mod gnostic;
mod paths;
mod schemas;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};

use super::Gvk;
use crate::registry::Resources;

/// Where a document's schemas refer to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Swagger 2.0: `#/definitions/`.
    V2,
    /// OpenAPI 3.0: `#/components/schemas/`.
    V3,
}

/// The name in [`Documents`] of `/openapi/v2` in protobuf.
pub const V2_PROTOBUF: &str = "v2.protobuf";

/// The documents made so far. They hold for as long as the resources do: make another when those change.
#[derive(Debug, Default)]
pub struct Documents {
    made: Mutex<BTreeMap<String, Bytes>>,
}

impl Documents {
    /// The document under `/openapi/`: `v2`, `v3`, `v3/api/v1`, `v3/apis/apps/v1`; [`V2_PROTOBUF`]. Nothing if there is none.
    pub fn get(&self, path: &str, resources: &Resources) -> Option<Bytes> {
        let lock = || self.made.lock().unwrap_or_else(PoisonError::into_inner); // the map is whole after every statement
        if let Some(made) = lock().get(path) {
            return Some(made.clone());
        }
        let keep = |bytes: Bytes| {
            lock().insert(path.to_owned(), bytes.clone());
            bytes
        };
        let document = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["v2"] => v2(resources),
            [V2_PROTOBUF] => return Some(keep(gnostic::document(&v2(resources)).into())),
            ["v3"] => index(resources),
            ["v3", "api", version] => v3(resources, "", version)?,
            ["v3", "apis", group, version] => v3(resources, group, version)?,
            _ => return None,
        };
        Some(keep(document.to_string().into()))
    }
}

/// Changes whenever a document may have changed.
pub fn hash() -> String {
    format!("{:016X}", docs::fingerprint())
}

/// `/openapi/v3`: where the document of each group and version is.
pub fn index(resources: &Resources) -> Value {
    let hash = hash();
    let mut paths = serde_json::Map::new();
    for (group, version) in group_versions(resources) {
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let url = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({ "serverRelativeURL": url }));
    }
    json!({ "paths": paths })
}

/// The document of one group and version; nothing if it is not served.
pub fn v3(resources: &Resources, group: &str, version: &str) -> Option<Value> {
    if !group_versions(resources).contains(&(group, version)) {
        return None;
    }
    let kinds = kinds(resources, group, version);
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths::of(resources, group, version, Dialect::V3),
        "components": {"schemas": schemas::of(&kinds, Dialect::V3)},
    }))
}

/// `/openapi/v2`: everything in one document, for clients that know no other.
pub fn v2(resources: &Resources) -> Value {
    let mut all = Vec::new();
    let mut every_path = serde_json::Map::new();
    for (group, version) in group_versions(resources) {
        all.extend(kinds(resources, group, version));
        every_path.extend(paths::of(resources, group, version, Dialect::V2));
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": every_path,
        "definitions": schemas::of(&all, Dialect::V2),
    })
}

fn group_versions(resources: &Resources) -> Vec<(&str, &str)> {
    let mut all: Vec<(&str, &str)> = Vec::new();
    for one in resources.all() {
        for version in &one.versions {
            let pair = (one.group.as_str(), version.as_str());
            if !all.contains(&pair) {
                all.push(pair);
            }
        }
    }
    all
}

/// The kinds whose schemas a document needs: its resources, their lists and subresources, and what every request may hold.
fn kinds(resources: &Resources, group: &str, version: &str) -> Vec<Gvk> {
    let gvk = |group: &str, version: &str, kind: &str| Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() };
    let mut all = vec![gvk(group, version, "DeleteOptions"), gvk("", "v1", "Status"), gvk(group, version, "WatchEvent"), gvk("", "v1", "APIResourceList")];
    let served = |versions: &[String]| versions.iter().any(|one| one == version);
    for one in resources.all().iter().filter(|one| one.group == group && served(&one.versions)) {
        all.push(gvk(group, version, &one.kind));
        all.push(gvk(group, version, &format!("{}List", one.kind)));
        for sub in &one.subresources {
            all.push(paths::of_subresource(one, sub, version));
        }
    }
    all
}

#[cfg(test)]
mod tests;
