//! What goes in and out of containers: logs, commands and attachments.

use bytes::Bytes;
use futures::stream::BoxStream;
use k8s_openapi::jiff::Timestamp;

use super::RuntimeError;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecResult {
    /// Exit code.
    pub code: i32,
    /// Output, as far as it was kept.
    pub output: Vec<u8>,
}

/// Which part of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// Go on while the container lives.
    pub follow: bool,
    /// Prefix each line with its RFC 3339 time, nanoseconds included.
    pub timestamps: bool,
    /// The last lines only.
    pub tail: Option<i64>,
    /// At most this many bytes.
    pub limit: Option<i64>,
    /// Lines since then only.
    pub since: Option<Timestamp>,
    /// Which of the two streams.
    pub stream: LogStream,
}

/// Which streams of a container a log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogStream {
    /// Both.
    #[default]
    All,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A command with its streams, or an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecRequest {
    /// Empty for attach.
    pub command: Vec<String>,
    /// Connect stdin.
    pub stdin: bool,
    /// Connect stdout.
    pub stdout: bool,
    /// Connect stderr.
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

/// A running exec or attachment.
pub struct Session {
    /// Where input goes. Dropping the sender closes stdin.
    pub input: tokio::sync::mpsc::Sender<SessionInput>,
    /// What comes back; ends after [`SessionOutput::End`].
    pub output: BoxStream<'static, Result<SessionOutput, RuntimeError>>,
}

/// What goes into a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionInput {
    /// Bytes for stdin.
    Stdin(Bytes),
    /// stdin is closed; output goes on.
    StdinEnd,
    /// The terminal has another size.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
}

/// What comes out of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOutput {
    /// Bytes of stdout (of the terminal, with one).
    Stdout(Bytes),
    /// Bytes of stderr.
    Stderr(Bytes),
    /// The last: the command's exit code.
    End(i32),
}
