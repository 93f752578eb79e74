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
        // kubectl before 1.25 looks by itself, and names the field without its path; the server's own words are asked for below
        (deployment("replicas", "replicaz"), "replicaz\""),
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

/// A request, and what a real API server answers: code, reason, message, and the field that is at fault where the answer has one.
struct Wrong {
    request: (&'static str, &'static str, &'static str),
    body: String,
    code: u16,
    reason: &'static str,
    message: String,
    field: &'static str,
}

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const PATCH: &str = "application/json-patch+json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps?fieldValidation=Strict";
const THERE: &str = "/api/v1/namespaces/default/configmaps/there";
const WEBS: &str = "/apis/apps/v1/namespaces/default/deployments?fieldValidation=Strict";

/// The messages are from recordings of Kubernetes 1.35.
#[expect(clippy::too_many_lines, reason = "a table")]
fn wrong_requests(stale: &str) -> Vec<Wrong> {
    let wrong = |request: (&'static str, &'static str, &'static str), body: &str, code, reason, message: &str, field| Wrong {
        request,
        body: body.to_owned(),
        code,
        reason,
        message: message.to_owned(),
        field,
    };
    let map = |rest: &str| format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"m"{rest}"#);
    let web = |labels: &str, rest: &str| {
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"d"}},"spec":{{"selector":{{"matchLabels":{{"app":"a"}}}},{rest}
            "template":{{"metadata":{{"labels":{{"app":"{labels}"}}}},"spec":{{"containers":[{{"name":"c","image":"i"}}]}}}}}}}}"#
        )
    };
    let as_map = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap:";
    let as_web = "Deployment in version \"v1\" cannot be handled as a Deployment:";
    let name = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric \
                character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let large = map(&format!(r#"}},"data":{{"a":"{}"}}}}"#, "x".repeat(3 << 20)));
    vec![
        wrong(("POST", MAPS, JSON), "{", 400, "BadRequest", "couldn't get version/kind; json parse error: unexpected end of JSON input ({)", ""),
        wrong(("POST", MAPS, "application/yaml"), "a: b: c", 400, "BadRequest", "mapping values are not allowed in this context", ""),
        wrong(("POST", MAPS, "text/plain"), "{}", 415, "UnsupportedMediaType", "accepted media types include: application/json, application/yaml, ", ""),
        wrong(
            ("POST", MAPS, JSON),
            r#"{"apiVersion":"v1","kind":"ConfigMop"}"#,
            400,
            "BadRequest",
            "no kind \"ConfigMop\" is registered for version \"v1\"",
            "",
        ),
        wrong(("POST", "/apis/apps/v1/namespaces/default/deploymints", JSON), "{}", 404, "NotFound", "the server could not find the requested resource", ""),
        wrong(("POST", MAPS, JSON), &map(r#"},"date":{}}"#), 400, "BadRequest", &format!("{as_map} strict decoding error: unknown field \"date\""), ""),
        wrong(
            ("POST", MAPS, JSON),
            &map(r#","name":"n"}}"#),
            400,
            "BadRequest",
            &format!("{as_map} strict decoding error: duplicate field \"metadata.name\""),
            "",
        ),
        // kubectl sends JSON, and of a field that its YAML has twice only the last; whoever sends YAML hears of it.
        wrong(
            ("POST", MAPS, "application/yaml"),
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: a}\ndata: {k: b}\n",
            400,
            "BadRequest",
            "line 5: key \"data\" already set in map",
            "",
        ),
        wrong(
            ("POST", WEBS, JSON),
            &web("a", r#""replicaz":1,"#),
            400,
            "BadRequest",
            &format!("{as_web} strict decoding error: unknown field \"spec.replicaz\""),
            "",
        ),
        wrong(
            ("POST", WEBS, JSON),
            &web("a", r#""replicas":"many","#),
            400,
            "BadRequest",
            &format!("{as_web} json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
            "",
        ),
        wrong(
            ("POST", MAPS, JSON),
            r#"{"metadata":{"name":"Web_1"}}"#,
            422,
            "Invalid",
            &format!("ConfigMap \"Web_1\" is invalid: metadata.name: Invalid value: \"Web_1\": {name}"),
            "metadata.name",
        ),
        wrong(
            ("POST", WEBS, JSON),
            &web("b", ""),
            422,
            "Invalid",
            "Deployment.apps \"d\" is invalid: spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`",
            "spec.template.metadata.labels",
        ),
        wrong(
            ("PUT", THERE, JSON),
            &format!(r#"{{"metadata":{{"name":"there","resourceVersion":"{stale}"}},"data":{{"k":"stale"}}}}"#),
            409,
            "Conflict",
            "Operation cannot be fulfilled on configmaps \"there\": the object has been modified; please apply your changes to the latest version and try again",
            "",
        ),
        wrong(("PATCH", THERE, MERGE), "{", 400, "BadRequest", "error decoding patch: unexpected end of JSON input", ""),
        wrong(
            ("PATCH", THERE, MERGE),
            r#"{"data":{"k":5}}"#,
            422,
            "Invalid",
            "cannot unmarshal number into Go struct field ConfigMap.data of type string",
            "patch",
        ),
        wrong(("PATCH", THERE, STRATEGIC), r#"{"data":"x"}"#, 422, "Invalid", "", ""),
        wrong(
            ("PATCH", THERE, JSON),
            "{}",
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: ",
            "",
        ),
        wrong(
            ("PATCH", THERE, PATCH),
            r#"[{"op":"test","path":"/data/k","value":"other"},{"op":"remove","path":"/data/k"}]"#,
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
            "",
        ),
        wrong(("PATCH", THERE, PATCH), r#"[{"op":"remove","path":"/data/nope"}]"#, 422, "Invalid", "", ""),
        wrong(("PATCH", "/api/v1/namespaces/default/configmaps/m", MERGE), "{}", 404, "NotFound", "configmaps \"m\" not found", ""),
        wrong(("POST", MAPS, JSON), &large, 413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728", ""),
    ]
}

#[test]
fn wrong_requests_are_answered_as_kubernetes_does_and_store_nothing() {
    let cluster = Cluster::up(&["--runtime", "sim", "--nodes", "0"]);
    let (code, first) = cluster.http("POST", MAPS, JSON, r#"{"metadata":{"name":"there"},"data":{"k":"1"}}"#);
    assert_eq!(code, 201, "{first}");
    let stale = first["metadata"]["resourceVersion"].as_str().unwrap();
    assert_eq!(cluster.http("PATCH", THERE, MERGE, r#"{"data":{"k":"2"}}"#).0, 200);
    let stored = || (cluster.json("configmaps"), cluster.json("deployments -A"));
    let before = stored();
    for wrong in wrong_requests(stale) {
        let (method, path, content_type) = wrong.request;
        let (code, status) = cluster.http(method, path, content_type, &wrong.body);
        let sent = format!("{method} {path} {content_type}\n{:.300}\nwas answered {code} {status}", wrong.body);
        assert_eq!((code, status["kind"].as_str(), status["code"].as_u64()), (wrong.code, Some("Status"), Some(wrong.code.into())), "{sent}");
        assert_eq!((status["status"].as_str(), status["reason"].as_str()), (Some("Failure"), Some(wrong.reason)), "{sent}");
        assert!(status["message"].as_str().unwrap().contains(&wrong.message), "{sent}\nnot {}", wrong.message);
        if !wrong.field.is_empty() {
            assert_eq!(status["details"]["causes"][0]["field"], wrong.field, "{sent}");
        }
    }
    assert_eq!(stored(), before);
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
