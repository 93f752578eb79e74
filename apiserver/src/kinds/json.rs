//! Reading and filling canonical JSON: what is absent reads as Go's zero value.
//!
//! `value["a"]["b"]` is null where there is nothing, so these take any value and answer for null too.

use serde_json::{Map, Value};

/// The string, or "".
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// The integer, or 0.
pub fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// The flag, or false.
pub fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

/// The elements, or none.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The elements to change, or none.
pub fn items_mut(value: &mut Value) -> &mut [Value] {
    value.as_array_mut().map_or(&mut [], Vec::as_mut_slice)
}

/// The entries of a map in the order of their keys, or none.
pub fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Whether a map or list has nothing in it, or is not there.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether the field is there (a Go pointer that is not nil).
pub fn has(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|inner| !inner.is_null())
}

/// Sets `object[key]` where it is absent. Does nothing to what is not an object.
pub fn default(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        let slot = map.entry(key).or_insert(Value::Null);
        if slot.is_null() {
            *slot = value.into();
        }
    }
}

/// The same where it is absent or "" (a Go string without pointer).
pub fn default_text(object: &mut Value, key: &str, value: &str) {
    if text(&object[key]).is_empty() {
        set(object, key, value);
    }
}

/// Sets `object[key]`. Does nothing to what is not an object.
pub fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value.into());
    }
}

/// Removes `object[key]`, and gives it back.
pub fn remove(object: &mut Value, key: &str) -> Option<Value> {
    object.as_object_mut().and_then(|map| map.remove(key))
}

/// The object at `object[key]`, made if it is not there; `None` if `object` is no object or holds something else there.
pub fn object_at<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let slot = object.as_object_mut()?.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    slot.is_object().then_some(slot)
}

/// What is there to change, if it is there and not null.
pub fn present_mut<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    object.get_mut(key).filter(|inner| !inner.is_null())
}
