//! What there is to ask for: `/api`, `/apis` and below, plain and aggregated, read off the registered resources. Pure.
//!
//! See `apiserver/pkg/endpoints/discovery` and `k8s.io/api/apidiscovery/v2`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::registry::Resources;
use crate::registry::resource::{Resource, Subresource};

/// The order that Kubernetes lists its own groups in (`pkg/controlplane/apiserver/aggregator.go`); others follow by name.
const ORDER: [&str; 20] = [
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "resource.k8s.io",
];

/// Every group but core, in order.
pub fn groups(resources: &Resources) -> Vec<&str> {
    let mut groups: Vec<&str> = resources.all().iter().map(|one| one.group.as_str()).filter(|group| !group.is_empty()).collect();
    groups.sort_by_key(|group| (ORDER.iter().position(|known| known == group).unwrap_or(ORDER.len()), *group));
    groups.dedup();
    groups
}

/// The versions of a group, the preferred one first; empty: there is no such group.
pub fn versions<'a>(resources: &'a Resources, group: &str) -> Vec<&'a str> {
    let mut versions: Vec<&str> = Vec::new();
    for resource in resources.all().iter().filter(|one| one.group == group) {
        for version in &resource.versions {
            if !versions.contains(&version.as_str()) {
                versions.push(version);
            }
        }
    }
    versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
    versions
}

/// Newer and stabler versions first: `v2`, `v1`, `v1beta2`, `v1alpha1` (`apimachinery/pkg/version/helpers.go`).
fn priority(version: &str) -> (bool, u8, u32, u32) {
    let number = |text: &str| text.parse::<u32>().ok();
    let Some(rest) = version.strip_prefix('v') else { return (false, 0, 0, 0) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, suffix) = rest.split_at(end);
    let Some(major) = number(major) else { return (false, 0, 0, 0) };
    let (stability, minor) = match (suffix.strip_prefix("beta"), suffix.strip_prefix("alpha")) {
        (Some(minor), _) => (1, number(minor)),
        (_, Some(minor)) => (0, number(minor)),
        (None, None) => (2, suffix.is_empty().then_some(0)),
    };
    minor.map_or((false, 0, 0, 0), |minor| (true, stability, major, minor))
}

/// `/api`
pub fn api_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    })
}

/// `/apis`
pub fn group_list(resources: &Resources) -> Value {
    let groups: Vec<Value> = groups(resources).into_iter().map(|group| group_entry(resources, group)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/{group}`, if there is such a group.
pub fn group(resources: &Resources, group: &str) -> Option<Value> {
    if group.is_empty() || versions(resources, group).is_empty() {
        return None;
    }
    let mut entry = group_entry(resources, group);
    entry["kind"] = "APIGroup".into();
    entry["apiVersion"] = "v1".into();
    Some(entry)
}

fn group_entry(resources: &Resources, group: &str) -> Value {
    let entry = |version: &&str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let versions = versions(resources, group);
    json!({"name": group, "versions": versions.iter().map(entry).collect::<Vec<_>>(), "preferredVersion": versions.first().map(entry)})
}

/// `/api/v1`, `/apis/{group}/{version}`, if it is served.
pub fn resource_list(resources: &Resources, group: &str, version: &str) -> Option<Value> {
    let mut entries: Vec<Value> = Vec::new();
    for resource in served(resources, group, version) {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced, "kind": resource.kind, "verbs": resource.verbs,
        });
        add_names(&mut entry, resource);
        entries.push(entry);
        for subresource in &resource.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, subresource.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": subresource.kind,
                "verbs": subresource.verbs,
            });
            if is_foreign(resource, version, subresource) {
                entry["group"] = subresource.group.as_str().into();
                entry["version"] = subresource.version.as_str().into();
            }
            entries.push(entry);
        }
    }
    if entries.is_empty() {
        return None;
    }
    entries.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": entries});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}

/// `APIGroupDiscoveryList` of the core group or of all others; `version` of `apidiscovery.k8s.io`.
pub fn aggregated(resources: &Resources, core: bool, version: &str) -> Value {
    let of = if core { vec![""] } else { groups(resources) };
    let items: Vec<Value> = of.into_iter().map(|group| aggregated_group(resources, group)).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items})
}

fn aggregated_group(resources: &Resources, group: &str) -> Value {
    let version_entry = |version: &str| {
        let entries: Vec<Value> = served(resources, group, version).map(|resource| aggregated_resource(resource, version)).collect();
        json!({"version": version, "resources": entries, "freshness": "Current"})
    };
    let versions: Vec<Value> = versions(resources, group).into_iter().map(version_entry).collect();
    let metadata = if group.is_empty() { json!({"creationTimestamp": null}) } else { json!({"name": group, "creationTimestamp": null}) };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(resource: &Arc<Resource>, version: &str) -> Value {
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    add_names(&mut entry, resource);
    let below: Vec<Value> = resource
        .subresources
        .iter()
        .map(|one| {
            let (group, version) = if is_foreign(resource, version, one) { (one.group.as_str(), one.version.as_str()) } else { ("", "") };
            json!({"subresource": one.name, "responseKind": {"group": group, "version": version, "kind": one.kind}, "verbs": one.verbs})
        })
        .collect();
    if !below.is_empty() {
        entry["subresources"] = below.into();
    }
    entry
}

fn served<'a>(resources: &'a Resources, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<Resource>> {
    resources.all().iter().filter(move |one| one.group == group && one.versions.iter().any(|have| have == version))
}

fn add_names(entry: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = resource.short_names.clone().into();
    }
    if !resource.categories.is_empty() {
        entry["categories"] = resource.categories.clone().into();
    }
}

/// Whether a subresource's body is of another group or version than the resource's own.
fn is_foreign(resource: &Resource, version: &str, subresource: &Subresource) -> bool {
    !subresource.version.is_empty() && (subresource.group != resource.group || subresource.version != version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_and_stabler_versions_come_first() {
        let mut versions = ["v1alpha1", "v1", "v10", "v2", "v1beta1", "foo", "v1beta2", "v2beta1"];
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1beta1", "v1alpha1", "foo"]);
    }
}
