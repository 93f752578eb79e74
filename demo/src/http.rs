//! As much of HTTP/1.1 as a web server for lab sheets needs: read a request, write an answer, keep the connection.

use std::io::{self, BufRead, Read, Write};

/// The longest head, in bytes, and the longest body that is read away.
const HEAD_LIMIT: usize = 16 * 1024;
const BODY_LIMIT: u64 = 1024 * 1024;

/// A request, without its body.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    /// Whether the connection stays open after the answer.
    pub keep_alive: bool,
    /// The body's length.
    pub length: u64,
}

impl Request {
    /// The value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter as a number, or a sentence about it.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        self.parameter(name).map_or(Ok(default), |word| word.parse().map_err(|_| format!("{name}={word} is no number\n")))
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, …
    pub code: u16,
    /// `text/plain`, …
    pub content_type: &'static str,
    /// What it says.
    pub body: Vec<u8>,
}

impl Answer {
    /// Plain text.
    pub fn text(code: u16, body: impl Into<String>) -> Self {
        Self { code, content_type: "text/plain; charset=utf-8", body: body.into().into_bytes() }
    }

    /// A JSON document.
    pub fn json(body: String) -> Self {
        Self { code: 200, content_type: "application/json", body: body.into_bytes() }
    }
}

/// The next request on a connection; `None` when the other side has closed it.
pub fn read(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    loop {
        let start = head.len();
        let left = (HEAD_LIMIT - start) as u64;
        if left == 0 || from.by_ref().take(left).read_until(b'\n', &mut head)? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(bad("the request's head has no end")) };
        }
        let line = head[start..].trim_ascii();
        if line.is_empty() {
            if start == 0 {
                head.clear(); // an empty line before a request is allowed
                continue;
            }
            break;
        }
    }
    let request = parse(&String::from_utf8_lossy(&head)).ok_or_else(|| bad("this is not HTTP/1"))?;
    if request.length > BODY_LIMIT {
        return Err(bad("the body is too long"));
    }
    io::copy(&mut from.by_ref().take(request.length), &mut io::sink())?;
    Ok(Some(request))
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn parse(head: &str) -> Option<Request> {
    let mut lines = head.lines();
    let mut first = lines.next()?.split_whitespace();
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    let mut keep_alive = version == "HTTP/1.1";
    let mut length = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "connection" => keep_alive = value.trim().eq_ignore_ascii_case("keep-alive") || keep_alive && !value.trim().eq_ignore_ascii_case("close"),
            "content-length" => length = value.trim().parse().ok()?,
            "transfer-encoding" => return None,
            _ => {}
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query =
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect();
    Some(Request { method: method.to_owned(), path: decode(path), query, keep_alive, length })
}

/// Undoes `%41` and `+`.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |i: usize| bytes.get(i).and_then(|b| (*b as char).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', _, _) => out.push(b' '),
            (byte, _, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes an answer in one piece.
pub fn write(to: &mut impl Write, answer: &Answer, keep_alive: bool, without_body: bool) -> io::Result<()> {
    let reason = match answer.code {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let mut bytes = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
        answer.code,
        answer.content_type,
        answer.body.len()
    )
    .into_bytes();
    if !without_body {
        bytes.extend_from_slice(&answer.body);
    }
    to.write_all(&bytes)?;
    to.flush()
}

/// A JSON string, quotes included.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let mut two = &b"GET /burn?millicores=500&seconds=3%30 HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"[..];
        let first = read(&mut two).unwrap().unwrap();
        assert_eq!((first.path.as_str(), first.keep_alive), ("/burn", true));
        assert_eq!((first.number("millicores", 0), first.number("seconds", 0), first.number("none", 7)), (Ok(500), Ok(30), Ok(7)));
        let second = read(&mut two).unwrap().unwrap();
        assert_eq!((second.method.as_str(), second.keep_alive, second.length), ("POST", false, 2));
        assert_eq!(read(&mut two).unwrap(), None);
    }

    #[test]
    fn what_is_no_request() {
        for bytes in [&b"hello\r\n\r\n"[..], b"GET / HTTP/1.1\r\nHost", b"GET / HTTP/2\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"] {
            assert!(read(&mut &*bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        let endless = vec![b'a'; HEAD_LIMIT + 1];
        assert!(read(&mut endless.as_slice()).is_err());
    }

    #[test]
    fn quoting() {
        assert_eq!(quote("a \"b\"\\\n"), r#""a \"b\"\\\u000a""#);
    }
}
