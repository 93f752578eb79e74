//! `NamespaceLifecycle`: nothing is made in a namespace that is not there or is going; some namespaces never go.
//!
//! See `apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go`.

use serde_json::Value;
use skiff_proto::status::{Cause, Status};

use crate::error::failure;
use crate::registry::call::Call;
use crate::registry::meta;

/// Namespaces that may not be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// Before a creation.
pub fn create(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    if !call.resource.namespaced {
        return Ok(());
    }
    let namespace = call.namespace();
    let Some(found) = call.server.store.find("namespaces", "", namespace) else {
        return Err(failure::not_found("namespaces", namespace));
    };
    // The text is looked through before it is parsed: this runs on every creation.
    if !has_member(&found.json, b"\"deletionTimestamp\"") {
        return Ok(());
    }
    let parsed: Value = serde_json::from_slice(&found.json).unwrap_or_default(); // the registry wrote it: it parses
    if !meta::is_deleting(&parsed) && parsed["status"]["phase"] != "Terminating" {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = failure::forbidden(&call.resource.group_resource(), meta::get(object, "name"), &why);
    if let Some(details) = &mut status.details {
        let message = format!("namespace {namespace} is being terminated");
        details.causes.push(Cause { reason: "NamespaceTerminating".to_owned(), message, field: "metadata.namespace".to_owned() });
    }
    Err(status)
}

/// Before a deletion.
pub fn delete(call: &Call<'_>) -> Result<(), Status> {
    let name = call.name();
    if call.resource.storage_key() == "namespaces" && IMMORTAL.contains(&name) {
        return Err(failure::forbidden("namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}

fn has_member(json: &[u8], member: &[u8]) -> bool {
    json.windows(member.len()).any(|window| window == member)
}
