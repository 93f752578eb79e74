//! Asking others from inside the pod: their addresses, and their pages.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long connecting, and each read, may last.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LIMIT: u64 = 4 * 1024 * 1024;

/// What another server said.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    /// 200, …
    pub code: u16,
    /// What it said.
    pub body: Vec<u8>,
}

/// Gets an `http://` URL.
pub fn get(url: &str) -> io::Result<Fetched> {
    let (authority, path) = split(url).ok_or_else(|| invalid(format!("{url:?} is no http:// URL")))?;
    let address =
        if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) { authority.to_owned() } else { format!("{authority}:80") };
    let mut last = invalid(format!("{authority} has no address"));
    for target in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&target, PATIENCE) {
            Ok(connection) => return ask(connection, authority, path),
            Err(fault) => last = io::Error::new(fault.kind(), format!("{target}: {fault}")),
        }
    }
    Err(last)
}

/// Every address of a name, one a line.
pub fn resolve(name: &str) -> io::Result<String> {
    let mut lines: Vec<String> = (name, 0).to_socket_addrs()?.map(|address| format!("{}\n", address.ip())).collect();
    lines.sort();
    lines.dedup();
    Ok(lines.concat())
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// `http://host[:port]/path?query` → (`host[:port]`, `/path?query`).
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    (!authority.is_empty()).then_some((authority, if path.is_empty() { "/" } else { path }))
}

fn ask(mut connection: TcpStream, authority: &str, path: &str) -> io::Result<Fetched> {
    connection.set_read_timeout(Some(PATIENCE))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    // HTTP/1.0: the answer comes unchunked and ends with the connection.
    write!(connection, "GET {slash}{path} HTTP/1.0\r\nHost: {authority}\r\nUser-Agent: skiff-demo\r\nAccept: */*\r\n\r\n")?;
    let mut bytes = Vec::new();
    connection.take(LIMIT).read_to_end(&mut bytes)?;
    answer(bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1"))
}

fn answer(mut bytes: Vec<u8>) -> Option<Fetched> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let body = bytes.split_off(end + 4);
    let head = String::from_utf8_lossy(&bytes);
    let mut words = head.split_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    Some(Fetched { code: words.next()?.parse().ok()?, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, expected) in [
            ("http://web", Some(("web", "/"))),
            ("http://web:81/a?b=c", Some(("web:81", "/a?b=c"))),
            ("http://web?b", Some(("web", "?b"))),
            ("https://web/", None),
            ("http:///", None),
        ] {
            assert_eq!(split(url), expected, "{url}");
        }
    }

    #[test]
    fn answers() {
        assert_eq!(answer(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nno\r\n\r\n".to_vec()), Some(Fetched { code: 404, body: b"no\r\n\r\n".to_vec() }));
        assert_eq!(answer(b"SSH-2.0\r\n\r\n".to_vec()), None);
    }
}
