//! Bodies and objects in, patched objects or Kubernetes' sentences out. Recorded from kube-apiserver 1.35.

use proptest::prelude::*;
use serde_json::{Value, json};
use skiff_proto::status::Status;

use super::{PatchKind, patch};
use crate::schema::{FieldValidation, Gvk, types};

fn deployment() -> Value {
    let c = json!({"name": "c", "image": "i:1", "resources": {}, "ports": [{"name": "web", "containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "TCP"}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let side = json!({"name": "side", "image": "s:1", "resources": {}, "args": ["x", "y"]});
    let spec = json!({"containers": [c, side], "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "x"}}],
        "tolerations": [{"key": "a", "operator": "Exists"}], "imagePullSecrets": [{"name": "one"}]});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "status": {}, "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "a"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}, "template": {"metadata": {"labels": {"app": "a"}}, "spec": spec}}})
}

fn config() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x/y": "z"}, "finalizers": ["a.b/1", "a.b/2", "a.b/3"]}, "data": {"k": "1", "l": "2"}})
}

fn run(kind: PatchKind, original: &Value, body: &str, validation: FieldValidation) -> Result<Value, Status> {
    let gvk = Gvk::parse(original["apiVersion"].as_str().unwrap(), original["kind"].as_str().unwrap());
    patch(kind, original, body.as_bytes(), &gvk, validation).map(|patched| patched.object)
}

fn refused(kind: PatchKind, original: &Value, body: &str) -> (u16, String) {
    let status = run(kind, original, body, FieldValidation::Strict).unwrap_err();
    (status.code, status.message)
}

/// Wraps a pod spec as a patch of a deployment.
fn of_spec(spec: &str) -> String {
    format!(r#"{{"spec":{{"template":{{"spec":{spec}}}}}}}"#)
}

#[test]
fn lists_merge_by_key_or_are_replaced() {
    let cases = [
        (
            r#"{"containers":[{"name":"c","ports":[{"containerPort":80,"name":"http"}]}]}"#,
            "/containers/0/ports",
            json!([{"name": "http", "containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "TCP"}]),
        ),
        (
            r#"{"containers":[{"name":"c","ports":[{"containerPort":90}]}]}"#,
            "/containers/0/ports",
            json!([{"containerPort": 90}, {"name": "web", "containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "TCP"}]),
        ),
        (
            r#"{"containers":[{"name":"c","ports":[{"containerPort":80,"$patch":"delete"}]}]}"#,
            "/containers/0/ports",
            json!([{"containerPort": 81, "protocol": "TCP"}]),
        ),
        (r#"{"tolerations":[{"key":"b","operator":"Exists"}]}"#, "/tolerations", json!([{"key": "b", "operator": "Exists"}])),
        (r#"{"imagePullSecrets":[{"name":"two"}]}"#, "/imagePullSecrets", json!([{"name": "two"}, {"name": "one"}])),
        (r#"{"containers":[{"$patch":"replace"},{"name":"only","image":"o:1"}]}"#, "/containers", json!([{"name": "only", "image": "o:1", "resources": {}}])),
        (r#"{"containers":[{"name":"c","image":"i:9","$patch":"replace"}]}"#, "/containers", Value::Null),
        (r#"{"volumes":[{"name":"v","$patch":"delete"}]}"#, "/volumes", json!([{"name": "w", "configMap": {"name": "x"}}])),
        (r#"{"$setElementOrder/containers":[{"name":"side"},{"name":"c"}],"containers":[{"name":"c","image":"i:2"}]}"#, "/containers/1/image", json!("i:2")),
        (
            r#"{"containers":[{"name":"c","env":[{"name":"C","value":"3"},{"name":"A","value":"9"}]}]}"#,
            "/containers/0/env",
            json!([{"name": "C", "value": "3"}, {"name": "A", "value": "9"}, {"name": "B", "value": "2"}]),
        ),
    ];
    for (spec, pointer, expected) in cases {
        let patched = run(PatchKind::Strategic, &deployment(), &of_spec(spec), FieldValidation::Strict).unwrap();
        assert_eq!(patched["spec"]["template"]["spec"].pointer(pointer).unwrap_or(&Value::Null), &expected, "{spec}");
    }
}

#[test]
fn maps_and_primitive_lists() {
    let cases = [
        (r#"{"data":{"k":null,"m":"3"}}"#, "/data", json!({"l": "2", "m": "3"})),
        (r#"{"data":{"$patch":"replace","only":"1"}}"#, "/data", json!({"only": "1"})),
        (r#"{"data":{"$patch":"delete"}}"#, "/data", Value::Null),
        (r#"{"metadata":{"labels":null}}"#, "/metadata/labels", Value::Null),
        (r#"{"metadata":{"finalizers":["a.b/4"]}}"#, "/metadata/finalizers", json!(["a.b/4", "a.b/1", "a.b/2", "a.b/3"])),
        (r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["a.b/2"]}}"#, "/metadata/finalizers", json!(["a.b/1", "a.b/3"])),
        (
            r#"{"metadata":{"$setElementOrder/finalizers":["a.b/5","a.b/3","a.b/1"],"finalizers":["a.b/5"]}}"#,
            "/metadata/finalizers",
            json!(["a.b/5", "a.b/2", "a.b/3", "a.b/1"]),
        ),
        (r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["none"],"finalizers":["a.b/1"]}}"#, "/metadata/finalizers", json!(["a.b/1", "a.b/2", "a.b/3"])),
    ];
    for (body, pointer, expected) in cases {
        let patched = run(PatchKind::Strategic, &config(), body, FieldValidation::Strict).unwrap();
        assert_eq!(patched.pointer(pointer).unwrap_or(&Value::Null), &expected, "{body}");
    }
    let strategy = |body: &str| run(PatchKind::Strategic, &deployment(), body, FieldValidation::Strict).unwrap()["spec"]["strategy"].clone();
    assert_eq!(strategy(r#"{"spec":{"strategy":{"$patch":"replace","type":"Recreate"}}}"#), json!({"type": "Recreate"}));
    assert_eq!(strategy(r#"{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}"#), json!({"type": "Recreate"}));
}

#[test]
fn refuses_strategic_patches_as_kubernetes_does() {
    let invalid = |shown: &str, why: &str| (422, format!(" \"\" is invalid: patch: Invalid value: \"{shown}\": {why}"));
    let cases = [
        (of_spec(r#"{"containers":[{"image":"x"}]}"#), (500, "map: map[image:x] does not contain declared merge key: name".to_owned())),
        (of_spec(r#"{"containers":[{"name":"c","$patch":"explode"}]}"#), (500, "unknown patch type: explode in map: map[$patch:explode name:c]".to_owned())),
        (of_spec(r#"{"containers":"x"}"#), invalid("map[spec:map[template:map[spec:map[containers:x]]]]", "cannot restore slice from string")),
        (of_spec(r#"{"containers":{"name":"c"}}"#), invalid("map[spec:map[template:map[spec:map[containers:map[name:c]]]]]", "cannot restore slice from map")),
        (
            of_spec(r#"{"$setElementOrder/containers":[{"name":"c"}],"containers":[{"name":"side","image":"x"}]}"#),
            (500, "The order in patch list:\n[map[image:x name:side]]\n doesn't match $setElementOrder list:\n[map[name:c]]\n".to_owned()),
        ),
        ("[]".to_owned(), (400, "json: cannot unmarshal array into Go value of type map[string]interface {}".to_owned())),
        (of_spec(r#"{"$retainKeys":["x"],"containers":[{"name":"c"}]}"#), (400, "invalid patch format of retainKeys".to_owned())),
        (r#"{"metadata":{"nope":1}}"#.to_owned(), invalid("map[metadata:map[nope:1]]", "strict decoding error: unknown field \"metadata.nope\"")),
    ];
    for (body, expected) in cases {
        assert_eq!(refused(PatchKind::Strategic, &deployment(), &body), expected, "{body}");
    }
}

#[test]
fn refuses_merge_patches_as_kubernetes_does() {
    let malformed = [
        (r#""text""#, "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}"),
        ("[]", "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ("{", "error decoding patch: unexpected end of JSON input"),
        ("null", "Invalid JSON Patch"),
    ];
    for (body, expected) in malformed {
        assert_eq!(refused(PatchKind::Merge, &config(), body), (400, expected.to_owned()), "{body}");
    }
    let invalid = [
        (r#"{"data":"x"}"#, "json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string"),
        (r#"{"data":{"k":5}}"#, "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        (r#"{"kind":"Secret"}"#, "illegal base64 data at input byte 0"),
        (r#"{"apiVersion":"v2"}"#, "no kind \"ConfigMap\" is registered for version \"v2\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""),
        (r#"{"extra":1}"#, "strict decoding error: unknown field \"extra\""),
        (r#"{"data":{"a":"1","a":"2"}}"#, "strict decoding error: duplicate field \"data.a\""),
    ];
    for (body, expected) in invalid {
        let (code, message) = refused(PatchKind::Merge, &config(), body);
        assert!(
            code == 422 && message.starts_with(" \"\" is invalid: patch: Invalid value: \"{") && message.ends_with(&format!("}}\": {expected}")),
            "{body}: {message}"
        );
    }
}

#[test]
fn json_patches_apply() {
    let run = |body: &str| run(PatchKind::Json, &config(), body, FieldValidation::Strict).unwrap();
    assert_eq!(
        run(r#"[{"op":"add","path":"/data/m","value":"3"},{"op":"remove","path":"/data/l"},{"op":"replace","path":"/data/k","value":"9"}]"#)["data"],
        json!({"k": "9", "m": "3"})
    );
    assert_eq!(
        run(r#"[{"op":"move","from":"/data/k","path":"/data/n"},{"op":"copy","from":"/data/n","path":"/data/o"}]"#)["data"],
        json!({"l": "2", "n": "1", "o": "1"})
    );
    assert_eq!(
        run(r#"[{"op":"test","path":"/data/k","value":"1"},{"op":"add","path":"/metadata/labels/a~1b","value":"c"}]"#)["metadata"]["labels"],
        json!({"a/b": "c", "x/y": "z"})
    );
    assert_eq!(run(r#"[{"op":"replace","path":"/data/new","value":"9"}]"#)["data"]["new"], json!("9"));
    let rejected = (422, "the server rejected our request due to an error in our request".to_owned());
    for body in [
        r#"[{"op":"test","path":"/data/k","value":"2"}]"#,
        r#"[{"op":"remove","path":"/data/none"}]"#,
        r#"[{"op":"explode","path":"/data"}]"#,
        r#"[{"op":"add","path":"/no/where","value":1}]"#,
    ] {
        assert_eq!(refused(PatchKind::Json, &config(), body), rejected, "{body}");
    }
    let operation = r#"{"op":"add","path":"/data/k","value":"1"}"#;
    let many = format!("[{}]", vec![operation; 10_001].join(","));
    let expected = "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001";
    assert_eq!(refused(PatchKind::Json, &config(), &many), (413, expected.to_owned()));
}

#[test]
fn warns_unless_told_otherwise() {
    let gvk = Gvk::parse("v1", "ConfigMap");
    let warned = patch(PatchKind::Merge, &config(), br#"{"extra":1}"#, &gvk, FieldValidation::Warn).unwrap();
    assert_eq!((warned.warnings, warned.object), (vec!["unknown field \"extra\"".to_owned()], config()));
    assert_eq!(patch(PatchKind::Merge, &config(), br#"{"extra":1}"#, &gvk, FieldValidation::Ignore).unwrap().warnings, Vec::<String>::new());
}

/// Objects and patches, and what Go's `strategicpatch` of apimachinery 0.35 made of them, before anything is decoded.
#[test]
fn merges_as_go_merged() {
    for line in include_str!("go.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let gvk = Gvk::parse(case["original"]["apiVersion"].as_str().unwrap(), case["original"]["kind"].as_str().unwrap());
        let merged = super::strategic::apply(&case["original"], &case["patch"], types().of(&gvk).unwrap());
        match (case["error"].as_str(), merged) {
            (Some(error), Err(fault)) => assert_eq!(fault.to_string(), error, "{}", case["patch"]),
            (None, Ok(object)) => assert_eq!(object, case["object"], "{}", case["patch"]),
            (expected, merged) => panic!("{}: {expected:?}, got {merged:?}", case["patch"]),
        }
    }
}

proptest! {
    /// Patching with what is already there changes nothing, whatever the order of its parts.
    #[test]
    fn own_values_change_nothing(names in proptest::collection::btree_set("[a-z]{1,8}", 1..6), values in proptest::collection::vec("[a-z]{0,4}", 6)) {
        let env: Vec<Value> = names.iter().zip(&values).map(|(name, value)| json!({"name": name, "value": value})).collect();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "env": env}]}});
        let gvk = Gvk::parse("v1", "Pod");
        let original = crate::schema::canonicalize(&gvk, &pod, FieldValidation::Strict).unwrap().object;
        for kind in [PatchKind::Strategic, PatchKind::Merge] {
            let patched = patch(kind, &original, original.to_string().as_bytes(), &gvk, FieldValidation::Strict).unwrap();
            prop_assert_eq!(&patched.object, &original);
        }
        prop_assert_eq!(&patch(PatchKind::Strategic, &original, b"{}", &gvk, FieldValidation::Strict).unwrap().object, &original);
    }

    /// An element deleted by its key is gone, and the others stand as they stood.
    #[test]
    fn deletes_one_element(names in proptest::collection::btree_set("[a-z]{1,8}", 2..6), pick in any::<prop::sample::Index>()) {
        let names: Vec<String> = names.into_iter().collect();
        let gone = pick.get(&names).clone();
        let volumes: Vec<Value> = names.iter().map(|name| json!({"name": name, "emptyDir": {}})).collect();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": [], "volumes": volumes}});
        let body = json!({"spec": {"volumes": [{"name": gone, "$patch": "delete"}]}}).to_string();
        let patched = patch(PatchKind::Strategic, &pod, body.as_bytes(), &Gvk::parse("v1", "Pod"), FieldValidation::Strict).unwrap();
        let left: Vec<&str> = patched.object["spec"]["volumes"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        let expected: Vec<&str> = names.iter().filter(|name| **name != gone).map(String::as_str).collect();
        prop_assert_eq!(left, expected);
    }
}
