//! What machines without kubectl have: `skiff apply`, `get`, `describe`, `logs` and `delete`; and the commands for nodes.

use std::time::Duration;

use skiff_tests::{Cluster, equal, eventually};

const SOON: Duration = Duration::from_secs(90);
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: one, labels: {app: one}}\nspec:\n  terminationGracePeriodSeconds: 1\n  \
                   containers:\n  - {name: c, image: 'skiff/demo:1'}\n";

#[test]
fn objects_without_kubectl() {
    let cluster = Cluster::up(&["--nodes", "1"]);
    assert_eq!(cluster.skiff_with(&["apply", "-f", "-"], POD).ok(), "pod/one created\n");
    assert_eq!(cluster.skiff_with(&["apply", "-f", "-"], POD).ok(), "pod/one unchanged\n");
    assert_eq!(cluster.skiff_with(&["apply", "-f", "-"], &POD.replace("app: one", "app: two")).ok(), "pod/one configured\n");
    let table = || cluster.skiff(&["get", "pods", "-l", "app=two"]).ok();
    eventually(SOON, || if table().contains("1/1     Running") { Ok(()) } else { Err(table()) });
    assert!(table().starts_with("NAME   READY   STATUS    RESTARTS   AGE\n"), "{}", table());
    assert!(cluster.skiff(&["get", "po", "one", "-o", "yaml"]).ok().contains("nodeName: node-1"));
    assert!(cluster.skiff(&["get", "pods", "-A", "-o", "wide"]).ok().contains("node-1"));
    assert_eq!(cluster.skiff(&["get", "pods", "-o", "name"]).ok(), "pod/one\n");
    assert_eq!(cluster.skiff(&["get", "jobs"]).err, "No resources found in default namespace.\n");
    let described = cluster.skiff(&["describe", "pod", "one"]).ok();
    assert!(described.contains("name: one") && described.contains("Successfully assigned default/one to node-1"), "{described}");
    eventually(SOON, || if cluster.skiff(&["logs", "one"]).out.contains("listening on port 8080") { Ok(()) } else { Err("no log".to_owned()) });
    assert_eq!(cluster.skiff(&["logs", "one", "-c", "c", "--tail", "1"]).ok().lines().count(), 1);
    assert_eq!(cluster.skiff_with(&["delete", "-f", "-"], POD).ok(), "pod \"one\" deleted\n");
    eventually(SOON, || equal(cluster.skiff(&["get", "pods", "-o", "name"]).out, ""));
}

#[test]
fn nodes_are_added_stopped_killed_started_and_deleted() {
    let cluster = Cluster::up(&["--nodes", "1", "--runtime", "sim"]);
    let status = |node: &str| cluster.get(&format!("node {node}"), "{.status.conditions[?(@.type==\"Ready\")].status}");
    assert_eq!(cluster.skiff(&["node", "add", "edge"]).ok(), "edge is Ready.\n");
    let list = cluster.skiff(&["node", "list"]).ok();
    assert!(list.starts_with("NODE") && list.contains("agent-node-1") && list.contains("agent-edge"), "{list}");
    for (how, said) in [("stop", "is stopped; its containers run on"), ("kill", "is dead")] {
        let told = cluster.skiff(&["node", how, "edge"]).ok();
        assert!(told.contains(said), "{told}");
        assert_eq!(cluster.skiff(&["status"]).code, 1, "what is dead is shown dead");
        eventually(SOON, || equal(status("edge"), "Unknown"));
        assert_eq!(cluster.skiff(&["node", "start", "edge"]).ok(), "edge is Ready.\n");
        eventually(SOON, || equal(status("edge"), "True"));
        cluster.skiff(&["status"]).ok();
    }
    assert_eq!(cluster.skiff(&["node", "delete", "edge"]).ok(), "edge is gone.\n");
    assert_eq!(cluster.get("nodes", "{.items[*].metadata.name}"), "node-1");
    assert!(!cluster.skiff(&["node", "list"]).ok().contains("edge"));
    for unknown in ["stop", "kill", "start", "delete"] {
        assert_eq!(cluster.skiff(&["node", unknown, "edge"]).failed(), "skiff: there is no node edge; there are: node-1\n");
    }
}

/// One clear sentence each, and nothing is made.
#[test]
fn what_makes_no_sense_is_said() {
    let cluster = Cluster::prepare();
    let usage: &[&[&str]] = &[
        &["up", "--nodes", "many"],
        &["up", "--nodes", "255"],
        &["up", "--runtime", "podman"],
        &["up", "--port", "0"],
        &["up", "--timings", "slow"],
        &["up", "--colour"],
        &["node", "paint"],
        &["get"],
        &["delete"],
        &["apply"],
        &["fly"],
        &[],
    ];
    for args in usage {
        let said = cluster.skiff(args);
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{args:?}: {}", said.err);
        assert!(!said.err.is_empty() && !said.err.contains("panicked"), "{args:?}: {}", said.err);
    }
    let nowhere: &[&[&str]] =
        &[&["get", "pods"], &["logs", "x"], &["describe", "pod", "x"], &["delete", "pod", "x"], &["node", "list"], &["apply", "-f", "/nowhere.yaml"]];
    for args in nowhere {
        let said = cluster.skiff(args);
        assert_eq!((said.code, said.err.lines().count()), (1, 1), "{args:?}: {}", said.err);
        assert!(said.err.starts_with("skiff: "), "{}", said.err);
    }
    assert_eq!(cluster.skiff(&["status"]).code, 1);
    let capacity = cluster.start(&["--runtime", "sim", "--node-capacity", "cpu=lots"]).failed();
    assert!(capacity.contains("--node-capacity cpu=lots"), "{capacity}");
    assert!(!cluster.dir().exists());
}
