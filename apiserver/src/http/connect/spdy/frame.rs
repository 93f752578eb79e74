//! Frames of SPDY/3.1: what we read of them and what we write. Pure.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest piece of data that we put into one frame.
pub const MAX_DATA: usize = 32 * 1024;
/// The largest frame that we read: Go's writers cut theirs at 32 KiB, headers are small.
const MAX_FRAME: usize = 1024 * 1024;
const VERSION: u16 = 3;
const LAST: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// A frame that the client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// `SYN_STREAM`
    Open {
        /// The new stream.
        stream: u32,
        /// The client will send nothing on it.
        last: bool,
        /// Compressed headers.
        block: Bytes,
    },
    /// Data of a stream.
    Data {
        /// Which.
        stream: u32,
        /// Nothing more comes.
        last: bool,
        /// The data.
        data: Bytes,
    },
    /// `RST_STREAM`
    Reset {
        /// Which.
        stream: u32,
    },
    /// `HEADERS`
    Headers {
        /// Compressed headers.
        block: Bytes,
    },
    /// `PING`, to be sent back.
    Ping {
        /// Its number.
        id: u32,
    },
    /// `GOAWAY`
    Goodbye,
    /// `SETTINGS`, `WINDOW_UPDATE`, replies: nothing to do.
    Ignored,
}

/// What the client sent is no SPDY.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than any frame of ours.
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// Shorter than its kind allows.
    #[error("a frame of type {0} is too short")]
    TooShort(u16),
    /// Another version.
    #[error("SPDY version {0} is not spoken here")]
    Version(u16),
    /// The header block cannot be read.
    #[error("the headers of a stream cannot be read")]
    Headers,
}

/// Takes the first whole frame from `buffer`, if there is one.
pub fn parse(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(head) = buffer.get(..8).and_then(|head| <[u8; 8]>::try_from(head).ok()) else { return Ok(None) };
    let length = usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    if buffer.len() < 8 + length {
        return Ok(None);
    }
    buffer.advance(8);
    let mut body = buffer.split_to(length).freeze();
    let last = head[4] & LAST != 0;
    let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    if first & 0x8000_0000 == 0 {
        return Ok(Some(Frame::Data { stream: first, last, data: body }));
    }
    let (version, kind) = (u16::from_be_bytes([head[0] & 0x7f, head[1]]), u16::from_be_bytes([head[2], head[3]]));
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let needs = match kind {
        SYN_STREAM => 10,
        RST_STREAM | HEADERS | PING => 4,
        _ => 0,
    };
    if body.len() < needs {
        return Err(FrameError::TooShort(kind));
    }
    Ok(Some(match kind {
        SYN_STREAM => {
            let stream = body.get_u32() & 0x7fff_ffff;
            body.advance(6); // the associated stream, priority and slot
            Frame::Open { stream, last, block: body }
        }
        RST_STREAM => Frame::Reset { stream: body.get_u32() & 0x7fff_ffff },
        HEADERS => {
            body.advance(4);
            Frame::Headers { block: body }
        }
        PING => Frame::Ping { id: body.get_u32() },
        GOAWAY => Frame::Goodbye,
        _ => Frame::Ignored,
    }))
}

/// Data of a stream; at most [`MAX_DATA`] bytes.
pub fn data(stream: u32, data: &[u8], last: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + data.len());
    out.put_u32(stream);
    put_flags_and_length(&mut out, last, data.len());
    out.extend_from_slice(data);
    out.freeze()
}

/// `SYN_REPLY` without headers: the stream is accepted. `first`: it is the first of its connection.
pub fn reply(stream: u32, first: bool) -> Bytes {
    let block = super::headers::empty_block(first);
    let mut out = control(SYN_REPLY, 4 + block.len());
    out.put_u32(stream);
    out.extend_from_slice(&block);
    out.freeze()
}

/// `RST_STREAM` with status `REFUSED_STREAM`.
pub fn reset(stream: u32) -> Bytes {
    let mut out = control(RST_STREAM, 8);
    out.put_u32(stream);
    out.put_u32(3);
    out.freeze()
}

/// `PING`
pub fn ping(id: u32) -> Bytes {
    let mut out = control(PING, 4);
    out.put_u32(id);
    out.freeze()
}

fn control(kind: u16, length: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(8 + length);
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    put_flags_and_length(&mut out, false, length);
    out
}

fn put_flags_and_length(out: &mut BytesMut, last: bool, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    out.put_u8(u8::from(last));
    out.extend_from_slice(&length[1..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_may_come_in_pieces() {
        let whole = [data(5, b"abc", true), ping(7), reset(9)].concat();
        let mut buffer = BytesMut::new();
        let mut frames = Vec::new();
        for byte in whole {
            buffer.put_u8(byte);
            frames.extend(parse(&mut buffer).unwrap());
        }
        assert_eq!(frames, [Frame::Data { stream: 5, last: true, data: Bytes::from("abc") }, Frame::Ping { id: 7 }, Frame::Reset { stream: 9 }]);
    }

    #[test]
    fn nonsense_is_refused() {
        let parse = |bytes: &[u8]| parse(&mut BytesMut::from(bytes));
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Err(FrameError::TooLong(0x20_4854)), "a data frame of stream 0x47455420");
        assert_eq!(parse(&[0x80, 2, 0, 6, 0, 0, 0, 0]), Err(FrameError::Version(2)));
        assert_eq!(parse(&[0x80, 3, 0, 1, 0, 0, 0, 1, 0]), Err(FrameError::TooShort(1)));
        assert_eq!(parse(&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff]), Err(FrameError::TooLong(0xff_ffff)));
    }
}
