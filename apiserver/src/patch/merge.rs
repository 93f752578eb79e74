//! JSON merge patch (RFC 7386): objects merge, everything else replaces, `null` removes.

use serde_json::Value;

/// The object after the patch.
pub fn apply(original: &Value, patch: &Value) -> Value {
    let mut patched = original.clone();
    json_patch::merge(&mut patched, patch);
    patched
}
