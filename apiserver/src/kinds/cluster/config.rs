//! ConfigMaps and Secrets. See `pkg/registry/core/{configmap,secret}/strategy.go`, `ValidateConfigMap`, `ValidateSecret`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::error::FieldError;
use crate::kinds::json::{default_text, entries, flag, remove, text};
use crate::kinds::name as names;
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The most bytes that all values may have together: 1 MiB.
const MAX_SIZE: usize = 1 << 20;

/// The rules of ConfigMaps.
pub struct ConfigMap;

impl Strategy for ConfigMap {
    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut size = 0;
        for (key, value) in entries(&object["data"]) {
            let path = Path::new("data").key(key);
            errors.extend(names::config_key(key).into_iter().map(|why| FieldError::invalid(&path, key.as_str(), why)));
            if object["binaryData"].get(key).is_some() {
                errors.push(FieldError::invalid(&path, key.as_str(), "duplicate of key present in binaryData"));
            }
            size += text(value).len();
        }
        for (key, value) in entries(&object["binaryData"]) {
            let path = Path::new("binaryData").key(key);
            errors.extend(names::config_key(key).into_iter().map(|why| FieldError::invalid(&path, key.as_str(), why)));
            size += decoded_length(value);
        }
        if size > MAX_SIZE {
            errors.push(FieldError::too_long("[]", MAX_SIZE));
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        let mut errors = immutable(object, old, &["data", "binaryData"]);
        errors.extend(self.validate(object, context));
        errors
    }

    fn columns(&self) -> Vec<Column> {
        columns("configmaps")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let count = entries(&object["data"]).count() + entries(&object["binaryData"]).count();
        vec![name(object), count.into(), age(object, now)]
    }
}

/// The rules of Secrets.
pub struct Secret;

impl Strategy for Secret {
    fn default(&self, object: &mut Value) {
        // `stringData` is a way in only: what is stored and answered is `data`.
        if let Some(Value::Object(plain)) = remove(object, "stringData") {
            if !object["data"].is_object() {
                object["data"] = json!({});
            }
            for (key, value) in plain {
                object["data"][key] = Value::from(STANDARD.encode(text(&value)));
            }
        }
        default_text(object, "type", "Opaque");
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut size = 0;
        for (key, value) in entries(&object["data"]) {
            let path = Path::new("data").key(key);
            errors.extend(names::config_key(key).into_iter().map(|why| FieldError::invalid(&path, key.as_str(), why)));
            size += decoded_length(value);
        }
        if size > MAX_SIZE {
            errors.push(FieldError::too_long("data", MAX_SIZE));
        }
        errors.extend(by_type(object));
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if object["type"] != old["type"] {
            errors.push(FieldError::invalid("type", object["type"].clone(), "field is immutable"));
        }
        errors.extend(immutable(object, old, &["data"]));
        errors.extend(self.validate(object, context));
        errors
    }

    fn columns(&self) -> Vec<Column> {
        columns("secrets")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        vec![name(object), text(&object["type"]).into(), entries(&object["data"]).count().into(), age(object, now)]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["type"]
    }
}

fn decoded_length(value: &Value) -> usize {
    STANDARD.decode(text(value)).map_or(0, |bytes| bytes.len()) // the schema has let base64 only through
}

/// Once `immutable`, always, and so is the content.
fn immutable(object: &Value, old: &Value, parts: &[&str]) -> Vec<FieldError> {
    if !flag(&old["immutable"]) {
        return Vec::new();
    }
    let forbid = |part: &str| FieldError::forbidden(part, "field is immutable when `immutable` is set");
    let mut errors = Vec::new();
    if !flag(&object["immutable"]) {
        errors.push(forbid("immutable"));
    }
    errors.extend(parts.iter().filter(|part| object[**part] != old[**part]).map(|part| forbid(part)));
    errors
}

/// What the types of Secrets that Kubernetes knows must hold.
fn by_type(object: &Value) -> Vec<FieldError> {
    let data = Path::new("data");
    let has = |key: &str| object["data"].get(key).is_some();
    let annotation = |key: &str| text(&object["metadata"]["annotations"][key]);
    let missing = |key: &str| (!has(key)).then(|| FieldError::required(data.key(key), ""));
    let mut errors = Vec::new();
    match text(&object["type"]) {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if annotation(key).is_empty() {
                errors.push(FieldError::required(Path::new("metadata.annotations").key(key), ""));
            }
        }
        "kubernetes.io/dockercfg" => errors.extend(docker(object, ".dockercfg")),
        "kubernetes.io/dockerconfigjson" => errors.extend(docker(object, ".dockerconfigjson")),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            errors.push(FieldError::required(data.key("username"), ""));
            errors.push(FieldError::required(data.key("password"), ""));
        }
        "kubernetes.io/ssh-auth" if text(&object["data"]["ssh-privatekey"]).is_empty() => {
            errors.push(FieldError::required(data.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => errors.extend(["tls.crt", "tls.key"].into_iter().filter_map(missing)),
        _ => {} // any other type may hold anything
    }
    errors
}

fn docker(object: &Value, key: &str) -> Option<FieldError> {
    let path = Path::new("data").key(key);
    let Some(held) = object["data"].get(key) else { return Some(FieldError::required(path, "")) };
    let bytes = STANDARD.decode(text(held)).unwrap_or_default(); // as above
    let wrong = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes).is_err();
    wrong.then(|| FieldError::invalid(path, "<secret contents redacted>", "invalid character 'x' looking for beginning of value"))
}
