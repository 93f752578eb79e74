//! JSON patch (RFC 6902), as `evanphx/json-patch` v4 applies it for Kubernetes.

use json_patch::{AddOperation, Patch, PatchOperation, patch};
use serde_json::Value;

use super::PatchError;
use crate::schema::{read_any, syntax};

/// More operations than this are refused (`maxJSONPatchOperations`).
const MAX_OPERATIONS: usize = 10_000;
const MEMBERS: [&str; 4] = ["op", "path", "from", "value"];

/// Reads the operations, and what is unknown or duplicate in them if that is asked for.
pub fn read(body: &[u8], strict: bool) -> Result<(Vec<PatchOperation>, Vec<String>), PatchError> {
    let frame = if strict { "error decoding patch: " } else { "" };
    let malformed = |fault: String| PatchError::Malformed(format!("{frame}{fault}"));
    syntax::check(body).map_err(malformed)?;
    let (value, duplicates) = read_any(body);
    let list = match value {
        Value::Array(list) => list,
        Value::Null => Vec::new(),
        other => return Err(malformed(format!("json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp", sort(&other)))),
    };
    if list.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLarge(format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", list.len())));
    }
    let mut told = Vec::new();
    for (index, operation) in list.iter().enumerate() {
        let Value::Object(map) = operation else {
            return Err(malformed(format!("json: cannot unmarshal {} into Go value of type handlers.jsonPatchOp", sort(operation))));
        };
        for (key, value) in map {
            if !MEMBERS.contains(&key.as_str()) {
                told.push(format!("json patch unknown field \"[{index}].{key}\""));
            } else if key != "value" && !value.is_string() {
                return Err(malformed(format!("json: cannot unmarshal {} into Go struct field jsonPatchOp.{key} of type string", sort(value))));
            }
        }
    }
    told.extend(duplicates.into_iter().map(|fault| format!("json patch {fault}")));
    let operations = list.into_iter().map(operation).collect::<Result<_, _>>()?;
    Ok((operations, if strict { told } else { Vec::new() }))
}

/// The object after the operations.
pub fn apply(original: &Value, operations: &[PatchOperation]) -> Result<Value, PatchError> {
    let mut patched = original.clone();
    for operation in operations {
        let operation = match operation {
            // there, `replace` also adds a key that is missing
            PatchOperation::Replace(replace) if absent_key(&patched, replace.path.as_str()) => {
                PatchOperation::Add(AddOperation { path: replace.path.clone(), value: replace.value.clone() })
            }
            other => other.clone(),
        };
        patch(&mut patched, &Patch(vec![operation])).map_err(|fault| PatchError::Rejected(fault.to_string()))?;
    }
    Ok(patched)
}

/// An operation that lacks a member, or is of no known kind, fails when it is applied.
fn operation(value: Value) -> Result<PatchOperation, PatchError> {
    serde_json::from_value(value).map_err(|fault| PatchError::Rejected(fault.to_string()))
}

fn absent_key(document: &Value, path: &str) -> bool {
    let parent = path.rsplit_once('/').and_then(|(parent, _)| document.pointer(parent));
    parent.is_some_and(Value::is_object) && document.pointer(path).is_none()
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
