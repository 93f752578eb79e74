//! YAML bodies: turned into JSON first, as `sigs.k8s.io/yaml` does, and then decoded as JSON.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The first document as JSON text; the error is a sentence.
pub(super) fn to_json(body: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "yaml: invalid leading UTF-8 octet".to_owned())?;
    let first = serde_yaml_ng::Deserializer::from_str(text).next();
    let value = match first {
        None => serde_yaml_ng::Value::Null,
        Some(document) => serde_yaml_ng::Value::deserialize(document).map_err(|wrong| format!("yaml: {wrong}"))?,
    };
    serde_json::to_vec(&json(value)).map_err(|wrong| wrong.to_string())
}

fn json(value: serde_yaml_ng::Value) -> Value {
    use serde_yaml_ng::Value as Yaml;
    match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Value::from(value),
            (None, Some(value)) => Value::from(value),
            (None, None) => number.as_f64().map_or(Value::Null, Value::from),
        },
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(list) => Value::Array(list.into_iter().map(json).collect()),
        Yaml::Mapping(map) => Value::Object(map.into_iter().map(|(name, value)| (key(name), json(value))).collect::<Map<_, _>>()),
        Yaml::Tagged(tagged) => json(tagged.value),
    }
}

/// A key as JSON has it: always a string.
fn key(value: serde_yaml_ng::Value) -> String {
    match json(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
