//! The least that calls gRPC: one connection, one unary call under way, frames written by hand (RFC 9113, RFC 7541).
//!
//! A whole HTTP/2 client costs more processor time a call than the API server's own part in it, and here both share the cores. What is
//! left out is what a load does not need: answers are not decoded (a refused call has no message, which is how it is told), and the header
//! fields, the same each time, are sent as references to the first call's.

use anyhow::{Result, ensure};
use hyper::body::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// Of `DATA` and `HEADERS`.
const END_STREAM: u8 = 1;
/// Of `SETTINGS` and `PING`.
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The largest frame that needs no leave.
const LARGEST: usize = 16 << 10;
/// As much as can be allowed: answers are never waited with.
const WINDOW: u32 = (1 << 31) - 1;
const INITIAL_WINDOW: u32 = (1 << 16) - 1;

/// A connection that makes calls of one method.
pub struct Calls<S> {
    stream: S,
    /// Bytes that came and have not been looked at.
    unread: Vec<u8>,
    sending: Vec<u8>,
    path: &'static str,
    /// The number of the last call's stream; 0 before the first.
    last: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Calls<S> {
    /// Begins to speak HTTP/2 on a stream that was agreed to carry it.
    pub async fn new(mut stream: S, path: &'static str) -> Result<Self> {
        let mut sending = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let no_push = [0, 2, 0, 0, 0, 0];
        let window = [&[0, 4], &WINDOW.to_be_bytes()[..]].concat();
        frame(&mut sending, SETTINGS, 0, 0, &[&no_push, &window]);
        frame(&mut sending, WINDOW_UPDATE, 0, 0, &[&(WINDOW - INITIAL_WINDOW).to_be_bytes()]);
        stream.write_all(&sending).await?;
        Ok(Self { stream, unread: Vec::new(), sending, path, last: 0 })
    }

    /// Makes a call with this message; an error where it is not answered with one.
    pub async fn call(&mut self, message: &[u8]) -> Result<()> {
        ensure!(message.len() + 5 <= LARGEST, "a message of {} bytes is more than one frame", message.len());
        let fields = if self.last == 0 { first_fields(self.path) } else { NEXT_FIELDS.to_vec() };
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        self.sending.clear();
        frame(&mut self.sending, HEADERS, END_HEADERS, self.last, &[&fields]);
        let prefix = [&[0], &u32::try_from(message.len())?.to_be_bytes()[..]].concat();
        frame(&mut self.sending, DATA, END_STREAM, self.last, &[&prefix, message]);
        self.stream.write_all(&self.sending).await?;
        let mut answered = false;
        loop {
            let (kind, flags, payload) = self.receive().await?;
            match kind {
                DATA => answered |= !payload.is_empty(),
                SETTINGS if flags & ACK == 0 => self.acknowledge(SETTINGS, &[]).await?,
                PING if flags & ACK == 0 => self.acknowledge(PING, &payload).await?,
                RST_STREAM | GOAWAY => anyhow::bail!("the server ended the call"),
                _ => {} // trailers are looked at below; windows are never used up
            }
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                ensure!(answered, "the call was refused");
                return Ok(());
            }
        }
    }

    async fn acknowledge(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        self.sending.clear();
        frame(&mut self.sending, kind, ACK, 0, &[payload]);
        Ok(self.stream.write_all(&self.sending).await?)
    }

    /// Kind, flags and payload of the next frame. Only one stream is open, so it is that one's or the connection's.
    async fn receive(&mut self) -> Result<(u8, u8, Vec<u8>)> {
        loop {
            if let Some(whole) = split(&mut self.unread) {
                return Ok(whole);
            }
            ensure!(self.stream.read_buf(&mut self.unread).await? > 0, "the server closed the connection");
        }
    }
}

/// Takes the first frame off what came, once it is whole.
fn split(unread: &mut Vec<u8>) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = Bytes::copy_from_slice(unread.get(..9)?);
    let length = usize::try_from(head.get_uint(3)).unwrap_or(usize::MAX);
    let (kind, flags) = (head.get_u8(), head.get_u8());
    let payload = unread.get(9..9 + length)?.to_vec();
    unread.drain(..9 + length);
    Some((kind, flags, payload))
}

/// Appends a frame whose payload is these parts.
fn frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    to.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()[1..]);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    payload.iter().for_each(|part| to.extend_from_slice(part));
}

/// `:method: POST` and `:scheme: https`, as HPACK's own table has them.
const KNOWN: [u8; 2] = [0x80 | 3, 0x80 | 7];
/// The same, and the four fields that [`first_fields`] put into the table, where the newest is 62.
const NEXT_FIELDS: [u8; 6] = [KNOWN[0], KNOWN[1], 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62];

/// The header fields of a connection's first call; those that HPACK does not know are added to the table of the connection.
fn first_fields(path: &str) -> Vec<u8> {
    let mut block = KNOWN.to_vec();
    let value = |text: &str, block: &mut Vec<u8>| {
        block.push(u8::try_from(text.len()).unwrap_or(u8::MAX)); // under 127, so that it is its own length
        block.extend_from_slice(text.as_bytes());
    };
    for (known_name, text) in [(4, path), (1, "127.0.0.1"), (31, "application/grpc")] {
        block.push(0x40 | known_name);
        value(text, &mut block);
    }
    block.push(0x40);
    value("te", &mut block);
    value("trailers", &mut block);
    block
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, Full};
    use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    use super::*;

    #[tokio::test]
    async fn a_server_understands_the_first_call_and_the_next() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let service = service_fn(async |request: Request<Incoming>| {
            let asked = [request.uri().path(), request.headers()["content-type"].to_str().unwrap()].concat();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let refused = asked != "/a.B/Capplication/grpc" || body != Bytes::from_static(b"\0\0\0\0\x02hi");
            Ok::<_, Infallible>(Response::new(Full::new(if refused { Bytes::new() } else { body })))
        });
        tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(far), service));
        let mut calls = Calls::new(near, "/a.B/C").await.unwrap();
        for _ in 0..3 {
            calls.call(b"hi").await.unwrap();
        }
        assert_eq!(calls.call(b"ho").await.unwrap_err().to_string(), "the call was refused");
        calls.call(b"hi").await.unwrap();
    }

    #[test]
    fn frames_come_back_whole() {
        let mut wire = Vec::new();
        frame(&mut wire, DATA, END_STREAM, 5, &[b"ab", b"c"]);
        assert_eq!(wire, [0, 0, 3, DATA, END_STREAM, 0, 0, 0, 5, b'a', b'b', b'c']);
        frame(&mut wire, PING, 0, 0, &[&[7; 8]]);
        let mut arrived = wire[..15].to_vec();
        assert_eq!(split(&mut arrived), Some((DATA, END_STREAM, b"abc".to_vec())));
        assert_eq!(split(&mut arrived), None, "half a head");
        arrived.extend_from_slice(&wire[15..28]);
        assert_eq!(split(&mut arrived), None, "half a payload");
        arrived.extend_from_slice(&wire[28..]);
        assert_eq!(split(&mut arrived), Some((PING, 0, vec![7; 8])));
        assert!(arrived.is_empty());
    }
}
