//! One write for everything that an HTTP/2 connection has to say at a time.
//!
//! h2 flushes after each large frame, so that the answer of a gRPC call would leave in two TLS records and two system calls, and wake its
//! caller twice: once for the object, once for the trailers. Here flushing is put off until the connection's task has nothing more to
//! add ([`drive`]): the [`Coalesced`] half, which the connection writes into, only collects, and the task sends what was collected after
//! each poll. Both halves are used by one task alone; the lock between them is never waited for.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::BoxError;

/// What is collected at most; more than this goes straight on, for copying it would cost more than it saves.
const ROOM: usize = 32 << 10;

/// The half that a connection reads from and writes into.
pub struct Coalesced<S>(Arc<Mutex<Held<S>>>);

/// The half that sends.
pub struct Sender<S>(Arc<Mutex<Held<S>>>);

struct Held<S> {
    stream: S,
    waiting: BytesMut,
    /// Whether the stream has been given bytes and was not flushed since.
    unflushed: bool,
}

/// Both halves of a stream.
pub fn coalesce<S>(stream: S) -> (Coalesced<S>, Sender<S>) {
    let held = Arc::new(Mutex::new(Held { stream, waiting: BytesMut::new(), unflushed: false }));
    (Coalesced(held.clone()), Sender(held))
}

/// Runs a connection over [`Coalesced`] to its end, sending what it wrote whenever it rests.
pub async fn drive<S, F, E>(mut connection: Pin<&mut F>, sender: &Sender<S>) -> Result<(), BoxError>
where
    S: AsyncWrite + Unpin,
    F: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    poll_fn(|context| {
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ended.map_err(Into::into));
        }
        // Pending is the stream's: it wakes this task, and so the rest is sent then.
        match lock(&sender.0).send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn lock<S>(held: &Mutex<Held<S>>) -> MutexGuard<'_, Held<S>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsyncWrite + Unpin> Held<S> {
    /// Everything collected, onto the wire.
    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pass_on(context))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Everything collected, into the stream.
    fn pass_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut held = lock(&self.0);
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if held.waiting.len() + length > ROOM {
            ready!(held.pass_on(context))?;
        }
        if length > ROOM {
            held.unflushed = true;
            return Pin::new(&mut held.stream).poll_write_vectored(context, slices);
        }
        slices.iter().for_each(|slice| held.waiting.extend_from_slice(slice));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Put off until the task rests: see [`drive`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = lock(&self.0);
        ready!(held.send(context))?;
        Pin::new(&mut held.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What one end reads at a time of what the other wrote in these pieces, with a flush after each.
    async fn received(room: usize, pieces: &[usize]) -> Vec<usize> {
        let (near, mut far) = duplex(room);
        let (mut into, sender) = coalesce(near);
        let pieces = pieces.to_vec();
        let sending = async move {
            let writing = async move {
                for length in pieces {
                    into.write_all(&vec![7; length]).await?;
                    into.flush().await?;
                }
                // it rests, as a connection does that waits for its peer
                std::future::pending::<()>().await;
                io::Result::Ok(())
            };
            drive(std::pin::pin!(writing), &sender).await
        };
        let reading = async {
            let mut lengths = Vec::new();
            let mut buffer = vec![0; 1 << 20];
            while let Ok(Ok(length)) = tokio::time::timeout(std::time::Duration::from_secs(1), far.read(&mut buffer)).await {
                lengths.push(length);
            }
            lengths
        };
        tokio::select! { _ = sending => Vec::new(), lengths = reading => lengths }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_in_one_go_leaves_at_once() {
        assert_eq!(received(1 << 20, &[100, 1024, 30]).await, [1154], "three frames, three flushes, one write");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_lost_where_the_peer_is_slow_or_the_frame_large() {
        for (room, pieces) in [(64, vec![100, 1024, 30]), (1000, vec![ROOM, 1, ROOM + 1, 5]), (1 << 20, vec![ROOM - 1, 2, 3 * ROOM])] {
            let total: usize = received(room, &pieces).await.iter().sum();
            assert_eq!(total, pieces.iter().sum::<usize>(), "{pieces:?} through {room}");
        }
    }
}
