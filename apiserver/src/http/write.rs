//! Writing JSON for people ([`pretty`]) and as YAML ([`yaml`]), from the bytes that are stored. Pure.

use std::fmt::Write;

use serde_json::Value;

/// The same JSON broken into lines, two spaces a level, members in the order they have: `json.Indent` of Go.
pub fn pretty(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut bytes = json.iter().copied().peekable();
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth * 2));
    };
    while let Some(byte) = bytes.next() {
        if in_string {
            out.push(byte);
            (in_string, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                out.push(byte);
            }
            b'{' | b'[' => {
                out.push(byte);
                if matches!(bytes.peek(), Some(b'}' | b']')) {
                    out.extend(bytes.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => out.push(byte),
        }
    }
    out
}

/// A document as `sigs.k8s.io/yaml` writes it: members sorted, lists not indented below their key.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(members) if !members.is_empty() => write_map(&mut out, members, 0, false),
        Value::Array(items) if !items.is_empty() => write_list(&mut out, items, 0, false),
        scalar => {
            out.push_str(&inline(scalar, 0));
            out.push('\n');
        }
    }
    out
}

fn write_map(out: &mut String, members: &serde_json::Map<String, Value>, depth: usize, mut started: bool) {
    for (key, value) in members {
        if !std::mem::take(&mut started) {
            indent(out, depth);
        }
        out.push_str(&scalar_text(key, depth));
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                write_map(out, inner, depth + 1, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                write_list(out, items, depth, false);
            }
            scalar => {
                out.push(' ');
                out.push_str(&inline(scalar, depth + 1));
                out.push('\n');
            }
        }
    }
}

fn write_list(out: &mut String, items: &[Value], depth: usize, mut started: bool) {
    for item in items {
        if !std::mem::take(&mut started) {
            indent(out, depth);
        }
        out.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => write_map(out, inner, depth + 1, true),
            Value::Array(inner) if !inner.is_empty() => write_list(out, inner, depth + 1, true),
            scalar => {
                out.push_str(&inline(scalar, depth + 1));
                out.push('\n');
            }
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n(' ', depth * 2));
}

/// A value that fits behind its key: a scalar, or an empty collection.
fn inline(value: &Value, depth: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => scalar_text(text, depth),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

/// A string in the style that go-yaml chooses: plain if it reads back as the same string, a block if it has lines,
/// double-quoted if it would read back as something else, single-quoted for the rest.
fn scalar_text(text: &str, depth: usize) -> String {
    let printable = text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control());
    if text.is_empty() || reads_as_other(text) || !printable {
        return double_quoted(text);
    }
    if text.contains('\n') {
        return if text.starts_with(['\n', ' ', '\t']) || text.lines().any(|line| line.ends_with([' ', '\t'])) {
            double_quoted(text)
        } else {
            block(text, depth)
        };
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

fn block(text: &str, depth: usize) -> String {
    let body = text.trim_end_matches('\n');
    let mut out = String::from(match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(&mut out, depth);
            out.push_str(line);
        }
    }
    out
}

/// Whether the plain text would be a number, a boolean, null or a time.
fn reads_as_other(text: &str) -> bool {
    let word = matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
            | "true"
            | "True"
            | "TRUE"
            | "false"
            | "False"
            | "FALSE"
            | "null"
            | "Null"
            | "NULL"
            | "~"
            | "<<"
            | "="
    );
    let first = text.as_bytes().first().copied().unwrap_or_default();
    if word || !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return word;
    }
    let digits = text.replace('_', "");
    let unsigned = digits.trim_start_matches(['+', '-']);
    let radix = |prefix: &str, radix: u32| unsigned.strip_prefix(prefix).is_some_and(|rest| u64::from_str_radix(rest, radix).is_ok());
    let float = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) && unsigned.parse::<f64>().is_ok();
    let special = matches!(unsigned.to_ascii_lowercase().as_str(), ".inf" | ".nan");
    float || special || radix("0x", 16) || radix("0b", 2) || radix("0o", 8) || is_sexagesimal(unsigned) || is_time(text)
}

/// `1:30`, which YAML 1.1 reads as ninety.
fn is_sexagesimal(text: &str) -> bool {
    text.contains(':') && text.split(':').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

/// `2026-01-02`, alone or with a time of day.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'T' | b't' | b'Z' | b'.' | b'+' | b' '))
}

fn is_plain(text: &str) -> bool {
    let first = text.chars().next().unwrap_or(' ');
    let starts = match first {
        '-' | '?' | ':' => text.chars().nth(1).is_some_and(|next| next != ' '),
        ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => false,
        _ => true,
    };
    starts && first != ' ' && !text.ends_with([' ', ':']) && !text.contains(": ") && !text.contains(" #") && !text.contains('\t') && !text.starts_with("---")
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", c as u32); // writing to a String cannot fail
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn breaks_lines_as_go_does() {
        let text = br#"{"kind":"List","items":[],"metadata":{},"a":[1,{"b":"x,{\"y\":[\\"}]}"#;
        let expected =
            "{\n  \"kind\": \"List\",\n  \"items\": [],\n  \"metadata\": {},\n  \"a\": [\n    1,\n    {\n      \"b\": \"x,{\\\"y\\\":[\\\\\"\n    }\n  ]\n}";
        assert_eq!(String::from_utf8(pretty(text)).unwrap(), expected);
    }

    #[test]
    fn writes_yaml_as_kubernetes_does() {
        let value = json!({
            "data": {"a": "x: y", "b": "2", "c": "true", "d": "l1\nl2\n", "e": "", "f": "it's", "g": "- x", "h": "#x", "t": "2026-01-02T03:04:05Z", "u": "v1"},
            "fields": [{"f:data": {".": {}, "f:a": {}}, "list": ["x", 1, true, null]}],
            "none": [],
        });
        let expected = "data:\n  a: 'x: y'\n  b: \"2\"\n  c: \"true\"\n  d: |\n    l1\n    l2\n  e: \"\"\n  f: it's\n  g: '- x'\n  h: '#x'\n  t: \"2026-01-02T03:04:05Z\"\n  u: v1\n\
                        fields:\n- f:data:\n    .: {}\n    f:a: {}\n  list:\n  - x\n  - 1\n  - true\n  - null\nnone: []\n";
        assert_eq!(yaml(&value), expected);
        let back: Value = serde_yaml_ng::from_str(&yaml(&value)).unwrap();
        assert_eq!(back, value);
    }
}
