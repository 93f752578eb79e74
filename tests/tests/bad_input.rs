//! What is wrong is refused in Kubernetes' words, and nothing of it is stored.

use skiff_tests::Cluster;

fn deployment(change: &str, to: &str) -> String {
    let good = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n  selector: {matchLabels: {app: web}}\n  \
                template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - {name: c, image: i}\n";
    assert!(good.contains(change), "{change}");
    good.replace(change, to)
}

#[test]
fn wrong_manifests_are_refused_and_named() {
    let cluster = Cluster::up(&["--runtime", "sim", "--nodes", "0"]);
    for (manifest, told) in [
        ("a: b: c".to_owned(), "mapping values are not allowed"),
        (deployment("kind: Deployment", "kind: Deploymint"), "no matches for kind \"Deploymint\" in version \"apps/v1\""),
        (deployment("replicas", "replicaz"), "unknown field \"spec.replicaz\""),
        (deployment("replicas: 1", "replicas: many"), "replicas"),
        (deployment("name: web", "name: Web_1"), "a lowercase RFC 1123 subdomain must consist of"),
        (deployment("labels: {app: web}", "labels: {app: other}"), "`selector` does not match template `labels`"),
        (deployment("image: i", "image: ''"), "spec.template.spec.containers[0].image: Required value"),
    ] {
        let said = cluster.kubectl_with(&["create", "-f", "-"], &manifest);
        assert!(said.code != 0 && said.err.contains(told), "{manifest}\n{said:?}");
    }
    assert_eq!(cluster.kubectl(&["get", "deployments", "-A", "-o", "name"]).ok(), "");
    let elsewhere = cluster.kubectl_with(&["create", "-n", "nowhere", "-f", "-"], &deployment("name: web", "name: web")).failed();
    assert!(elsewhere.contains("namespaces \"nowhere\" not found"), "{elsewhere}");
}

#[test]
fn strangers_are_told_who_they_are_not() {
    let cluster = Cluster::up(&["--runtime", "sim", "--nodes", "2"]);
    let server = format!("https://127.0.0.1:{}", cluster.port());
    let curl = |args: &[&str]| {
        let output = std::process::Command::new("curl").args(["-sk", "-w", " %{http_code}"]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let anonymous = curl(&[&format!("{server}/api/v1/pods")]);
    assert!(anonymous.contains("system:anonymous") && anonymous.ends_with("403"), "{anonymous}");
    assert_eq!(curl(&[&format!("{server}/readyz")]), "ok 200");
    let pki = cluster.dir().join("pki");
    let as_node = |path: &str| {
        let (certificate, key) = (pki.join("node-1.crt"), pki.join("node-1.key"));
        curl(&["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap(), &format!("{server}{path}")])
    };
    assert!(as_node("/api/v1/nodes/node-1").ends_with("200"));
    for forbidden in ["/api/v1/secrets", "/api/v1/namespaces/default/secrets/mine", "/api/v1/pods?fieldSelector=spec.nodeName=node-2"] {
        let said = as_node(forbidden);
        assert!(said.contains("Forbidden") && said.ends_with("403"), "{forbidden}: {said}");
    }
}
