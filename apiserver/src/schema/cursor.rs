//! A reader over JSON whose syntax has been checked: it cannot fail, only the caller's types can.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

/// A place in a checked JSON text.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the first value of `text`.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let mut cursor = Self { text, at: 0 };
        cursor.space();
        cursor
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// The byte here; 0 behind the end.
    pub(super) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// What stands here, as Go's type errors call it: `object`, `array`, `string`, `bool`, `null`, `number`.
    pub(super) fn token(&self) -> &'static str {
        match self.peek() {
            b'{' => "object",
            b'[' => "array",
            b'"' => "string",
            b't' | b'f' => "bool",
            b'n' => "null",
            _ => "number",
        }
    }

    /// Is this `null`? Then it is passed over.
    pub(super) fn null(&mut self) -> bool {
        let null = self.peek() == b'n';
        if null {
            self.at += 4;
            self.space();
        }
        null
    }

    /// The boolean here.
    pub(super) fn bool(&mut self) -> bool {
        let value = self.peek() == b't';
        self.at += if value { 4 } else { 5 };
        self.space();
        value
    }

    /// The digits of the number here.
    pub(super) fn number(&mut self) -> &'a str {
        let start = self.at;
        while let Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
        }
        let digits = std::str::from_utf8(&self.text[start..self.at]).unwrap_or("0"); // ASCII by the loop above
        self.space();
        digits
    }

    /// The string here, unescaped. What is not UTF-8 becomes U+FFFD, as in Go.
    pub(super) fn string(&mut self) -> Cow<'a, str> {
        self.at += 1;
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
        if self.peek() == b'\\' {
            return self.escaped(start);
        }
        let plain = &self.text[start..self.at];
        self.at += 1;
        self.space();
        String::from_utf8_lossy(plain)
    }

    /// The rest of a string in which a backslash was met.
    fn escaped(&mut self, start: usize) -> Cow<'a, str> {
        let mut out: Vec<u8> = self.text[start..self.at].to_vec();
        loop {
            let byte = self.peek();
            self.at += 1;
            match byte {
                b'"' | 0 if byte == b'"' || self.at > self.text.len() => break,
                b'\\' => self.escape(&mut out),
                other => out.push(other),
            }
        }
        self.space();
        Cow::Owned(String::from_utf8(out).unwrap_or_else(|wrong| String::from_utf8_lossy(wrong.as_bytes()).into_owned()))
    }

    fn escape(&mut self, out: &mut Vec<u8>) {
        let byte = self.peek();
        self.at += 1;
        match byte {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => {
                let first = self.hex();
                let unit = if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
                    let before = self.at;
                    self.at += 2;
                    let second = self.hex();
                    if (0xdc00..0xe000).contains(&second) {
                        0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    } else {
                        self.at = before;
                        first
                    }
                } else {
                    first
                };
                let character = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }

    fn hex(&mut self) -> u32 {
        let digits = self.text.get(self.at..self.at + 4).and_then(|four| std::str::from_utf8(four).ok());
        self.at += 4;
        digits.and_then(|four| u32::from_str_radix(four, 16).ok()).unwrap_or(0xfffd) // four hex digits by the syntax check
    }

    /// Calls `each` at every value of the object here, with its key; `each` must consume the value.
    pub(super) fn object(&mut self, mut each: impl FnMut(&mut Self, &str)) {
        self.at += 1;
        self.space();
        while self.peek() == b'"' {
            let key = self.string();
            self.at += 1; // the colon
            self.space();
            each(self, &key);
            self.comma();
        }
        self.close();
    }

    /// Enters the array or object here.
    pub(super) fn open(&mut self) {
        self.at += 1;
        self.space();
    }

    /// Passes over a comma, if there is one.
    pub(super) fn comma(&mut self) {
        if self.peek() == b',' {
            self.open();
        }
    }

    /// Passes over the colon behind a key.
    pub(super) fn colon(&mut self) {
        self.open();
    }

    /// At the end of an array or object: passes over it.
    pub(super) fn closed(&mut self) -> bool {
        let closed = matches!(self.peek(), b']' | b'}' | 0);
        if closed {
            self.close();
        }
        closed
    }

    fn close(&mut self) {
        self.open();
    }

    /// Passes over the value here.
    pub(super) fn skip(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.peek() {
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                b'"' => self.skip_string(),
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => {
                    self.at += 1;
                    continue;
                }
                0 if self.at >= self.text.len() => return,
                _ => {
                    while !matches!(self.peek(), b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | 0) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return self.space();
            }
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
            match self.peek() {
                b'\\' => self.at += 2,
                _ => break,
            }
        }
        self.at += 1;
    }

    /// The text of the value here.
    pub(super) fn raw(&mut self) -> &'a [u8] {
        let start = self.at;
        self.skip();
        self.text[start..self.at].trim_ascii_end()
    }

    /// The value here, whatever it is; the last of duplicate keys wins.
    pub(super) fn any(&mut self) -> Value {
        match self.token() {
            "object" => {
                let mut map = Map::new();
                self.object(|cursor, key| {
                    let value = cursor.any();
                    map.insert(key.to_owned(), value);
                });
                Value::Object(map)
            }
            "array" => {
                let mut list = Vec::new();
                self.open();
                while !self.closed() {
                    list.push(self.any());
                    self.comma();
                }
                Value::Array(list)
            }
            "string" => Value::String(self.string().into_owned()),
            "bool" => Value::Bool(self.bool()),
            "null" => {
                self.null();
                Value::Null
            }
            _ => number(self.number()),
        }
    }
}

/// A number as JSON keeps it: an integer if it is written as one and fits, else a double.
pub(super) fn number(digits: &str) -> Value {
    if let Ok(integer) = digits.parse::<i64>() {
        if integer == 0 && digits.starts_with('-') { Value::from(-0.0) } else { Value::from(integer) }
    } else if let Ok(integer) = digits.parse::<u64>() {
        Value::from(integer)
    } else {
        // a double too large for JSON cannot be kept
        digits.parse::<f64>().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
    }
}
