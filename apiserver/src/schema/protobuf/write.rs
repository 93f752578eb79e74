//! A JSON object of the table as a message. What is not set is not written: a reader takes it for zero.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{WireType, encode_key};
use serde_json::{Map, Value};

use super::super::scalar::time;
use super::super::types::{Field, Kind, Shape, Type, Wire, types};
use super::{put_bytes, put_varint};

/// Writes the fields of `object` that the type has.
pub(super) fn message(as_type: &'static Type, object: &Value, out: &mut Vec<u8>) {
    if let Value::Object(map) = object {
        fields(as_type, map, out);
    }
}

fn fields(as_type: &'static Type, map: &Map<String, Value>, out: &mut Vec<u8>) {
    for (tag, wire) in &as_type.wire {
        match wire {
            Wire::Embed(inner) => {
                let mut nested = Vec::new();
                fields(types().get(*inner), map, &mut nested);
                put_bytes(*tag, &nested, out);
            }
            Wire::Field(index) => {
                let field = &as_type.fields[*index];
                match map.get(field.name) {
                    None | Some(Value::Null) => {}
                    Some(value) => put_field(field, value, out),
                }
            }
        }
    }
}

fn put_field(field: &Field, value: &Value, out: &mut Vec<u8>) {
    match (field.shape, value) {
        (Shape::One, _) => put(field.tag, field.kind, value, out),
        (Shape::List, Value::Array(list)) => list.iter().for_each(|one| put(field.tag, field.kind, one, out)),
        (Shape::Map | Shape::MapOfLists, Value::Object(map)) => {
            for (key, one) in map {
                let mut entry = Vec::new();
                put_bytes(1, key.as_bytes(), &mut entry);
                match (field.shape, one) {
                    (Shape::MapOfLists, Value::Array(items)) => {
                        let mut list = Vec::new();
                        items.iter().for_each(|item| put(1, Kind::String, item, &mut list));
                        put_bytes(2, &list, &mut entry);
                    }
                    (_, _) => put(2, field.kind, one, &mut entry),
                }
                put_bytes(field.tag, &entry, out);
            }
        }
        // not of the type: canonical values never are
        (Shape::List | Shape::Map | Shape::MapOfLists, _) => {}
    }
}

fn put(tag: u32, kind: Kind, value: &Value, out: &mut Vec<u8>) {
    match kind {
        Kind::Bool => put_varint(tag, u64::from(value.as_bool().unwrap_or(false)), out),
        // two's complement on the wire
        Kind::Int32 | Kind::Int64 => put_varint(tag, value.as_i64().unwrap_or(0) as u64, out),
        Kind::Double => {
            encode_key(tag, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.as_f64().unwrap_or(0.0).to_le_bytes());
        }
        Kind::String => put_bytes(tag, text(value).as_bytes(), out),
        Kind::Bytes => put_bytes(tag, &STANDARD.decode(text(value)).unwrap_or_default(), out), // canonical values are base64
        Kind::Message(id) => nested(tag, out, |inner| message(types().get(id), value, inner)),
        Kind::Time | Kind::MicroTime => nested(tag, out, |inner| {
            if let Ok(moment) = time::parse(text(value)) {
                put_varint(1, moment.seconds as u64, inner);
                put_varint(2, u64::from(moment.nanos), inner);
            }
        }),
        Kind::Quantity => nested(tag, out, |inner| put_bytes(1, text(value).as_bytes(), inner)),
        Kind::IntOrString => nested(tag, out, |inner| match value {
            Value::String(text) => {
                put_varint(1, 1, inner);
                put_varint(2, 0, inner);
                put_bytes(3, text.as_bytes(), inner);
            }
            other => {
                put_varint(1, 0, inner);
                put_varint(2, other.as_i64().unwrap_or(0) as u64, inner);
                put_bytes(3, b"", inner);
            }
        }),
        Kind::Raw | Kind::FieldsV1 | Kind::Json => nested(tag, out, |inner| {
            if !value.is_null() {
                put_bytes(1, value.to_string().as_bytes(), inner);
            }
        }),
        Kind::SchemaOrBool | Kind::SchemaOrArray | Kind::SchemaOrStrings => nested(tag, out, |inner| schema_or(kind, value, inner)),
    }
}

fn nested(tag: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    put_bytes(tag, &inner, out);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn schema_or(kind: Kind, value: &Value, out: &mut Vec<u8>) {
    let schema = Kind::Message(types().schema_props());
    match (kind, value) {
        (Kind::SchemaOrBool, Value::Bool(allows)) => put_varint(1, u64::from(*allows), out),
        (Kind::SchemaOrBool, object) => {
            put_varint(1, 1, out);
            put(2, schema, object, out);
        }
        (Kind::SchemaOrArray, Value::Array(list)) => list.iter().for_each(|one| put(2, schema, one, out)),
        (_, Value::Array(list)) => list.iter().for_each(|one| put(2, Kind::String, one, out)),
        (_, Value::Object(_)) => put(1, schema, value, out),
        (_, _) => {}
    }
}
