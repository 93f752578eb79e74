//! What dies is replaced.

use std::time::Duration;

use skiff_tests::{Cluster, docker, equal, eventually, repository};

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
    docker(&["kill", container]).ok();
    eventually(SOON, || equal(cluster.get(&format!("pod {pod}"), "{.status.containerStatuses[0].restartCount}"), "1"));
    eventually(SOON, || equal(cluster.get(&format!("pod {pod}"), "{.status.containerStatuses[0].ready}"), "true"));

    let sandbox = cluster.containers(&labelled).into_iter().find(|name| name.starts_with("k8s_POD_")).unwrap();
    docker(&["rm", "-f", &sandbox]).ok();
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
    // No container without a pod, no pod without its container: 4 pods of a sandbox and a container each.
    eventually(SOON, || match cluster.containers("") {
        eight if eight.len() == 8 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(cluster.get("pods -l app=web", "{.items[*].metadata.name}").split(' ').count(), 4);
}
