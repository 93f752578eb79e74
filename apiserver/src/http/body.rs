//! The body of an answer: bytes shared with the store wherever possible, copied only into the chunks that are sent.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What a transport reports where it cannot go on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Many small pieces are sent together, up to this many bytes a chunk.
const CHUNK: usize = 64 * 1024;

/// The body of an answer.
pub enum Body {
    /// Nothing.
    Empty,
    /// Pieces whose length is known beforehand: an object, a list.
    Parts(Parts),
    /// Whatever comes, sent at once: a watch, a log, a proxied answer.
    Stream(BoxStream<'static, Result<Bytes, BoxError>>),
    /// An answer of the gRPC service.
    Grpc(Grpc),
}

/// An answer of the gRPC service, which a server that stops breaks off where it would go on waiting: a watch.
pub struct Grpc {
    body: tonic::body::Body,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Grpc {
    /// `body` until `stop`.
    pub fn new(body: tonic::body::Body, stop: &CancellationToken) -> Self {
        Self { body, stop: Box::pin(stop.clone().cancelled_owned()) }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(next) => Poll::Ready(next.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => self.stop.as_mut().poll(context).map(|()| Some(Err("the server stops".into()))),
        }
    }
}

/// Pieces in order.
pub struct Parts {
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Body {
    /// One piece.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::parts([bytes.into()])
    }

    /// Pieces, in order.
    pub fn parts(pieces: impl Into<VecDeque<Bytes>>) -> Self {
        let pieces = pieces.into();
        let left = pieces.iter().map(Bytes::len).sum();
        Self::Parts(Parts { pieces, left })
    }
}

impl Parts {
    /// The next chunk: a large piece as it is, small ones copied together.
    fn next(&mut self) -> Option<Bytes> {
        let first = self.pieces.pop_front()?;
        let chunk = match self.pieces.front() {
            Some(second) if first.len() + second.len() <= CHUNK => {
                let mut joined = BytesMut::with_capacity(self.left.min(CHUNK));
                joined.extend_from_slice(&first);
                while let Some(next) = self.pieces.front()
                    && joined.len() + next.len() <= CHUNK
                {
                    joined.extend_from_slice(next);
                    self.pieces.pop_front();
                }
                joined.freeze()
            }
            Some(_) | None => first,
        };
        self.left -= chunk.len();
        Some(chunk)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Parts(parts) => Poll::Ready(parts.next().map(|chunk| Ok(Frame::data(chunk)))),
            Self::Stream(stream) => stream.as_mut().poll_next(context).map(|next| next.map(|chunk| chunk.map(Frame::data))),
            Self::Grpc(grpc) => grpc.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Parts(parts) => parts.left == 0,
            Self::Stream(_) => false,
            Self::Grpc(grpc) => grpc.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Parts(parts) => SizeHint::with_exact(parts.left as u64),
            Self::Stream(_) => SizeHint::default(),
            Self::Grpc(grpc) => grpc.body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_travel_together_and_nothing_is_lost() {
        let sizes = [3, 40_000, 20_000, 10_000, 70_000, 1, 0, 64 * 1024, 5];
        let pieces: Vec<Bytes> = sizes.iter().enumerate().map(|(index, size)| Bytes::from(vec![index as u8; *size])).collect();
        let expected: Vec<u8> = pieces.concat();
        let Body::Parts(mut parts) = Body::parts(pieces) else { panic!("parts") };
        let mut chunks = Vec::new();
        while let Some(chunk) = parts.next() {
            chunks.push(chunk);
        }
        assert_eq!(chunks.concat(), expected);
        assert_eq!(parts.left, 0);
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [60_003, 10_000, 70_000, 1, 65_536, 5]);
    }
}
