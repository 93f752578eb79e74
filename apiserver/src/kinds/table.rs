//! Cells of server-side tables that several kinds share. See `pkg/printers/internalversion/printers.go`.

use serde_json::Value;

use crate::registry::strategy::Column;

/// The columns of a kind without a printer: `Name`, `Created At`.
pub fn name_and_created_at() -> Vec<Column> {
    vec![
        Column { name: "Name", kind: "string", format: "name", description: "", priority: 0 },
        Column { name: "Created At", kind: "date", format: "", description: "", priority: 0 },
    ]
}

/// The row of [`name_and_created_at`].
pub fn name_and_created_at_row(object: &Value, _now: i64) -> Vec<Value> {
    vec![object["metadata"]["name"].clone(), object["metadata"]["creationTimestamp"].clone()]
}

/// The string, bool or number at a dotted path, as field selectors read it; empty if there is none.
pub fn text_at(object: &Value, path: &str) -> String {
    match path.split('.').fold(object, |value, part| &value[part]) {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}
