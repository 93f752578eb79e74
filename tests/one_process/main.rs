//! A whole cluster in one process, under paused time: the API server over the memory store, scheduler, controllers and agents with pretended
//! containers, without a socket or a thread. An hour of the cluster's life takes as long as what happens in it.
//!
//! [`cluster`] puts it together, [`cable`] is what each agent is connected by and what a test pulls, [`watchman`] sees every change and complains of
//! what may never be.

// What a test unwraps, it asserts.
#![allow(clippy::unwrap_used)]

mod cable;
mod cluster;
mod watchman;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use self::cluster::{Cluster, deployment, is_ready, is_running, uids};
use self::watchman::Bounds;

/// More than enough for anything that is under way.
const SOON: Duration = Duration::from_secs(60);
/// The nodes of the tests.
const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

#[tokio::test(start_paused = true)]
async fn a_deployment_lives_through_the_death_of_a_node() {
    let mut cluster = Cluster::start(1, &NODES).await;
    cluster.create("deployments.apps", deployment("web", 6, json!({}))).await;
    cluster.until("six pods run, two a node", SOON, |now| NODES.iter().all(|node| now.running_on(node) == 2)).await;

    cluster.cut("node-2");
    cluster.until("node-2 is not ready", SOON, |now| !is_ready(&now.node("node-2"))).await;
    cluster.until("its pods run elsewhere", SOON, |now| now.running_on("node-1") + now.running_on("node-3") == 6).await;
    assert_eq!(cluster.containers("node-2"), 2, "nobody can tell node-2: its containers run on");

    cluster.mend("node-2");
    cluster.until("node-2 is ready", SOON, |now| is_ready(&now.node("node-2"))).await;
    cluster.until("what was replaced is gone", SOON, |now| now.pods().len() == 6).await;
    assert_eq!(cluster.containers("node-2"), 0, "and its containers too");

    cluster.patch("deployments.apps", "web", json!({"spec": {"replicas": 10}})).await;
    cluster.until("ten pods run", SOON, |now| now.running() == 10 && now.pods().len() == 10).await;
    assert!(cluster.now().running_on("node-2") > 0, "on node-2 again");
    let before = uids(&cluster.now().pods());
    cluster.patch("deployments.apps", "web", json!({"spec": {"template": {"metadata": {"labels": {"v": "2"}}}}})).await;
    let rolled = |now: &cluster::Now| now.rolled_out("web") && now.pods().iter().all(|pod| pod["metadata"]["labels"]["v"] == "2");
    cluster.until("every pod is of the new template", SOON, rolled).await;
    assert!(uids(&cluster.now().pods()).is_disjoint(&before));

    cluster.delete("deployments.apps", "web").await;
    cluster.until("nothing is left", SOON, |now| now.pods().is_empty() && now.all("replicasets.apps").is_empty()).await;
    assert_eq!(NODES.map(|node| cluster.containers(node)), [0, 0, 0]);
}

/// Rolling updates under several bounds and several seeds: at no observed moment are there more pods than `replicas` + `maxSurge`, or fewer available ones
/// than `replicas` - `maxUnavailable`.
#[test]
fn a_rollout_stays_within_its_bounds() {
    let cases = [(1, 1, 0), (3, 1, 0), (4, 2, 1), (5, 0, 2), (6, 6, 6), (7, 3, 0)];
    for (seed, (replicas, surge, unavailable)) in (1..).zip(cases) {
        paused(async move {
            let mut cluster = Cluster::start(seed, &NODES).await;
            let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}});
            cluster.create("deployments.apps", deployment("web", replicas, strategy)).await;
            cluster.until("all pods run", SOON, |now| now.running() == replicas).await;
            let watchman = cluster.watch(Bounds { most: replicas + surge, fewest: replicas.saturating_sub(unavailable) }).await;
            for version in ["2", "3"] {
                cluster.patch("deployments.apps", "web", json!({"spec": {"template": {"metadata": {"labels": {"v": version}}}}})).await;
                if version == "2" {
                    cluster.pass(Duration::from_millis(300)).await; // the next one comes while this is under way
                }
            }
            let rolled = |now: &cluster::Now| now.rolled_out("web") && now.pods().iter().all(|pod| pod["metadata"]["labels"]["v"] == "3");
            cluster.until("every pod is of the newest template", SOON * 5, rolled).await;
            let seen = watchman.end().await;
            assert_eq!(seen.broken, Vec::<String>::new(), "{replicas} replicas, surge {surge}, unavailable {unavailable}");
            assert!(seen.changes > replicas * 2, "the watchman saw {} changes", seen.changes);
        });
    }
}

/// When every node is silent it is the network: nothing is evicted, however long it takes, and afterwards everything is as it was.
#[tokio::test(start_paused = true)]
async fn nothing_is_evicted_while_no_node_is_ready() {
    let mut cluster = Cluster::start(7, &NODES).await;
    cluster.create("deployments.apps", deployment("web", 6, json!({}))).await;
    cluster.until("six pods run", SOON, |now| now.running() == 6).await;
    let before = uids(&cluster.now().pods());
    NODES.iter().for_each(|node| cluster.cut(node));
    cluster.until("no node is ready", SOON, |now| NODES.iter().all(|node| !is_ready(&now.node(node)))).await;
    cluster.pass(Duration::from_secs(1800)).await;
    let deleted: Vec<Value> = cluster.now().pods().into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_string()).collect();
    assert_eq!(deleted, Vec::<Value>::new());
    for node in NODES {
        cluster.mend(node);
        cluster.pass(Duration::from_secs(1)).await; // the silence of the others begins anew with the first that is back
    }
    cluster.until("all nodes are ready", SOON, |now| NODES.iter().all(|node| is_ready(&now.node(node)))).await;
    cluster.until("six pods are ready again", SOON, |now| now.pods().iter().filter(|pod| is_running(pod)).count() == 6).await;
    assert_eq!(uids(&cluster.now().pods()), before);
}

/// Whatever stops in the middle and starts again goes on where things are.
#[tokio::test(start_paused = true)]
async fn services_may_stop_at_any_moment() {
    let mut cluster = Cluster::start(11, &NODES).await;
    cluster.create("deployments.apps", deployment("web", 6, json!({}))).await;
    for (round, pause) in [0, 30, 80, 150, 400].into_iter().enumerate() {
        let image = format!("i:{round}");
        let containers = json!([{"name": "c", "image": image}]);
        cluster.patch("deployments.apps", "web", json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
        cluster.pass(Duration::from_millis(pause)).await;
        cluster.restart_controllers().await;
        cluster.restart_scheduler().await;
        cluster.restart_agent(NODES[round % NODES.len()]).await;
        let of_image = |pod: &Value| pod["spec"]["containers"][0]["image"] == image.as_str();
        cluster
            .until("six pods of the new image run", SOON * 2, |now| now.rolled_out("web") && now.pods().iter().filter(|pod| of_image(pod)).count() == 6)
            .await;
        let pods = cluster.now().pods();
        let containers: usize = NODES.iter().map(|node| cluster.containers(node)).sum();
        assert_eq!((pods.len(), containers), (6, 6), "no pod and no container too many");
    }
}

/// The same seed, the same life: where pods are placed and what they are called does not hang on chance.
#[test]
fn a_life_can_be_repeated() {
    let life = || {
        paused(async {
            let mut cluster = Cluster::start(42, &NODES).await;
            cluster.create("deployments.apps", deployment("web", 9, json!({}))).await;
            cluster.until("nine pods run", SOON, |now| now.running() == 9).await;
            let placed = |pod: &Value| format!("{} {} {}", pod["metadata"]["name"], pod["metadata"]["uid"], pod["spec"]["nodeName"]);
            cluster.now().pods().iter().map(placed).collect::<BTreeSet<_>>()
        })
    };
    let (one, other) = (life(), life());
    assert_eq!(one.len(), 9);
    assert_eq!(one, other);
}

/// Runs on a runtime of its own whose time is paused.
fn paused<T>(life: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(life)
}
