//! Is this JSON at all, and what does it call itself? One pass that answers in the words of Go's `encoding/json` scanner.
//!
//! `json` decodes only what passed here, so it never meets a syntax error.

use std::borrow::Cow;

use super::cursor::Cursor;

/// Deeper bodies are refused. Go allows 10,000; our services read objects with `serde_json`, which allows 128.
pub const MAX_DEPTH: usize = 120;

/// What a body calls itself; empty where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// `apps/v1`
    pub api_version: String,
    /// `Deployment`
    pub kind: String,
}

const INTERPRETED: &str = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";

/// Checks the syntax and reads `apiVersion` and `kind`: `SimpleMetaFactory.Interpret`. The error is Go's sentence.
pub fn interpret(body: &[u8]) -> Result<Named, String> {
    check(body)?;
    let mut cursor = Cursor::new(body);
    let mut named = Named::default();
    let mut wrong: Option<String> = None;
    match cursor.token() {
        "object" => cursor.object(|cursor, key| {
            let (target, field) = match key {
                key if key.eq_ignore_ascii_case("apiVersion") => (&mut named.api_version, "apiVersion"),
                key if key.eq_ignore_ascii_case("kind") => (&mut named.kind, "kind"),
                _ => return cursor.skip(),
            };
            match cursor.token() {
                "string" => *target = cursor.string().into_owned(),
                "null" => cursor.skip(),
                other => {
                    wrong.get_or_insert_with(|| format!("json: cannot unmarshal {other} into Go struct field .{field} of type string"));
                    cursor.skip();
                }
            }
        }),
        "null" => {}
        other => return Err(format!("json: cannot unmarshal {other} into Go value of type {INTERPRETED}")),
    }
    wrong.map_or(Ok(named), Err)
}

/// Checks the syntax. The error is Go's sentence.
pub fn check(body: &[u8]) -> Result<(), String> {
    let mut checker = Checker { body, at: 0 };
    checker.value(0)?;
    checker.space();
    match checker.peek() {
        Some(byte) => Err(unexpected(byte, "after top-level value")),
        None => Ok(()),
    }
}

struct Checker<'a> {
    body: &'a [u8],
    at: usize,
}

impl Checker<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte, which must be there.
    fn next(&mut self) -> Result<u8, String> {
        let byte = self.peek().ok_or_else(|| "unexpected end of JSON input".to_owned())?;
        self.at += 1;
        Ok(byte)
    }

    fn next_token(&mut self) -> Result<u8, String> {
        self.space();
        self.next()
    }

    fn value(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        let byte = self.next_token()?;
        self.value_from(byte, depth)
    }

    fn value_from(&mut self, byte: u8, depth: usize) -> Result<(), String> {
        match byte {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string(),
            b'-' => match self.next()? {
                b'0' => self.fraction(),
                b'1'..=b'9' => self.digits().and_then(|()| self.fraction()),
                other => Err(unexpected(other, "in numeric literal")),
            },
            b'0' => self.fraction(),
            b'1'..=b'9' => self.digits().and_then(|()| self.fraction()),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            other => Err(unexpected(other, "looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), String> {
        let mut byte = self.next_token()?;
        if byte == b'}' {
            return Ok(());
        }
        loop {
            if byte != b'"' {
                return Err(unexpected(byte, "looking for beginning of object key string"));
            }
            self.string()?;
            match self.next_token()? {
                b':' => self.value(depth)?,
                other => return Err(unexpected(other, "after object key")),
            }
            match self.next_token()? {
                b',' => byte = self.next_token()?,
                b'}' => return Ok(()),
                other => return Err(unexpected(other, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        let byte = self.next_token()?;
        if byte == b']' {
            return Ok(());
        }
        self.value_from(byte, depth)?;
        loop {
            match self.next_token()? {
                b',' => self.value(depth)?,
                b']' => return Ok(()),
                other => return Err(unexpected(other, "after array element")),
            }
        }
    }

    fn string(&mut self) -> Result<(), String> {
        loop {
            // nearly every byte of a body is a plain one of a string
            let rest = self.body.get(self.at..).unwrap_or_default();
            self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let byte = self.next()?;
                            if !byte.is_ascii_hexdigit() {
                                return Err(unexpected(byte, "in \\u hexadecimal character escape"));
                            }
                        }
                    }
                    other => return Err(unexpected(other, "in string escape code")),
                },
                control @ 0..0x20 => return Err(unexpected(control, "in string literal")),
                _ => {}
            }
        }
    }

    /// Digits that may follow.
    fn digits(&mut self) -> Result<(), String> {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn some_digits(&mut self, context: &str) -> Result<(), String> {
        match self.next()? {
            b'0'..=b'9' => self.digits(),
            other => Err(unexpected(other, context)),
        }
    }

    /// What may follow the integer part of a number.
    fn fraction(&mut self) -> Result<(), String> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != expected {
                return Err(unexpected(byte, &format!("in literal {word} (expecting '{}')", char::from(expected))));
            }
        }
        Ok(())
    }
}

fn unexpected(byte: u8, context: &str) -> String {
    let shown: Cow<'_, str> = match byte {
        b'\'' => "\\'".into(),
        b'"' => "\"".into(),
        b'\\' => "\\\\".into(),
        b'\n' => "\\n".into(),
        b'\r' => "\\r".into(),
        b'\t' => "\\t".into(),
        0x07 => "\\a".into(),
        0x08 => "\\b".into(),
        0x0b => "\\v".into(),
        0x0c => "\\f".into(),
        0..0x20 | 0x7f => format!("\\x{byte:02x}").into(),
        0x80..0xa1 | 0xad => format!("\\u{byte:04x}").into(),
        other => char::from(other).to_string().into(),
    };
    format!("invalid character '{shown}' {context}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_go_says() {
        let cases = [
            ("{", "unexpected end of JSON input"),
            ("", "unexpected end of JSON input"),
            ("{}}", "invalid character '}' after top-level value"),
            ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("not json", "invalid character 'o' in literal null (expecting 'u')"),
            ("01", "invalid character '1' after top-level value"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ];
        for (body, expected) in cases {
            assert_eq!(check(body.as_bytes()), Err(expected.to_owned()), "{body}");
        }
    }

    #[test]
    fn accepts_json() {
        for body in ["null", " { } ", "[[],{},[1,-0.5e+10,true,false,null]]", "{\"a\":{\"b\":[\"\\u00e9\\n\"]}}"] {
            assert_eq!(check(body.as_bytes()), Ok(()), "{body}");
        }
    }

    #[test]
    fn bounds_the_depth() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(deep(MAX_DEPTH).as_bytes()), Ok(()));
        assert_eq!(check(deep(MAX_DEPTH + 1).as_bytes()), Err("exceeded max depth".to_owned()));
    }

    #[test]
    fn reads_what_a_body_calls_itself() {
        let named = interpret(br#"{"spec":{"kind":"x"},"kind":"Pod","apiVersion":"v1"}"#).unwrap();
        assert_eq!((named.api_version.as_str(), named.kind.as_str()), ("v1", "Pod"));
        assert_eq!(interpret(b"null"), Ok(Named::default()));
        assert_eq!(interpret(br#"{"kind":5}"#), Err("json: cannot unmarshal number into Go struct field .kind of type string".to_owned()));
    }
}
