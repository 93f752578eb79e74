//! Streams into pods as real clients ask for them: `kubectl logs`, `exec`, `attach`, `port-forward` and plain HTTP through the proxy,
//! against a server in this process and an agent that only pretends.
//!
//! Where there is no `kubectl` these tests say so and pass: the unit tests beside the code cover what is decided.

#![allow(clippy::unwrap_used)] // what a test unwraps, it asserts; the exemption for tests does not reach their helpers

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, Stream, StreamExt};
use skiff_apiserver::config::{Config, Timings};
use skiff_apiserver::pki::{Pki, Subject};
use skiff_proto::v1;
use skiff_proto::v1::node_server::{Node, NodeServer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

type Chunks<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// An agent whose every container runs `sh`-like commands that only echo.
struct Pretender;

#[tonic::async_trait]
impl Node for Pretender {
    type LogsStream = Chunks<v1::Chunk>;
    type ExecStream = Chunks<v1::ExecOutput>;
    type AttachStream = Chunks<v1::ExecOutput>;
    type PortForwardStream = Chunks<v1::Chunk>;

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let asked = request.into_inner();
        if asked.previous {
            return Err(Status::failed_precondition(format!("previous terminated container {:?} in pod {:?} not found", asked.container, asked.pod)));
        }
        let lines = (1..=3).map(move |line| Ok(v1::Chunk { data: format!("line {line} of {}\n", asked.container).into() }));
        Ok(Response::new(futures::stream::iter(lines).boxed()))
    }

    async fn exec(&self, request: Request<Streaming<v1::ExecInput>>) -> Result<Response<Self::ExecStream>, Status> {
        run(request.into_inner()).await
    }

    async fn attach(&self, request: Request<Streaming<v1::ExecInput>>) -> Result<Response<Self::AttachStream>, Status> {
        run(request.into_inner()).await
    }

    /// Answers what it is sent, in capitals, until the other side is silent.
    async fn port_forward(&self, request: Request<Streaming<v1::PortForwardInput>>) -> Result<Response<Self::PortForwardStream>, Status> {
        let mut inputs = request.into_inner();
        let first = inputs.message().await?.and_then(|message| message.input);
        let Some(v1::port_forward_input::Input::Start(start)) = first else { return Err(Status::invalid_argument("no start")) };
        if start.port == 81 {
            return Err(Status::unavailable("connection refused"));
        }
        let echo = inputs.filter_map(|message| async move {
            match message.ok()?.input? {
                v1::port_forward_input::Input::Data(data) => Some(Ok(v1::Chunk { data: data.to_ascii_uppercase().into() })),
                v1::port_forward_input::Input::Start(_) => None,
            }
        });
        Ok(Response::new(echo.boxed()))
    }

    async fn stats(&self, _: Request<v1::StatsRequest>) -> Result<Response<v1::StatsResponse>, Status> {
        Ok(Response::new(v1::StatsResponse::default()))
    }
}

/// `cat` repeats stdin; `exit N` ends so; anything else is printed, and complained about on stderr.
async fn run(mut inputs: Streaming<v1::ExecInput>) -> Result<Response<Chunks<v1::ExecOutput>>, Status> {
    use v1::exec_input::Input;
    use v1::exec_output::Output;
    let Some(Input::Start(start)) = inputs.message().await?.and_then(|message| message.input) else { return Err(Status::invalid_argument("no start")) };
    let output = |output| Ok(v1::ExecOutput { output: Some(output) });
    let end = |exit_code| Output::End(v1::ExecEnd { exit_code, error: String::new() });
    let words: Vec<&str> = start.command.iter().map(String::as_str).collect();
    Ok(Response::new(match words.as_slice() {
        ["exit", code] => futures::stream::iter([output(end(code.parse().unwrap_or(1)))]).boxed(),
        ["cat"] | [] => {
            let heard = inputs.take_while(|message| std::future::ready(!matches!(message, Ok(v1::ExecInput { input: Some(Input::StdinEnd(_)) }))));
            let said = heard.filter_map(move |message| async move {
                match message.ok()?.input? {
                    Input::Stdin(data) => Some(output(Output::Stdout(data))),
                    Input::Start(_) | Input::StdinEnd(_) | Input::Resize(_) => None,
                }
            });
            said.chain(futures::stream::once(async move { output(end(0)) })).boxed()
        }
        words => {
            let said = Output::Stdout(format!("{}\n", words.join(" ")).into());
            futures::stream::iter([output(said), output(Output::Stderr("oh\n".into())), output(end(0))]).boxed()
        }
    }))
}

struct Cluster {
    data: PathBuf,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = std::fs::remove_dir_all(&self.data); // a leftover in the temporary folder harms nobody
    }
}

impl Cluster {
    /// A server with a node, whose agent pretends, and a pod with two containers on it.
    async fn start(name: &str) -> Self {
        let data = std::env::temp_dir().join(format!("skiff-streams-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data); // mostly there is none
        let stop = CancellationToken::new();
        let (ready, address) = tokio::sync::oneshot::channel();
        let config = Config::new(data.clone(), 0, Timings::Kubernetes);
        let stopped = stop.clone();
        tokio::spawn(async move { skiff_apiserver::run(config, Some(ready), stopped).await.unwrap() });
        let address = address.await.unwrap();
        let cluster = Self { data, address, stop };
        let agent = cluster.agent().await;
        cluster
            .apply(
                r#"{"apiVersion":"v1","kind":"List","items":[
            {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"t"}},
            {"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"}},
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"t"},"spec":{"nodeName":"node-1",
              "containers":[{"name":"a","image":"i","ports":[{"containerPort":8080}]},{"name":"b","image":"i"}]}}]}"#,
            )
            .await;
        let node = format!(
            r#"{{"status":{{"addresses":[{{"type":"InternalIP","address":"127.0.0.1"}}],"daemonEndpoints":{{"kubeletEndpoint":{{"Port":{}}}}}}}}}"#,
            agent.port()
        );
        cluster.kubectl(&["patch", "node", "node-1", "--subresource=status", "--type=merge", "-p", &node]).await;
        let running = r#"{"status":{"phase":"Running"}}"#;
        cluster.kubectl(&["patch", "pod", "-n", "t", "p", "--subresource=status", "--type=merge", "-p", running]).await;
        cluster
    }

    async fn agent(&self) -> SocketAddr {
        let pki = Pki::open(&self.data, u64::try_from(skiff_apiserver::http::now()).unwrap()).unwrap();
        let pair = pki.ensure(&Subject::node("node-1")).unwrap();
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(skiff_apiserver::tls::server(&pair).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = futures::stream::unfold((listener, tls), |(listener, tls)| async move {
            let (socket, _) = listener.accept().await.ok()?;
            Some((tls.accept(socket).await, (listener, tls)))
        });
        let service = tonic::transport::Server::builder().add_service(NodeServer::new(Pretender));
        tokio::spawn(async move { service.serve_with_incoming(incoming.map(|stream| stream.map(Tls))).await });
        address
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.data.join("kubeconfig")).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Exit code, stdout, stderr.
    async fn kubectl_with(&self, arguments: &[&str], stdin: &str) -> (i32, String, String) {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(stdin.as_bytes()).await.unwrap();
        drop(input);
        let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.expect("kubectl ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    async fn kubectl(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.kubectl_with(arguments, "").await;
        assert_eq!(code, 0, "kubectl {arguments:?}: {stderr}");
        stdout
    }

    /// The messages that a WebSocket of the pod gives: all of them, or so many, after `hello` was sent on channel 0.
    async fn websocket(&self, path: &str, protocol: &str, wanted: usize) -> Vec<Vec<u8>> {
        let pki = Pki::open(&self.data, u64::try_from(skiff_apiserver::http::now()).unwrap()).unwrap();
        let mut tls = skiff_apiserver::tls::client(pki.ca_pem(), &pki.ensure(&Subject::admin()).unwrap()).unwrap();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let socket = TcpStream::connect(self.address).await.unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect("localhost".try_into().unwrap(), socket).await.unwrap();
        let mut request = format!("wss://localhost/api/v1/namespaces/t/pods/p/{path}").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        let (mut socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], protocol);
        if wanted > 0 {
            socket.send(tokio_tungstenite::tungstenite::Message::binary(b"\x00hello".to_vec())).await.unwrap();
        }
        let mut heard = Vec::new();
        while let Some(Ok(message)) = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("a message") {
            if message.is_close() {
                break;
            }
            heard.push(message.into_data().to_vec());
            if heard.len() == wanted {
                break;
            }
        }
        heard
    }

    async fn apply(&self, manifest: &str) {
        let (code, _, stderr) = self.kubectl_with(&["create", "--validate=false", "-f", "-"], manifest).await;
        assert_eq!(code, 0, "{stderr}");
    }
}

/// tonic wants to know what it is connected to: nothing to tell.
struct Tls(tokio_rustls::server::TlsStream<TcpStream>);

impl tonic::transport::server::Connected for Tls {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl tokio::io::AsyncRead for Tls {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>, buffer: &mut tokio::io::ReadBuf<'_>) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl tokio::io::AsyncWrite for Tls {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>, data: &[u8]) -> std::task::Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, data)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

fn has_kubectl() -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder: PathBuf| Path::new(&folder).join("kubectl").exists()));
    if !found {
        eprintln!("no kubectl on this machine: nothing was tried");
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_exec_and_attach() {
    if !has_kubectl() {
        return;
    }
    let cluster = Cluster::start("exec").await;
    assert_eq!(cluster.kubectl(&["logs", "-n", "t", "p", "-c", "b"]).await, "line 1 of b\nline 2 of b\nline 3 of b\n");
    let (_, _, told) = cluster.kubectl_with(&["logs", "-n", "t", "p", "-c", "a", "--previous"], "").await;
    assert_eq!(told, "Error from server (BadRequest): previous terminated container \"a\" in pod \"p\" not found\n");
    let (_, _, told) = cluster.kubectl_with(&["get", "--raw", "/api/v1/namespaces/t/pods/p/log"], "").await;
    assert_eq!(told, "Error from server (BadRequest): a container name must be specified for pod p, choose one of: [a b]\n");
    // a WebSocket first, and SPDY where that is turned off
    for websockets in ["true", "false"] {
        let exec = async |arguments: &[&str], stdin: &str| {
            let mut command = vec!["exec", "-n", "t", "p", "-c", "a"];
            command.extend(arguments);
            let mut child = cluster.command(&command);
            let mut child = child.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            input.write_all(stdin.as_bytes()).await.unwrap();
            drop(input);
            let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.expect("exec ends").unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            (output.status.code(), text(output.stdout), text(output.stderr))
        };
        assert_eq!(exec(&["--", "hello", "pod"], "").await, (Some(0), "hello pod\n".to_owned(), "oh\n".to_owned()), "websockets: {websockets}");
        let (code, _, told) = exec(&["--", "exit", "3"], "").await;
        assert_eq!((code, told.as_str()), (Some(3), "command terminated with exit code 3\n"), "websockets: {websockets}");
        let text = "all work and no play\n".repeat(20_000);
        let (code, back, _) = exec(&["-i", "--", "cat"], &text).await;
        assert_eq!((code, back.len()), (Some(0), text.len()), "websockets: {websockets}");
    }
    let (code, back, _) = cluster.kubectl_with(&["attach", "-q", "-i", "-n", "t", "p", "-c", "a"], "attached\n").await;
    assert_eq!((code, back.as_str()), (0, "attached\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_are_forwarded() {
    if !has_kubectl() {
        return;
    }
    let cluster = Cluster::start("forward").await;
    for websockets in ["true", "false"] {
        let mut command = cluster.command(&["port-forward", "-n", "t", "p", ":8080", ":81"]);
        let mut child = command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut ports = Vec::new();
        while ports.len() < 2 {
            let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.expect("a line").unwrap().expect("forwarding");
            if let Some(address) = line.strip_prefix("Forwarding from 127.0.0.1:") {
                ports.push(address.split(' ').next().unwrap().to_owned());
            }
        }
        for round in 0..3 {
            let mut socket = TcpStream::connect(format!("127.0.0.1:{}", ports[0])).await.unwrap();
            let said = format!("round {round} ").repeat(5_000);
            let (mut read, mut write) = socket.split();
            let mut back = vec![0; said.len()];
            let (sent, heard) = tokio::join!(write.write_all(said.as_bytes()), tokio::time::timeout(Duration::from_secs(30), read.read_exact(&mut back)));
            sent.unwrap();
            heard.expect("an answer").unwrap();
            assert_eq!(String::from_utf8(back).unwrap(), said.to_uppercase(), "websockets: {websockets}");
        }
        let mut refused = TcpStream::connect(format!("127.0.0.1:{}", ports[1])).await.unwrap();
        let mut nothing = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(30), refused.read_to_end(&mut nothing)).await.expect("an end"); // closed or reset
        assert!(nothing.is_empty());
        child.start_kill().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_reached_through_the_proxy() {
    if !has_kubectl() {
        return;
    }
    let cluster = Cluster::start("proxy").await;
    let refused = cluster.kubectl_with(&["get", "--raw", "/api/v1/namespaces/t/pods/p/proxy/"], "").await.2;
    assert_eq!(refused, "Error from server (BadRequest): address not allowed\n");
    // an address of this machine that is not loopback, as the bridge's are
    let Some(address) = outward_address() else { return };
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).await.unwrap();
            let line = String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{line}", line.len());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let status = format!(r#"{{"status":{{"podIP":"{address}","podIPs":[{{"ip":"{address}"}}]}}}}"#);
    cluster.kubectl(&["patch", "pod", "-n", "t", "p", "--subresource=status", "--type=merge", "-p", &status]).await;
    let path = |rest: &str| format!("/api/v1/namespaces/t/pods/p:{port}/proxy{rest}");
    assert_eq!(cluster.kubectl(&["get", "--raw", &path("/a%20b?c=d")]).await, "GET /a%20b?c=d HTTP/1.1");
    assert_eq!(cluster.kubectl(&["get", "--raw", &path("")]).await, "GET / HTTP/1.1", "after a redirect to the path with a slash");
    let (_, _, told) = cluster.kubectl_with(&["get", "--raw", "/api/v1/namespaces/t/pods/p:1/proxy/"], "").await;
    assert_eq!(told, format!("Error from server (ServiceUnavailable): error trying to reach service: dial tcp {address}:1: connect: connection refused\n"));
}

/// The conformance suite and the Python client speak WebSockets by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_without_kubectl() {
    if !has_kubectl() {
        return; // it makes the objects
    }
    let cluster = Cluster::start("websocket").await;
    let heard = cluster.websocket("exec?container=a&command=hello&stdout=1&stderr=1", "channel.k8s.io", 0).await;
    assert_eq!(heard, [b"\x01hello\n".to_vec(), b"\x02oh\n".to_vec(), b"\x03".to_vec()]);
    let heard = cluster.websocket("log?container=b", "binary.k8s.io", 0).await;
    assert_eq!(heard.concat(), b"line 1 of b\nline 2 of b\nline 3 of b\n");
    let heard = cluster.websocket("exec?container=a&command=exit&command=7&stdout=1", "v4.base64.channel.k8s.io", 0).await;
    assert!(heard[0].starts_with(b"3"), "{heard:?}");
    let heard = cluster.websocket("portforward?ports=8080", "v4.channel.k8s.io", 3).await;
    assert_eq!(heard, [b"\x00\x90\x1f".to_vec(), b"\x01\x90\x1f".to_vec(), b"\x00HELLO".to_vec()]);
}

/// The address that this machine would send from, if it has one besides loopback.
fn outward_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?; // sends nothing
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
