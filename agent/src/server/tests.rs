//! The service over real TLS, with a runtime that answers from memory.

use super::*;
use crate::runtime::{
    Connection, ContainerSpec, ContainerState, ContainerUsage, ExecResult, Image, ListedImage, ObservedContainer, ObservedPod, ObservedSandbox, PodId,
    RuntimeEvent, SandboxSpec, SandboxState, SessionInput, SessionOutput,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use skiff_proto::v1::exec_output::Output;
use skiff_proto::v1::node_client::NodeClient;
use std::path::PathBuf;

/// Answers what the tests ask for, and nothing else.
struct Fake;

#[async_trait]
impl Runtime for Fake {
    async fn version(&self) -> Result<String, RuntimeError> {
        unreachable!()
    }
    async fn pods(&self) -> Result<Vec<ObservedPod>, RuntimeError> {
        unreachable!()
    }
    async fn pod(&self, _: &str) -> Result<Option<ObservedPod>, RuntimeError> {
        unreachable!()
    }
    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        unreachable!()
    }
    async fn create_sandbox(&self, _: &SandboxSpec) -> Result<String, RuntimeError> {
        unreachable!()
    }
    async fn start_sandbox(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!()
    }
    async fn stop_sandbox(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!()
    }
    async fn remove_sandbox(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!()
    }
    async fn create_container(&self, _: &str, _: &ContainerSpec) -> Result<String, RuntimeError> {
        unreachable!()
    }
    async fn start_container(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!()
    }
    async fn stop_container(&self, _: &str, _: Duration) -> Result<(), RuntimeError> {
        unreachable!()
    }
    async fn remove_container(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!()
    }
    async fn update_container(&self, _: &str, _: &crate::runtime::ResourceSpec) -> Result<(), RuntimeError> {
        unreachable!("nobody resizes here")
    }
    async fn image(&self, _: &str) -> Result<Option<Image>, RuntimeError> {
        unreachable!()
    }
    async fn pull_image(&self, _: &str) -> Result<Image, RuntimeError> {
        unreachable!()
    }
    async fn images(&self) -> Result<Vec<ListedImage>, RuntimeError> {
        unreachable!()
    }
    async fn exec(&self, _: &str, _: &[String], _: Duration, _: usize) -> Result<ExecResult, RuntimeError> {
        unreachable!()
    }
    async fn logs(&self, id: &str, options: &LogOptions) -> Result<BoxStream<'static, Result<Bytes, RuntimeError>>, RuntimeError> {
        assert_eq!((id, options.tail, options.stream), ("c1", Some(2), LogStream::Stdout));
        Ok(stream::iter(["one\n", "two\n"].map(|line| Ok(Bytes::from(line)))).boxed())
    }
    /// Echoes its input, and ends with how many pieces it was.
    async fn exec_stream(&self, id: &str, request: &ExecRequest) -> Result<Session, RuntimeError> {
        assert_eq!((id, request.stdin), ("c1", true));
        if request.command == ["nothing"] {
            return Err(RuntimeError::StartFailed("no such file".into()));
        }
        let (input, inputs) = tokio::sync::mpsc::channel(4);
        let echo = stream::unfold(Some((inputs, 0)), |state: Option<(tokio::sync::mpsc::Receiver<SessionInput>, i32)>| async {
            let (mut inputs, pieces) = state?;
            match inputs.recv().await {
                Some(SessionInput::Stdin(bytes)) => Some((Ok(SessionOutput::Stdout(bytes)), Some((inputs, pieces + 1)))),
                Some(SessionInput::StdinEnd | SessionInput::Resize { .. }) | None => Some((Ok(SessionOutput::End(pieces)), None)),
            }
        });
        Ok(Session { input, output: echo.boxed() })
    }
    async fn attach(&self, _: &str, _: &ExecRequest) -> Result<Session, RuntimeError> {
        unreachable!()
    }
    /// Echoes on port 80, refuses on any other.
    async fn dial(&self, sandbox: &str, port: u16) -> Result<Box<dyn Connection>, RuntimeError> {
        assert_eq!(sandbox, "s1");
        if port != 80 {
            return Err(RuntimeError::Failed("connection refused".into()));
        }
        let (near, far) = tokio::io::duplex(64);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(far);
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        });
        Ok(Box::new(near))
    }
    async fn disk_usage(&self, _: &str) -> Result<std::collections::BTreeMap<String, u64>, RuntimeError> {
        unreachable!("nobody asks the server for it")
    }
    async fn stats(&self) -> Result<Vec<ContainerUsage>, RuntimeError> {
        Ok(vec![ContainerUsage {
            pod: PodId { uid: "u".into(), namespace: "ns".into(), name: "p".into() },
            container: "c".into(),
            cpu_nanos: 5,
            memory_bytes: 7,
        }])
    }
}

fn directory() -> Directory {
    let json = serde_json::json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"containers": [{"name": "c"}]}});
    let status = serde_json::json!({"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0, "containerID": "docker://c1", "state": {"running": {}}}]});
    let epoch = Timestamp::UNIX_EPOCH;
    let container = ObservedContainer {
        id: "c1".into(),
        sandbox: "s1".into(),
        name: "c".into(),
        attempt: 0,
        image: String::new(),
        image_id: String::new(),
        hash: String::new(),
        labels: Default::default(),
        created_at: epoch,
        state: ContainerState::Running { started_at: epoch },
        user: None,
    };
    let sandbox = ObservedSandbox { id: "s1".into(), attempt: 0, state: SandboxState::Ready, ip: None, host_network: false, created_at: epoch };
    let observed =
        ObservedPod { pod: PodId { uid: "u".into(), namespace: "ns".into(), name: "p".into() }, sandboxes: vec![sandbox], containers: vec![container] };
    let directory = Directory::default();
    let entry =
        Entry { pod: Arc::new(serde_json::from_value(json).unwrap()), status: Arc::new(serde_json::from_value(status).unwrap()), observed: Arc::new(observed) };
    directory.put("u", entry);
    directory
}

/// Certificates in a folder of their own.
struct Pki {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("skiff-agent-server-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "skiff-ca");
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, user: &str, group: &str) -> Credentials {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let key = KeyPair::generate().unwrap();
        std::fs::write(self.folder.join(format!("{user}.crt")), params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(self.folder.join(format!("{user}.key")), key.serialize_pem()).unwrap();
        Credentials::of(&self.folder, user)
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

async fn server(pki: &Pki) -> (SocketAddr, tokio_util::sync::DropGuard) {
    let stop = CancellationToken::new();
    let address = "127.0.0.1:0".parse().unwrap();
    let credentials = pki.issue("node-1", UserInfo::NODES);
    let listening = serve(address, &credentials, Arc::new(directory()), Arc::new(Fake), stop.clone()).await.unwrap();
    (listening, stop.drop_guard())
}

use skiff_proto::identity::UserInfo;

fn client(at: SocketAddr, credentials: &Credentials) -> NodeClient<tonic::transport::Channel> {
    NodeClient::new(skiff_client::grpc::channel(&format!("https://{at}"), credentials).unwrap())
}

#[tokio::test]
async fn only_the_api_server_and_administrators_come_in() {
    let (pki, foreign) = (Pki::new("mine"), Pki::new("foreign"));
    let (at, _stop) = server(&pki).await;
    for (credentials, expected) in [
        (pki.issue("kube-apiserver", "anybody"), tonic::Code::Ok),
        (pki.issue("admin", UserInfo::MASTERS), tonic::Code::Ok),
        (pki.issue("system:node:node-2", UserInfo::NODES), tonic::Code::PermissionDenied),
    ] {
        let code = client(at, &credentials).stats(v1::StatsRequest {}).await.map_or_else(|status| status.code(), |_| tonic::Code::Ok);
        assert_eq!(code, expected, "{}", credentials.certificate.display());
    }
    let stranger = Credentials { ca: pki.folder.join("ca.crt"), ..foreign.issue("kube-apiserver", UserInfo::MASTERS) };
    assert!(client(at, &stranger).stats(v1::StatsRequest {}).await.is_err());
}

#[tokio::test]
async fn logs_and_usage() {
    let pki = Pki::new("logs");
    let (at, _stop) = server(&pki).await;
    let mut client = client(at, &pki.issue("kube-apiserver", ""));
    let request = |pod: &str, container: &str, previous| v1::LogsRequest {
        namespace: "ns".into(),
        pod: pod.into(),
        container: container.into(),
        previous,
        tail_lines: Some(2),
        stream: "Stdout".into(),
        ..v1::LogsRequest::default()
    };
    let lines: Vec<Bytes> = client.logs(request("p", "c", false)).await.unwrap().into_inner().map(|chunk| chunk.unwrap().data).collect().await;
    assert_eq!(lines.concat(), b"one\ntwo\n");
    for (pod, container, previous, code, message) in [
        ("q", "c", false, 404, "pod \"q\" does not exist"),
        ("p", "d", false, 404, "container \"d\" not found in pod \"p\""),
        ("p", "c", true, 400, "previous terminated container \"c\" in pod \"p\" not found"),
    ] {
        let refused = skiff_proto::status::Status::from(client.logs(request(pod, container, previous)).await.err().unwrap());
        assert_eq!((refused.code, refused.message.as_str()), (code, message));
    }
    let usage = client.stats(v1::StatsRequest {}).await.unwrap().into_inner();
    assert_eq!((usage.containers[0].cpu_nanos, usage.containers[0].memory_bytes), (5, 7));
}

fn start(command: &str) -> v1::ExecInput {
    let start = v1::ExecStart {
        namespace: "ns".into(),
        pod: "p".into(),
        uid: "u".into(),
        container: "c".into(),
        command: vec![command.into()],
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
    };
    v1::ExecInput { input: Some(Input::Start(start)) }
}

#[tokio::test]
async fn commands() {
    let pki = Pki::new("exec");
    let (at, _stop) = server(&pki).await;
    let mut client = client(at, &pki.issue("kube-apiserver", ""));
    let stdin = |text: &'static str| v1::ExecInput { input: Some(Input::Stdin(Bytes::from(text))) };
    let inputs = stream::iter([start("echo"), stdin("a"), stdin("b"), v1::ExecInput { input: Some(Input::StdinEnd(true)) }]);
    let outputs: Vec<Output> = client.exec(inputs).await.unwrap().into_inner().map(|output| output.unwrap().output.unwrap()).collect().await;
    let end = |exit_code, error: &str| Output::End(v1::ExecEnd { exit_code, error: error.into() });
    assert_eq!(outputs, [Output::Stdout(Bytes::from("a")), Output::Stdout(Bytes::from("b")), end(2, "")]);

    let outputs: Vec<Output> =
        client.exec(stream::iter([start("nothing")])).await.unwrap().into_inner().map(|output| output.unwrap().output.unwrap()).collect().await;
    assert_eq!(outputs, [end(126, "no such file")]);
    let refused = client.exec(stream::iter([stdin("a")])).await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn forwarded_connections() {
    let pki = Pki::new("forward");
    let (at, _stop) = server(&pki).await;
    let mut client = client(at, &pki.issue("kube-apiserver", ""));
    let start = |port| v1::PortForwardInput {
        input: Some(port_forward_input::Input::Start(v1::PortForwardStart { namespace: "ns".into(), pod: "p".into(), uid: "u".into(), port })),
    };
    let data = |text: &'static str| v1::PortForwardInput { input: Some(port_forward_input::Input::Data(Bytes::from(text))) };
    let echoed: Vec<Bytes> = client
        .port_forward(stream::iter([start(80), data("hello "), data("world")]))
        .await
        .unwrap()
        .into_inner()
        .map(|chunk| chunk.unwrap().data)
        .collect()
        .await;
    assert_eq!(echoed.concat(), b"hello world");
    let refused = client.port_forward(stream::iter([start(81)])).await.err().unwrap();
    assert_eq!(refused.message(), "connection refused");
}
