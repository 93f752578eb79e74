//! What a strategic patch may leave behind that is no object of the type, in the words of `runtime.DefaultUnstructuredConverter`.
//!
//! Kubernetes turns the patched map into a struct without going through JSON, so its sentences differ from those of a body.
//! What passes here is decoded like a body afterwards.

use serde_json::Value;

use crate::schema::{Field, Kind, Shape, Type, print, types};

/// The first fault of a value that should be of this type.
pub(super) fn fault(value: &Value, as_type: &Type) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Object(map) => as_type.fields.iter().find_map(|field| of_field(map.get(field.name)?, field)),
        other => Some(format!("cannot restore struct from: {}", print::go_kind(other))),
    }
}

fn of_field(value: &Value, field: &Field) -> Option<String> {
    match (field.shape, value) {
        (_, Value::Null) => None,
        (Shape::One, _) => of_value(value, field.kind, field.go_type.trim_start_matches('*')),
        (Shape::List, Value::Array(list)) => list.iter().find_map(|one| of_value(one, field.kind, field.go_type.trim_start_matches("[]"))),
        (Shape::List, other) => Some(format!("cannot restore slice from {}", print::go_kind(other))),
        (Shape::Map | Shape::MapOfLists, Value::Object(map)) => {
            let element = field.go_type.split_once(']').map_or(field.go_type, |(_, element)| element);
            if field.shape == Shape::MapOfLists { None } else { map.values().find_map(|one| of_value(one, field.kind, element)) }
        }
        (Shape::Map | Shape::MapOfLists, other) => Some(format!("cannot restore map from {}", print::go_kind(other))),
    }
}

fn of_value(value: &Value, kind: Kind, go_type: &str) -> Option<String> {
    let fraction = |value: &Value| value.as_f64().is_some_and(|number| number.fract() != 0.0);
    match (kind, value) {
        (_, Value::Null) => None,
        (Kind::Message(id), _) => fault(value, types().get(id)),
        (Kind::String, Value::Number(_)) if !value.is_f64() => Some(format!("cannot convert int64 to {go_type}")),
        (Kind::Int32 | Kind::Int64, Value::Number(_)) if fraction(value) => Some(format!("cannot convert float64 to {go_type}")),
        (Kind::String, Value::String(_)) | (Kind::Bool, Value::Bool(_)) | (Kind::Int32 | Kind::Int64 | Kind::Double, Value::Number(_)) => None,
        (Kind::String, _) => Some("unrecognized type: string".to_owned()),
        (Kind::Bool, _) => Some("unrecognized type: bool".to_owned()),
        (Kind::Int32, _) => Some("unrecognized type: int32".to_owned()),
        (Kind::Int64, _) => Some("unrecognized type: int64".to_owned()),
        (Kind::Double, _) => Some("unrecognized type: float64".to_owned()),
        // these decode themselves from JSON, as in a body
        (Kind::Bytes | Kind::Time | Kind::MicroTime | Kind::Quantity | Kind::IntOrString, _) => None,
        (Kind::Raw | Kind::FieldsV1 | Kind::Json | Kind::SchemaOrBool | Kind::SchemaOrArray | Kind::SchemaOrStrings, _) => None,
    }
}
