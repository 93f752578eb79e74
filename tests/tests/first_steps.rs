//! The README's first steps, as a newcomer types them.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use skiff_tests::{Cluster, equal, eventually, repository};

const SOON: Duration = Duration::from_secs(90);

#[test]
fn deploy_look_change_and_delete() {
    let cluster = Cluster::up(&["--nodes", "3"]);
    let web = repository().join("examples/web.yaml");
    let web = web.to_str().unwrap();
    assert!(cluster.kubectl(&["apply", "-f", web]).ok().contains("deployment.apps/web created"));
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();

    let nodes = cluster.get("pods -l app=web", "{.items[*].spec.nodeName}");
    for node in ["node-1", "node-2", "node-3"] {
        assert_eq!(nodes.split(' ').filter(|one| *one == node).count(), 2, "6 replicas spread over 3 nodes: {nodes}");
    }
    let table = cluster.kubectl(&["get", "pods", "-o", "wide"]).ok();
    assert!(table.starts_with("NAME ") && table.contains("1/1     Running   0"), "{table}");

    let pod = cluster.get("pods -l app=web", "{.items[0].metadata.name}");
    assert!(cluster.kubectl(&["logs", &pod]).ok().contains("listening on port 8080"));
    let env = cluster.kubectl(&["exec", &pod, "--", "demo", "env"]).ok();
    assert!(env.contains(&format!("POD_NAME={pod}")), "{env}");
    let exit = cluster.kubectl(&["exec", &pod, "--", "demo", "exit", "7"]);
    assert_eq!(exit.code, 7, "{}", exit.err);
    let echoed = cluster.kubectl_with(&["exec", "-i", &pod, "--", "demo", "cat"], "over and back").ok();
    assert_eq!(echoed, "over and back");
    let described = cluster.kubectl(&["describe", "pod", &pod]).ok();
    assert!(described.contains("Successfully assigned default/") && described.contains("Started"), "{described}");
    forwards(&cluster, &pod);

    cluster.kubectl(&["scale", "deployment", "web", "--replicas=10"]).ok();
    eventually(SOON, || equal(cluster.get("deployment web", "{.status.readyReplicas}"), "10"));
    cluster.kubectl(&["rollout", "restart", "deployment", "web"]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]).ok();
    assert!(cluster.kubectl(&["rollout", "history", "deployment/web"]).ok().contains('2'));

    cluster.kubectl(&["delete", "-f", web]).ok();
    eventually(SOON, || equal(cluster.get("pods", "{.items[*].metadata.name}"), ""));
    eventually(SOON, || if cluster.containers("").is_empty() { Ok(()) } else { Err(cluster.containers("").join(" ")) });
}

/// `kubectl port-forward` until one answer has come back.
fn forwards(cluster: &Cluster, pod: &str) {
    let mut forward = cluster.kubectl_command(&["port-forward", pod, ":8080"]).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut line = String::new();
    let mut out = forward.stdout.take().unwrap();
    while !line.contains('\n') {
        let mut byte = [0];
        assert_eq!(out.read(&mut byte).unwrap(), 1, "port-forward ended");
        line.push(char::from(byte[0]));
    }
    let address = line.split(' ').find(|word| word.starts_with("127.0.0.1:")).unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    forward.kill().unwrap();
    forward.wait().unwrap();
    assert!(answer.contains(pod), "{answer}");
}

#[test]
fn a_cluster_without_docker_and_what_up_promises() {
    let cluster = Cluster::up(&["--runtime", "sim", "--nodes", "2"]);
    let again = cluster.start(&[]).ok();
    assert!(again.contains("node-1 … node-2 Ready"), "{again}");
    assert!(cluster.skiff(&["status"]).ok().contains("node-2               Ready"));
    // With readiness and liveness probes over HTTP, which nothing answers here: pretended containers are well.
    cluster.kubectl(&["apply", "-f", repository().join("examples/web.yaml").to_str().unwrap()]).ok();
    cluster.kubectl(&["scale", "deployment", "web", "--replicas=4"]).ok();
    eventually(SOON, || equal(cluster.get("deployment web", "{.status.readyReplicas}"), "4"));

    let examples = repository().join("examples");
    let said = cluster.kubectl(&["apply", "--dry-run=server", "-f", examples.to_str().unwrap()]).ok();
    assert!(said.contains("daemonset.apps/everywhere created (server dry run)"), "{said}");
    let added = cluster.skiff(&["node", "add"]).ok();
    assert!(added.contains("node-3 is Ready"), "{added}");
    cluster.skiff(&["down"]).ok();
    assert_eq!(cluster.skiff(&["status"]).code, 1);
    cluster.start(&[]).ok();
    assert_eq!(cluster.get("deployment web", "{.metadata.name}"), "web", "a stopped cluster resumes with its objects");
    eventually(SOON, || equal(cluster.get("deployment web", "{.status.readyReplicas}"), "4"));
    assert!(cluster.skiff(&["get", "nodes"]).ok().contains("node-3"));
}

#[test]
fn a_port_in_use_is_told_and_nothing_is_started() {
    let (one, other) = (Cluster::up(&["--runtime", "sim", "--nodes", "1"]), Cluster::prepare());
    let port = one.port().to_string();
    let said = other.skiff(&["up", "--runtime", "sim", "--no-kubeconfig", "--port", &port]).failed();
    assert!(said.contains(&format!("port {port} of 127.0.0.1 is in use")), "{said}");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    assert!(!other.dir().exists(), "not one file");
    let speaks_of_it = |entry: &std::fs::DirEntry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(other.dir().to_str().unwrap()))
    };
    let started: Vec<_> = std::fs::read_dir("/proc").unwrap().flatten().filter(speaks_of_it).map(|entry| entry.path()).collect();
    assert!(started.is_empty(), "{started:?}");
    one.skiff(&["status"]).ok();
}
