//! A message of the table into its canonical JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::super::Gvk;
use super::super::cursor::Cursor;
use super::super::json::{keeps, zero};
use super::super::scalar::{quantity, time};
use super::super::types::{Field, Kind, Shape, Type, Wire, types};
use super::super::{decode, syntax};
use super::{MAGIC, Wired, each_field, open, utf8};

type Object = Map<String, Value>;

/// Messages nest no deeper than JSON does.
const MAX_DEPTH: usize = syntax::MAX_DEPTH;

/// The canonical value of a message; the error is a sentence.
pub(in crate::schema) fn message(bytes: &[u8], as_type: &'static Type) -> Result<Value, String> {
    at_depth(bytes, as_type, 0).map(Value::Object)
}

fn at_depth(bytes: &[u8], as_type: &'static Type, depth: usize) -> Result<Object, String> {
    let mut object = Object::new();
    fields(bytes, as_type, &mut object, depth)?;
    for (field, unset) in as_type.always() {
        if !object.contains_key(field.name) {
            object.insert(field.name.to_owned(), unset.clone());
        }
    }
    Ok(object)
}

/// The fields of a message into an object; inlined structs are messages here and part of the object there.
fn fields(bytes: &[u8], as_type: &'static Type, object: &mut Object, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("exceeded max depth".to_owned());
    }
    each_field(bytes, |tag, wired| {
        let Ok(at) = as_type.wire.binary_search_by_key(&tag, |(tag, _)| *tag) else { return Ok(()) };
        match (as_type.wire[at].1, wired) {
            (Wire::Embed(inner), Wired::Bytes(bytes)) => fields(bytes, types().get(inner), object, depth + 1),
            (Wire::Embed(_), Wired::Varint(_) | Wired::Fixed64(_)) => Ok(()),
            (Wire::Field(index), wired) => field(&as_type.fields[index], wired, object, depth),
        }
    })
}

fn field(field: &'static Field, wired: Wired<'_>, object: &mut Object, depth: usize) -> Result<(), String> {
    match (field.shape, wired) {
        (Shape::One, _) => {
            match value(field.kind, wired, depth)? {
                Some(value) if keeps(field, &value) && !(field.kind == Kind::Bytes && value == "") => {
                    object.insert(field.name.to_owned(), value);
                }
                Some(_) | None => {}
            };
        }
        (Shape::List, Wired::Bytes(packed)) if matches!(field.kind, Kind::Int32 | Kind::Int64 | Kind::Bool) => {
            let mut rest = packed;
            while !rest.is_empty() {
                let next = prost::encoding::decode_varint(&mut rest).map_err(|fault| format!("proto: {fault}"))?;
                push(object, field, value(field.kind, Wired::Varint(next), depth)?);
            }
        }
        (Shape::List, _) => push(object, field, value(field.kind, wired, depth)?),
        (Shape::Map | Shape::MapOfLists, Wired::Bytes(entry)) => {
            let (key, value) = entry_of(field, entry, depth)?;
            let slot = object.entry(field.name).or_insert_with(|| Value::Object(Object::new()));
            if let Value::Object(map) = slot {
                map.insert(key, value);
            }
        }
        (Shape::Map | Shape::MapOfLists, Wired::Varint(_) | Wired::Fixed64(_)) => {}
    }
    Ok(())
}

fn push(object: &mut Object, field: &Field, value: Option<Value>) {
    let value = value.unwrap_or_else(|| zero(field.kind, types()));
    if let Value::Array(list) = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new())) {
        list.push(value);
    }
}

/// An entry of a map: the key is 1, the value 2; either may be missing.
fn entry_of(field: &Field, entry: &[u8], depth: usize) -> Result<(String, Value), String> {
    let mut key = String::new();
    let mut read = None;
    each_field(entry, |tag, wired| {
        match (tag, wired) {
            (1, Wired::Bytes(text)) => key = utf8(text),
            (2, Wired::Bytes(items)) if field.shape == Shape::MapOfLists => read = strings(items)?,
            (2, _) => read = value(field.kind, wired, depth)?,
            (_, _) => {}
        }
        Ok(())
    })?;
    let unset = || if field.shape == Shape::MapOfLists { Value::Null } else { zero(field.kind, types()) };
    Ok((key, read.unwrap_or_else(unset)))
}

/// A message whose one field is a list of strings (`ExtraValue`).
fn strings(message: &[u8]) -> Result<Option<Value>, String> {
    let mut list = Vec::new();
    each_field(message, |_, wired| {
        if let Wired::Bytes(text) = wired {
            list.push(Value::String(utf8(text)));
        }
        Ok(())
    })?;
    Ok((!list.is_empty()).then_some(Value::Array(list)))
}

/// One value; nothing for a time or raw value that is unset.
fn value(kind: Kind, wired: Wired<'_>, depth: usize) -> Result<Option<Value>, String> {
    Ok(match (kind, wired) {
        (Kind::Bool, Wired::Varint(value)) => Some(Value::Bool(value != 0)),
        // two's complement on the wire
        (Kind::Int32, Wired::Varint(value)) => Some(Value::from(value as i32)),
        (Kind::Int64, Wired::Varint(value)) => Some(Value::from(value as i64)),
        (Kind::Double, Wired::Fixed64(bits)) => Some(double(f64::from_bits(bits))),
        (Kind::String, Wired::Bytes(text)) => Some(Value::String(utf8(text))),
        (Kind::Bytes, Wired::Bytes(bytes)) => Some(Value::String(STANDARD.encode(bytes))),
        (Kind::Message(id), Wired::Bytes(bytes)) => Some(Value::Object(at_depth(bytes, types().get(id), depth + 1)?)),
        (Kind::Time | Kind::MicroTime, Wired::Bytes(bytes)) => moment(kind, bytes)?,
        (Kind::Quantity, Wired::Bytes(bytes)) => {
            let mut text = String::new();
            each_field(bytes, |tag, wired| {
                if let (1, Wired::Bytes(bytes)) = (tag, wired) {
                    text = utf8(bytes);
                }
                Ok(())
            })?;
            let canonical = if text.is_empty() { "0".into() } else { quantity::canonical(&text)? };
            Some(Value::String(canonical.into_owned()))
        }
        (Kind::IntOrString, Wired::Bytes(bytes)) => Some(int_or_string(bytes)?),
        (Kind::Raw | Kind::FieldsV1 | Kind::Json, Wired::Bytes(bytes)) => raw(bytes)?,
        (Kind::SchemaOrBool | Kind::SchemaOrArray | Kind::SchemaOrStrings, Wired::Bytes(bytes)) => Some(schema_or(kind, bytes, depth)?),
        // a wire type that the field never has
        (_, _) => None,
    })
}

fn double(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { Value::from(value as i64) } else { Value::from(value) }
}

/// `Timestamp`; an empty message is Go's zero time.
fn moment(kind: Kind, bytes: &[u8]) -> Result<Option<Value>, String> {
    let mut moment = time::Moment { seconds: 0, nanos: 0 };
    each_field(bytes, |tag, wired| {
        match (tag, wired) {
            (1, Wired::Varint(seconds)) => moment.seconds = seconds as i64,
            (2, Wired::Varint(nanos)) => moment.nanos = u32::try_from(nanos).unwrap_or(0),
            (_, _) => {}
        }
        Ok(())
    })?;
    if bytes.is_empty() || moment.is_zero() {
        return Ok(None);
    }
    Ok(Some(Value::String(if kind == Kind::MicroTime { moment.print_micro() } else { moment.print() })))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_string, mut number, mut text) = (false, 0, String::new());
    each_field(bytes, |tag, wired| {
        match (tag, wired) {
            (1, Wired::Varint(kind)) => is_string = kind == 1,
            (2, Wired::Varint(value)) => number = value as i32,
            (3, Wired::Bytes(bytes)) => text = utf8(bytes),
            (_, _) => {}
        }
        Ok(())
    })?;
    Ok(if is_string { Value::String(text) } else { Value::from(number) })
}

/// JSON inside a message, or (in a `RawExtension`) another enveloped object.
fn raw(bytes: &[u8]) -> Result<Option<Value>, String> {
    let mut inner: &[u8] = &[];
    each_field(bytes, |tag, wired| {
        if let (1, Wired::Bytes(bytes)) = (tag, wired) {
            inner = bytes;
        }
        Ok(())
    })?;
    if inner.is_empty() {
        return Ok(None);
    }
    if inner.starts_with(&MAGIC) {
        let unknown = open(inner)?;
        let gvk = Gvk::parse(&unknown.api_version, &unknown.kind);
        let as_type = types().of(&gvk).ok_or_else(|| format!("no kind {:?} is registered for version {:?}", gvk.kind, gvk.api_version()))?;
        let mut object = message(unknown.raw, as_type)?;
        decode::name(&mut object, &gvk);
        return Ok(Some(object));
    }
    syntax::check(inner)?;
    Ok(Some(Cursor::new(inner).any()))
}

fn schema_or(kind: Kind, bytes: &[u8], depth: usize) -> Result<Value, String> {
    let schema_type = types().get(types().schema_props());
    let (mut allows, mut schema, mut list) = (false, None, Vec::new());
    each_field(bytes, |tag, wired| {
        match (kind, tag, wired) {
            (Kind::SchemaOrBool, 1, Wired::Varint(value)) => allows = value != 0,
            (Kind::SchemaOrBool, 2, Wired::Bytes(bytes)) | (_, 1, Wired::Bytes(bytes)) => {
                schema = Some(Value::Object(at_depth(bytes, schema_type, depth + 1)?))
            }
            (Kind::SchemaOrArray, 2, Wired::Bytes(bytes)) => list.push(Value::Object(at_depth(bytes, schema_type, depth + 1)?)),
            (Kind::SchemaOrStrings, 2, Wired::Bytes(text)) => list.push(Value::String(utf8(text))),
            (_, _, _) => {}
        }
        Ok(())
    })?;
    Ok(match (kind, schema) {
        (_, Some(schema)) => schema,
        (Kind::SchemaOrBool, None) => Value::Bool(allows),
        (_, None) if list.is_empty() => Value::Null,
        (_, None) => Value::Array(list),
    })
}
