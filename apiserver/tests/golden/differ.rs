//! Where two documents differ, as sentences.

use std::collections::BTreeSet;

use serde_json::Value;

/// How much of a value is shown.
const SHOWN: usize = 400;

/// `path: expected …, got …`, one a difference. Both are normalized.
pub fn differences(want: &Value, got: &Value, path: &str, found: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(wanted), Value::Object(had)) => {
            for key in wanted.keys().chain(had.keys()).collect::<BTreeSet<_>>() {
                let place = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (wanted.get(key), had.get(key)) {
                    (Some(want), Some(got)) => differences(want, got, &place, found),
                    (want, got) => found.push(format!("{place}: expected {}, got {}", optional(want), optional(got))),
                }
            }
        }
        (Value::Array(wanted), Value::Array(had)) => {
            for (index, (want, got)) in wanted.iter().zip(had).enumerate() {
                differences(want, got, &format!("{path}[{index}]"), found);
            }
            if wanted.len() != had.len() {
                let longer = if wanted.len() > had.len() { wanted } else { had };
                let extra = short(&longer[wanted.len().min(had.len())]);
                found.push(format!("{path}: expected {} elements, got {}; first unmatched {extra}", wanted.len(), had.len()));
            }
        }
        (want, got) if want != got => {
            let place = if path.is_empty() { "(whole body)" } else { path };
            found.push(format!("{place}: expected {}, got {}", short(want), short(got)));
        }
        (_, _) => {}
    }
}

fn optional(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), short)
}

/// The beginning of a value.
pub fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[test]
fn what_differs_is_named() {
    let mut found = Vec::new();
    let (want, got) = (serde_json::json!({"a": [1, {"b": 2}], "c": 1}), serde_json::json!({"a": [1, {"b": 3}, 4], "d": 1}));
    differences(&want, &got, "", &mut found);
    let wanted = ["a[1].b: expected 2, got 3", "a: expected 2 elements, got 3; first unmatched 4", "c: expected 1, got nothing", "d: expected nothing, got 1"];
    assert_eq!(found, wanted);
}
