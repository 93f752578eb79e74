//! Everything that flows: logs, exec and attach.

use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::{AttachContainerOptions, LogsOptions, ResizeContainerTTYOptionsBuilder};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::super::{ExecRequest, ExecResult, LogOptions, LogStream, RuntimeError, Session, SessionInput, SessionOutput};
use super::error;

/// Pieces of input that wait to be taken by the container before the sender has to wait.
const INPUT_BUFFER: usize = 16;
/// How often, and how many times, Docker is asked whether a command that closed its output has ended.
const EXIT_PAUSE: Duration = Duration::from_millis(10);
const EXIT_PAUSES: usize = 200;

type Output = std::pin::Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;
type Input = std::pin::Pin<Box<dyn AsyncWrite + Send>>;

/// The log of a container, dead or alive.
pub async fn logs(docker: &Docker, id: &str, options: &LogOptions) -> Result<BoxStream<'static, Result<Bytes, RuntimeError>>, RuntimeError> {
    let (stdout, stderr) = match options.stream {
        LogStream::All => (true, true),
        LogStream::Stdout => (true, false),
        LogStream::Stderr => (false, true),
    };
    let mut lines = docker.logs(id, Some(query(options, stdout, stderr))).boxed();
    // The answer's head comes with the first line. What is refused is refused now, not in the middle of a stream.
    let first = if options.follow { None } else { lines.next().await };
    let lines = match first {
        Some(Err(fault)) => return Err(error::general(fault)),
        Some(Ok(line)) => stream::once(async { Ok(line) }).chain(lines).boxed(),
        None if options.follow => lines,
        None => return Ok(stream::empty().boxed()),
    };
    let mut shown = Shown { since: options.since, timestamps: options.timestamps, open: [None; 2] };
    let lines = lines.filter_map(move |piece| {
        let piece = piece.map_err(error::general).map(|piece| shown.piece(piece)).transpose();
        async { piece }
    });
    Ok(match options.limit {
        Some(limit) => limited(lines, usize::try_from(limit).unwrap_or(0)).boxed(),
        None => lines.boxed(),
    })
}

/// Docker's `since` is in whole seconds: each line's own time decides about the rest.
fn query(options: &LogOptions, stdout: bool, stderr: bool) -> LogsOptions {
    let since = options.since.map_or(0, |since| i32::try_from(since.as_second()).unwrap_or(0));
    let tail = options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    LogsOptions { follow: options.follow, stdout, stderr, since, timestamps: options.timestamps || options.since.is_some(), tail, ..LogsOptions::default() }
}

/// What of a log is shown. Docker cuts lines at 16 KiB and puts a time before every piece, where one is asked for.
struct Shown {
    since: Option<Timestamp>,
    timestamps: bool,
    /// Of stdout and stderr: whether the line that has not ended yet is shown.
    open: [Option<bool>; 2],
}

impl Shown {
    /// A piece as it is to be shown, if it is.
    fn piece(&mut self, piece: LogOutput) -> Option<Bytes> {
        let stream = usize::from(matches!(piece, LogOutput::StdErr { .. }));
        let piece = piece.into_bytes();
        let has_time = self.timestamps || self.since.is_some();
        let text = if has_time { piece.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1) } else { 0 };
        let continued = self.open[stream];
        let show = continued.unwrap_or_else(|| {
            let time = std::str::from_utf8(&piece[..text]).ok().and_then(|time| time.trim_end().parse::<Timestamp>().ok());
            self.since.is_none_or(|since| time.is_none_or(|time| time >= since))
        });
        self.open[stream] = (!piece.ends_with(b"\n")).then_some(show);
        let from = if self.timestamps && continued.is_none() { 0 } else { text };
        show.then(|| piece.slice(from..))
    }
}

/// The first `limit` bytes.
fn limited(lines: impl Stream<Item = Result<Bytes, RuntimeError>> + Send + 'static, limit: usize) -> impl Stream<Item = Result<Bytes, RuntimeError>> + Send {
    lines.scan(limit, |left, line| {
        let line = match line {
            Ok(line) if *left > 0 => {
                let taken = line.slice(..line.len().min(*left));
                *left -= taken.len();
                Some(Ok(taken))
            }
            Ok(_) => None,
            Err(fault) => Some(Err(fault)),
        };
        async { line }
    })
}

/// Runs a command to its end, keeping what it says.
pub async fn exec(docker: &Docker, id: &str, command: &[String], timeout: Duration, limit: usize) -> Result<ExecResult, RuntimeError> {
    let request = ExecRequest { command: command.to_vec(), stdout: true, stderr: true, ..ExecRequest::default() };
    let (exec, mut output, _input) = start_exec(docker, id, &request).await?;
    let mut kept = Vec::new();
    let run = async {
        while let Some(piece) = output.next().await {
            let piece = piece.map_err(error::general)?.into_bytes();
            kept.extend_from_slice(&piece[..piece.len().min(limit.saturating_sub(kept.len()))]);
        }
        Ok(())
    };
    match tokio::time::timeout(timeout, run).await {
        Ok(done) => done?,
        Err(_) => {
            kill_exec(docker, &exec).await;
            return Err(RuntimeError::Timeout(format!("command timed out: {command:?} timed out after {timeout:?}")));
        }
    }
    match ended(docker, &exec).await? {
        Ended { code, ran: true } => Ok(ExecResult { code, output: kept }),
        Ended { ran: false, .. } => Err(RuntimeError::StartFailed(String::from_utf8_lossy(&kept).trim().to_owned())),
    }
}

/// Docker has no way to end a command that was started by exec; its process does.
async fn kill_exec(docker: &Docker, exec: &str) {
    let pid = docker.inspect_exec(exec).await.ok().filter(|found| found.running == Some(true)).and_then(|found| found.pid);
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 1).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid
        && let Err(fault) = rustix::process::kill_process(pid, rustix::process::Signal::KILL)
    {
        tracing::warn!(%fault, "cannot kill a command that takes too long"); // without the right to: it runs on, the probe has failed all the same
    }
}

async fn start_exec(docker: &Docker, id: &str, request: &ExecRequest) -> Result<(String, Output, Input), RuntimeError> {
    let options = CreateExecOptions {
        attach_stdin: Some(request.stdin),
        attach_stdout: Some(request.stdout),
        attach_stderr: Some(request.stderr && !request.tty),
        tty: Some(request.tty),
        cmd: Some(request.command.clone()),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(id, options).await.map_err(error::general)?.id;
    let options = StartExecOptions { tty: request.tty, ..StartExecOptions::default() };
    match docker.start_exec(&exec, Some(options)).await.map_err(error::start)? {
        StartExecResults::Attached { output, input } => Ok((exec, output, input)),
        StartExecResults::Detached => Err(RuntimeError::Failed("Docker did not attach to the command".to_owned())),
    }
}

/// How a command ended.
struct Ended {
    code: i32,
    /// Whether there ever was a process.
    ran: bool,
}

async fn ended(docker: &Docker, exec: &str) -> Result<Ended, RuntimeError> {
    for _ in 0..EXIT_PAUSES {
        let found = docker.inspect_exec(exec).await.map_err(error::general)?;
        if let (Some(false) | None, Some(code)) = (found.running, found.exit_code) {
            let code = i32::try_from(code).unwrap_or(-1);
            // 126 and 127 are what Docker gives a command that it could not start; such a one has no process.
            let ran = !(matches!(code, 126 | 127) && found.pid.unwrap_or(0) == 0);
            return Ok(Ended { code, ran });
        }
        tokio::time::sleep(EXIT_PAUSE).await;
    }
    // It closed its output and runs on. As far as anybody can see, it is done.
    Ok(Ended { code: 0, ran: true })
}

/// Runs a command with its streams connected.
pub async fn exec_stream(docker: &Docker, id: &str, request: &ExecRequest) -> Result<Session, RuntimeError> {
    let (exec, output, input) = start_exec(docker, id, request).await?;
    let sender = pump(docker.clone(), input, Target::Exec(exec.clone()));
    let running = Running { output: said(output, request.tty).boxed(), complaint: None, exec, docker: docker.clone() };
    let output = stream::unfold(Some(running), |state| async { Some(state?.next().await) }).boxed();
    Ok(Session { input: sender, output })
}

/// A command whose output is passed on.
struct Running {
    output: BoxStream<'static, Result<SessionOutput, RuntimeError>>,
    /// Docker's own words, where it seems that the command could not be started: they come as if the command had said them.
    complaint: Option<Bytes>,
    exec: String,
    docker: Docker,
}

impl Running {
    /// The next output, and what comes after it.
    async fn next(mut self) -> (Result<SessionOutput, RuntimeError>, Option<Self>) {
        match self.output.next().await {
            Some(Ok(SessionOutput::Stdout(bytes))) if self.complaint.is_none() && bytes.starts_with(b"OCI runtime exec failed") => {
                self.complaint = Some(bytes);
                Box::pin(self.next()).await
            }
            Some(Ok(output)) => (Ok(output), Some(self)),
            Some(Err(fault)) => (Err(fault), None),
            None => match (ended(&self.docker, &self.exec).await, self.complaint.take()) {
                (Err(fault), _) => (Err(fault), None),
                (Ok(Ended { ran: false, .. }), Some(complaint)) => {
                    (Err(RuntimeError::StartFailed(String::from_utf8_lossy(&complaint).trim().to_owned())), None)
                }
                (Ok(_), Some(complaint)) => {
                    self.output = stream::empty().boxed();
                    (Ok(SessionOutput::Stdout(complaint)), Some(self)) // its own words after all
                }
                (Ok(Ended { code, .. }), None) => (Ok(SessionOutput::End(code)), None),
            },
        }
    }
}

/// Connects to a container's own command.
pub async fn attach(docker: &Docker, id: &str, request: &ExecRequest) -> Result<Session, RuntimeError> {
    let options = AttachContainerOptions {
        stream: true,
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr && !request.tty,
        ..AttachContainerOptions::default()
    };
    let attached = docker.attach_container(id, Some(options)).await.map_err(error::general)?;
    let sender = pump(docker.clone(), attached.input, Target::Container(id.to_owned()));
    // Whatever its exit code, the attachment went well: kubelet says so, and `kubectl run` reads the code from the pod.
    let end = stream::once(async { Ok(SessionOutput::End(0)) });
    Ok(Session { input: sender, output: said(attached.output, request.tty).chain(end).boxed() })
}

fn said(output: Output, tty: bool) -> impl Stream<Item = Result<SessionOutput, RuntimeError>> + Send {
    output.map(move |piece| match piece.map_err(error::general)? {
        LogOutput::StdErr { message } if !tty => Ok(SessionOutput::Stderr(message)),
        LogOutput::StdErr { message } | LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
            Ok(SessionOutput::Stdout(message))
        }
    })
}

/// Whose terminal is resized.
enum Target {
    Exec(String),
    Container(String),
}

/// Passes input on until its sender is dropped, or the container takes no more.
fn pump(docker: Docker, input: Input, target: Target) -> mpsc::Sender<SessionInput> {
    let (sender, mut inputs) = mpsc::channel(INPUT_BUFFER);
    tokio::spawn(async move {
        let mut stdin = Some(input);
        while let Some(next) = inputs.recv().await {
            match next {
                SessionInput::Stdin(bytes) => {
                    if let Some(open) = &mut stdin
                        && (open.write_all(&bytes).await.is_err() || open.flush().await.is_err())
                    {
                        stdin = None; // the command reads no more; what it says still counts
                    }
                }
                SessionInput::StdinEnd => close(stdin.take()).await,
                SessionInput::Resize { width, height } => resize(&docker, &target, width, height).await,
            }
        }
        close(stdin).await;
    });
    sender
}

async fn close(stdin: Option<Input>) {
    if let Some(mut stdin) = stdin
        && let Err(fault) = stdin.shutdown().await
    {
        tracing::debug!(%fault, "stdin was closed from the other side already");
    }
}

async fn resize(docker: &Docker, target: &Target, width: u16, height: u16) {
    let done = match target {
        Target::Exec(id) => docker.resize_exec(id, ResizeExecOptions { height, width }).await,
        Target::Container(id) => {
            let options = ResizeContainerTTYOptionsBuilder::new().h(i32::from(height)).w(i32::from(width)).build();
            docker.resize_container_tty(id, options).await
        }
    };
    if let Err(fault) = done {
        tracing::debug!(%fault, "the terminal keeps its size"); // it has ended, or has not begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of pieces (stream, bytes), under `since` and with or without times.
    fn show(pieces: &[(u8, &'static str)], since: Option<&str>, timestamps: bool) -> String {
        let mut shown = Shown { since: since.map(|since| since.parse().unwrap()), timestamps, open: [None; 2] };
        let bytes = pieces.iter().filter_map(|(stream, text)| {
            let message = Bytes::from_static(text.as_bytes());
            shown.piece(if *stream == 1 { LogOutput::StdOut { message } } else { LogOutput::StdErr { message } })
        });
        String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
    }

    #[test]
    fn since_decides_to_the_nanosecond() {
        let lines = [(1, "2026-01-02T03:04:05.499999999Z a\n"), (1, "2026-01-02T03:04:05.500000000Z b c\n")];
        let since = Some("2026-01-02T03:04:05.5Z");
        assert_eq!(show(&lines, since, false), "b c\n");
        assert_eq!(show(&lines, since, true), "2026-01-02T03:04:05.500000000Z b c\n");
        assert_eq!(show(&lines, None, true), "2026-01-02T03:04:05.499999999Z a\n2026-01-02T03:04:05.500000000Z b c\n");
        assert_eq!(show(&[(1, "a b\n")], None, false), "a b\n");
    }

    #[test]
    fn a_line_in_pieces_has_one_time() {
        let pieces = [(1, "2026-01-02T03:04:05Z aa"), (2, "2026-01-02T03:04:06Z x\n"), (1, "2026-01-02T03:04:07Z bb\n"), (1, "2026-01-02T03:04:08Z c\n")];
        assert_eq!(show(&pieces, None, true), "2026-01-02T03:04:05Z aa2026-01-02T03:04:06Z x\nbb\n2026-01-02T03:04:08Z c\n");
        assert_eq!(show(&pieces, Some("2026-01-02T03:04:06Z"), false), "x\nc\n", "a line that began before is not shown in part");
    }

    #[tokio::test]
    async fn limits_cut_in_the_middle_of_a_line() {
        let lines = stream::iter(["abc\n", "def\n", "ghi\n"].map(|line| Ok(Bytes::from_static(line.as_bytes()))));
        let got: Vec<Bytes> = limited(lines, 6).map(|line| line.unwrap()).collect().await;
        assert_eq!(got.concat(), b"abc\nde");
    }

    #[test]
    fn queries() {
        let options = LogOptions { tail: Some(3), since: Some("1970-01-01T00:00:09.5Z".parse().unwrap()), ..LogOptions::default() };
        let asked = query(&options, true, false);
        assert_eq!((asked.tail.as_str(), asked.since, asked.timestamps, asked.stderr), ("3", 9, true, false));
        assert_eq!(query(&LogOptions::default(), true, true).tail, "all");
    }
}
