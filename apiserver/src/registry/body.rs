//! From an object's value to the bytes that are stored, watched and sent: `apiVersion`, `kind` and `metadata` first, the
//! resourceVersion left out and its place remembered, so that the store's writer can splice it in without parsing.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::store::{Body, Revision};

/// An object's JSON without its resourceVersion, and where that goes.
pub fn encode(object: &Value) -> Body {
    encode_with(object, None)
}

/// The same with `managers` as the text of `metadata.managedFields`, which the object then does not have.
pub fn encode_with(object: &Value, managers: Option<&[u8]>) -> Body {
    let empty = Map::new();
    let object = object.as_object().unwrap_or(&empty);
    let mut json = Vec::with_capacity(1024);
    json.push(b'{');
    for key in ["apiVersion", "kind"] {
        if let Some(value) = object.get(key) {
            member(&mut json, key, value);
            json.push(b',');
        }
    }
    json.extend_from_slice(b"\"metadata\":{");
    let at = json.len();
    let mut comma = false;
    if let Some(managers) = managers {
        json.extend_from_slice(b"\"managedFields\":");
        json.extend_from_slice(managers);
        comma = true;
    }
    if let Some(Value::Object(metadata)) = object.get("metadata") {
        for (key, value) in metadata.iter().filter(|(key, _)| *key != "resourceVersion") {
            if comma {
                json.push(b',');
            }
            member(&mut json, key, value);
            comma = true;
        }
    }
    json.push(b'}');
    for (key, value) in object.iter().filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata")) {
        json.push(b',');
        member(&mut json, key, value);
    }
    json.push(b'}');
    Body { json, at, comma }
}

/// The bytes of an answer that is not stored: `resourceVersion` stays what it is.
pub fn bytes(object: &Value) -> Bytes {
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or("");
    match version.parse() {
        Ok(revision) => with_revision(encode(object), revision),
        Err(_) => Bytes::from(encode(object).json), // no version: nothing to splice in
    }
}

/// The finished bytes at a revision, as the writer makes them.
pub fn with_revision(body: Body, revision: Revision) -> Bytes {
    let spliced = if body.comma { format!("\"resourceVersion\":\"{revision}\",") } else { format!("\"resourceVersion\":\"{revision}\"") };
    let mut json = Vec::with_capacity(body.json.len() + spliced.len());
    json.extend_from_slice(&body.json[..body.at]);
    json.extend_from_slice(spliced.as_bytes());
    json.extend_from_slice(&body.json[body.at..]);
    Bytes::from(json)
}

/// The same stored object with another resourceVersion: what a watch shows of an object that left its selector.
pub fn at_revision(json: &Bytes, from: Revision, to: Revision) -> Bytes {
    let old = format!("\"resourceVersion\":\"{from}\"");
    let Some(at) = json.windows(old.len()).position(|window| window == old.as_bytes()) else {
        return json.clone();
    };
    let mut changed = Vec::with_capacity(json.len() + 4);
    changed.extend_from_slice(&json[..at]);
    changed.extend_from_slice(format!("\"resourceVersion\":\"{to}\"").as_bytes());
    changed.extend_from_slice(&json[at + old.len()..]);
    Bytes::from(changed)
}

fn member(json: &mut Vec<u8>, key: &str, value: &Value) {
    // Writing a Value into a Vec cannot fail: its keys are strings and Vec has no errors.
    let _ = serde_json::to_writer(&mut *json, key);
    json.push(b':');
    let _ = serde_json::to_writer(json, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn head_comes_first_and_the_revision_is_spliced() {
        let object = json!({"data": {"a": "\"{"}, "metadata": {"name": "n", "resourceVersion": "3"}, "kind": "ConfigMap", "apiVersion": "v1"});
        let done = with_revision(encode(&object), 12);
        assert_eq!(&done[..], br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"12","name":"n"},"data":{"a":"\"{"}}"#);
        assert_eq!(
            &at_revision(&done, 12, 130)[..],
            br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"130","name":"n"},"data":{"a":"\"{"}}"#
        );
        let managed = with_revision(encode_with(&json!({"metadata": {"name": "n"}}), Some(b"[1]")), 7);
        assert_eq!(&managed[..], br#"{"metadata":{"resourceVersion":"7","managedFields":[1],"name":"n"}}"#);
        let bare = with_revision(encode(&json!({"metadata": {}})), 1);
        assert_eq!(&bare[..], br#"{"metadata":{"resourceVersion":"1"}}"#);
        assert_eq!(&bytes(&json!({"metadata": {"name": "n"}}))[..], br#"{"metadata":{"name":"n"}}"#);
    }
}
