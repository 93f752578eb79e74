//! What the agent of a node may do: its own Node, Lease and pods, events, and the ConfigMaps, Secrets and claims that its pods name.
//!
//! See `plugin/pkg/auth/authorizer/node/node_authorizer.go`. What it may write into them is admission's matter ([`crate::admission`]).

use serde_json::Value;

use super::authorize::Attributes;
use crate::kinds::json::{items, text};
use crate::store::{Scope, Store};

/// Whether node `node` may do this.
pub fn allows(node: &str, asked: &Attributes<'_>, store: &Store) -> bool {
    let reads = matches!(asked.verb, "get" | "list" | "watch");
    match (asked.group, asked.resource) {
        ("", "nodes") => match asked.subresource {
            "" if asked.verb == "create" => asked.name.is_empty() || asked.name == node,
            "" => (reads || matches!(asked.verb, "update" | "patch" | "delete")) && asked.name == node,
            "status" => matches!(asked.verb, "get" | "update" | "patch") && asked.name == node,
            _ => false, // no other subresource is a node's own
        },
        // Which pods it sees is decided by the selector it must give: see `admission::node::restrict_read`.
        ("", "pods") => match asked.subresource {
            "" => reads || matches!(asked.verb, "create" | "delete"),
            "status" => matches!(asked.verb, "get" | "update" | "patch"),
            "eviction" => asked.verb == "create",
            _ => false, // a node execs into nothing
        },
        ("" | "events.k8s.io", "events") => matches!(asked.verb, "create" | "update" | "patch"),
        ("coordination.k8s.io", "leases") => asked.namespace == "kube-node-lease" && (asked.verb == "create" || asked.name == node),
        ("", "services") | ("node.k8s.io", "runtimeclasses") | ("discovery.k8s.io", "endpointslices") => reads && asked.subresource.is_empty(),
        ("storage.k8s.io", "csinodes") => asked.name == node || asked.verb == "create",
        ("storage.k8s.io", "csidrivers") => reads,
        ("", "configmaps" | "secrets" | "persistentvolumeclaims") => {
            reads && asked.subresource.is_empty() && !asked.name.is_empty() && names(node, asked, store)
        }
        ("", "persistentvolumes") => asked.verb == "get",
        ("", "serviceaccounts") => asked.subresource == "token" && asked.verb == "create" && names(node, asked, store),
        ("certificates.k8s.io", "certificatesigningrequests") => matches!(asked.verb, "create" | "get" | "list" | "watch"),
        _ => false, // whatever else there is, is none of its business
    }
}

/// Whether a pod on the node names the object.
fn names(node: &str, asked: &Attributes<'_>, store: &Store) -> bool {
    let mut scope = Scope::all("pods");
    scope.namespace = Some(asked.namespace.to_owned());
    scope.node = Some(node.to_owned());
    store.list_node(&scope).items.iter().any(|version| {
        let pod: Value = serde_json::from_slice(&version.json).unwrap_or_default(); // the registry wrote it: it parses
        references(&pod["spec"], asked.resource, asked.name)
    })
}

/// Whether a pod's specification names any Secret at all.
pub fn names_secrets(spec: &Value) -> bool {
    let named = |value: &Value| !value.is_null();
    let in_volume = |one: &Value| named(&one["secret"]) || items(&one["projected"]["sources"]).iter().any(|source| named(&source["secret"]));
    let in_container = |one: &Value| {
        items(&one["env"]).iter().any(|env| named(&env["valueFrom"]["secretKeyRef"])) || items(&one["envFrom"]).iter().any(|from| named(&from["secretRef"]))
    };
    !items(&spec["imagePullSecrets"]).is_empty()
        || items(&spec["volumes"]).iter().any(in_volume)
        || ["containers", "initContainers", "ephemeralContainers"].iter().any(|list| items(&spec[list]).iter().any(in_container))
}

/// Whether a pod's specification names this ConfigMap, Secret, claim or ServiceAccount. See `podutil.VisitPodSecretNames` and friends.
pub fn references(spec: &Value, resource: &str, name: &str) -> bool {
    match resource {
        "configmaps" => mentions(spec, name, "configMap", "name", &["configMapKeyRef", "configMapRef"]) || name == "kube-root-ca.crt",
        "secrets" => {
            mentions(spec, name, "secret", "secretName", &["secretKeyRef", "secretRef"])
                || items(&spec["imagePullSecrets"]).iter().any(|one| text(&one["name"]) == name)
        }
        "persistentvolumeclaims" => items(&spec["volumes"]).iter().any(|one| text(&one["persistentVolumeClaim"]["claimName"]) == name),
        "serviceaccounts" => text(&spec["serviceAccountName"]) == name,
        _ => false, // asked for nothing else
    }
}

fn mentions(spec: &Value, name: &str, volume: &str, key: &str, refs: &[&str]) -> bool {
    let in_volume =
        |one: &Value| text(&one[volume][key]) == name || items(&one["projected"]["sources"]).iter().any(|source| text(&source[volume]["name"]) == name);
    let in_container = |one: &Value| {
        items(&one["env"]).iter().any(|env| refs.iter().any(|key| text(&env["valueFrom"][key]["name"]) == name))
            || items(&one["envFrom"]).iter().any(|from| refs.iter().any(|key| text(&from[key]["name"]) == name))
    };
    items(&spec["volumes"]).iter().any(in_volume)
        || ["containers", "initContainers", "ephemeralContainers"].iter().any(|list| items(&spec[list]).iter().any(in_container))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_found_wherever_a_pod_may_have_them() {
        let spec = json!({
            "volumes": [{"configMap": {"name": "a"}}, {"secret": {"secretName": "b"}}, {"projected": {"sources": [{"secret": {"name": "c"}}]}}],
            "containers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "d"}}}], "envFrom": [{"secretRef": {"name": "e"}}]}],
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "f"}}]}],
            "imagePullSecrets": [{"name": "g"}],
        });
        let table = [("configmaps", "adf"), ("secrets", "bceg")];
        for (resource, named) in table {
            for name in "abcdefgh".chars() {
                assert_eq!(references(&spec, resource, &name.to_string()), named.contains(name), "{resource} {name}");
            }
        }
    }
}
