//! Nothing is silently ignored, and nothing that a pod may count on is missing.

use std::time::Duration;

use skiff_tests::{Cluster, equal, eventually};

const SOON: Duration = Duration::from_secs(60);

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: tidy}
spec:
  containers:
  - {name: c, image: "skiff/demo:1", args: [sleep]}
---
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: "skiff/demo:1", args: [sleep], volumeMounts: [{name: scratch, mountPath: /scratch}]}
  volumes:
  - {name: scratch, emptyDir: {sizeLimit: 1Mi}}
"#;

#[test]
fn pods_have_tokens_and_go_when_they_take_more_disk_than_they_may() {
    let cluster = Cluster::up(&["--nodes", "0"]);
    // The first node gives pods accounts, and the API server an address that they reach.
    cluster.skiff(&["node", "add"]).ok();
    cluster.kubectl_with(&["apply", "-f", "-"], PODS).ok();
    cluster.kubectl(&["wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s"]).ok();
    let read = |file: &str| cluster.kubectl(&["exec", "tidy", "--", "demo", "cat", &format!("/var/run/secrets/kubernetes.io/serviceaccount/{file}")]).ok();
    assert_eq!(read("namespace"), "default");
    assert_eq!(read("ca.crt"), std::fs::read_to_string(cluster.dir().join("pki/ca.crt")).unwrap());
    let review = serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": read("token")}});
    let (_, answer) = cluster.http("POST", "/apis/authentication.k8s.io/v1/tokenreviews", "application/json", &review.to_string());
    let user = &answer["status"]["user"];
    assert_eq!(user["username"], "system:serviceaccount:default:default");
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"][0], "tidy");
    let endpoint = cluster.get("endpointslice kubernetes", "{.endpoints[0].addresses[0]}:{.ports[0].port}");
    assert!(endpoint.starts_with("10.") && endpoint.ends_with(&format!(":{}", cluster.port())), "{endpoint}");

    let uid = cluster.get("pod greedy", "{.metadata.uid}");
    let scratch = cluster.dir().join(format!("nodes/node-1/pods/{uid}/volumes/kubernetes.io~empty-dir/scratch"));
    std::fs::write(scratch.join("much"), vec![1; 2 << 20]).unwrap();
    eventually(SOON, || equal(cluster.get("pod greedy", "{.status.phase} {.status.reason}"), "Failed Evicted"));
    assert_eq!(cluster.get("pod greedy", "{.status.message}"), "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\". ");
    assert_eq!(cluster.get("pod tidy", "{.status.phase}"), "Running");
}

#[test]
fn what_nobody_acts_on_says_so_once() {
    let cluster = Cluster::up(&["--nodes", "0", "--runtime", "sim"]);
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {pods: \"1\"}}\n";
    let class = "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: fast}\nprovisioner: example.com/x\n";
    cluster.kubectl_with(&["apply", "-f", "-"], &format!("{quota}{class}")).ok();
    let told = || cluster.get("events --field-selector reason=NotImplemented", "{range .items[*]}{.involvedObject.kind}/{.involvedObject.name} {end}");
    eventually(SOON, || {
        let told = told();
        let mut names: Vec<&str> = told.split_whitespace().collect();
        names.sort_unstable();
        equal(names.join(" "), "ResourceQuota/q StorageClass/fast")
    });
    // Somebody who starts anew, and an object that changes, repeat nothing.
    cluster.kill("controller");
    cluster.skiff(&["up"]).ok();
    cluster.kubectl(&["label", "resourcequota", "q", "a=b"]).ok();
    cluster.kubectl_with(&["create", "-f", "-"], "apiVersion: v1\nkind: LimitRange\nmetadata: {name: l}\nspec: {limits: []}\n").ok();
    eventually(SOON, || if told().contains("LimitRange/l") { Ok(()) } else { Err(told()) });
    assert_eq!(told().split_whitespace().count(), 3);
}
