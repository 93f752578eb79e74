//! The Swagger 2.0 document in protobuf (`openapi.v2.Document` of gnostic): the only form that kubectl before 1.27 asks for.
//!
//! Only what [`super::v2`] writes is here. Values of no fixed type are YAML text there, and JSON is YAML.

use serde_json::{Map, Value};

use super::super::protobuf::{put_bytes, put_varint};

/// The document that [`super::v2`] made, as a message.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    text(1, &document["swagger"], &mut out);
    nested(2, &mut out, |info| {
        text(1, &document["info"]["title"], info);
        text(2, &document["info"]["version"], info);
    });
    nested(8, &mut out, |paths| entries(&document["paths"], |name, item| named(2, name, paths, |out| path_item(item, out))));
    nested(9, &mut out, |definitions| properties(&document["definitions"], definitions));
    out
}

/// `Schema`
fn schema(value: &Value, out: &mut Vec<u8>) {
    entries(value, |key, value| match key {
        "$ref" => text(1, value, out),
        "format" => text(2, value, out),
        "description" => text(4, value, out),
        "default" => any(5, value, out),
        "required" => each(value, |one| text(19, one, out)),
        "enum" => each(value, |one| any(20, one, out)),
        "additionalProperties" => nested(21, out, |item| nested(1, item, |inner| schema(value, inner))),
        "type" => nested(22, out, |item| text(1, value, item)),
        "items" => nested(23, out, |item| nested(1, item, |inner| schema(value, inner))),
        "properties" => nested(25, out, |inner| properties(value, inner)),
        other => extension(31, other, value, out),
    });
}

/// `Properties` and `Definitions`: schemas by name.
fn properties(value: &Value, out: &mut Vec<u8>) {
    entries(value, |name, one| named(1, name, out, |inner| schema(one, inner)));
}

fn path_item(item: &Value, out: &mut Vec<u8>) {
    entries(item, |key, value| match key {
        "get" => nested(2, out, |inner| operation(value, inner)),
        "put" => nested(3, out, |inner| operation(value, inner)),
        "post" => nested(4, out, |inner| operation(value, inner)),
        "delete" => nested(5, out, |inner| operation(value, inner)),
        "patch" => nested(8, out, |inner| operation(value, inner)),
        "parameters" => each(value, |one| parameter(9, one, out)),
        other => extension(10, other, value, out),
    });
}

fn operation(operation: &Value, out: &mut Vec<u8>) {
    entries(operation, |key, value| match key {
        "tags" => each(value, |one| text(1, one, out)),
        "operationId" => text(5, value, out),
        "parameters" => each(value, |one| parameter(8, one, out)),
        "responses" => nested(9, out, |responses| entries(value, |code, one| named(1, code, responses, |out| nested(1, out, |out| response(one, out))))),
        other => extension(13, other, value, out),
    });
}

fn response(response: &Value, out: &mut Vec<u8>) {
    text(1, &response["description"], out);
    if let Some(of) = response.get("schema") {
        nested(2, out, |item| nested(1, item, |inner| schema(of, inner)));
    }
}

/// `ParametersItem`: a parameter of the body, the query or the path.
fn parameter(tag: u32, parameter: &Value, out: &mut Vec<u8>) {
    let required = u64::from(parameter["required"] == true);
    nested(tag, out, |item| {
        nested(1, item, |item| match parameter["in"].as_str() {
            Some("body") => nested(1, item, |body| {
                text(2, &parameter["name"], body);
                text(3, &parameter["in"], body);
                put_varint(4, required, body);
                nested(5, body, |inner| schema(&parameter["schema"], inner));
            }),
            place => nested(2, item, |item| {
                let (form, kind) = if place == Some("path") { (4, 5) } else { (3, 6) };
                nested(form, item, |inner| {
                    put_varint(1, required, inner);
                    text(2, &parameter["in"], inner);
                    text(4, &parameter["name"], inner);
                    text(kind, &parameter["type"], inner);
                });
            }),
        });
    });
}

/// `NamedAny`, for the members that begin with `x-`.
fn extension(tag: u32, name: &str, value: &Value, out: &mut Vec<u8>) {
    if name.starts_with("x-") {
        nested(tag, out, |inner| {
            put_bytes(1, name.as_bytes(), inner);
            any(2, value, inner);
        });
    }
}

fn any(tag: u32, value: &Value, out: &mut Vec<u8>) {
    nested(tag, out, |inner| put_bytes(2, value.to_string().as_bytes(), inner));
}

fn named(tag: u32, name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    nested(tag, out, |inner| {
        put_bytes(1, name.as_bytes(), inner);
        nested(2, inner, write);
    });
}

fn nested(tag: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    put_bytes(tag, &inner, out);
}

fn text(tag: u32, value: &Value, out: &mut Vec<u8>) {
    if let Some(text) = value.as_str() {
        put_bytes(tag, text.as_bytes(), out);
    }
}

fn entries(value: &Value, mut each: impl FnMut(&str, &Value)) {
    let none = Map::new();
    value.as_object().unwrap_or(&none).iter().for_each(|(key, value)| each(key, value));
}

fn each(value: &Value, each: impl FnMut(&Value)) {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter().for_each(each);
}
