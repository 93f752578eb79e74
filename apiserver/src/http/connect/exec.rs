//! `kubectl exec` and `attach`: between the agent's gRPC stream and a WebSocket's channels or SPDY streams.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::Response;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use skiff_proto::status::Status;
use skiff_proto::v1;
use skiff_proto::v1::exec_input::Input;
use skiff_proto::v1::exec_output::Output;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::nodes::refusal;
use super::spdy;
use super::target::{Pod, exec_request};
use super::upgrade::{self, Kind};
use super::websocket::{self, Channels, channel};
use crate::http::Edge;
use crate::http::body::Body;
use crate::http::query::Query;

/// Messages that wait for the agent.
const QUEUE: usize = 16;
/// How long a SPDY client may take to open its streams.
const STREAMS: Duration = Duration::from_secs(30);

/// Answers with the upgrade, once the agent has started the command.
pub async fn answer(edge: &Edge, pod: &Pod, query: &Query, parts: &mut Parts, is_exec: bool) -> Result<Response<Body>, Status> {
    let start = exec_request(pod, query, is_exec)?;
    let kind = upgrade::kind(parts)?;
    let mut node = edge.nodes.client(&edge.server, &pod.node).await?;
    let (to_agent, inputs) = mpsc::channel(QUEUE);
    let first = v1::ExecInput { input: Some(Input::Start(start.clone())) };
    let inputs = futures::stream::once(std::future::ready(first)).chain(ReceiverStream::new(inputs));
    let called = if is_exec { node.exec(inputs).await } else { node.attach(inputs).await };
    let outputs = called.map_err(|told| refusal(&pod.name, told))?.into_inner();
    match kind {
        Kind::WebSocket => {
            let upgrade = websocket::upgrade(parts, &Channels::PROTOCOLS)?;
            let channels = Channels::of(&upgrade.protocol);
            Ok(upgrade.start(move |socket| over_websocket(socket, channels, to_agent, outputs)))
        }
        Kind::Spdy => upgrade::spdy(parts, &["v4.channel.k8s.io"], move |transport| over_spdy(transport, start, to_agent, outputs)),
    }
}

/// How the command ended, as `metav1.Status`: what the kubelet writes to the error channel.
fn ending(end: &v1::ExecEnd) -> Value {
    if !end.error.is_empty() {
        let why = format!("error executing command in container: {}", end.error);
        return json!({"metadata": {}, "status": "Failure", "message": format!("Internal error occurred: {why}"), "reason": "InternalError",
                      "details": {"causes": [{"message": why}]}, "code": 500});
    }
    if end.exit_code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    let code = end.exit_code;
    json!({"metadata": {}, "status": "Failure", "message": format!("command terminated with non-zero exit code: exit status {code}"),
           "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}})
}

/// The end of a stream that did not say how it ends.
fn broken(why: &str) -> v1::ExecEnd {
    v1::ExecEnd { exit_code: 0, error: why.to_owned() }
}

/// The next output of the agent; whatever ends the stream is an end.
async fn next(outputs: &mut Streaming<v1::ExecOutput>) -> Output {
    loop {
        match outputs.next().await {
            Some(Ok(v1::ExecOutput { output: Some(output) })) => return output,
            Some(Ok(v1::ExecOutput { output: None })) => {}
            Some(Err(told)) => return Output::End(broken(told.message())),
            None => return Output::End(broken("the connection to the node was lost")),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u32,
    height: u32,
}

fn resize(json: &[u8]) -> Option<Input> {
    let size: Size = serde_json::from_slice(json).ok()?;
    Some(Input::Resize(v1::TerminalSize { width: size.width, height: size.height }))
}

async fn over_websocket(socket: WebSocket, channels: Channels, to_agent: mpsc::Sender<v1::ExecInput>, outputs: Streaming<v1::ExecOutput>) {
    let (mut sink, mut stream) = socket.split();
    let ended = tokio::select! {
        () = hear(&mut stream, channels, to_agent) => false,
        ended = tell(&mut sink, channels, outputs) => ended,
    };
    if let Ok(socket) = stream.reunite(sink)
        && ended
    {
        websocket::close(socket).await;
    }
}

/// From the client to the agent, until the client leaves.
async fn hear(stream: &mut SplitStream<WebSocket>, channels: Channels, to_agent: mpsc::Sender<v1::ExecInput>) {
    while let Some(Ok(message)) = stream.next().await {
        let Some((number, data)) = channels.read(message) else { continue };
        let input = match number {
            channel::STDIN if data.is_empty() => continue,
            channel::STDIN => Some(Input::Stdin(data)),
            channel::RESIZE => resize(&data),
            channel::CLOSE if data.first() == Some(&channel::STDIN) => Some(Input::StdinEnd(true)),
            _ => None, // channels that only we write to
        };
        let Some(input) = input else { continue };
        if to_agent.send(v1::ExecInput { input: Some(input) }).await.is_err() {
            // the command is over, and its end is on its way: keep answering pings until it is told
            while let Some(Ok(_)) = stream.next().await {}
            return;
        }
    }
}

/// From the agent to the client; true once the end was told.
async fn tell(sink: &mut SplitSink<WebSocket, Message>, channels: Channels, mut outputs: Streaming<v1::ExecOutput>) -> bool {
    loop {
        let message = match next(&mut outputs).await {
            Output::Stdout(data) => channels.message(channel::STDOUT, &data),
            Output::Stderr(data) => channels.message(channel::STDERR, &data),
            Output::End(end) => {
                let status = ending(&end);
                let told = match (channels.has_status, status["message"].as_str()) {
                    (true, _) => status.to_string(),
                    (false, message) => message.unwrap_or_default().to_owned(),
                };
                return sink.send(channels.message(channel::ERROR, told.as_bytes())).await.is_ok();
            }
        };
        if sink.send(message).await.is_err() {
            return false;
        }
    }
}

/// The streams of one exec over SPDY.
#[derive(Default)]
struct Streams {
    error: Option<spdy::Stream>,
    stdin: Option<spdy::Stream>,
    stdout: Option<spdy::Stream>,
    stderr: Option<spdy::Stream>,
    resize: Option<spdy::Stream>,
}

impl Streams {
    fn is_complete(&self, start: &v1::ExecStart) -> bool {
        self.error.is_some()
            && (!start.stdin || self.stdin.is_some())
            && (!start.stdout || self.stdout.is_some())
            && (!start.stderr || start.tty || self.stderr.is_some())
            && (!start.tty || self.resize.is_some())
    }

    async fn collect(accepted: &mut mpsc::Receiver<spdy::Stream>, start: &v1::ExecStart) -> Option<Self> {
        let mut streams = Self::default();
        while !streams.is_complete(start) {
            let stream = accepted.recv().await?;
            match stream.header("streamtype") {
                Some("error") => streams.error = Some(stream),
                Some("stdin") => streams.stdin = Some(stream),
                Some("stdout") => streams.stdout = Some(stream),
                Some("stderr") => streams.stderr = Some(stream),
                Some("resize") => streams.resize = Some(stream),
                Some(_) | None => drop(stream.output.reset().await),
            }
        }
        Some(streams)
    }
}

async fn over_spdy(transport: upgrade::Transport, start: v1::ExecStart, to_agent: mpsc::Sender<v1::ExecInput>, mut outputs: Streaming<v1::ExecOutput>) {
    let mut accepted = spdy::accept(transport);
    let Ok(Some(streams)) = tokio::time::timeout(STREAMS, Streams::collect(&mut accepted, &start)).await else { return };
    let output = |stream: &Option<spdy::Stream>| stream.as_ref().map(|stream| stream.output.clone());
    let all = [output(&streams.stdin), output(&streams.stdout), output(&streams.stderr), output(&streams.resize), output(&streams.error)];
    let (stdout, stderr, error) = (all[1].clone(), all[2].clone(), all[4].clone());
    if let Some(stdin) = streams.stdin {
        tokio::spawn(hear_stdin(stdin.input, to_agent.clone()));
    }
    if let Some(sizes) = streams.resize {
        tokio::spawn(hear_sizes(sizes.input, to_agent));
    }
    let end = loop {
        let (stream, data) = match next(&mut outputs).await {
            Output::Stdout(data) => (&stdout, data),
            Output::Stderr(data) => (&stderr, data),
            Output::End(end) => break end,
        };
        if let Some(stream) = stream
            && stream.write(&data).await.is_err()
        {
            return;
        }
    };
    // whoever is gone by now needs no ending
    if let Some(error) = error {
        let _ = error.write(ending(&end).to_string().as_bytes()).await;
    }
    for output in all.into_iter().flatten() {
        let _ = output.finish().await;
    }
}

async fn hear_stdin(mut input: mpsc::Receiver<Bytes>, to_agent: mpsc::Sender<v1::ExecInput>) {
    while let Some(data) = input.recv().await {
        if to_agent.send(v1::ExecInput { input: Some(Input::Stdin(data)) }).await.is_err() {
            return;
        }
    }
    let _ = to_agent.send(v1::ExecInput { input: Some(Input::StdinEnd(true)) }).await; // the command may be over
}

/// Sizes are JSON documents, one after the other, cut anywhere.
async fn hear_sizes(mut input: mpsc::Receiver<Bytes>, to_agent: mpsc::Sender<v1::ExecInput>) {
    let mut pending = Vec::new();
    while let Some(data) = input.recv().await {
        for byte in data {
            pending.push(byte);
            if byte != b'}' {
                continue;
            }
            if let Some(input) = resize(&std::mem::take(&mut pending))
                && to_agent.send(v1::ExecInput { input: Some(input) }).await.is_err()
            {
                return;
            }
        }
        pending.truncate(1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_a_command_ended() {
        let end = |exit_code, error: &str| ending(&v1::ExecEnd { exit_code, error: error.to_owned() });
        assert_eq!(end(0, ""), json!({"metadata": {}, "status": "Success"}));
        assert_eq!(end(3, "")["details"], json!({"causes": [{"reason": "ExitCode", "message": "3"}]}));
        assert_eq!(end(0, "no such file")["message"], "Internal error occurred: error executing command in container: no such file");
    }

    #[test]
    fn reads_terminal_sizes() {
        assert_eq!(resize(br#"{"Width":80,"Height":24}"#), Some(Input::Resize(v1::TerminalSize { width: 80, height: 24 })));
        assert_eq!(resize(b"80x24"), None);
    }
}
