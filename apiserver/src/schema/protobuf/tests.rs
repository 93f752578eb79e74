//! Protobuf in and out must say the same as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{ContentType, FieldValidation, Gvk, canonicalize, decode};
use super::{MAGIC, encode, open, put_bytes, put_varint, watch_frame};

fn canonical(api_version: &str, kind: &str, value: &Value) -> Value {
    canonicalize(&Gvk::parse(api_version, kind), value, FieldValidation::Strict).unwrap().object
}

fn there_and_back(object: &Value) -> Value {
    let gvk = Gvk::parse(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    decode(&encode(&gvk, object).unwrap(), ContentType::Protobuf, Some(&gvk), FieldValidation::Strict).unwrap().object
}

#[test]
fn says_the_same_as_json() {
    let container = json!({"name": "c", "image": "i", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "0.5"}}, "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}],
        "livenessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 3}, "securityContext": {"runAsUser": 0, "allowPrivilegeEscalation": false}, "lifecycle": {"preStop": {"sleep": {"seconds": -1}}}});
    let spec = json!({"containers": [container], "automountServiceAccountToken": false, "volumes": [{"name": "v", "emptyDir": {}}], "terminationGracePeriodSeconds": 0});
    let metadata = json!({"name": "p", "labels": {"a": "b", "empty": ""}, "creationTimestamp": "2026-01-02T03:04:05Z", "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]});
    let objects = [
        canonical("v1", "Pod", &json!({"metadata": metadata, "spec": spec})),
        canonical("v1", "Secret", &json!({"data": {"a": "AAEC/w==", "none": ""}, "type": "Opaque"})),
        canonical("coordination.k8s.io/v1", "Lease", &json!({"spec": {"renewTime": "2026-01-02T03:04:05.000006Z", "leaseTransitions": 0}})),
        canonical("apps/v1", "ControllerRevision", &json!({"revision": 3, "data": {"any": [1, "two", null]}})),
        canonical("authorization.k8s.io/v1", "SubjectAccessReview", &json!({"spec": {"user": "u", "extra": {"k": ["a", "b"], "none": null}}})),
        canonical("v1", "ConfigMapList", &json!({"items": [{"metadata": {"name": "a"}, "binaryData": {"x": "AA=="}}]})),
        canonical(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            &json!({"spec": {"group": "g", "names": {"plural": "p", "kind": "K"}, "scope": "Namespaced", "versions": [{"name": "v1",
            "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"a": {"maximum": 1.5, "default": 5, "items": {"type": "string"}, "additionalProperties": false}}}}}]}}),
        ),
    ];
    for object in objects {
        assert_eq!(there_and_back(&object), object);
    }
}

#[test]
fn explicit_zeros_are_not_values() {
    let mut spec = Vec::new();
    put_bytes(10, b"", &mut spec); // nodeName ""
    put_varint(11, 0, &mut spec); // hostNetwork false
    put_varint(21, 0, &mut spec); // automountServiceAccountToken false: a pointer
    let mut meta = Vec::new();
    put_bytes(1, b"p", &mut meta);
    put_bytes(8, b"", &mut meta); // an unset creationTimestamp
    let mut pod = Vec::new();
    put_bytes(1, &meta, &mut pod);
    put_bytes(2, &spec, &mut pod);
    let body = super::envelope(&Gvk::parse("v1", "Pod"), &pod);
    let decoded = decode(&body, ContentType::Protobuf, None, FieldValidation::Strict).unwrap();
    let expected = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": null, "automountServiceAccountToken": false}, "status": {}});
    assert_eq!(decoded.object, expected);
}

#[test]
fn refuses_what_is_no_protobuf() {
    let gvk = Gvk::parse("v1", "Pod");
    let told = |body: &[u8]| decode(body, ContentType::Protobuf, Some(&gvk), FieldValidation::Strict).unwrap_err().message;
    assert!(told(b"{}").contains("expected prefix [107 56 115 0]"));
    let mut cut = encode(&gvk, &json!({"spec": {"nodeName": "n"}})).unwrap();
    cut.truncate(cut.len() - 5);
    assert!(told(&cut).contains("unexpected EOF"), "{}", told(&cut));
}

#[test]
fn frames_an_event() {
    let frame = watch_frame("ADDED", b"k8s\0xyz");
    let length = u32::from_be_bytes(frame[..4].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4);
    assert_eq!(&frame[4..], b"\x0a\x05ADDED\x12\x09\x0a\x07k8s\0xyz");
}

/// What Go's encoder wrote, and what Go's decoder made of it.
#[test]
fn reads_what_go_wrote() {
    for line in include_str!("go.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let wire = STANDARD.decode(case["wire"].as_str().unwrap()).unwrap();
        let object = decode(&wire, ContentType::Protobuf, None, FieldValidation::Strict).unwrap().object;
        assert_eq!(object, case["object"]);
        assert_eq!(there_and_back(&object), object);
    }
}

proptest! {
    /// Nothing that comes in breaks the reader.
    #[test]
    fn survives_anything(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut body = MAGIC.to_vec();
        body.extend(&bytes);
        if let Ok(unknown) = open(&body) {
            let _ = super::message(unknown.raw, super::super::types().of(&Gvk::parse("v1", "Pod")).unwrap());
        }
        let _ = super::message(&bytes, super::super::types().of(&Gvk::parse("v1", "Pod")).unwrap());
    }
}
