//! The ways to patch an object, as pure functions of JSON values: [`json`], [`merge`], [`strategic`], and server-side [`apply`].
//!
//! [`patch`] is the whole of it: a body and the stored object in, the canonical object out, with Kubernetes' sentences for what
//! goes wrong (`apiserver/pkg/endpoints/handlers/patch.go`). The modules below it are the single steps.

use serde_json::{Map, Value};
use skiff_proto::status::{Details, Status};

use crate::error::{FieldError, failure};
use crate::schema::{FieldValidation, Gvk, canonicalize, print, read_any, syntax, types};

pub mod apply;
pub mod json;
pub mod merge;
mod restore;
pub mod strategic;

/// How a body says what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/json-patch+json`: RFC 6902.
    Json,
    /// `application/merge-patch+json`: RFC 7386.
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
}

/// A patched object.
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// In the canonical form.
    pub object: Value,
    /// Unknown and duplicate fields, under [`FieldValidation::Warn`].
    pub warnings: Vec<String>,
}

/// Why a patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: 400.
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit this object: 422, for which Kubernetes has one sentence.
    #[error("the server rejected our request due to an error in our request")]
    Rejected(String),
    /// The patch asks for too much: 413.
    #[error("Request entity too large: {0}")]
    TooLarge(String),
    /// Kubernetes has no answer of its own for this fault: 500.
    #[error("{0}")]
    Unanswered(String),
}

impl From<PatchError> for Status {
    fn from(error: PatchError) -> Self {
        let message = error.to_string();
        match error {
            PatchError::Malformed(_) => failure::bad_request(message),
            PatchError::Rejected(_) => {
                let mut status = Self::failure(422, "Invalid", message);
                status.details = Some(Details::default());
                status
            }
            PatchError::TooLarge(_) => Self::failure(413, "RequestEntityTooLarge", message),
            PatchError::Unanswered(_) => Self::failure(500, "", message),
        }
    }
}

/// Applies the body of a PATCH to an object in the version `gvk`, and decodes what comes out as strictly as a body.
///
/// The result may have another name, namespace or resource version: the caller compares those.
pub fn patch(kind: PatchKind, original: &Value, body: &[u8], gvk: &Gvk, validation: FieldValidation) -> Result<Patched, Status> {
    let strict = validation != FieldValidation::Ignore;
    // what a refusal shows: the patch, or else what it made
    let mut change = None;
    let (patched, mut told) = match kind {
        PatchKind::Json => {
            let (operations, told) = json::read(body, strict)?;
            (json::apply(original, &operations)?, told)
        }
        PatchKind::Merge => {
            let (read, told) = read_map(body, strict, if strict { "error decoding patch: " } else { "" })?;
            let Some(read) = read else { return Err(failure::bad_request("Invalid JSON Patch")) };
            (merge::apply(original, &Value::Object(read)), told)
        }
        PatchKind::Strategic => {
            let (read, told) = read_map(body, strict, "")?;
            let as_type = types().of(gvk).ok_or_else(|| unsupported(gvk))?;
            let mut read = read.unwrap_or_default();
            let patched = strategic::apply_to(original, &mut read, as_type)?;
            let read = Value::Object(read);
            if let Some(fault) = restore::fault(&patched, as_type) {
                return Err(invalid(&print::value(&read), &fault));
            }
            change = Some(read);
            (patched, told)
        }
    };
    let invalid = |fault: &str| invalid(&change.as_ref().map_or_else(|| patched.to_string(), print::value), fault);
    let read_as = if strict { FieldValidation::Warn } else { FieldValidation::Ignore };
    let mut decoded = canonicalize(gvk, &patched, read_as).map_err(|fault| invalid(&fault))?;
    keep_reset(&patched, &mut decoded.object);
    if decoded.gvk != *gvk {
        return Err(invalid(&crate::schema::unconvertible(&decoded.gvk, gvk)));
    }
    told.extend(decoded.warnings);
    if validation == FieldValidation::Strict && !told.is_empty() {
        return Err(invalid(&format!("strict decoding error: {}", told.join(", "))));
    }
    Ok(Patched { object: decoded.object, warnings: told })
}

/// An empty list of managers asks to forget them all. Decoding drops it, as Go does when it prints one.
pub fn keep_reset(sent: &Value, decoded: &mut Value) {
    if sent["metadata"]["managedFields"].as_array().is_some_and(Vec::is_empty)
        && let Some(metadata) = decoded["metadata"].as_object_mut()
    {
        metadata.insert("managedFields".to_owned(), Value::Array(Vec::new()));
    }
}

/// A patch that was read: an object, or nothing for `null`; and its duplicate fields.
type Change = (Option<Map<String, Value>>, Vec<String>);

/// A patch that must be an object (or `null`).
fn read_map(body: &[u8], strict: bool, frame: &str) -> Result<Change, Status> {
    syntax::check(body).map_err(|fault| failure::bad_request(format!("{frame}{fault}")))?;
    let (value, told) = read_any(body);
    let sort = match value {
        Value::Object(map) => return Ok((Some(map), if strict { told } else { Vec::new() })),
        Value::Null => return Ok((None, Vec::new())),
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
    };
    Err(failure::bad_request(format!("{frame}json: cannot unmarshal {sort} into Go value of type map[string]interface {{}}")))
}

/// ` "" is invalid: patch: Invalid value: …`: Kubernetes names no object here.
fn invalid(shown: &str, fault: &str) -> Status {
    failure::invalid("", "", "", &[FieldError::invalid("patch", shown, fault)])
}

fn unsupported(gvk: &Gvk) -> Status {
    failure::bad_request(format!("strategic merge patch format is not supported for {}", gvk.kind))
}

#[cfg(test)]
mod tests;
