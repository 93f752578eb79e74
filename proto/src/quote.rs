//! Texts in quotes, as Go's `%q` writes them: in messages, and in the files of the downward API.

/// `strconv.Quote`.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            control if u32::from(control) < 0x20 || control == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(control))),
            control if control.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[test]
fn as_go_writes_it() {
    for (text, quoted) in [("a b", r#""a b""#), ("a\"\\\n", r#""a\"\\\n""#), ("\u{1}\u{7f}é", r#""\x01\x7fé""#), ("\u{85}", r#""\u0085""#)] {
        assert_eq!(quote(text), quoted);
    }
}
