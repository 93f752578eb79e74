//! JSON into the canonical form of a built-in type, in one pass: what Go would marshal after `sigs.k8s.io/json` decoded it.
//!
//! [`decode`] expects text that passed [`syntax`](super::syntax). It drops nulls and empty optional values, prints what Go always
//! prints, and finds unknown, duplicate and mistyped fields with Go's sentences. As in Go, the first mistyped field is told
//! after the whole body was read, and a value that a type's own decoder refuses (a time, a quantity) is told at once.

use serde_json::{Map, Value};

use super::cursor::{Cursor, number};
use super::scalar::{quantity, quote, time};
use super::types::{Field, Kind, Shape, Type, Types, types};

/// No more strict errors than this are collected (`saveStrictError`).
const MAX_STRICT_ERRORS: usize = 100;

/// A decoded body: the value, and the unknown and duplicate fields met (`unknown field "spec.foo"`).
pub type Loose = (Value, Vec<String>);

/// Decodes checked JSON as a value of this type. The error is Go's sentence for what cannot be decoded at all.
pub(super) fn decode(text: &[u8], as_type: &'static Type, strict: bool) -> Result<Loose, String> {
    let mut decoder = Decoder { types: types(), strict, path: Vec::new(), strict_errors: Vec::new(), mistyped: None };
    let mut cursor = Cursor::new(text);
    let value = match cursor.null() {
        true => as_type.zero(),
        false => decoder.message(&mut cursor, as_type, as_type.go_type).map_err(|Fatal(sentence)| sentence)?,
    };
    match decoder.mistyped {
        Some(sentence) => Err(sentence),
        None => Ok((value, decoder.strict_errors)),
    }
}

/// Reads checked JSON of no type, as `kjson.UnmarshalStrict` reads into a map: the value, and its duplicate fields.
pub fn read_any(text: &[u8]) -> Loose {
    let mut decoder = Decoder { types: types(), strict: true, path: Vec::new(), strict_errors: Vec::new(), mistyped: None };
    let value = decoder.any(&mut Cursor::new(text));
    (value, decoder.strict_errors)
}

/// Lists that are empty and yet given: Go's defaults tell them from those that are absent (`copyHPAScalingRules`). Everywhere else an empty
/// list is as good as none, and is not printed.
const EMPTY_IS_GIVEN: [&str; 1] = ["[]v2.HPAScalingPolicy"];

/// What ends decoding at once.
struct Fatal(String);

/// A step of the way to the value being read.
enum Step {
    Field(&'static Type, &'static Field),
    Key(String),
    Index(usize),
}

struct Decoder {
    types: &'static Types,
    strict: bool,
    path: Vec<Step>,
    strict_errors: Vec<String>,
    mistyped: Option<String>,
}

impl Decoder {
    /// The object here. `go_type` is what it is called if it is none.
    fn message(&mut self, cursor: &mut Cursor<'_>, as_type: &'static Type, go_type: &str) -> Result<Value, Fatal> {
        let mut object = Map::new();
        if cursor.token() != "object" {
            self.mistyped(cursor, go_type);
            return Ok(Value::Null);
        }
        let mut seen = 0u128; // no type has more fields
        cursor.open();
        while !cursor.closed() {
            let key = cursor.string();
            cursor.colon();
            match as_type.position(&key) {
                None => {
                    self.unknown(&key);
                    cursor.skip();
                }
                Some(index) => {
                    let field = &as_type.fields[index];
                    let again = seen & (1 << index) != 0;
                    seen |= 1 << index;
                    if again {
                        self.duplicate(field.name);
                    }
                    let old = if again { object.remove(field.name) } else { None };
                    self.path.push(Step::Field(as_type, field));
                    if let Some(value) = self.field(cursor, field)? {
                        object.insert(field.name.to_owned(), merged(old, value));
                    }
                    self.path.pop();
                }
            }
            cursor.comma();
        }
        for (field, unset) in as_type.always() {
            if !object.contains_key(field.name) {
                object.insert(field.name.to_owned(), unset.clone());
            }
        }
        Ok(Value::Object(object))
    }

    /// The value of a field; nothing if Go would not print it, or prints it as if it were unset.
    fn field(&mut self, cursor: &mut Cursor<'_>, field: &'static Field) -> Result<Option<Value>, Fatal> {
        let token = cursor.token();
        if cursor.null() {
            return Ok(None);
        }
        match (field.shape, token) {
            (Shape::One, _) => Ok(self.value(cursor, field.kind, field.go_type.trim_start_matches('*'))?.filter(|value| keeps(field, value))),
            (Shape::List, "array") => {
                let list = self.list(cursor, field.kind, element(field, self.types))?;
                Ok(list.or_else(|| EMPTY_IS_GIVEN.contains(&field.go_type).then(|| Value::Array(Vec::new()))))
            }
            (Shape::Map | Shape::MapOfLists, "object") => self.map(cursor, field),
            (Shape::List | Shape::Map | Shape::MapOfLists, _) => {
                self.mistyped(cursor, field.go_type);
                Ok(None)
            }
        }
    }

    fn list(&mut self, cursor: &mut Cursor<'_>, kind: Kind, go_type: &str) -> Result<Option<Value>, Fatal> {
        let mut list = Vec::new();
        cursor.open();
        while !cursor.closed() {
            self.path.push(Step::Index(list.len()));
            list.push(self.element(cursor, kind, go_type)?);
            self.path.pop();
            cursor.comma();
        }
        Ok(if list.is_empty() { None } else { Some(Value::Array(list)) })
    }

    fn map(&mut self, cursor: &mut Cursor<'_>, field: &'static Field) -> Result<Option<Value>, Fatal> {
        let mut map = Map::new();
        let go_type = element(field, self.types);
        cursor.open();
        while !cursor.closed() {
            let key = cursor.string();
            cursor.colon();
            if map.contains_key(&*key) {
                self.duplicate(&key);
            }
            self.path.push(Step::Key(key.to_string()));
            let value = match (field.shape, cursor.token()) {
                (Shape::MapOfLists, "array") => self.list(cursor, field.kind, "string")?.unwrap_or(Value::Null),
                (Shape::MapOfLists, "null") => {
                    cursor.skip();
                    Value::Null
                }
                (Shape::MapOfLists, _) => {
                    self.mistyped(cursor, go_type);
                    Value::Null
                }
                (Shape::One | Shape::List | Shape::Map, _) => self.element(cursor, field.kind, go_type)?,
            };
            self.path.pop();
            map.insert(key.into_owned(), value);
            cursor.comma();
        }
        Ok(if map.is_empty() { None } else { Some(Value::Object(map)) })
    }

    /// An element of a list or map: `null` is the zero of its type.
    fn element(&mut self, cursor: &mut Cursor<'_>, kind: Kind, go_type: &str) -> Result<Value, Fatal> {
        let value = if cursor.null() { None } else { self.value(cursor, kind, go_type)? };
        Ok(value.unwrap_or_else(|| zero(kind, self.types)))
    }

    /// A value that is not null.
    fn value(&mut self, cursor: &mut Cursor<'_>, kind: Kind, go_type: &str) -> Result<Option<Value>, Fatal> {
        let token = cursor.token();
        match (kind, token) {
            (Kind::String, "string") => Ok(Some(Value::String(cursor.string().into_owned()))),
            (Kind::Bool, "bool") => Ok(Some(Value::Bool(cursor.bool()))),
            (Kind::Int32, "number") => Ok(self.integer(cursor.number(), go_type, i64::from(i32::MIN)..=i64::from(i32::MAX))),
            (Kind::Int64, "number") => Ok(self.integer(cursor.number(), go_type, i64::MIN..=i64::MAX)),
            (Kind::Double, "number") => Ok(Some(double(cursor.number()))),
            (Kind::Bytes, "string") => Ok(self.bytes(&cursor.string())),
            (Kind::Message(id), _) => self.message(cursor, self.types.get(id), go_type).map(Some),
            (Kind::String | Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double | Kind::Bytes, _) => {
                self.mistyped(cursor, go_type);
                Ok(None)
            }
            (Kind::Time | Kind::MicroTime, "string") => {
                let text = cursor.string();
                let micro = kind == Kind::MicroTime;
                let moment = if micro { time::parse_micro(&text) } else { time::parse(&text) }.map_err(Fatal)?;
                Ok((!moment.is_zero()).then(|| Value::String(if micro { moment.print_micro() } else { moment.print() })))
            }
            (Kind::Time | Kind::MicroTime, _) => Err(Fatal(self.type_error(token, "string"))),
            (Kind::Quantity, _) => {
                let text = String::from_utf8_lossy(cursor.raw());
                let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&text);
                let canonical = quantity::canonical(inner.trim()).map_err(|sentence| Fatal(sentence.to_owned()))?;
                Ok(Some(Value::String(canonical.into_owned())))
            }
            (Kind::IntOrString, "string") => Ok(Some(Value::String(cursor.string().into_owned()))),
            (Kind::IntOrString, "number") => {
                let digits = cursor.number();
                match digits.parse::<i32>() {
                    Ok(value) => Ok(Some(Value::from(value))),
                    Err(_) => Err(Fatal(self.type_error(&format!("number {digits}"), "int32"))),
                }
            }
            (Kind::IntOrString, _) => Err(Fatal(self.type_error(token, "int32"))),
            (Kind::Raw | Kind::FieldsV1 | Kind::Json, _) => Ok(Some(cursor.any())),
            (Kind::SchemaOrBool | Kind::SchemaOrArray | Kind::SchemaOrStrings, _) => self.schema_or(cursor, kind, token),
        }
    }

    /// A value of no type, with its duplicate fields.
    fn any(&mut self, cursor: &mut Cursor<'_>) -> Value {
        match cursor.token() {
            "object" => {
                let mut map = Map::new();
                cursor.open();
                while !cursor.closed() {
                    let key = cursor.string();
                    cursor.colon();
                    if map.contains_key(&*key) {
                        self.duplicate(&key);
                    }
                    self.path.push(Step::Key(key.to_string()));
                    let value = self.any(cursor);
                    self.path.pop();
                    map.insert(key.into_owned(), value);
                    cursor.comma();
                }
                Value::Object(map)
            }
            "array" => {
                let mut list = Vec::new();
                cursor.open();
                while !cursor.closed() {
                    self.path.push(Step::Index(list.len()));
                    list.push(self.any(cursor));
                    self.path.pop();
                    cursor.comma();
                }
                Value::Array(list)
            }
            _ => cursor.any(),
        }
    }

    /// The unions of `apiextensions`: their own decoder does not look for unknown fields.
    fn schema_or(&mut self, cursor: &mut Cursor<'_>, kind: Kind, token: &str) -> Result<Option<Value>, Fatal> {
        let schema = self.types.schema_props();
        let strict = std::mem::replace(&mut self.strict, false);
        let before = self.mistyped.take();
        let value = match (kind, token) {
            (_, "object") => self.message(cursor, self.types.get(schema), "v1.JSONSchemaProps").map(Some),
            (Kind::SchemaOrBool, "bool") => Ok(Some(Value::Bool(cursor.bool()))),
            (Kind::SchemaOrBool, _) => Err(Fatal("boolean or JSON schema expected".to_owned())),
            (Kind::SchemaOrArray, "array") => self.list(cursor, Kind::Message(schema), "v1.JSONSchemaProps"),
            (_, "array") => self.list(cursor, Kind::String, "string"),
            (_, _) => {
                cursor.skip();
                Ok(Some(Value::Null))
            }
        };
        self.strict = strict;
        match self.mistyped.take() {
            // what their own decoder cannot decode ends it all
            Some(sentence) => Err(Fatal(sentence)),
            None => {
                self.mistyped = before;
                value
            }
        }
    }

    fn integer(&mut self, digits: &str, go_type: &str, range: std::ops::RangeInclusive<i64>) -> Option<Value> {
        match digits.parse::<i64>() {
            Ok(value) if range.contains(&value) => Some(Value::from(value)),
            Ok(_) | Err(_) => {
                self.save(|decoder| decoder.type_error(&format!("number {digits}"), go_type));
                None
            }
        }
    }

    fn bytes(&mut self, text: &str) -> Option<Value> {
        match base64_fault(text) {
            None => Some(Value::String(text.replace(['\r', '\n'], ""))),
            Some(at) => {
                self.save(|_| format!("illegal base64 data at input byte {at}"));
                None
            }
        }
    }

    fn mistyped(&mut self, cursor: &mut Cursor<'_>, go_type: &str) {
        let token = cursor.token();
        cursor.skip();
        self.save(|decoder| decoder.type_error(token, go_type));
    }

    /// Keeps the first.
    fn save(&mut self, sentence: impl FnOnce(&Self) -> String) {
        if self.mistyped.is_none() {
            self.mistyped = Some(sentence(self));
        }
    }

    /// `UnmarshalTypeError`: the struct is the innermost one, the path is the whole one without keys and indexes.
    fn type_error(&self, value: &str, go_type: &str) -> String {
        let mut inside = None;
        let mut names: Vec<&str> = Vec::new();
        for step in &self.path {
            if let Step::Field(parent, field) = step {
                inside = Some(parent.short_name());
                names.extend(&field.embeds);
                names.push(field.name);
            }
        }
        match inside {
            Some(inside) => format!("json: cannot unmarshal {value} into Go struct field {inside}.{} of type {go_type}", names.join(".")),
            None => format!("json: cannot unmarshal {value} into Go value of type {go_type}"),
        }
    }

    fn unknown(&mut self, key: &str) {
        self.strict_error("unknown", key);
    }

    fn duplicate(&mut self, key: &str) {
        self.strict_error("duplicate", key);
    }

    fn strict_error(&mut self, what: &str, key: &str) {
        if !self.strict || self.strict_errors.len() >= MAX_STRICT_ERRORS {
            return;
        }
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Field(_, field) => join(&mut path, field.name),
                Step::Key(key) => join(&mut path, key),
            }
        }
        join(&mut path, key);
        let sentence = format!("{what} field {}", quote(&path));
        if !self.strict_errors.contains(&sentence) {
            self.strict_errors.push(sentence);
        }
    }
}

fn join(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// A field that comes twice is decoded into what the first left: maps and structs keep what the second does not set.
fn merged(old: Option<Value>, new: Value) -> Value {
    match (old, new) {
        (Some(Value::Object(mut old)), Value::Object(new)) => {
            old.extend(new);
            Value::Object(old)
        }
        (_, new) => new,
    }
}

/// Is a value of this field printed?
pub(super) fn keeps(field: &Field, value: &Value) -> bool {
    if !field.drops_zero() {
        return true;
    }
    match (field.kind, value) {
        (Kind::String | Kind::Bytes, Value::String(text)) => !text.is_empty(),
        (Kind::Bool, Value::Bool(value)) => *value,
        (Kind::Int32 | Kind::Int64 | Kind::Double, Value::Number(number)) => number.as_f64() != Some(0.0),
        (_, _) => true,
    }
}

/// The zero of an element.
pub(super) fn zero(kind: Kind, types: &Types) -> Value {
    match kind {
        Kind::String | Kind::Bytes => Value::from(""),
        Kind::Bool | Kind::SchemaOrBool => Value::Bool(false),
        Kind::Int32 | Kind::Int64 | Kind::Double | Kind::IntOrString => Value::from(0),
        Kind::Quantity => Value::from("0"),
        Kind::Time | Kind::MicroTime | Kind::Raw | Kind::FieldsV1 | Kind::Json | Kind::SchemaOrArray | Kind::SchemaOrStrings => Value::Null,
        Kind::Message(id) => types.get(id).zero(),
    }
}

/// The Go type of an element of a list or map.
fn element(field: &Field, types: &'static Types) -> &'static str {
    let inner = match (field.shape, field.go_type.split_once(']')) {
        (_, Some((_, inner))) => return inner.trim_start_matches('*'),
        (_, None) => field.kind,
    };
    match inner {
        Kind::Message(id) => types.get(id).go_type,
        Kind::String
        | Kind::Bool
        | Kind::Int32
        | Kind::Int64
        | Kind::Double
        | Kind::Bytes
        | Kind::Time
        | Kind::MicroTime
        | Kind::Quantity
        | Kind::IntOrString
        | Kind::Raw
        | Kind::FieldsV1
        | Kind::Json
        | Kind::SchemaOrBool
        | Kind::SchemaOrArray
        | Kind::SchemaOrStrings => "string",
    }
}

/// A double, printed as Go prints it: without a fraction if it has none.
fn double(digits: &str) -> Value {
    match digits.parse::<f64>() {
        Ok(value) if value.fract() == 0.0 && value.abs() < 1e15 => Value::from(value as i64),
        Ok(value) => Value::from(value),
        Err(_) => number(digits),
    }
}

/// Where a text stops being base64 (`encoding/base64`, padded, line ends ignored).
fn base64_fault(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let past_lines = |mut at: usize| {
        while matches!(bytes.get(at), Some(b'\r' | b'\n')) {
            at += 1;
        }
        at
    };
    let (mut at, mut in_quantum) = (past_lines(0), 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => in_quantum = (in_quantum + 1) % 4,
            b'=' if in_quantum == 2 => {
                at = past_lines(at + 1);
                match bytes.get(at) {
                    Some(b'=') => return trailing(bytes, past_lines(at + 1)),
                    Some(_) => return Some(at - 1),
                    None => return Some(bytes.len()),
                }
            }
            b'=' if in_quantum == 3 => return trailing(bytes, past_lines(at + 1)),
            _ => return Some(at),
        }
        at = past_lines(at + 1);
    }
    (in_quantum != 0).then(|| at - in_quantum)
}

/// Nothing may follow the padding.
fn trailing(bytes: &[u8], at: usize) -> Option<usize> {
    (at < bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests;
