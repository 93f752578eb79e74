//! What `apply` changes: what the manifest says, less what an earlier manifest said and this one does not. Fields that nobody ever
//! applied are left alone. The earlier manifest is kept where kubectl keeps it, so that both can be used in turn. Pure.

use serde_json::{Map, Value};

/// kubectl's annotation.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manifest with itself in the annotation, as it is created.
pub fn annotated(manifest: &Value) -> Value {
    let mut object = manifest.clone();
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let text = object.to_string() + "\n";
    object["metadata"]["annotations"][LAST_APPLIED] = Value::String(text);
    object
}

/// A strategic merge patch from what is there to what the manifest says. It is for this revision of what is there, unless the manifest
/// names another: what somebody else writes in between would look like a change of ours.
pub fn patch(stored: &Value, manifest: &Value) -> Value {
    let last = stored["metadata"]["annotations"][LAST_APPLIED].as_str().and_then(|text| serde_json::from_str(text).ok());
    let mut patch = annotated(manifest);
    if let (Some(Value::Object(last)), Value::Object(patch)) = (last, &mut patch) {
        take_back(&last, patch);
    }
    if patch["metadata"]["resourceVersion"].is_null() {
        patch["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
    }
    patch
}

/// Sets to null what `last` has and `patch` lacks, object by object. Lists are merged by the server.
fn take_back(last: &Map<String, Value>, patch: &mut Map<String, Value>) {
    for (name, before) in last {
        match (before, patch.get_mut(name)) {
            (_, None) => {
                patch.insert(name.clone(), Value::Null);
            }
            (Value::Object(before), Some(Value::Object(now))) => take_back(before, now),
            (_, Some(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_longer_said_is_taken_back_and_nothing_else() {
        let first = json!({"metadata": {"name": "a", "labels": {"x": "1", "y": "2"}}, "data": {"k": "v"}});
        let mut stored = annotated(&first);
        stored["metadata"]["resourceVersion"] = json!("7");
        stored["metadata"]["labels"]["theirs"] = json!("3");
        let second = json!({"metadata": {"name": "a", "labels": {"x": "9"}}});
        let patch = patch(&stored, &second);
        assert_eq!(patch["metadata"]["labels"], json!({"x": "9", "y": null}));
        assert_eq!(patch["data"], Value::Null);
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert!(patch.as_object().unwrap().contains_key("data"));
    }

    #[test]
    fn an_annotation_does_not_contain_itself() {
        let once = annotated(&json!({"metadata": {"name": "a"}}));
        assert_eq!(annotated(&once)["metadata"]["annotations"][LAST_APPLIED], annotated(&annotated(&once))["metadata"]["annotations"][LAST_APPLIED]);
    }
}
