//! `NodeRestriction`: the agent of a node reads its own pods and writes its own Node, Lease, pods and their status, and nothing else.
//!
//! See `plugin/pkg/admission/noderestriction/admission.go`.

use serde_json::Value;
use skiff_proto::status::Status;

use crate::error::failure;
use crate::kinds::json::text;
use crate::registry::call::Call;
use crate::registry::meta;
use crate::registry::selector::Selection;

/// Labels that a node may not give itself.
const PROTECTED: &str = "node-restriction.kubernetes.io/";

/// How it is said that another object has the name now: this, the uid in parentheses, and [`DIFFERENT_UID_END`].
pub const DIFFERENT_UID_BEGIN: &str = "the UID in the bound object reference";
/// See [`DIFFERENT_UID_BEGIN`].
pub const DIFFERENT_UID_END: &str = "does not match the UID in record. The object might have been deleted and then recreated";

fn refuse(call: &Call<'_>, name: &str, why: String) -> Status {
    failure::forbidden(&call.resource.group_resource(), name, &why)
}

/// A list or watch of pods by a node names the node; one pod that it reads is bound to it. See the node authorizer with selectors.
pub fn restrict_read(call: &Call<'_>, selection: &Selection) -> Result<(), Status> {
    let Some(node) = call.request.user.node_name() else { return Ok(()) };
    if call.resource.storage_key() != "pods" || selection.exact("spec.nodeName") == Some(node) {
        return Ok(());
    }
    let named = selection.exact("metadata.name").and_then(|name| call.find(name));
    if named.is_some_and(|version| version.node() == node) {
        return Ok(());
    }
    let user = &call.request.user.name;
    let verb = call.request.info.verb.as_str();
    Err(refuse(call, "", format!("User {user:?} cannot {verb} resource \"pods\" in API group \"\" without the field selector spec.nodeName={node}")))
}

/// A read of one pod by a node.
pub fn restrict_get(call: &Call<'_>, object_node: &str) -> Result<(), Status> {
    let Some(node) = call.request.user.node_name() else { return Ok(()) };
    if call.resource.storage_key() != "pods" || object_node == node {
        return Ok(());
    }
    let user = &call.request.user.name;
    Err(refuse(call, call.name(), format!("User {user:?} cannot get resource \"pods\" in API group \"\" in the namespace {:?}", call.namespace())))
}

/// Before a creation by a node.
pub fn create(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    let Some(node) = call.request.user.node_name() else { return Ok(()) };
    let name = meta::get(object, "name");
    match call.resource.storage_key().as_str() {
        "nodes" if name != node => Err(refuse(call, name, format!("node {node:?} is not allowed to modify node {name:?}"))),
        "nodes" => labels(call, object, &Value::Null, node),
        "pods" if !object["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string() => {
            Err(refuse(call, name, format!("pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods")))
        }
        "pods" => own_pod(call, object, node, "create"),
        "leases.coordination.k8s.io" if name != node => {
            Err(refuse(call, name, "can only access node lease with the same name as the requesting node".to_owned()))
        }
        _ => Ok(()), // what else it may create, authorization has decided
    }
}

/// Before a change by a node.
pub fn update(call: &Call<'_>, object: &Value, old: &Value) -> Result<(), Status> {
    let Some(node) = call.request.user.node_name() else { return Ok(()) };
    let name = call.name();
    match call.resource.storage_key().as_str() {
        "pods" => own_pod(call, old, node, "update status for"),
        "nodes" if name != node => Err(refuse(call, name, format!("node {node:?} is not allowed to modify node {name:?}"))),
        "nodes" => {
            if object["spec"]["taints"] != old["spec"]["taints"] {
                return Err(refuse(call, name, format!("node {node:?} is not allowed to modify taints")));
            }
            labels(call, object, old, node)
        }
        _ => Ok(()), // what else it may change, authorization has decided
    }
}

/// Before a token is made for a node: it is for a pod that runs there (`admitServiceAccount`).
pub fn token(call: &Call<'_>, reference: &Value) -> Result<(), Status> {
    let Some(node) = call.request.user.node_name() else { return Ok(()) };
    let refused = |why: &str| Err(refuse(call, call.name(), why.to_owned()));
    let (name, uid) = (text(&reference["name"]), text(&reference["uid"]));
    if reference["apiVersion"] != "v1" || reference["kind"] != "Pod" || name.is_empty() {
        return refused("node requested token not bound to a pod");
    }
    if uid.is_empty() {
        return refused("node requested token with a pod binding without a uid");
    }
    let found = call.server.store.find("pods", call.namespace(), name).ok_or_else(|| failure::not_found("pods", name))?;
    let pod: Value = serde_json::from_slice(&found.json).map_err(|why| failure::internal(&why.to_string()))?;
    if meta::get(&pod, "uid") != uid {
        return refused(&format!("{DIFFERENT_UID_BEGIN} ({uid}) {DIFFERENT_UID_END}"));
    }
    if found.node() != node {
        return refused("node requested token bound to a pod scheduled on a different node");
    }
    Ok(())
}

/// Before a deletion by a node.
pub fn delete(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    let Some(node) = call.request.user.node_name() else { return Ok(()) };
    match call.resource.storage_key().as_str() {
        "pods" => own_pod(call, object, node, "delete"),
        _ => Ok(()), // what else it may delete, authorization has decided
    }
}

fn own_pod(call: &Call<'_>, pod: &Value, node: &str, verb: &str) -> Result<(), Status> {
    let on = text(&pod["spec"]["nodeName"]);
    if on == node {
        return Ok(());
    }
    let why = format!("node {node:?} can only {verb} pods with spec.nodeName set to itself");
    Err(refuse(call, meta::get(pod, "name"), why))
}

fn labels(call: &Call<'_>, object: &Value, old: &Value, node: &str) -> Result<(), Status> {
    let (new, had) = (&object["metadata"]["labels"], &old["metadata"]["labels"]);
    let changed: Vec<&str> = new
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| key.split('/').next().is_some_and(|prefix| format!("{prefix}/").ends_with(PROTECTED)) && had[key.as_str()] != **value)
        .map(|(key, _)| key.as_str())
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(refuse(call, node, format!("is not allowed to modify labels: {}", changed.join(", "))))
}
