//! YAML in, JSON out, as an API server reads it.

use serde_json::{Value, json};

use super::to_json;

fn read(text: &str) -> Value {
    serde_json::from_slice(&to_json(text.as_bytes()).unwrap().json).unwrap()
}

#[test]
fn resolves_plain_scalars_as_yaml_1_1() {
    let cases = [
        ("on", json!(true)),
        ("y", json!(true)),
        ("No", json!(false)),
        ("'on'", json!("on")),
        ("\"yes\"", json!("yes")),
        ("~", Value::Null),
        ("", Value::Null),
        ("nULL", json!("nULL")),
        ("0777", json!(511)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("0o17", json!(15)),
        ("1_000", json!(1000)),
        ("-5", json!(-5)),
        ("+5", json!(5)),
        ("1e3", json!(1000)),
        ("1.50", json!(1.5)),
        (".5", json!(0.5)),
        ("1.2.3", json!("1.2.3")),
        ("100m", json!("100m")),
        ("2026-01-02", json!("2026-01-02")),
        ("18446744073709551615", json!(18446744073709551615u64)),
        ("09", json!(9)),
        ("-", json!([null])),
        ("1:30", json!("1:30")),
        ("!!str 5", json!("5")),
        ("!!int '7'", json!(7)),
        ("!!binary aGk=", json!("hi")),
        ("18446744073709551616", json!(1.8446744073709552e19)),
        ("\u{feff}a", json!("a")),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn reads_structures() {
    let text = "---\nmetadata: &m\n  name: m\n  labels: {a: \"1\", on: x}\ndata:\n  x: |\n    one\n    two\n  y: >-\n    a\n    b\n  5: five\ncopy: *m\nlist:\n- a\n- {b: 1}\n---\nsecond: true\n";
    let metadata = json!({"name": "m", "labels": {"a": "1", "true": "x"}});
    assert_eq!(read(text), json!({"metadata": metadata, "data": {"x": "one\ntwo\n", "true": "a b", "5": "five"}, "copy": metadata, "list": ["a", {"b": 1}]}));
    assert_eq!(read("base: &b {x: 1, y1: 2}\nchild:\n  <<: *b\n  x: 9\n")["child"], json!({"x": 9, "y1": 2}));
    assert_eq!(read("{\"a\": [1, true, null]}"), json!({"a": [1, true, null]}));
    assert_eq!(read(""), Value::Null);
}

#[test]
fn tells_duplicate_keys() {
    let converted = to_json(b"a: 1\nb: 2\na: 3\n").unwrap();
    assert_eq!(converted.duplicates.as_deref(), Some("yaml: unmarshal errors:\n  line 3: key \"a\" already set in map"));
    assert_eq!(serde_json::from_slice::<Value>(&converted.json).unwrap(), json!({"a": 3, "b": 2}));
}

#[test]
fn refuses_what_is_no_yaml() {
    for text in ["a: b: c", "a: [", "<<: 5", "\t- x: [}"] {
        assert!(to_json(text.as_bytes()).unwrap_err().starts_with("yaml: "), "{text}");
    }
    // as Go's parser says it
    assert_eq!(to_json(b"not: [yaml").unwrap_err(), "yaml: line 1: did not find expected ',' or ']'");
    assert_eq!(to_json(b"a: -.inf").unwrap_err(), "json: unsupported value: -Inf");
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n{}",
        (1..9)
            .map(|level| format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{}", if level == 1 { String::new() } else { (level - 1).to_string() }); 10].join(",")
            ))
            .collect::<String>()
    );
    assert_eq!(to_json(bomb.as_bytes()).unwrap_err(), "yaml: document contains excessive aliasing");
}
