//! The server's side of SPDY/3.1, as far as kubectl speaks it: streams with headers, data, half-closes.
//!
//! `kubectl port-forward` always frames its connections so, inside a WebSocket or after an upgrade; older kubectls also `exec` and
//! `attach` over it. There is no flow control by windows, as `moby/spdystream` has none: a reader that is slow holds the connection.
//! [`frame`] is the wire format, [`headers`] its compressed headers.

pub mod frame;
pub mod headers;

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use self::frame::{Frame, FrameError};
use self::headers::{Headers, Inflater};

/// Streams of one connection at a time; a client that opens more is refused them.
const MAX_STREAMS: usize = 1024;
/// Chunks that wait between a stream and the connection.
const QUEUE: usize = 16;
/// How much is read at once.
const READ: usize = 32 * 1024;

/// A stream that the client has opened.
pub struct Stream {
    /// Its headers, names in lower case: `streamtype`, `port`, `requestid`.
    pub headers: Headers,
    /// What the client sends; ends when it has nothing more to say.
    pub input: mpsc::Receiver<Bytes>,
    /// What we send.
    pub output: Output,
}

impl Stream {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// The way back to the client of one stream.
#[derive(Clone)]
pub struct Output {
    id: u32,
    frames: mpsc::Sender<Bytes>,
}

/// The connection is gone.
#[derive(Debug, thiserror::Error)]
#[error("the client has closed the connection")]
pub struct Closed;

impl Output {
    /// Sends data.
    pub async fn write(&self, data: &[u8]) -> Result<(), Closed> {
        for chunk in data.chunks(frame::MAX_DATA) {
            self.frames.send(frame::data(self.id, chunk, false)).await.map_err(|_| Closed)?;
        }
        Ok(())
    }

    /// Says that nothing more comes.
    pub async fn finish(&self) -> Result<(), Closed> {
        self.frames.send(frame::data(self.id, &[], true)).await.map_err(|_| Closed)
    }

    /// Breaks the stream off.
    pub async fn reset(&self) -> Result<(), Closed> {
        self.frames.send(frame::reset(self.id)).await.map_err(|_| Closed)
    }
}

/// Speaks SPDY over `transport`: every stream that the client opens is accepted and handed out. The connection ends when the
/// client closes it, or when the receiver and all outputs are dropped.
pub fn accept<T>(transport: T) -> mpsc::Receiver<Stream>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (read, write) = tokio::io::split(transport);
    let (frames, queue) = mpsc::channel(QUEUE);
    let (streams, accepted) = mpsc::channel(QUEUE);
    tokio::spawn(send(write, queue));
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = Reader { frames, streams: streams.clone(), open: HashMap::new(), inflater: Inflater::new(), replied: false }.run(read) => ended,
            () = streams.closed() => Ok(()),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "SPDY connection ended");
        }
    });
    accepted
}

async fn send(mut write: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(frame) = queue.recv().await {
        if write.write_all(&frame).await.is_err() || (queue.is_empty() && write.flush().await.is_err()) {
            return; // the reader notices too, and ends the streams
        }
    }
    let _ = write.shutdown().await; // the client may be gone already
}

struct Reader {
    frames: mpsc::Sender<Bytes>,
    streams: mpsc::Sender<Stream>,
    /// Where the data of each open stream goes.
    open: HashMap<u32, mpsc::Sender<Bytes>>,
    inflater: Inflater,
    /// Whether a stream has been accepted before.
    replied: bool,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Reader {
    async fn run(mut self, mut read: impl AsyncRead + Unpin) -> Result<(), ReadError> {
        let mut buffer = BytesMut::with_capacity(READ);
        loop {
            while let Some(frame) = frame::parse(&mut buffer)? {
                if !self.take(frame).await? {
                    return Ok(());
                }
            }
            buffer.reserve(READ);
            if read.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Acts on one frame; false: the client says goodbye.
    async fn take(&mut self, frame: Frame) -> Result<bool, ReadError> {
        match frame {
            Frame::Open { stream, last, block } => self.open(stream, last, &block).await?,
            Frame::Data { stream, last, data } => {
                let ended = match self.open.get(&stream) {
                    Some(input) => !data.is_empty() && input.send(data).await.is_err(),
                    None => false,
                };
                if last || ended {
                    self.open.remove(&stream);
                }
            }
            Frame::Reset { stream } => {
                self.open.remove(&stream);
            }
            Frame::Headers { block } => {
                self.inflater.block(&block)?; // later headers mean nothing to us, but their compression goes on
            }
            Frame::Ping { id } => self.frames.send(frame::ping(id)).await.map_err(|_| Closed)?,
            Frame::Goodbye => return Ok(false),
            Frame::Ignored => {}
        }
        Ok(true)
    }

    async fn open(&mut self, stream: u32, last: bool, block: &[u8]) -> Result<(), ReadError> {
        let headers = self.inflater.block(block)?;
        let output = Output { id: stream, frames: self.frames.clone() };
        if self.open.len() >= MAX_STREAMS {
            output.reset().await?;
            return Ok(());
        }
        let (sender, input) = mpsc::channel(QUEUE);
        if !last {
            self.open.insert(stream, sender);
        }
        self.frames.send(frame::reply(stream, !std::mem::replace(&mut self.replied, true))).await.map_err(|_| Closed)?;
        self.streams.send(Stream { headers, input, output }).await.map_err(|_| Closed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_are_opened_read_answered_and_closed() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let mut accepted = accept(server);
        client.write_all(&headers::tests::opened(1, &[("streamtype", "data"), ("port", "80")])).await.unwrap();
        client.write_all(&frame::data(1, b"hello", false)).await.unwrap();
        client.write_all(&frame::data(1, b"", true)).await.unwrap();
        let mut stream = accepted.recv().await.unwrap();
        assert_eq!((stream.header("streamtype"), stream.header("port")), (Some("data"), Some("80")));
        assert_eq!(stream.input.recv().await.unwrap(), "hello");
        assert_eq!(stream.input.recv().await, None);
        stream.output.write(b"world").await.unwrap();
        stream.output.finish().await.unwrap();
        let mut expected = frame::reply(1, true).to_vec();
        expected.extend_from_slice(&frame::data(1, b"world", false));
        expected.extend_from_slice(&frame::data(1, b"", true));
        let mut got = vec![0; expected.len()];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(got, expected);
        drop((stream, accepted));
        assert_eq!(client.read(&mut got).await.unwrap(), 0, "nobody holds the connection any more");
    }
}
