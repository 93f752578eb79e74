//! From a request's body to a canonical object, and to Kubernetes' sentences for what cannot be one.
//!
//! This is `runtime/serializer/json` and the codec around it (`versioning.go`), with `transformDecodeError` of the handlers.

use serde_json::Value;
use skiff_proto::status::Status;

use super::syntax::{Named, interpret};
use super::types::{Type, types};
use super::{Decoded, FieldValidation, Gvk, json, protobuf, yaml};
use crate::error::failure;

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ContentType {
    /// `application/json`
    #[default]
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

/// As the errors of Kubernetes' scheme name it.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

/// Decodes the body of a create or update. `expected` is the kind that the request's path serves; it also fills in what the body
/// does not say. The answer is canonical: what Go would print after decoding it. Errors are 400 with Kubernetes' sentences.
pub fn decode(body: &[u8], content_type: ContentType, expected: Option<&Gvk>, validation: FieldValidation) -> Result<Decoded, Status> {
    let refuse = |fault: Fault| failure::bad_request(fault.told(expected, body));
    let decoded = unpack(body, content_type, expected, validation).map_err(refuse)?;
    if let Some(expected) = expected.filter(|expected| **expected != decoded.gvk) {
        if decoded.gvk.kind != expected.kind {
            let why = unconvertible(&decoded.gvk, expected);
            return Err(refuse(Fault { gvk: Some(decoded.gvk), why }));
        }
        let (sent, served) = (decoded.gvk.api_version(), expected.api_version());
        return Err(failure::bad_request(format!("the API version in the data ({sent}) does not match the expected API version ({served})")));
    }
    Ok(decoded)
}

/// Decodes the body of a request that is not an object of the resource: `DeleteOptions` and the like. Unknown fields are ignored;
/// the group and version do not matter.
pub fn decode_options(body: &[u8], content_type: ContentType, kind: &str) -> Result<Value, Status> {
    let expected = Gvk { group: String::new(), version: "v1".to_owned(), kind: kind.to_owned() };
    let decoded = unpack(body, content_type, Some(&expected), FieldValidation::Ignore).map_err(|fault| failure::bad_request(fault.why))?;
    if decoded.gvk.kind != kind {
        return Err(failure::bad_request(not_registered(&decoded.gvk)));
    }
    Ok(decoded.object)
}

/// Decodes a value that a patch made, as if it had come in a body. The sentences are those of strict decoding, without a frame:
/// the caller knows which patch they belong to.
pub fn canonicalize(gvk: &Gvk, value: &Value, validation: FieldValidation) -> Result<Decoded, String> {
    let text = serde_json::to_vec(value).map_err(|wrong| wrong.to_string())?;
    unpack(&text, ContentType::Json, Some(gvk), validation).map_err(|fault| fault.why)
}

/// Why a body cannot be decoded.
struct Fault {
    /// What the body calls itself, once that is known.
    gvk: Option<Gvk>,
    why: String,
}

impl Fault {
    /// `transformDecodeError`.
    fn told(self, expected: Option<&Gvk>, body: &[u8]) -> String {
        match (self.gvk, expected) {
            (Some(sent), Some(expected)) => format!("{} in version {:?} cannot be handled as a {}: {}", sent.kind, sent.version, expected.kind, self.why),
            (None, Some(expected)) => {
                format!("the object provided is unrecognized (must be of type {}): {} ({})", expected.kind, self.why, summary(body))
            }
            (_, None) => self.why,
        }
    }
}

fn unpack(body: &[u8], content_type: ContentType, expected: Option<&Gvk>, validation: FieldValidation) -> Result<Decoded, Fault> {
    let nameless = |why| Fault { gvk: None, why };
    match content_type {
        ContentType::Json => unpack_text(body, None, expected, validation),
        ContentType::Yaml => {
            let converted = yaml::to_json(body).map_err(nameless)?;
            unpack_text(&converted.json, converted.duplicates, expected, validation)
        }
        ContentType::Protobuf => unpack_protobuf(body, expected),
    }
}

/// JSON text; `found` is what was wrong with what it was made from.
fn unpack_text(text: &[u8], found: Option<String>, expected: Option<&Gvk>, validation: FieldValidation) -> Result<Decoded, Fault> {
    let named = interpret(text).map_err(|why| Fault { gvk: None, why: format!("couldn't get version/kind; json parse error: {why}") })?;
    let gvk = complete(&named, expected).map_err(|why| Fault { gvk: None, why })?;
    let as_type = type_of(&gvk, text)?;
    let strict = validation != FieldValidation::Ignore;
    let (mut object, mut told) = json::decode(text, as_type, strict).map_err(|why| Fault { gvk: Some(gvk.clone()), why })?;
    if let Some(found) = found.filter(|_| strict) {
        told.insert(0, found);
    }
    if validation == FieldValidation::Strict && !told.is_empty() {
        return Err(Fault { gvk: Some(gvk), why: format!("strict decoding error: {}", told.join(", ")) });
    }
    name(&mut object, &gvk);
    Ok(Decoded { gvk, object, warnings: told })
}

/// Protobuf has no unknown fields to speak of.
fn unpack_protobuf(body: &[u8], expected: Option<&Gvk>) -> Result<Decoded, Fault> {
    let unknown = protobuf::open(body).map_err(|why| Fault { gvk: None, why })?;
    let named = Named { api_version: unknown.api_version, kind: unknown.kind };
    let gvk = complete(&named, expected).map_err(|why| Fault { gvk: None, why })?;
    let as_type = type_of(&gvk, b"")?;
    let mut object = protobuf::message(unknown.raw, as_type).map_err(|why| Fault { gvk: Some(gvk.clone()), why })?;
    name(&mut object, &gvk);
    Ok(Decoded { gvk, object, warnings: Vec::new() })
}

/// Writes `apiVersion` and `kind` into an object, as the codec does when it prints one.
pub(super) fn name(object: &mut Value, gvk: &Gvk) {
    if let Value::Object(map) = object {
        map.insert("apiVersion".to_owned(), Value::String(gvk.api_version()));
        map.insert("kind".to_owned(), Value::String(gvk.kind.clone()));
    }
}

fn type_of(gvk: &Gvk, text: &[u8]) -> Result<&'static Type, Fault> {
    if gvk.kind.is_empty() {
        return Err(Fault { gvk: None, why: format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(text)) });
    }
    if gvk.version.is_empty() {
        return Err(Fault { gvk: Some(gvk.clone()), why: format!("Object 'apiVersion' is missing in '{}'", String::from_utf8_lossy(text)) });
    }
    types().of(gvk).ok_or_else(|| Fault { gvk: Some(gvk.clone()), why: not_registered(gvk) })
}

/// `gvkWithDefaults`.
fn complete(named: &Named, expected: Option<&Gvk>) -> Result<Gvk, String> {
    let (group, version) = match named.api_version.split('/').collect::<Vec<_>>().as_slice() {
        [""] | ["", ""] => ("", ""),
        [version] => ("", *version),
        [group, version] => (*group, *version),
        _ => return Err(format!("unexpected GroupVersion string: {}", named.api_version)),
    };
    let mut gvk = Gvk { group: group.to_owned(), version: version.to_owned(), kind: named.kind.clone() };
    let Some(expected) = expected else { return Ok(gvk) };
    if gvk.kind.is_empty() {
        gvk.kind.clone_from(&expected.kind);
    }
    if gvk.version.is_empty() && gvk.group.is_empty() {
        gvk.group.clone_from(&expected.group);
    }
    if gvk.version.is_empty() && gvk.group == expected.group {
        gvk.version.clone_from(&expected.version);
    }
    Ok(gvk)
}

fn not_registered(gvk: &Gvk) -> String {
    format!("no kind {:?} is registered for version {:?} in scheme {SCHEME:?}", gvk.kind, gvk.api_version())
}

/// An object of one kind came where another is served.
pub fn unconvertible(sent: &Gvk, served: &Gvk) -> String {
    format!("converting ({}.{}) to ({}.{}): unknown conversion", sent.version, sent.kind, internal_package(served), served.kind)
}

/// The Go package of the internal version of a kind: `core`, `apps`, `networking`.
fn internal_package(gvk: &Gvk) -> &str {
    match gvk.group.split('.').next() {
        Some("") | None => "core",
        Some(first) => first,
    }
}

/// `summarizeData`: the head of a body, in hexadecimal if it is no object.
fn summary(body: &[u8]) -> String {
    const MOST: usize = 30;
    let head = &body[..body.len().min(MOST)];
    let shown = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(head).into_owned(),
        Some(_) => head.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if body.len() > MOST { format!("{shown} ...") } else { shown }
}
