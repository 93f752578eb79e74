//! Bytes from the runtime to gRPC and back. Nothing is decided here, and nothing is kept: each side waits for the other.

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use skiff_proto::v1::{self, exec_input::Input, exec_output::Output, port_forward_input};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use tonic::{Status, Streaming};

use crate::runtime::{Connection, RuntimeError, Session, SessionInput, SessionOutput};

/// Lines of a log that go into one message, where so many are there at once.
const LINES: usize = 128;
/// Bytes read at once from a forwarded connection.
const PIECE: usize = 16 * 1024;

/// A log, several lines to a message.
pub fn log(lines: BoxStream<'static, Result<Bytes, RuntimeError>>) -> impl Stream<Item = Result<v1::Chunk, Status>> + Send {
    lines.ready_chunks(LINES).map(|lines| {
        let mut data = BytesMut::new();
        for line in lines {
            match line {
                Ok(line) => data.extend_from_slice(&line),
                Err(fault) if data.is_empty() => return Err(super::failed(fault)),
                Err(_) => break, // what came before it is worth more; the stream ends after it anyway
            }
        }
        Ok(v1::Chunk { data: data.freeze() })
    })
}

/// What a session says, while what comes in goes to it.
pub fn session(session: Session, mut inputs: Streaming<v1::ExecInput>) -> impl Stream<Item = Result<v1::ExecOutput, Status>> + Send {
    let sender = session.input;
    tokio::spawn(async move {
        // Ends when the caller is gone or the session takes no more; the sender's end closes stdin.
        while let Ok(Some(message)) = inputs.message().await {
            if let Some(input) = message.input.and_then(input)
                && sender.send(input).await.is_err()
            {
                return;
            }
        }
    });
    session.output.map(|output| match output {
        Ok(SessionOutput::Stdout(bytes)) => Ok(said(Output::Stdout(bytes))),
        Ok(SessionOutput::Stderr(bytes)) => Ok(said(Output::Stderr(bytes))),
        Ok(SessionOutput::End(exit_code)) => Ok(said(Output::End(v1::ExecEnd { exit_code, error: String::new() }))),
        Err(fault) => Ok(failed(&fault)),
    })
}

fn input(input: Input) -> Option<SessionInput> {
    match input {
        Input::Start(_) => None, // only the first message starts something
        Input::Stdin(bytes) => Some(SessionInput::Stdin(bytes)),
        Input::StdinEnd(_) => Some(SessionInput::StdinEnd),
        Input::Resize(size) => {
            let cells = |cells: u32| u16::try_from(cells).unwrap_or(u16::MAX);
            Some(SessionInput::Resize { width: cells(size.width), height: cells(size.height) })
        }
    }
}

fn said(output: Output) -> v1::ExecOutput {
    v1::ExecOutput { output: Some(output) }
}

/// The last message of a command that could not be run: the API server puts kubelet's words before it.
pub fn failed(fault: &RuntimeError) -> v1::ExecOutput {
    said(Output::End(v1::ExecEnd { exit_code: 126, error: fault.to_string() }))
}

/// What a forwarded connection says, while what comes in goes to it.
pub fn connection(connection: Box<dyn Connection>, mut inputs: Streaming<v1::PortForwardInput>) -> impl Stream<Item = Result<v1::Chunk, Status>> + Send {
    let (reader, mut writer) = tokio::io::split(connection);
    tokio::spawn(async move {
        while let Ok(Some(message)) = inputs.message().await {
            if let Some(port_forward_input::Input::Data(data)) = message.input
                && writer.write_all(&data).await.is_err()
            {
                return; // the other side hears it from the reader
            }
        }
        if let Err(fault) = writer.shutdown().await {
            tracing::debug!(%fault, "a forwarded connection was closed from inside already");
        }
    });
    ReaderStream::with_capacity(reader, PIECE).map(|read| match read {
        Ok(bytes) => Ok(v1::Chunk { data: bytes }),
        Err(fault) => Err(Status::aborted(fault.to_string())),
    })
}
