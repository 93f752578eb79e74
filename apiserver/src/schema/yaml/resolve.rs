//! What a scalar is in YAML 1.1, as `go-yaml` v2 resolves it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};

/// A scalar without quotes or tag. What JSON cannot say is refused.
pub(super) fn plain(text: String) -> Result<Value, String> {
    Ok(match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Err("json: unsupported value: +Inf".to_owned()),
        "-.inf" | "-.Inf" | "-.INF" => return Err("json: unsupported value: -Inf".to_owned()),
        ".nan" | ".NaN" | ".NAN" => return Err("json: unsupported value: NaN".to_owned()),
        _ => number(&text).map_or(Value::String(text), Value::Number),
    })
}

/// A scalar with one of YAML's own tags; any other tag leaves it a string.
pub(super) fn tagged(tag: &str, text: String) -> Result<Value, String> {
    let wrong = |text: &str| format!("yaml: cannot decode !!str `{text}` as a !!{tag}");
    match tag {
        "null" => Ok(Value::Null),
        "bool" => match plain(text.clone()) {
            Ok(Value::Bool(value)) => Ok(Value::Bool(value)),
            Ok(_) | Err(_) => Err(wrong(&text)),
        },
        "binary" => match STANDARD.decode(&text) {
            Ok(bytes) => Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned())),
            Err(_) => Err("yaml: !!binary value contains invalid base64 data".to_owned()),
        },
        "int" | "float" => number(&text).map(Value::Number).ok_or_else(|| wrong(&text)),
        _ => Ok(Value::String(text)),
    }
}

/// Integers in four bases with underscores, and decimal floats.
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let bare = text.replace('_', "");
    let (negative, digits) = match bare.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, bare.strip_prefix('+').unwrap_or(&bare)),
    };
    let whole = integer(digits).map(|magnitude| if negative { -magnitude } else { magnitude });
    if let Some(fits) = whole.and_then(|value| i64::try_from(value).ok().map(Number::from).or_else(|| u64::try_from(value).ok().map(Number::from))) {
        return Some(fits);
    }
    let float = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && !digits.starts_with(['e', 'E', '+', '-']);
    let value: f64 = if float { bare.parse().ok()? } else { return None };
    // a float without a fraction is printed as an integer in JSON
    if value.fract() == 0.0 && value.abs() < 1e15 { Some(Number::from(value as i64)) } else { Number::from_f64(value) }
}

fn integer(digits: &str) -> Option<i128> {
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) { None } else { i128::from_str_radix(digits, radix).ok() }
}
