//! Values as Go's `%v` prints them: some error messages show a patch this way.

use serde_json::{Map, Value};

/// `map[image:x name:side]`, `[a b]`, `<nil>`.
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(all) => list(all),
        Value::Object(entries) => map(entries),
    }
}

/// A map, ordered by key as Go orders it.
pub fn map(entries: &Map<String, Value>) -> String {
    let shown: Vec<String> = entries.iter().map(|(key, one)| format!("{key}:{}", value(one))).collect();
    format!("map[{}]", shown.join(" "))
}

/// A slice.
pub fn list(all: &[Value]) -> String {
    let shown: Vec<String> = all.iter().map(value).collect();
    format!("[{}]", shown.join(" "))
}

/// The Go type of a decoded value.
pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Its `reflect.Kind`.
pub fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => go_type(value),
    }
}
