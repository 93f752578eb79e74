//! What looks as if every node had died, and is not: the API server is away for a while. Nothing is evicted, and nothing restarted.

use std::time::Duration;

use skiff_tests::{Cluster, equal, eventually, repository};

const SOON: Duration = Duration::from_secs(90);
/// Several times as long as `--timings fast` lets a node be silent.
const AWAY: Duration = Duration::from_secs(30);

fn web() -> Cluster {
    let cluster = Cluster::up(&["--nodes", "2", "--timings", "fast"]);
    cluster.kubectl(&["apply", "-f", repository().join("examples/web.yaml").to_str().unwrap()]).ok();
    cluster.kubectl(&["scale", "deployment", "web", "--replicas=4"]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();
    eventually(SOON, || cluster.pods_are_containers());
    cluster
}

/// Each pod with what an eviction or a restart would change.
fn pods(cluster: &Cluster) -> String {
    let path = "{range .items[*]}{.metadata.uid} {.spec.nodeName} {.metadata.deletionTimestamp} {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}";
    cluster.get("pods -A", path)
}

/// Frozen, a server takes connections and answers nothing; dead, it refuses them. Both are away for as long, at the same time.
#[test]
fn an_apiserver_that_is_away_costs_no_pod() {
    let (frozen, dead) = (web(), web());
    let before = [&frozen, &dead].map(|cluster| (pods(cluster), cluster.docker_ps("{{.ID}}", "")));
    frozen.signal("apiserver", "-STOP");
    dead.kill("apiserver");
    std::thread::sleep(AWAY);
    frozen.signal("apiserver", "-CONT");
    dead.start(&[]).ok();
    for (cluster, (pods_before, containers)) in [&frozen, &dead].into_iter().zip(&before) {
        let nodes = "{.items[*].status.conditions[?(@.type==\"Ready\")].status} {.items[*].spec.taints}";
        eventually(SOON, || equal(cluster.get("nodes", nodes), "True True "));
        // What follows a taint comes within moments of it; so would a mistake of whoever comes back to a clock that has gone on.
        for _ in 0..20 {
            assert_eq!(pods(cluster), *pods_before);
            std::thread::sleep(Duration::from_millis(250));
        }
        assert_eq!(cluster.get("nodes", nodes), "True True ");
        assert_eq!(cluster.docker_ps("{{.ID}}", ""), *containers);
        let evicted = cluster.get("events -A --field-selector reason=TaintManagerEviction", "{.items[*].message}");
        assert_eq!(evicted, "");
        cluster.kubectl(&["scale", "deployment", "web", "--replicas=5"]).ok();
        eventually(SOON, || equal(cluster.get("deployment web", "{.status.readyReplicas}"), "5"));
    }
}
