//! Pods and their service accounts, through the one door: who gets an account, who waits for one, and whom a token is given to.

// What a test unwraps, it asserts.
#![allow(clippy::unwrap_used)]

#[path = "../inside/mod.rs"]
mod inside;

use std::time::Duration;

use bytes::Bytes;
use inside::Inside;
use serde_json::{Value, json};
use skiff_apiserver::dispatch::{Answer, ApiRequest, RequestInfo, Server, Verb};
use skiff_apiserver::registry::options::Options;
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;

/// Creates an object of core/v1 in `namespace`; `at`: a name and a subresource that it is posted to.
async fn create(server: &Server, user: UserInfo, resource: &str, namespace: &str, at: (&str, &str), object: Value) -> Result<Value, Status> {
    let info = RequestInfo {
        verb: Verb::Create,
        group: String::new(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        subresource: at.1.to_owned(),
        namespace: namespace.to_owned(),
        name: at.0.to_owned(),
        rest: String::new(),
    };
    let request = ApiRequest {
        user,
        info,
        options: Options::default(),
        content_type: "application/json".to_owned(),
        user_agent: "test".to_owned(),
        body: Bytes::from(object.to_string()),
    };
    match server.handle(request).await?.answer {
        Answer::Object { item, .. } => Ok(serde_json::from_slice(&item.json).unwrap()),
        Answer::List { .. } | Answer::Watch { .. } | Answer::Status(_) | Answer::Connect { .. } => panic!("a creation is answered by an object"),
    }
}

async fn make(server: &Server, resource: &str, namespace: &str, object: Value) -> Result<Value, Status> {
    create(server, UserInfo::admin(), resource, namespace, ("", ""), object).await
}

fn account(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

fn pod(name: &str, node: &str) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    if !node.is_empty() {
        pod["spec"]["nodeName"] = node.into();
    }
    pod
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_a_moment_for_its_account_and_no_longer() {
    let inside = Inside::with_accounts().await;
    let server = inside.server();
    let before = tokio::time::Instant::now();
    let refused = make(server, "pods", "default", pod("a", "")).await.unwrap_err();
    assert_eq!(refused.code, 403);
    assert_eq!(refused.message, "pods \"a\" is forbidden: error looking up service account default/default: serviceaccount \"default\" not found");
    assert!(before.elapsed() > Duration::from_secs(1));

    let before = tokio::time::Instant::now();
    let missing = make(server, "pods", "nowhere", pod("a", "")).await.unwrap_err();
    assert_eq!((missing.code, before.elapsed()), (404, Duration::ZERO), "{}", missing.message);
    let mut named = pod("a", "");
    named["spec"]["serviceAccountName"] = json!("robot");
    let refused = make(server, "pods", "default", named).await.unwrap_err();
    assert_eq!((refused.code, before.elapsed()), (403, Duration::ZERO), "only for the account that is made by itself is waited");

    let (made, _) = tokio::join!(make(server, "pods", "default", pod("a", "")), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        make(server, "serviceaccounts", "default", account("default")).await.unwrap()
    });
    let made = made.unwrap();
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(made["spec"]["volumes"][0]["name"], made["spec"]["containers"][0]["volumeMounts"][0]["name"]);
}

#[tokio::test]
async fn a_node_gets_tokens_for_its_own_pods_only() {
    let inside = Inside::with_accounts().await;
    let server = inside.server();
    for name in ["default", "robot"] {
        make(server, "serviceaccounts", "default", account(name)).await.unwrap();
    }
    let mine = make(server, "pods", "default", pod("mine", "n1")).await.unwrap();
    let others = make(server, "pods", "default", pod("others", "n2")).await.unwrap();
    let bound = |pod: &Value, uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": uid});
    let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap().to_owned();
    let cases = [
        ("default", bound(&mine, &uid(&mine)), None),
        ("default", Value::Null, Some((403, "node requested token not bound to a pod"))),
        ("default", bound(&mine, ""), Some((403, "node requested token with a pod binding without a uid"))),
        ("default", bound(&mine, "x"), Some((403, "does not match the UID in record"))),
        ("default", bound(&others, &uid(&others)), Some((403, "bound to a pod scheduled on a different node"))),
        ("robot", bound(&mine, &uid(&mine)), Some((403, "cannot create resource"))),
    ];
    for (name, reference, refused) in cases {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": reference, "audiences": []}});
        let node = UserInfo::new("system:node:n1", &[UserInfo::NODES]);
        let answer = create(server, node, "serviceaccounts", "default", (name, "token"), request).await;
        match (answer, refused) {
            (Ok(token), None) => assert!(token["status"]["token"].is_string()),
            (Err(status), Some((code, why))) => assert!(status.code == code && status.message.contains(why), "{}", status.message),
            (answer, refused) => panic!("{name} {reference}: {answer:?} instead of {refused:?}"),
        }
    }
    let unfit = json!({"spec": {"boundObjectRef": bound(&mine, ""), "audiences": []}});
    let refused = create(server, UserInfo::admin(), "serviceaccounts", "default", ("robot", "token"), unfit).await.unwrap_err();
    assert_eq!(refused.message, "cannot bind token for serviceaccount \"robot\" to pod running with different serviceaccount name.");
}
