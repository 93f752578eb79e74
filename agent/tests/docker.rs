//! The Docker runtime against a real Docker: what a pod's life looks like through the [`Runtime`] trait.
//!
//! Each test is a cluster of its own, with a network of its own, and removes what it made. Images are those that skiff brings along.
//! Where the machine has no Docker socket there is nothing to test, and each test says so.

#![allow(clippy::unwrap_used)] // helpers of tests unwrap as tests do

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use skiff_agent::runtime::docker::{self, DockerConfig, DockerRuntime, network};
use skiff_agent::runtime::{
    ContainerSpec, ContainerState, ExecRequest, Exit, ExitReason, LogOptions, LogStream, NamespaceMode, ObservedPod, PodId, ResourceSpec, Runtime,
    RuntimeError, RuntimeEvent, SandboxSpec, SandboxState, SecuritySpec, SessionInput, SessionOutput,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    client: bollard::Docker,
    config: DockerConfig,
    bridge: network::Bridge,
    runtime: DockerRuntime,
}

impl Cluster {
    async fn new(test: &str) -> Option<Self> {
        if !std::path::Path::new("/var/run/docker.sock").exists() {
            eprintln!("skipped: no Docker here");
            return None;
        }
        let cluster = format!("test-{test}-{}", std::process::id());
        let client = docker::connect().await.unwrap();
        let settled = network::settle(&client, &cluster, 1).await.unwrap();
        let bridge = network::ensure_bridge(&client, &cluster).await.unwrap();
        assert_eq!((settled.address, settled.warning), (bridge.node_address(1), None));
        assert_eq!(network::ensure_bridge(&client, &cluster).await.unwrap(), bridge, "made once");
        let config = DockerConfig { cluster, node: "node-1".into(), network: bridge.network.clone(), address: Some(settled.address) };
        let runtime = DockerRuntime::connect(config.clone()).await.unwrap();
        Some(Self { client, config, bridge, runtime })
    }

    /// A pod whose one container runs `demo ARGS…`; its sandbox and container ids.
    async fn pod(&self, name: &str, args: &[&str], change: impl FnOnce(&mut ContainerSpec)) -> (PodId, String, String) {
        let pod = PodId { uid: format!("uid-{name}-{}", std::process::id()), namespace: "default".into(), name: name.into() };
        let ip = Ipv4Addr::new(10, self.bridge.second_byte, 1, 5);
        let sandbox = SandboxSpec { pod: pod.clone(), hostname: Some(name.into()), ip: Some(ip), ..SandboxSpec::default() };
        let sandbox = self.runtime.create_sandbox(&sandbox).await.unwrap();
        let mut spec = ContainerSpec { pid: NamespaceMode::Container, ..self.container(&pod, args).await };
        change(&mut spec);
        let (started, container) = futures::join!(self.runtime.start_sandbox(&sandbox), self.runtime.create_container(&sandbox, &spec));
        started.unwrap();
        (pod, sandbox, container.unwrap())
    }

    async fn container(&self, pod: &PodId, args: &[&str]) -> ContainerSpec {
        let image = self.runtime.image("skiff/demo:1").await.unwrap().unwrap();
        ContainerSpec {
            pod: pod.clone(),
            name: "app".into(),
            image_id: image.id,
            image: "skiff/demo:1".into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ..ContainerSpec::default()
        }
    }

    async fn observed(&self, pod: &PodId) -> ObservedPod {
        self.runtime.pod(&pod.uid).await.unwrap().unwrap()
    }

    /// Waits for events until the pod's newest container is dead.
    async fn death(&self, pod: &PodId) -> Exit {
        let mut events = self.runtime.events();
        let wait = async {
            loop {
                if let ContainerState::Exited(exit) = self.observed(pod).await.containers[0].state.clone() {
                    return exit;
                }
                while events.next().await != Some(RuntimeEvent::Pod(pod.uid.clone())) {}
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }

    async fn log(&self, container: &str, options: LogOptions) -> String {
        let lines: Vec<Bytes> = self.runtime.logs(container, &options).await.unwrap().map(|line| line.unwrap()).collect().await;
        String::from_utf8(lines.concat()).unwrap()
    }

    async fn end(self) {
        for pod in self.runtime.pods().await.unwrap() {
            for sandbox in pod.sandboxes {
                self.runtime.remove_sandbox(&sandbox.id).await.unwrap();
            }
        }
        assert_eq!(self.runtime.pods().await.unwrap(), []);
        network::remove_bridge(&self.client, &self.config.cluster).await.unwrap();
    }
}

/// The page that a pod's server shows at a path, asked from the pod's own localhost.
async fn page(cluster: &Cluster, sandbox: &str, path: &str) -> String {
    let mut connection = loop {
        match cluster.runtime.dial(sandbox, 8080).await {
            Ok(connection) => break connection,
            Err(RuntimeError::Failed(_)) => tokio::time::sleep(Duration::from_millis(20)).await, // does not listen yet
            Err(fault) => panic!("{fault}"),
        }
    };
    connection.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, connection.read_to_string(&mut answer)).await.unwrap().unwrap_or(0); // the server may be killed while it answers
    answer
}

#[tokio::test]
async fn agents_that_start_at_once_share_one_bridge() {
    let Some(cluster) = Cluster::new("first").await else { return };
    network::remove_bridge(&cluster.client, &cluster.config.cluster).await.unwrap();
    let settled = futures::future::join_all((1..=4).map(|index| network::settle(&cluster.client, &cluster.config.cluster, index))).await;
    let settled: Vec<_> = settled.into_iter().map(Result::unwrap).collect();
    let second_byte = settled[0].address.octets()[1];
    let addresses: Vec<_> = settled.iter().map(|settled| settled.address.octets()).collect();
    assert_eq!(addresses, [11, 12, 13, 14].map(|last| [10, second_byte, 0, last]));
    let networks = cluster.client.list_networks(None::<bollard::query_parameters::ListNetworksOptions>).await.unwrap();
    assert_eq!(networks.iter().filter(|network| network.name.as_ref() == Some(&cluster.config.network)).count(), 1);
    cluster.end().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_cluster_that_is_removed_in_the_middle_of_something() {
    let Some(cluster) = Cluster::new("gone").await else { return };
    let (_, kept, _) = cluster.pod("kept", &[], |_| ()).await;
    let pod = PodId { uid: format!("uid-late-{}", std::process::id()), namespace: "default".into(), name: "late".into() };
    let ip = Some(Ipv4Addr::new(10, cluster.bridge.second_byte, 1, 6));
    let late = cluster.runtime.create_sandbox(&SandboxSpec { pod, ip, ..SandboxSpec::default() }).await.unwrap();
    let (_, _, removed) =
        futures::join!(cluster.runtime.start_sandbox(&late), cluster.runtime.remove_sandbox(&kept), docker::clean::remove_cluster(&cluster.config.cluster));
    removed.unwrap();
    assert_eq!(network::find_bridge(&cluster.client, &cluster.config.cluster).await.unwrap(), None);
    let options = bollard::query_parameters::ListContainersOptions {
        all: true,
        filters: Some([("label".to_owned(), vec![format!("skiff.dev/cluster={}", cluster.config.cluster)])].into()),
        ..Default::default()
    };
    assert_eq!(cluster.client.list_containers(Some(options)).await.unwrap(), []);
}

#[tokio::test]
async fn a_pods_life() {
    let Some(cluster) = Cluster::new("life").await else { return };
    let facts = BTreeMap::from([("grace".to_owned(), "5".to_owned())]);
    let (pod, sandbox, container) = cluster.pod("web", &[], |spec| spec.labels = facts.clone()).await;
    let made = cluster.observed(&pod).await;
    assert_eq!((made.sandboxes[0].state, made.containers[0].state.clone()), (SandboxState::Ready, ContainerState::Created));

    cluster.runtime.start_container(&container).await.unwrap();
    let running = cluster.observed(&pod).await;
    assert!(running.containers[0].state.is_running());
    assert_eq!(running.sandboxes[0].ip, Some(Ipv4Addr::new(10, cluster.bridge.second_byte, 1, 5)));
    assert_eq!(running.containers[0].user.clone().unwrap().uid, 0);

    let who = page(&cluster, &sandbox, "/").await;
    assert!(who.contains("\"pod\":\"web\"") && who.contains(&format!("\"ip\":\"10.{}.1.5\"", cluster.bridge.second_byte)), "{who}");
    assert!(matches!(cluster.runtime.dial(&sandbox, 81).await.err(), Some(RuntimeError::Failed(why)) if why.contains("refused")));
    let usage = cluster.runtime.stats().await.unwrap();
    assert_eq!((usage.len(), usage[0].pod.clone(), usage[0].container.as_str()), (1, pod.clone(), "app"));
    assert!(usage[0].memory_bytes > 0);

    // Another agent finds what this one left.
    let successor = DockerRuntime::connect(cluster.config.clone()).await.unwrap();
    let found = successor.pods().await.unwrap();
    assert_eq!(found, [cluster.observed(&pod).await]);
    assert_eq!(found[0].containers[0].labels, facts);
    let stranger = DockerRuntime::connect(DockerConfig { node: "node-2".into(), ..cluster.config.clone() }).await.unwrap();
    assert_eq!(stranger.pods().await.unwrap(), []);

    cluster.runtime.stop_container(&container, Duration::from_secs(20)).await.unwrap();
    let ContainerState::Exited(exit) = cluster.observed(&pod).await.containers[0].state.clone() else { panic!("not dead") };
    assert_eq!((exit.code, exit.reason), (0, ExitReason::Completed));
    assert!(cluster.log(&container, LogOptions::default()).await.contains("asked to end"), "the log of a dead container");
    cluster.runtime.stop_container(&container, Duration::ZERO).await.unwrap();

    cluster.runtime.stop_sandbox(&sandbox).await.unwrap();
    assert_eq!(cluster.observed(&pod).await.sandboxes[0].state, SandboxState::NotReady);
    cluster.runtime.remove_sandbox(&sandbox).await.unwrap();
    assert_eq!(cluster.runtime.pod(&pod.uid).await.unwrap(), None);
    cluster.runtime.remove_container(&container).await.unwrap();
    cluster.end().await;
}

#[tokio::test]
async fn how_containers_end() {
    let Some(cluster) = Cluster::new("ends").await else { return };
    let (pod, sandbox, container) = cluster.pod("three", &["exit", "3"], |_| ()).await;
    cluster.runtime.start_container(&container).await.unwrap();
    let exit = cluster.death(&pod).await;
    assert_eq!((exit.code, exit.reason), (3, ExitReason::Error));
    assert!(exit.finished_at >= exit.started_at);
    cluster.runtime.remove_sandbox(&sandbox).await.unwrap();

    let (pod, sandbox, container) =
        cluster.pod("greedy", &[], |spec| spec.resources = ResourceSpec { memory_limit: 16 << 20, ..ResourceSpec::default() }).await;
    cluster.runtime.start_container(&container).await.unwrap();
    page(&cluster, &sandbox, "/alloc?mib=64").await;
    let exit = cluster.death(&pod).await;
    assert_eq!((exit.code, exit.reason), (137, ExitReason::OomKilled));
    cluster.runtime.remove_sandbox(&sandbox).await.unwrap();

    let (pod, sandbox, container) = cluster.pod("nothing", &[], |spec| spec.command = vec!["/no/such/command".into()]).await;
    let refused = cluster.runtime.start_container(&container).await;
    assert!(matches!(&refused, Err(RuntimeError::StartFailed(why)) if why.contains("OCI runtime create failed")), "{refused:?}");
    let exit = cluster.death(&pod).await;
    assert_eq!((exit.code, exit.reason), (128, ExitReason::StartError));
    assert!(exit.message.contains("no such file"), "{}", exit.message);
    cluster.runtime.remove_sandbox(&sandbox).await.unwrap();

    // Somebody removes the pause container behind the agent's back.
    let (pod, sandbox, container) = cluster.pod("robbed", &[], |_| ()).await;
    cluster.runtime.start_container(&container).await.unwrap();
    assert!(cluster.observed(&pod).await.containers[0].state.is_running());
    let mut events = cluster.runtime.events();
    let force = bollard::query_parameters::RemoveContainerOptions { force: true, ..Default::default() };
    cluster.client.remove_container(&sandbox, Some(force)).await.unwrap();
    while !cluster.observed(&pod).await.sandboxes.is_empty() {
        tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
    }
    cluster.runtime.remove_container(&container).await.unwrap();
    cluster.end().await;
}

#[tokio::test]
async fn logs() {
    let Some(cluster) = Cluster::new("logs").await else { return };
    let (pod, _, container) = cluster.pod("log", &["log", "--every", "10ms"], |_| ()).await;
    cluster.runtime.start_container(&container).await.unwrap();
    let followed: Vec<Bytes> = cluster
        .runtime
        .logs(&container, &LogOptions { follow: true, ..LogOptions::default() })
        .await
        .unwrap()
        .take(5)
        .map(|line| line.unwrap())
        .collect()
        .await;
    assert_eq!(followed.concat(), b"line 1\nline 2\nline 3\nline 4\nline 5\n");
    cluster.runtime.stop_container(&container, Duration::from_secs(20)).await.unwrap();
    assert_eq!(cluster.death(&pod).await.code, 143);

    let all = cluster.log(&container, LogOptions::default()).await;
    let last = all.lines().last().unwrap();
    assert_eq!(cluster.log(&container, LogOptions { tail: Some(1), ..LogOptions::default() }).await, format!("{last}\n"));
    assert_eq!(cluster.log(&container, LogOptions { tail: Some(0), ..LogOptions::default() }).await, "");
    assert_eq!(cluster.log(&container, LogOptions { limit: Some(9), ..LogOptions::default() }).await, "line 1\nli");
    assert_eq!(cluster.log(&container, LogOptions { stream: LogStream::Stderr, ..LogOptions::default() }).await, "");

    let timed = cluster.log(&container, LogOptions { timestamps: true, ..LogOptions::default() }).await;
    let third = timed.lines().nth(2).unwrap();
    let (time, text) = third.split_once(' ').unwrap();
    assert_eq!(text, "line 3");
    let since = Some(time.parse().unwrap());
    let rest = cluster.log(&container, LogOptions { since, ..LogOptions::default() }).await;
    assert!(rest.starts_with("line 3\nline 4\n"), "{rest}");
    assert!(cluster.runtime.logs("nothing", &LogOptions::default()).await.is_err());
    cluster.end().await;
}

#[tokio::test]
async fn commands_inside() {
    let Some(cluster) = Cluster::new("exec").await else { return };
    let (_, _, container) = cluster
        .pod("box", &["sleep"], |spec| {
            spec.env = vec![("COLOUR".into(), "red".into())];
            spec.security = SecuritySpec { uid: Some(1000), gid: Some(2000), groups: vec![3000], ..SecuritySpec::default() };
        })
        .await;
    cluster.runtime.start_container(&container).await.unwrap();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let run = async |command: &[&str], timeout| cluster.runtime.exec(&container, &words(command), timeout, 1000).await;

    let env = run(&["demo", "env"], PATIENCE).await.unwrap();
    assert!(env.code == 0 && String::from_utf8(env.output).unwrap().contains("COLOUR=red\n"));
    assert_eq!(run(&["demo", "exit", "7"], PATIENCE).await.unwrap().code, 7);
    let status = String::from_utf8(run(&["demo", "cat", "/proc/self/status"], PATIENCE).await.unwrap().output).unwrap();
    assert!(status.contains("Uid:\t1000") && status.contains("Gid:\t2000") && status.contains("Groups:\t2000 3000"), "{status}");
    assert!(matches!(run(&["nothing"], PATIENCE).await, Err(RuntimeError::StartFailed(why)) if why.contains("executable file not found")));
    assert!(matches!(run(&["demo", "sleep"], Duration::from_millis(300)).await, Err(RuntimeError::Timeout(_))));

    // stdin in, the same out, and its end ends the command.
    let request = ExecRequest { command: words(&["demo", "cat"]), stdin: true, stdout: true, stderr: true, tty: false };
    let session = cluster.runtime.exec_stream(&container, &request).await.unwrap();
    session.input.send(SessionInput::Stdin(Bytes::from_static(b"hello\n"))).await.unwrap();
    session.input.send(SessionInput::StdinEnd).await.unwrap();
    let said: Vec<SessionOutput> = tokio::time::timeout(PATIENCE, session.output.map(|output| output.unwrap()).collect()).await.unwrap();
    assert_eq!(said, [SessionOutput::Stdout(Bytes::from_static(b"hello\n")), SessionOutput::End(0)]);

    let request = ExecRequest { command: words(&["demo", "exit", "x"]), stdout: true, stderr: true, ..ExecRequest::default() };
    let session = cluster.runtime.exec_stream(&container, &request).await.unwrap();
    let said: Vec<SessionOutput> = session.output.map(|output| output.unwrap()).collect().await;
    assert!(matches!(&said[0], SessionOutput::Stderr(_)) && said.last() == Some(&SessionOutput::End(64)), "{said:?}");

    let request = ExecRequest { command: words(&["nothing"]), stdout: true, stderr: true, ..ExecRequest::default() };
    let session = cluster.runtime.exec_stream(&container, &request).await.unwrap();
    let said: Vec<_> = session.output.collect().await;
    assert!(matches!(said.as_slice(), [Err(RuntimeError::StartFailed(why))] if why.contains("executable file not found")), "{said:?}");

    // A terminal echoes, and has a size.
    let request = ExecRequest { command: words(&["demo", "cat"]), stdin: true, stdout: true, stderr: false, tty: true };
    let mut session = cluster.runtime.exec_stream(&container, &request).await.unwrap();
    session.input.send(SessionInput::Resize { width: 100, height: 30 }).await.unwrap();
    session.input.send(SessionInput::Stdin(Bytes::from_static(b"hi\n\x04"))).await.unwrap();
    let mut echoed = Vec::new();
    while let Some(output) = tokio::time::timeout(PATIENCE, session.output.next()).await.unwrap() {
        match output.unwrap() {
            SessionOutput::Stdout(bytes) => echoed.extend_from_slice(&bytes),
            SessionOutput::Stderr(_) => panic!("a terminal has no stderr"),
            SessionOutput::End(code) => assert_eq!(code, 0),
        }
    }
    assert_eq!(echoed, b"hi\r\nhi\r\n");
    cluster.end().await;
}

#[tokio::test]
async fn privileges() {
    let Some(cluster) = Cluster::new("power").await else { return };
    const SYS_ADMIN: u64 = 1 << 21;
    for (privileged, expected) in [(true, SYS_ADMIN), (false, 0)] {
        let (_, sandbox, container) = cluster.pod("root", &["sleep"], |spec| spec.security.privileged = privileged).await;
        cluster.runtime.start_container(&container).await.unwrap();
        let command = ["demo", "cat", "/proc/1/status"].map(str::to_owned);
        let status = cluster.runtime.exec(&container, &command, PATIENCE, 10_000).await.unwrap().output;
        let status = String::from_utf8(status).unwrap();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        assert_eq!(u64::from_str_radix(effective.trim(), 16).unwrap() & SYS_ADMIN, expected, "privileged: {privileged}");
        cluster.runtime.remove_sandbox(&sandbox).await.unwrap();
    }
    cluster.end().await;
}

#[tokio::test]
async fn attachments() {
    let Some(cluster) = Cluster::new("attach").await else { return };
    let (pod, _, container) = cluster
        .pod("cat", &["cat"], |spec| {
            spec.stdin = true;
            spec.stdin_once = true;
        })
        .await;
    cluster.runtime.start_container(&container).await.unwrap();
    let request = ExecRequest { stdin: true, stdout: true, stderr: true, ..ExecRequest::default() };
    let session = cluster.runtime.attach(&container, &request).await.unwrap();
    session.input.send(SessionInput::Stdin(Bytes::from_static(b"hello\n"))).await.unwrap();
    session.input.send(SessionInput::StdinEnd).await.unwrap();
    let said: Vec<SessionOutput> = tokio::time::timeout(PATIENCE, session.output.map(|output| output.unwrap()).collect()).await.unwrap();
    assert_eq!(said, [SessionOutput::Stdout(Bytes::from_static(b"hello\n")), SessionOutput::End(0)]);
    assert_eq!(cluster.death(&pod).await.code, 0);
    cluster.end().await;
}

/// Stands between the runtime and Docker, and can be taken away.
async fn proxy(path: std::path::PathBuf) -> tokio::task::JoinHandle<()> {
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new(); // dies with the proxy
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut far = tokio::net::UnixStream::connect("/var/run/docker.sock").await.unwrap();
                tokio::io::copy_bidirectional(&mut near, &mut far).await.ok(); // broken on purpose
            });
        }
    })
}

#[tokio::test]
async fn docker_comes_and_goes() {
    let Some(cluster) = Cluster::new("away").await else { return };
    let path = std::env::temp_dir().join(format!("skiff-docker-proxy-{}.sock", std::process::id()));
    let here = proxy(path.clone()).await;
    let client = bollard::Docker::connect_with_unix(path.to_str().unwrap(), 60, bollard::API_DEFAULT_VERSION).unwrap().negotiate_version().await.unwrap();
    let runtime = DockerRuntime::with(client, cluster.config.clone()).await;
    let mut events = runtime.events();
    let mut next = async || tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    let (pod, sandbox, _) = cluster.pod("left", &[], |_| ()).await;
    while next().await != RuntimeEvent::Pod(pod.uid.clone()) {}
    assert_eq!(runtime.pods().await.unwrap().len(), 1);

    here.abort();
    std::fs::remove_file(&path).unwrap();
    while !matches!(next().await, RuntimeEvent::Down(_)) {}
    assert!(matches!(runtime.pods().await, Err(RuntimeError::Unavailable(_))));
    assert!(matches!(runtime.pod(&pod.uid).await, Err(RuntimeError::Unavailable(_))));
    cluster.runtime.remove_sandbox(&sandbox).await.unwrap(); // nobody hears of it

    let back = proxy(path.clone()).await;
    assert_eq!(next().await, RuntimeEvent::Resync);
    assert_eq!(runtime.pods().await.unwrap(), []);
    back.abort();
    std::fs::remove_file(&path).unwrap();
    cluster.end().await;
}

#[tokio::test]
async fn images() {
    let Some(cluster) = Cluster::new("images").await else { return };
    let demo = cluster.runtime.image("skiff/demo:1").await.unwrap().unwrap();
    assert!(demo.id.starts_with("sha256:") && demo.size > 0);
    assert_eq!(cluster.runtime.image("docker.io/skiff/demo:1").await.unwrap(), Some(demo.clone()));
    assert_eq!(cluster.runtime.image(&demo.id).await.unwrap(), Some(demo));
    assert_eq!(cluster.runtime.image("skiff/demo:no-such-version").await.unwrap(), None);
    let invalid = RuntimeError::InvalidImage("couldn't parse image name \"Not An Image\": invalid reference format".into());
    assert_eq!(cluster.runtime.image("Not An Image").await, Err(invalid));
    assert!(cluster.runtime.images().await.unwrap().iter().any(|image| image.names.contains(&"skiff/demo:1".to_owned())));
    let refused = cluster.runtime.pull_image("localhost:1/no/such:image").await;
    assert!(matches!(&refused, Err(RuntimeError::Pull(_))), "{refused:?}");
    cluster.end().await;
}
