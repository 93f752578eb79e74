//! Pods on one pretended node, from their arrival to their end: statuses and events as `/golden/life` of Kubernetes shows them.
//! Time is paused: it jumps to the next thing that waits for it.

mod common;

use common::FakeApi;
use serde_json::{Value, json};
use skiff_agent::clock::Clock;
use skiff_agent::runtime::Runtime;
use skiff_agent::runtime::sim::Sim;
use skiff_agent::{Config, Timings};
use skiff_proto::quantity::Quantity;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

struct Node {
    api: Arc<FakeApi>,
    sim: Arc<Sim>,
    config: Config,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
    dir: PathBuf,
}

impl Node {
    fn start(name: &str) -> Self {
        let clock = Clock::from("2026-01-01T00:00:00Z".parse().expect("a time"));
        let (api, sim) = (FakeApi::new(), Arc::new(Sim::new(clock.clone())));
        let dir = std::env::temp_dir().join(format!("skiff-life-{name}-{}", std::process::id()));
        let capacity = [("cpu", Quantity::from_units(4)), ("memory", Quantity::from_bytes(4 << 30)), ("pods", Quantity::from_units(110))];
        let config = Config {
            node_name: "node-1".into(),
            api: api.clone(),
            runtime: sim.clone(),
            data_dir: dir.clone(),
            node_ip: Ipv4Addr::new(10, 5, 0, 11),
            pod_cidr: (Ipv4Addr::new(10, 5, 1, 0), 24),
            capacity: capacity.map(|(name, value)| (name.to_owned(), value)).into(),
            labels: Default::default(),
            timings: Timings::KUBERNETES,
            serve: None,
            cluster_dns: None,
            cluster_domain: "cluster.local".into(),
            clock,
        };
        let mut node = Self { api, sim, config, stop: CancellationToken::new(), task: None, dir };
        node.run();
        node
    }

    fn run(&mut self) {
        self.stop = CancellationToken::new();
        let (config, stop) = (self.config.clone(), self.stop.clone());
        self.task = Some(tokio::spawn(async move { skiff_agent::run(config, stop).await.expect("the agent runs") }));
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        self.task.take().expect("it runs").await.expect("it does not panic");
    }

    fn create(&self, name: &str, mut spec: Value) {
        spec["nodeName"] = json!("node-1");
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["image"] = container.get("image").cloned().unwrap_or_else(|| json!("busybox:1"));
                container["imagePullPolicy"] = container.get("imagePullPolicy").cloned().unwrap_or_else(|| json!("IfNotPresent"));
            }
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": spec, "status": {"phase": "Pending", "qosClass": "BestEffort"},
            "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}});
        self.api.apply("pods", pod);
    }

    fn status(&self, name: &str) -> Value {
        self.api.find("pods", "ns", name).map(|pod| pod["status"].clone()).unwrap_or_default()
    }

    /// Waits until the pod's status has this at that JSON pointer.
    async fn until(&self, name: &str, pointer: &str, expected: impl Into<Value>) -> Value {
        let expected = expected.into();
        for _ in 0..20_000 {
            let status = self.status(name);
            if status.pointer(pointer) == Some(&expected) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{pointer} of {name} never became {expected}: {:#} {:#?}", self.status(name), self.api.events(name));
    }

    async fn until_gone(&self, name: &str) {
        for _ in 0..20_000 {
            if self.api.find("pods", "ns", name).is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} is still there: {:#}", self.status(name));
    }

    async fn until_nothing_runs(&self) {
        for _ in 0..20_000 {
            if self.sim.pods().await.expect("sim").is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("something is left: {:?}", self.sim.pods().await);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// `Type=Status/Reason/Message` of each condition, by type.
fn conditions(status: &Value) -> Vec<String> {
    let mut all: Vec<String> = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|condition| {
            let text = |field: &str| condition[field].as_str().map(|text| format!("/{text}")).unwrap_or_default();
            format!("{}={}{}{}", condition["type"].as_str().unwrap_or("?"), condition["status"].as_str().unwrap_or("?"), text("reason"), text("message"))
        })
        .collect();
    all.sort();
    all
}

fn terminal(reason: &str, initialized: &str) -> Vec<String> {
    vec![
        format!("ContainersReady=False/{reason}"),
        format!("Initialized={initialized}"),
        "PodReadyToStartContainers=False".into(),
        "PodScheduled=True".into(),
        format!("Ready=False/{reason}"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_and_is_deleted() {
    let node = Node::start("run");
    node.create("p", json!({"restartPolicy": "Always", "containers": [{"name": "c"}]}));
    let status = node.until("p", "/phase", "Running").await;
    assert_eq!(conditions(&status), ["ContainersReady=True", "Initialized=True", "PodReadyToStartContainers=True", "PodScheduled=True", "Ready=True"]);
    assert_eq!(status["podIP"], "10.5.1.2");
    assert_eq!(status["hostIP"], "10.5.0.11");
    let container = &status["containerStatuses"][0];
    assert_eq!(
        (&container["ready"], &container["started"], &container["restartCount"], &container["lastState"]),
        (&json!(true), &json!(true), &json!(0), &json!({}))
    );
    let told = [
        "Normal Pulled: Container image \"busybox:1\" already present on machine and can be accessed by the pod",
        "Normal Created: Container created",
        "Normal Started: Container started",
    ];
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.api.events("p"), told);
    node.api.delete_gracefully("ns", "p", 30);
    node.until_gone("p").await;
    node.until_nothing_runs().await;
    assert_eq!(node.api.events("p")[3], "Normal Killing: Stopping container c");
}

#[tokio::test(start_paused = true)]
async fn a_pod_completes() {
    let node = Node::start("completes");
    node.create("p", json!({"restartPolicy": "Never", "containers": [{"name": "c", "command": ["exit", "0"]}]}));
    let status = node.until("p", "/phase", "Succeeded").await;
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    let status = node.until("p", "/conditions/0/status", "False").await;
    assert_eq!(conditions(&status), terminal("PodCompleted", "True/PodCompleted"));
    assert_eq!(node.sim.pods().await.expect("sim")[0].containers.len(), 1, "the container is kept for its log");
}

#[tokio::test(start_paused = true)]
async fn a_pod_fails() {
    let node = Node::start("fails");
    node.create("p", json!({"restartPolicy": "Never", "containers": [{"name": "c", "command": ["exit", "3"]}]}));
    node.until("p", "/phase", "Failed").await;
    let status = node.until("p", "/conditions/0/status", "False").await;
    assert_eq!(conditions(&status), terminal("PodFailed", "True"));
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_backs_off_longer_each_time() {
    let node = Node::start("crash");
    node.create("p", json!({"restartPolicy": "Always", "containers": [{"name": "c", "command": ["exit", "1"]}]}));
    let status = node.until("p", "/containerStatuses/0/state/waiting/reason", "CrashLoopBackOff").await;
    assert_eq!(status["phase"], "Running");
    assert_eq!(status["containerStatuses"][0]["restartCount"], 1);
    assert_eq!(status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 1);
    let unready = "False/ContainersNotReady/containers with unready status: [c]";
    let expected =
        [&format!("ContainersReady={unready}"), "Initialized=True", "PodReadyToStartContainers=True", "PodScheduled=True", &format!("Ready={unready}")];
    assert_eq!(conditions(&status), expected);
    for (count, delay) in [(1, "10s"), (2, "20s"), (3, "40s"), (4, "1m20s"), (5, "2m40s"), (6, "5m0s"), (7, "5m0s")] {
        let status = node.until("p", "/containerStatuses/0/restartCount", count).await;
        let message = &status["containerStatuses"][0]["state"]["waiting"]["message"];
        assert_eq!(message, &format!("back-off {delay} restarting failed container=c pod=p_ns(uid-p)"));
    }
    assert!(node.api.events("p").contains(&"Warning BackOff: Back-off restarting failed container c in pod p_ns(uid-p)".to_owned()));
    assert!(node.sim.pods().await.expect("sim")[0].containers.len() <= 2, "dead containers do not pile up");
}

#[tokio::test(start_paused = true)]
async fn init_containers_run_in_order_and_a_sidecar_beside() {
    let node = Node::start("init");
    let init = json!([{"name": "i1", "command": ["sleep", "5"]}, {"name": "s", "restartPolicy": "Always"}, {"name": "i2", "command": ["sleep", "5"]}]);
    node.create("p", json!({"restartPolicy": "Always", "initContainers": init, "containers": [{"name": "c"}]}));
    let status = node.until("p", "/initContainerStatuses/0/started", true).await;
    assert_eq!(status["phase"], "Pending");
    assert_eq!(status["containerStatuses"][0]["state"], json!({"waiting": {"reason": "PodInitializing"}}));
    assert!(conditions(&status).contains(&"Initialized=False/ContainersNotInitialized/containers with incomplete status: [i1 s i2]".to_owned()));
    let status = node.until("p", "/initContainerStatuses/2/started", true).await;
    assert_eq!(status["initContainerStatuses"][1]["ready"], true);
    let status = node.until("p", "/phase", "Running").await;
    assert_eq!(status["initContainerStatuses"][2]["state"]["terminated"]["reason"], "Completed");
    assert!(conditions(&status).contains(&"Ready=True".to_owned()));
    // A sidecar that ends is started again; the init containers are not.
    let pods = node.sim.pods().await.expect("sim");
    let sidecar = pods[0].containers.iter().find(|container| container.name == "s").expect("it runs");
    node.sim.kill(&sidecar.id, 1).expect("it runs");
    let status = node.until("p", "/initContainerStatuses/1/restartCount", 1).await;
    assert_eq!(status["initContainerStatuses"][0]["restartCount"], 0);
    assert_eq!(status["phase"], "Running");
}

#[tokio::test(start_paused = true)]
async fn a_failed_init_container_fails_the_pod() {
    let node = Node::start("init-fails");
    let init = json!([{"name": "i1", "command": ["false"]}, {"name": "i2", "command": ["true"]}]);
    node.create("p", json!({"restartPolicy": "Never", "initContainers": init, "containers": [{"name": "c"}]}));
    node.until("p", "/phase", "Failed").await;
    let status = node.until("p", "/conditions/0/status", "False").await;
    let initialized = "False/ContainersNotInitialized/containers with incomplete status: [i1 i2]";
    assert_eq!(conditions(&status), terminal("PodFailed", initialized));
    assert_eq!(status["containerStatuses"][0]["state"], json!({"waiting": {"reason": "PodInitializing"}}));
}

#[tokio::test(start_paused = true)]
async fn images_that_cannot_be_had() {
    let node = Node::start("images");
    node.create("never", json!({"containers": [{"name": "c", "image": "skiff.invalid/none:1", "imagePullPolicy": "Never"}]}));
    let status = node.until("never", "/containerStatuses/0/state/waiting/reason", "ErrImageNeverPull").await;
    assert_eq!(
        status["containerStatuses"][0]["state"]["waiting"]["message"],
        "Container image \"skiff.invalid/none:1\" is not present with pull policy of Never"
    );
    node.create("p", json!({"containers": [{"name": "c", "image": "localhost:1/none:1"}]}));
    node.until("p", "/containerStatuses/0/state/waiting/reason", "ErrImagePull").await;
    let status = node.until("p", "/containerStatuses/0/state/waiting/reason", "ImagePullBackOff").await;
    let message = status["containerStatuses"][0]["state"]["waiting"]["message"].as_str().expect("a message").to_owned();
    assert!(message.starts_with("Back-off pulling image \"localhost:1/none:1\": ErrImagePull: "), "{message}");
    assert_eq!(status["phase"], "Pending");
    tokio::time::sleep(Duration::from_secs(1)).await;
    for expected in [
        "Normal Pulling: Pulling image \"localhost:1/none:1\"",
        "Warning Failed: Error: ErrImagePull",
        "Normal BackOff: Back-off pulling image \"localhost:1/none:1\"",
        "Warning Failed: Error: ImagePullBackOff",
    ] {
        assert!(node.api.events("p").contains(&expected.to_owned()), "{expected} is not in {:#?}", node.api.events("p"));
    }
    node.api.delete_gracefully("ns", "p", 30);
    node.until_gone("p").await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_config_map_is_waited_for() {
    let node = Node::start("config");
    let env = json!([{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]);
    node.create("p", json!({"containers": [{"name": "c", "env": env}]}));
    let status = node.until("p", "/containerStatuses/0/state/waiting/reason", "CreateContainerConfigError").await;
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["message"], "configmap \"none\" not found");
    node.create("v", json!({"volumes": [{"name": "v", "configMap": {"name": "none"}}], "containers": [{"name": "c"}]}));
    let status = node.until("v", "/containerStatuses/0/state/waiting/reason", "ContainerCreating").await;
    assert!(conditions(&status).contains(&"PodReadyToStartContainers=False".to_owned()));
    node.api.apply("configmaps", json!({"metadata": {"name": "none", "namespace": "ns"}, "data": {"k": "v"}}));
    node.until("p", "/phase", "Running").await;
    node.until("v", "/phase", "Running").await;
    assert!(node.api.events("v").contains(&"Warning FailedMount: MountVolume.SetUp failed for volume \"v\" : configmap \"none\" not found".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_passes() {
    let node = Node::start("deadline");
    node.create("p", json!({"activeDeadlineSeconds": 2, "containers": [{"name": "c"}]}));
    node.until("p", "/phase", "Running").await;
    let status = node.until("p", "/phase", "Failed").await;
    assert_eq!(
        (status["reason"].as_str(), status["message"].as_str()),
        (Some("DeadlineExceeded"), Some("Pod was active on the node longer than the specified deadline"))
    );
    let status = node.until("p", "/containerStatuses/0/state/terminated/exitCode", 0).await;
    assert_eq!(status["phase"], "Failed");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused() {
    let node = Node::start("refused");
    node.create("p", json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1000"}}}]}));
    let status = node.until("p", "/phase", "Failed").await;
    assert_eq!(status["reason"], "OutOfcpu");
    assert_eq!(status["message"], "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: 0, capacity: 4000");
    assert!(status["containerStatuses"].is_null() && status["conditions"].is_null());
}

#[tokio::test(start_paused = true)]
async fn probes_decide() {
    let node = Node::start("probes");
    let failing = json!({"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2});
    node.create("live", json!({"containers": [{"name": "c", "livenessProbe": failing}]}));
    node.until("live", "/containerStatuses/0/restartCount", 1).await;
    assert!(node.api.events("live").contains(&"Warning Unhealthy: Liveness probe failed: ".to_owned()));
    assert!(node.api.events("live").contains(&"Normal Killing: Container c failed liveness probe, will be restarted".to_owned()));
    node.create("ready", json!({"containers": [{"name": "c", "readinessProbe": failing}]}));
    let status = node.until("ready", "/containerStatuses/0/started", true).await;
    assert_eq!(status["containerStatuses"][0]["ready"], false);
    let succeeding = json!({"exec": {"command": ["true"]}, "periodSeconds": 1, "initialDelaySeconds": 5});
    node.create("both", json!({"containers": [{"name": "c", "startupProbe": succeeding, "readinessProbe": succeeding}]}));
    let status = node.until("both", "/phase", "Running").await;
    assert_eq!(status["containerStatuses"][0]["started"], false);
    node.until("both", "/containerStatuses/0/ready", true).await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_agent_adopts_what_runs_and_removes_what_is_gone() {
    let mut node = Node::start("adopt");
    let probe = json!({"exec": {"command": ["true"]}, "periodSeconds": 3600});
    node.create("kept", json!({"containers": [{"name": "c", "readinessProbe": probe}]}));
    node.create("gone", json!({"containers": [{"name": "c"}]}));
    node.until("gone", "/phase", "Running").await;
    let before = node.until("kept", "/containerStatuses/0/ready", true).await;
    node.stop().await;
    node.api.remove("pods", "ns", "gone");
    node.run();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pods = node.sim.pods().await.expect("sim");
    assert_eq!(pods.iter().map(|pod| pod.pod.name.as_str()).collect::<Vec<_>>(), ["kept"]);
    assert_eq!(node.status("kept"), before, "nothing changed for the pod that stayed");
    node.create("new", json!({"containers": [{"name": "c"}]}));
    let status = node.until("new", "/phase", "Running").await;
    assert_ne!(status["podIP"], before["podIP"]);
}

#[tokio::test(start_paused = true)]
async fn an_image_changed_in_place_restarts_the_container() {
    let node = Node::start("in-place");
    node.create("p", json!({"containers": [{"name": "c"}]}));
    node.until("p", "/phase", "Running").await;
    let mut pod = node.api.find("pods", "ns", "p").expect("it is there");
    pod["spec"]["containers"][0]["image"] = json!("busybox:2");
    node.api.apply("pods", pod);
    let status = node.until("p", "/containerStatuses/0/restartCount", 1).await;
    assert_eq!(status["containerStatuses"][0]["image"], "busybox:2");
    assert!(node.api.events("p").contains(&"Normal Killing: Container c definition changed, will be restarted".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn resources_change_in_place() {
    let node = Node::start("resize");
    let asks = |cpu: &str| json!({"requests": {"cpu": cpu}});
    node.create("p", json!({"containers": [{"name": "c", "resources": asks("1")}]}));
    node.until("p", "/containerStatuses/0/resources/requests/cpu", "1").await;
    node.until("p", "/phase", "Running").await;
    let resize = |cpu: &str| {
        let mut pod = node.api.find("pods", "ns", "p").expect("it is there");
        pod["spec"]["containers"][0]["resources"] = asks(cpu);
        node.api.apply("pods", pod);
    };
    resize("2");
    let status = node.until("p", "/containerStatuses/0/resources/requests/cpu", "2").await;
    assert_eq!(status["containerStatuses"][0]["restartCount"], 0);
    resize("5");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = node.status("p");
    assert_eq!(status["containerStatuses"][0]["resources"], asks("2"), "more than the node has is not given");
    assert!(
        conditions(&status).contains(&"PodResizePending=True/Infeasible/Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn the_node_registers_and_renews_its_lease() {
    let node = Node::start("node");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let object = node.api.find("nodes", "", "node-1").expect("it is registered");
    assert_eq!(object["metadata"]["labels"]["kubernetes.io/hostname"], "node-1");
    assert_eq!(object["spec"]["podCIDR"], "10.5.1.0/24");
    assert_eq!(object["status"]["capacity"]["cpu"], "4");
    let lease = || node.api.find("leases.coordination.k8s.io", "kube-node-lease", "node-1").expect("there is a lease");
    let first = lease()["spec"]["renewTime"].clone();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_ne!(lease()["spec"]["renewTime"], first);
    assert_eq!(lease()["spec"]["leaseDurationSeconds"], 40);
}
