//! What dies is replaced.

use std::time::Duration;

use skiff_tests::{Cluster, equal, eventually, repository};

const SOON: Duration = Duration::from_secs(90);

fn web(flags: &[&str]) -> Cluster {
    let cluster = Cluster::up(flags);
    cluster.kubectl(&["apply", "-f", repository().join("examples/web.yaml").to_str().unwrap()]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();
    cluster
}

/// Pods that are Ready and not on `node`.
fn ready_elsewhere(cluster: &Cluster, node: &str) -> usize {
    let lines = cluster.get(
        "pods -l app=web",
        "{range .items[*]}{.spec.nodeName} {.metadata.deletionTimestamp} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}",
    );
    lines.lines().filter(|line| !line.starts_with(node) && line.ends_with("  True")).count()
}

#[test]
fn pods_of_a_dead_node_run_elsewhere_and_the_node_comes_back_clean() {
    let cluster = web(&["--nodes", "3"]);
    cluster.kill("agent-node-2");
    eventually(SOON, || equal(cluster.get("node node-2", "{.status.conditions[?(@.type==\"Ready\")].status}"), "Unknown"));
    eventually(SOON, || match ready_elsewhere(&cluster, "node-2") {
        6 => Ok(()),
        other => Err(format!("{other} of 6 are ready elsewhere")),
    });
    assert!(cluster.skiff(&["node", "start", "node-2"]).ok().contains("node-2 is Ready"));
    let of_node = "label=skiff.dev/node=node-2";
    eventually(SOON, || match cluster.containers(of_node) {
        none if none.is_empty() => Ok(()),
        left => Err(format!("left on node-2: {left:?}")),
    });
    eventually(SOON, || equal(cluster.get("deployment web", "{.status.readyReplicas}"), "6"));
}

#[test]
fn a_killed_container_is_restarted_and_a_lost_sandbox_rebuilt() {
    let cluster = web(&["--nodes", "1"]);
    let pod = cluster.get("pods -l app=web", "{.items[0].metadata.name}");
    let labelled = format!("label=io.kubernetes.pod.name={pod}");
    let containers = cluster.containers(&labelled);
    let container = containers.iter().find(|name| name.starts_with("k8s_web_")).unwrap();
    cluster.docker(&["kill", container]).ok();
    eventually(SOON, || equal(cluster.get(&format!("pod {pod}"), "{.status.containerStatuses[0].restartCount}"), "1"));
    eventually(SOON, || equal(cluster.get(&format!("pod {pod}"), "{.status.containerStatuses[0].ready}"), "true"));

    let sandbox = cluster.containers(&labelled).into_iter().find(|name| name.starts_with("k8s_POD_")).unwrap();
    cluster.docker(&["rm", "-f", &sandbox]).ok();
    eventually(SOON, || equal(cluster.get(&format!("pod {pod}"), "{.status.containerStatuses[0].restartCount}"), "2"));
    eventually(SOON, || equal(cluster.get(&format!("pod {pod}"), "{.status.containerStatuses[0].ready}"), "true"));
}

#[test]
fn everything_killed_at_once_converges_again() {
    let cluster = web(&["--nodes", "2"]);
    for service in ["scheduler", "controller", "agent-node-1", "agent-node-2", "apiserver"] {
        cluster.kill(service);
    }
    cluster.start(&[]).ok();
    cluster.kubectl(&["scale", "deployment", "web", "--replicas=4"]).ok();
    eventually(SOON, || equal(cluster.get("deployment web", "{.status.readyReplicas} {.status.replicas}"), "4 4"));
    eventually(SOON, || cluster.pods_are_containers());
    assert_eq!(cluster.get("pods -l app=web", "{.items[*].metadata.name}").split(' ').count(), 4);
}

/// What a node has room for is what the pods are: one counted twice would leave another Pending, one forgotten would let too many in.
#[test]
fn each_process_killed_in_its_turn_converges_again() {
    let cluster = web(&["--nodes", "2", "--node-capacity", "cpu=2,memory=2Gi,pods=4"]);
    let whole = |replicas: &str| {
        eventually(SOON, || {
            equal(cluster.get("deployment web", "{.status.replicas} {.status.readyReplicas}"), &format!("{replicas} {replicas}"))?;
            equal(cluster.get("pods", "{.items[*].metadata.name}").split(' ').count().to_string(), replicas)?;
            cluster.pods_are_containers()
        });
    };
    whole("6");

    cluster.kill("scheduler");
    cluster.kubectl(&["scale", "deployment", "web", "--replicas=8"]).ok();
    eventually(SOON, || equal(cluster.get("pods --field-selector spec.nodeName=", "{.items[*].status.phase}"), "Pending Pending"));
    cluster.start(&[]).ok();
    whole("8");

    cluster.kill("controller");
    let gone = cluster.get("pods", "{.items[0].metadata.name}");
    cluster.kubectl(&["delete", "pod", &gone]).ok();
    assert_eq!(cluster.get("pods", "{.items[*].metadata.name}").split(' ').count(), 7, "nobody replaces it");
    cluster.start(&[]).ok();
    whole("8");

    let started = || cluster.docker_ps("{{.ID}}", "label=skiff.dev/node=node-1");
    let before = started();
    cluster.kill("agent-node-1");
    cluster.start(&[]).ok();
    whole("8");
    assert_eq!(started(), before, "a new agent takes over the containers that run");

    // Meanwhile one pod is deleted, and a container of another dies.
    cluster.kill("agent-node-2");
    let names = cluster.get("pods --field-selector spec.nodeName=node-2", "{.items[*].metadata.name}");
    let names: Vec<&str> = names.split(' ').collect();
    cluster.kubectl(&["delete", "pod", "--wait=false", names[0]]).ok();
    let containers = cluster.containers(&format!("label=io.kubernetes.pod.name={}", names[1]));
    cluster.docker(&["kill", containers.iter().find(|name| name.starts_with("k8s_web_")).unwrap()]).ok();
    cluster.start(&[]).ok();
    whole("8");
}

/// A pod may be told to go at any moment of its start, and what Docker is doing for it just then is finished all the same.
#[test]
fn pods_deleted_while_they_start_leave_nothing() {
    let cluster = Cluster::up(&["--nodes", "2"]);
    let web = repository().join("examples/web.yaml");
    for round in 0..8 {
        cluster.kubectl(&["apply", "-f", web.to_str().unwrap()]).ok();
        std::thread::sleep(Duration::from_millis(100 * round));
        cluster.kubectl(&["delete", "-f", web.to_str().unwrap(), "--wait=false"]).ok();
    }
    eventually(SOON, || equal(cluster.get("pods", "{.items[*].metadata.name}"), ""));
    eventually(SOON, || if cluster.containers("").is_empty() { Ok(()) } else { Err(cluster.containers("").join(" ")) });
}
