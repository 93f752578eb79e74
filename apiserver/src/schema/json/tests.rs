//! Bodies in, canonical values or Go's sentences out. The sentences are those of kube-apiserver 1.35.

use serde_json::{Value, json};

use super::super::types::types;
use super::super::{ContentType, FieldValidation, Gvk};
use super::{base64_fault, decode};

fn run(api_version: &str, kind: &str, body: &str) -> Result<(Value, Vec<String>), String> {
    decode(body.as_bytes(), types().of(&Gvk::parse(api_version, kind)).unwrap(), true)
}

fn value(api_version: &str, kind: &str, body: &str) -> Value {
    run(api_version, kind, body).unwrap().0
}

fn error(api_version: &str, kind: &str, body: &str) -> String {
    run(api_version, kind, body).unwrap_err()
}

#[test]
fn prints_what_go_always_prints() {
    assert_eq!(value("v1", "ConfigMap", "{}"), json!({"metadata": {}}));
    assert_eq!(value("v1", "Pod", "null"), json!({"metadata": {}, "spec": {"containers": null}, "status": {}}));
    let deployment = value("apps/v1", "Deployment", r#"{"spec":{"template":{"spec":{"containers":[{"name":"c"}]}}}}"#);
    let template = json!({"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {}}]}});
    assert_eq!(deployment, json!({"metadata": {}, "spec": {"selector": null, "strategy": {}, "template": template}, "status": {}}));
}

#[test]
fn drops_nulls_and_empties() {
    let body = r#"{"metadata":{"name":"m","labels":null,"annotations":{"a":null},"finalizers":[]},"data":null,"immutable":false}"#;
    assert_eq!(value("v1", "ConfigMap", body), json!({"metadata": {"name": "m", "annotations": {"a": ""}}, "immutable": false}));
    assert_eq!(value("v1", "Pod", r#"{"spec":{"containers":[null]}}"#)["spec"], json!({"containers": [{"name": "", "resources": {}}]}));
    let secured = r#"{"spec":{"containers":[],"nodeName":"","hostNetwork":false,"securityContext":{"runAsUser":0,"runAsNonRoot":false}}}"#;
    assert_eq!(value("v1", "Pod", secured)["spec"], json!({"containers": null, "securityContext": {"runAsUser": 0, "runAsNonRoot": false}}));
}

#[test]
fn canonicalises_scalars() {
    let limits = r#"{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"0.5","memory":"1024Mi","x":1}}}]}}"#;
    let spec = &value("v1", "Pod", limits)["spec"]["containers"][0]["resources"];
    assert_eq!(*spec, json!({"limits": {"cpu": "500m", "memory": "1Gi", "x": "1"}}));
    let times = r#"{"metadata":{"creationTimestamp":"2026-01-02T03:04:05+02:00","deletionTimestamp":null}}"#;
    assert_eq!(value("v1", "ConfigMap", times)["metadata"], json!({"creationTimestamp": "2026-01-02T01:04:05Z"}));
    let ports = r#"{"spec":{"ports":[{"port":80,"targetPort":"web"},{"port":81,"targetPort":8080}]}}"#;
    let expected = json!([{"port": 80, "targetPort": "web"}, {"port": 81, "targetPort": 8080}]);
    assert_eq!(value("v1", "Service", ports)["spec"]["ports"], expected);
}

#[test]
fn keeps_raw_values() {
    let body = r#"{"revision":9223372036854775807,"data":{"f":1.0,"big":12345678901234567890,"e":1e3,"none":null,"list":[]}}"#;
    let expected = json!({"f": 1.0, "big": 12345678901234567890u64, "e": 1000.0, "none": null, "list": []});
    let revision = value("apps/v1", "ControllerRevision", body);
    assert_eq!((&revision["data"], &revision["revision"]), (&expected, &json!(9223372036854775807i64)));
}

#[test]
fn names_the_mistyped_field() {
    let cases = [
        ("v1", "ConfigMap", r#"{"metadata":{"name":5}}"#, "number into Go struct field ObjectMeta.metadata.name of type string"),
        ("v1", "ConfigMap", r#"{"data":{"a":1}}"#, "number into Go struct field ConfigMap.data of type string"),
        ("v1", "ConfigMap", r#"{"data":["a"]}"#, "array into Go struct field ConfigMap.data of type map[string]string"),
        ("v1", "ConfigMap", r#"{"metadata":[]}"#, "array into Go struct field ConfigMap.metadata of type v1.ObjectMeta"),
        ("v1", "ConfigMap", r#"{"immutable":"yes"}"#, "string into Go struct field ConfigMap.immutable of type bool"),
        ("v1", "ConfigMap", r#"{"metadata":{"creationTimestamp":5}}"#, "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string"),
        ("v1", "Pod", r#"{"spec":{"containers":"c"}}"#, "string into Go struct field PodSpec.spec.containers of type []v1.Container"),
        ("v1", "Pod", r#"{"spec":{"containers":[{"name":1}]}}"#, "number into Go struct field Container.spec.containers.name of type string"),
        ("v1", "Pod", r#"{"spec":{"containers":["c"]}}"#, "string into Go struct field PodSpec.spec.containers of type v1.Container"),
        ("apps/v1", "Deployment", r#"{"spec":{"replicas":"3"}}"#, "string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ("apps/v1", "Deployment", r#"{"spec":{"replicas":1.5}}"#, "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ("apps/v1", "Deployment", r#"{"spec":{"replicas":1e0}}"#, "number 1e0 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ("apps/v1", "Deployment", r#"{"spec":{"replicas":3000000000}}"#, "number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (
            "v1",
            "Pod",
            r#"{"spec":{"containers":[{"livenessProbe":{"httpGet":{"port":true}}}]}}"#,
            "bool into Go struct field HTTPGetAction.spec.containers.livenessProbe.ProbeHandler.httpGet.port of type int32",
        ),
        ("v1", "ConfigMap", "[]", "array into Go value of type v1.ConfigMap"),
    ];
    for (api_version, kind, body, expected) in cases {
        assert_eq!(error(api_version, kind, body), format!("json: cannot unmarshal {expected}"), "{body}");
    }
}

#[test]
fn tells_what_a_scalar_refuses() {
    let quantity = r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"abc"}}}]}}"#;
    let expected = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    assert_eq!(error("v1", "Pod", quantity), expected);
    assert_eq!(error("v1", "Secret", r#"{"data":{"a":"*"}}"#), "illegal base64 data at input byte 0");
}

#[test]
fn finds_unknown_and_duplicate_fields() {
    let body =
        r#"{"spec":{"containers":[{"name":"c","imag":"x","ports":[{"hostport":1}]}],"nope":1},"metadata":{"name":"a","name":"b","labels":{"l":"1","l":"2"}}}"#;
    let (value, told) = run("v1", "Pod", body).unwrap();
    let expected = [
        "unknown field \"spec.containers[0].imag\"",
        "unknown field \"spec.containers[0].ports[0].hostport\"",
        "unknown field \"spec.nope\"",
        "duplicate field \"metadata.name\"",
        "duplicate field \"metadata.labels.l\"",
    ];
    assert_eq!(told, expected);
    assert_eq!(value["metadata"], json!({"name": "b", "labels": {"l": "2"}}));
}

#[test]
fn finds_where_base64_ends() {
    for (text, expected) in [
        ("", None),
        ("YQ==", None),
        ("YWJj", None),
        ("YW\nI=", None),
        ("abc", Some(0)),
        ("YWJjYQ", Some(4)),
        ("*", Some(0)),
        ("YQ=a", Some(2)),
        ("YQ==x", Some(4)),
    ] {
        assert_eq!(base64_fault(text), expected, "{text}");
    }
}

/// Bodies with something changed in them, and what Go's strict serializer of apimachinery 0.35 made of each.
#[test]
fn answers_as_go_answered() {
    for line in include_str!("go.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let body = case["body"].as_str().unwrap();
        let decoded = super::super::decode(body.as_bytes(), ContentType::Json, None, FieldValidation::Warn);
        match case["error"].as_str() {
            Some(error) => assert_eq!(decoded.unwrap_err().message, error, "{body}"),
            None => {
                let decoded = decoded.unwrap();
                assert_eq!((&decoded.object, json!(decoded.warnings)), (&case["object"], case.get("told").cloned().unwrap_or(json!([]))), "{body}");
            }
        }
    }
}
