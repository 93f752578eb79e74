//! What kubectl insists on, and what upstream's documents say.

use serde_json::{Value, json};

use super::{Documents, index, v2, v3};
use crate::registry::Resources;

fn apps() -> Value {
    v3(&Resources::builtin(), "apps", "v1").unwrap()
}

#[test]
fn the_index_names_every_group_version() {
    let index = index(&Resources::builtin());
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="), "{url}");
    assert!(index["paths"]["api/v1"].is_object() && index["paths"]["apis/autoscaling/v2"].is_object());
}

#[test]
fn patches_say_that_fields_are_validated() {
    let apps = apps();
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"], json!({"group": "apps", "kind": "Deployment", "version": "v1"}));
    let named = |name: &str| patch["parameters"].as_array().unwrap().iter().any(|one| one["name"] == name && one["in"] == "query");
    assert!(named("fieldValidation") && named("force"));
    let scale = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["get"];
    assert_eq!(scale["operationId"], "readAppsV1NamespacedDeploymentScale");
    assert_eq!(scale["x-kubernetes-group-version-kind"], json!({"group": "autoscaling", "kind": "Scale", "version": "v1"}));
    let operation = |path: &str, method: &str| apps["paths"][path][method]["operationId"].clone();
    assert_eq!(operation("/apis/apps/v1/deployments", "get"), "listAppsV1DeploymentForAllNamespaces");
    assert_eq!(operation("/apis/apps/v1/namespaces/{namespace}/deployments", "delete"), "deleteAppsV1CollectionNamespacedDeployment");
}

#[test]
fn schemas_carry_what_clients_merge_by() {
    let apps = apps();
    let schemas = &apps["components"]["schemas"];
    let kind = json!([{"group": "apps", "kind": "Deployment", "version": "v1"}]);
    assert_eq!(schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"], kind);
    let ports = &schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
    assert_eq!((&ports["x-kubernetes-patch-merge-key"], &ports["x-kubernetes-patch-strategy"]), (&json!("containerPort"), &json!("merge")));
    assert_eq!(schemas["io.k8s.api.core.v1.Container"]["required"], json!(["name"]));
    let strategy = &schemas["io.k8s.api.apps.v1.DeploymentStrategy"]["properties"]["type"];
    assert_eq!(strategy["enum"], json!(["Recreate", "RollingUpdate"]));
    assert_eq!(strategy["description"], "Type of deployment. Can be \"Recreate\" or \"RollingUpdate\". Default is RollingUpdate.");
    assert_eq!(schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"]["default"], "TCP");
}

#[test]
fn every_reference_leads_somewhere() {
    let resources = Resources::builtin();
    let mut documents = vec![v2(&resources)];
    documents.extend(super::group_versions(&resources).into_iter().map(|(group, version)| v3(&resources, group, version).unwrap()));
    for document in documents {
        let text = document.to_string();
        for target in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(target).is_some(), "{target}");
        }
    }
}

#[test]
fn version_two_has_everything() {
    let document = v2(&Resources::builtin());
    assert_eq!(document["swagger"], "2.0");
    let definitions = &document["definitions"];
    assert_eq!(
        definitions["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"],
        json!([{"group": "apps", "kind": "Deployment", "version": "v1"}])
    );
    assert_eq!(definitions["io.k8s.api.core.v1.ConfigMap"]["properties"]["immutable"]["type"], "boolean");
}

#[test]
fn old_clients_get_protobuf() {
    let small = json!({"swagger": "2.0", "info": {"title": "K", "version": "v1"}, "paths": {}, "definitions": {"a": {"type": "object", "x-y": [1]}}});
    let expected =
        b"\x0a\x032.0\x12\x07\x0a\x01K\x12\x02v1\x42\x00\x4a\x21\x0a\x1f\x0a\x01a\x12\x1a\xb2\x01\x08\x0a\x06object\xfa\x01\x0c\x0a\x03x-y\x12\x05\x12\x03[1]";
    assert_eq!(super::gnostic::document(&small), expected);
}

#[test]
fn documents_are_made_once() {
    let (documents, resources) = (Documents::default(), Resources::builtin());
    let first = documents.get("v3/apis/apps/v1", &resources).unwrap();
    assert_eq!(first.as_ptr(), documents.get("v3/apis/apps/v1", &resources).unwrap().as_ptr());
    assert_eq!(documents.get("v3/apis/nothing.example/v1", &resources), None);
}
