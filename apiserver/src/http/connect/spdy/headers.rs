//! Headers of SPDY streams: name and value pairs, compressed by zlib with a dictionary that both sides know.
//!
//! A connection's header blocks are one zlib stream, flushed after each block. What we send is stored, not compressed.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::frame::FrameError;

/// Names in lower case and values; several values of one name are several pairs.
pub type Headers = Vec<(String, String)>;

/// The dictionary of the SPDY/3 specification (draft-mbelshe-httpbis-spdy-00, section 2.6.10.1).
const DICTIONARY: &[u8] = include_bytes!("dictionary.bin");
/// How far back deflate refers.
const WINDOW: usize = 32 * 1024;
/// A block of headers that is longer unpacked is refused.
const MAX_BLOCK: usize = 64 * 1024;

/// Unpacks the header blocks of one connection, in order.
pub struct Inflater {
    state: Box<DecompressorOxide>,
    /// The last output, as a ring: first of all the dictionary.
    window: Vec<u8>,
    at: usize,
    begun: bool,
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Inflater {
    /// At the beginning of a connection.
    pub fn new() -> Self {
        let mut window = vec![0; WINDOW];
        window[..DICTIONARY.len()].copy_from_slice(DICTIONARY);
        Self { state: Box::default(), window, at: DICTIONARY.len(), begun: false }
    }

    /// The headers of the next block.
    pub fn block(&mut self, mut compressed: &[u8]) -> Result<Headers, FrameError> {
        if !std::mem::replace(&mut self.begun, true) {
            compressed = skip_zlib_header(compressed)?;
        }
        let mut plain = Vec::new();
        loop {
            let (status, read, written) = decompress(&mut self.state, compressed, &mut self.window, self.at, TINFL_FLAG_HAS_MORE_INPUT);
            plain.extend_from_slice(&self.window[self.at..self.at + written]);
            self.at = (self.at + written) % WINDOW;
            compressed = &compressed[read..];
            match status {
                _ if plain.len() > MAX_BLOCK => return Err(FrameError::Headers),
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput if compressed.is_empty() => return parse(&plain),
                _ => return Err(FrameError::Headers),
            }
        }
    }
}

/// What stands before the deflate data: two bytes, and the dictionary's checksum where there is a dictionary.
fn skip_zlib_header(compressed: &[u8]) -> Result<&[u8], FrameError> {
    let [_, flags, rest @ ..] = compressed else { return Err(FrameError::Headers) };
    if flags & 0x20 == 0 { Ok(rest) } else { rest.get(4..).ok_or(FrameError::Headers) }
}

/// `count, (length, name, length, value)*`, numbers of four bytes; values of one name are separated by zero bytes.
fn parse(mut plain: &[u8]) -> Result<Headers, FrameError> {
    let mut headers = Vec::new();
    for _ in 0..take_number(&mut plain)? {
        let name = take_text(&mut plain)?.to_ascii_lowercase();
        let values = take_text(&mut plain)?;
        headers.extend(values.split('\0').map(|value| (name.clone(), value.to_owned())));
    }
    Ok(headers)
}

fn take_number(plain: &mut &[u8]) -> Result<usize, FrameError> {
    let (number, rest) = plain.split_first_chunk::<4>().ok_or(FrameError::Headers)?;
    *plain = rest;
    Ok(u32::from_be_bytes(*number) as usize)
}

fn take_text<'a>(plain: &mut &'a [u8]) -> Result<&'a str, FrameError> {
    let length = take_number(plain)?;
    let (text, rest) = plain.split_at_checked(length).ok_or(FrameError::Headers)?;
    *plain = rest;
    std::str::from_utf8(text).map_err(|_| FrameError::Headers)
}

/// A block without headers, as it stands in our replies. The zlib stream of a connection has its two-byte header once, in the `first` block.
pub fn empty_block(first: bool) -> Vec<u8> {
    const NO_HEADERS: [u8; 4] = [0; 4];
    let mut block = if first { vec![0x78, 0x01] } else { Vec::new() };
    block.extend_from_slice(&stored(&NO_HEADERS));
    block.extend_from_slice(&stored(&[])); // the flush: Go's reader hands out what it has read only once it sees one
    block
}

/// One stored deflate block, not the last: no compression, and it ends at a byte's boundary as a flush does.
fn stored(plain: &[u8]) -> Vec<u8> {
    let length = u16::try_from(plain.len()).unwrap_or(u16::MAX);
    let mut block = vec![0];
    block.extend_from_slice(&length.to_le_bytes());
    block.extend_from_slice(&(!length).to_le_bytes());
    block.extend_from_slice(plain);
    block
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A `SYN_STREAM` that opens a connection's first stream.
    pub fn opened(stream: u32, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut plain = u32::try_from(headers.len()).unwrap().to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        let block = [vec![0x78, 0x01], stored(&plain)].concat();
        let length = u32::try_from(10 + block.len()).unwrap().to_be_bytes();
        let mut frame = vec![0x80, 3, 0, 1, 0, length[1], length[2], length[3]];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(&[0; 6]);
        frame.extend_from_slice(&block);
        frame
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// Two blocks of one zlib stream, written by Python's `zlib.compressobj(9, zdict=…)` with a sync flush after each.
    #[test]
    fn blocks_of_one_connection_refer_to_the_dictionary_and_to_each_other() {
        let mut inflater = Inflater::new();
        let first = inflater.block(&bytes("78f9e3c6a7c202253a48f95b044eea16061606409ab308125f99a074cc68004e892545a989b9d0c2863515141500000000ffff")).unwrap();
        let second = inflater.block(&bytes("225333a8a44a04000000ffff")).unwrap();
        let pairs = |kind: &str| {
            vec![("port", "8080"), ("requestid", "0"), ("streamtype", kind)].into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect::<Headers>()
        };
        assert_eq!(first, pairs("error"));
        assert_eq!(second, pairs("data"));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Inflater::new().block(&[0x78]), Err(FrameError::Headers));
        assert_eq!(Inflater::new().block(&[0x78, 0x01, 0xff, 0xff, 0xff]), Err(FrameError::Headers));
        assert_eq!(Inflater::new().block(&[&[0x78, 0x01], stored(&[0, 0, 0, 9]).as_slice()].concat()), Err(FrameError::Headers));
    }

    /// More than the window holds, block after block.
    #[test]
    fn the_window_wraps() {
        let mut inflater = Inflater::new();
        let value = "v".repeat(20_000);
        for round in 0..5 {
            let mut plain = vec![0, 0, 0, 1, 0, 0, 0, 1, b'n', 0, 0, 0x4e, 0x20];
            plain.extend_from_slice(value.as_bytes());
            let block = if round == 0 { [vec![0x78, 0x01], stored(&plain)].concat() } else { stored(&plain) };
            assert_eq!(inflater.block(&block).unwrap(), [("n".to_owned(), value.clone())]);
        }
    }
}
