//! Kubernetes' protobuf: four bytes of magic, a `runtime.Unknown`, and in it a message of the table.
//!
//! `decode` answers the same canonical value as JSON does; [`encode`] is its inverse. The wire is full of explicit zeros
//! (Go's encoder writes every field that is no pointer), so what a zero means is read off the table: a set pointer or nothing.

mod read;
mod write;

use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use serde_json::Value;

use super::Gvk;
use super::types::Type;

pub(super) use read::message;

/// What every encoded object begins with.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// The envelope of an object: `runtime.Unknown`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unknown<'a> {
    /// `apps/v1`
    pub(super) api_version: String,
    /// `Deployment`
    pub(super) kind: String,
    /// The message.
    pub(super) raw: &'a [u8],
}

/// Opens the envelope; the error is a sentence.
pub(super) fn open(body: &[u8]) -> Result<Unknown<'_>, String> {
    let inner = body.strip_prefix(&MAGIC).ok_or_else(|| "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]".to_owned())?;
    let mut unknown = Unknown::default();
    each_field(inner, |tag, value| {
        match (tag, value) {
            (1, Wired::Bytes(meta)) => each_field(meta, |tag, value| {
                match (tag, value) {
                    (1, Wired::Bytes(text)) => unknown.api_version = utf8(text),
                    (2, Wired::Bytes(text)) => unknown.kind = utf8(text),
                    (_, _) => {}
                }
                Ok(())
            })?,
            (2, Wired::Bytes(raw)) => unknown.raw = raw,
            (_, _) => {}
        }
        Ok(())
    })?;
    Ok(unknown)
}

/// An object in its envelope. Nothing for a kind that is not in the table.
pub fn encode(gvk: &Gvk, object: &Value) -> Option<Vec<u8>> {
    let as_type = super::types().of(gvk)?;
    Some(envelope(gvk, &encode_message(as_type, object)))
}

/// The message alone, without an envelope.
pub fn encode_message(as_type: &'static Type, object: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write::message(as_type, object, &mut out);
    out
}

/// An event of a watch in protobuf: its length in four bytes, then a `metav1.WatchEvent` around the encoded object.
pub fn watch_frame(event: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(object.len() + 8);
    put_bytes(1, object, &mut raw);
    let mut message = Vec::with_capacity(raw.len() + event.len() + 8);
    put_bytes(1, event.as_bytes(), &mut message);
    put_bytes(2, &raw, &mut message);
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX); // objects are bounded at 3 MiB
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(message);
    frame
}

fn envelope(gvk: &Gvk, message: &[u8]) -> Vec<u8> {
    let mut meta = Vec::new();
    put_bytes(1, gvk.api_version().as_bytes(), &mut meta);
    put_bytes(2, gvk.kind.as_bytes(), &mut meta);
    let mut out = MAGIC.to_vec();
    out.reserve(message.len() + meta.len() + 16);
    put_bytes(1, &meta, &mut out);
    put_bytes(2, message, &mut out);
    put_bytes(3, b"", &mut out);
    put_bytes(4, b"", &mut out);
    out
}

pub(super) fn put_bytes(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(super) fn put_varint(tag: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(tag, WireType::Varint, out);
    encode_varint(value, out);
}

/// A value as it stands on the wire.
#[derive(Clone, Copy, Debug)]
enum Wired<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

/// Calls `each` at every field of a message.
fn each_field<'a>(mut message: &'a [u8], mut each: impl FnMut(u32, Wired<'a>) -> Result<(), String>) -> Result<(), String> {
    let told = |fault: prost::DecodeError| format!("proto: {fault}");
    while message.has_remaining() {
        let (tag, wire_type) = decode_key(&mut message).map_err(told)?;
        let value = match wire_type {
            WireType::Varint => Wired::Varint(decode_varint(&mut message).map_err(told)?),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut message).map_err(told)?).map_err(|_| "unexpected EOF".to_owned())?;
                let bytes = message.get(..length).ok_or_else(|| "unexpected EOF".to_owned())?;
                message = &message[length..];
                Wired::Bytes(bytes)
            }
            WireType::SixtyFourBit => Wired::Fixed64(message.try_get_u64_le().map_err(|_| "unexpected EOF".to_owned())?),
            WireType::ThirtyTwoBit => {
                message.try_get_u32_le().map_err(|_| "unexpected EOF".to_owned())?;
                continue; // no type has such a field
            }
            WireType::StartGroup | WireType::EndGroup => return Err("proto: illegal wireType".to_owned()),
        };
        each(tag, value)?;
    }
    Ok(())
}

fn utf8(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests;
