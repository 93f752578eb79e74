//! How versions lie in the database: keys and values, nothing else.
//!
//! | key | value |
//! |---|---|
//! | `r` revision (8 bytes, big-endian) | the first [`CHUNK`] bytes of the record |
//! | `r` revision, number (2 bytes, from 1) | the following chunks |
//! | `mf` | the floor: the log begins after this revision |
//! | `mc` | the ceiling: revisions up to this may have been seen |
//!
//! A record is a header (format, kind, time, lengths), the key, and the JSON. Replaying the records in revision order gives the objects;
//! there is no second index on disk that could disagree.

use super::disk::{DiskError, Interner, Stored};
use super::log::Millis;
use super::types::{Key, Revision};
use super::version::EventKind;

/// The most bytes of one value. Sled keeps up to 17 values in a leaf and moves a leaf of more than 128 KiB to a file that it never
/// syncs; leaves of such chunks stay below.
pub const CHUNK: usize = 4096;

/// The floor's key.
pub const FLOOR: &[u8] = b"mf";
/// The ceiling's key.
pub const CEILING: &[u8] = b"mc";
/// What the keys of versions begin with.
pub const VERSIONS: &[u8] = b"r";

const FORMAT: u8 = 1;
const HEADER: usize = 1 + 1 + 8 + 4 + 2 + 2 + 2;

/// The key of a chunk.
pub fn chunk_key(revision: Revision, number: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(11);
    key.extend_from_slice(VERSIONS);
    key.extend_from_slice(&revision.to_be_bytes());
    if number > 0 {
        // At most 2^16 chunks: 256 MiB, far beyond any object.
        key.extend_from_slice(&u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes());
    }
    key
}

/// The revision and the number of a chunk's key.
pub fn read_chunk_key(key: &[u8]) -> Option<(Revision, u16)> {
    let (revision, number) = key.strip_prefix(VERSIONS)?.split_first_chunk::<8>()?;
    let number = match number {
        [] => 0,
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => return None,
    };
    Some((Revision::from_be_bytes(*revision), number))
}

/// How many chunks a record of `bytes` has.
pub fn chunks(bytes: usize) -> usize {
    bytes.div_ceil(CHUNK).max(1)
}

/// The most chunks that a version of `json` bytes of JSON can have: the names add at most a chunk.
pub fn chunks_at_most(json: usize) -> usize {
    chunks(json + HEADER + 3 * 256)
}

/// Writes a record into `out`, which is emptied first.
pub fn encode(out: &mut Vec<u8>, at: Millis, kind: EventKind, key: &Key, json: &[u8]) -> Result<(), DiskError> {
    let too_long = |_| DiskError(format!("{key}: too long to be stored"));
    out.clear();
    out.push(FORMAT);
    out.push(match kind {
        EventKind::Put => 0,
        EventKind::Delete => 1,
    });
    out.extend_from_slice(&at.to_be_bytes());
    out.extend_from_slice(&u32::try_from(json.len()).map_err(too_long)?.to_be_bytes());
    for part in [&key.resource, &key.namespace, &key.name] {
        out.extend_from_slice(&u16::try_from(part.len()).map_err(too_long)?.to_be_bytes());
    }
    for part in [&key.resource, &key.namespace, &key.name] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(json);
    Ok(())
}

/// How long the whole record is, told by its first chunk.
pub fn length(record: &[u8]) -> Option<usize> {
    let header: &[u8; HEADER] = record.first_chunk()?;
    let json = u32::from_be_bytes(*header[10..].first_chunk()?) as usize;
    let names: usize = header[14..].chunks_exact(2).map(|pair| usize::from(pair[0]) << 8 | usize::from(pair[1])).sum();
    (header[0] == FORMAT).then_some(HEADER + names + json)
}

/// Reads a whole record.
pub fn decode(revision: Revision, record: &[u8], interner: &mut Interner) -> Option<Stored> {
    if length(record)? != record.len() {
        return None;
    }
    let kind = match record[1] {
        0 => EventKind::Put,
        1 => EventKind::Delete,
        _ => return None,
    };
    let at = Millis::from_be_bytes(*record[2..].first_chunk()?);
    let mut rest = &record[HEADER..];
    let mut part = |at: usize| {
        let len = usize::from(u16::from_be_bytes(*record[at..].first_chunk()?));
        let (text, after) = rest.split_at_checked(len)?;
        rest = after;
        std::str::from_utf8(text).ok()
    };
    let (resource, namespace, name) = (part(14)?, part(16)?, part(18)?);
    let key = Key { resource: interner.text(resource), namespace: interner.text(namespace), name: name.into() };
    Some(Stored { at, revision, kind, key, json: bytes::Bytes::copy_from_slice(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_written() {
        for (kind, len) in [(EventKind::Put, 0), (EventKind::Delete, 10), (EventKind::Put, 70_000)] {
            let (key, json, mut record) = (Key::new("deployments.apps", "", "web"), vec![b'x'; len], Vec::new());
            encode(&mut record, 99, kind, &key, &json).unwrap();
            let read = decode(7, &record, &mut Interner::default()).unwrap();
            assert_eq!((read.at, read.revision, read.kind, read.key, read.json), (99, 7, kind, key, json.clone().into()));
            assert_eq!(length(&record[..record.len().min(CHUNK)]), Some(record.len()));
            assert!(chunks(record.len()) <= chunks_at_most(json.len()));
            assert!(decode(7, &record[..record.len() - 1], &mut Interner::default()).is_none());
        }
    }

    #[test]
    fn chunks_follow_their_head_and_precede_the_next_revision() {
        let keys = [chunk_key(255, 0), chunk_key(255, 1), chunk_key(255, 300), chunk_key(256, 0)];
        assert!(keys.is_sorted());
        assert_eq!(keys.map(|key| read_chunk_key(&key).unwrap()), [(255, 0), (255, 1), (255, 300), (256, 0)]);
    }
}
