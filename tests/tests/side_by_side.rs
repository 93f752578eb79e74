//! Two clusters on one machine do not know of each other.

use std::time::Duration;

use skiff_tests::{Cluster, equal, eventually, repository};

const SOON: Duration = Duration::from_secs(90);

fn web(flags: &[&str]) -> Cluster {
    let cluster = Cluster::up(flags);
    cluster.kubectl(&["apply", "-f", repository().join("examples/web.yaml").to_str().unwrap()]).ok();
    cluster.kubectl(&["scale", "deployment", "web", "--replicas=2"]).ok();
    eventually(SOON, || equal(cluster.get("deployment web", "{.status.replicas} {.status.readyReplicas}"), "2 2"));
    cluster
}

/// Everything of a cluster that a neighbour could break: its processes, its pods, its containers.
fn state(cluster: &Cluster, services: &[&str]) -> (Vec<String>, String, Vec<String>) {
    let pods = cluster.get("pods", "{range .items[*]}{.metadata.uid} {.status.phase} {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}");
    let pids = services.iter().map(|service| cluster.pid(service)).collect();
    (pids, pods, cluster.docker_ps("{{.ID}}", ""))
}

#[test]
fn down_of_one_cluster_leaves_the_other_alone() {
    let (docker, sim) = (web(&["--nodes", "1"]), web(&["--nodes", "1", "--runtime", "sim"]));
    let services = ["apiserver", "scheduler", "controller", "agent-node-1"];
    eventually(SOON, || docker.pods_are_containers());
    let (before_docker, before_sim) = (state(&docker, &services), state(&sim, &services));
    assert_eq!(before_docker.2.len(), 4, "two pods: a sandbox and a container each");

    sim.skiff(&["down"]).ok();
    assert_eq!(state(&docker, &services), before_docker);
    docker.skiff(&["status"]).ok();
    sim.start(&[]).ok();
    eventually(SOON, || equal(sim.get("deployment web", "{.status.readyReplicas}"), "2"));

    let before = state(&sim, &services);
    assert_ne!(before.0, before_sim.0, "other processes");
    docker.skiff(&["down", "--purge"]).ok();
    assert_eq!(state(&sim, &services), before);
    sim.skiff(&["status"]).ok();
    for gone in ["cluster.json", "run", "store", "pki", "nodes"] {
        assert!(!docker.dir().join(gone).exists(), "{gone}");
    }
}
