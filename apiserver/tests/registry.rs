//! The registry from outside: a server in this process on the memory store, driven through [`Server::handle`] and through gRPC, without a socket.

// What a test unwraps, it asserts; helpers of tests too.
#![allow(clippy::unwrap_used)]

mod inside;

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use skiff_apiserver::dispatch::{Answer, ApiRequest, ApiResponse, RequestInfo, Server, Verb, WatchEvent};
use skiff_apiserver::grpc::ObjectService;
use skiff_apiserver::registry::options::Options;
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;
use skiff_proto::v1;
use skiff_proto::v1::objects_server::Objects;

async fn server() -> Arc<Server> {
    inside::api(Arc::new(inside::Pretended::default())).await
}

/// `verb group/version/resource namespace/name[/subresource] [query]`
fn request(user: UserInfo, verb: Verb, resource: &str, at: &str, query: &str, body: &Value) -> ApiRequest {
    let (gv, plural) = resource.rsplit_once('/').unwrap();
    let (group, version) = gv.split_once('/').unwrap_or(("", gv));
    let mut parts = at.splitn(3, '/');
    let mut next = || parts.next().unwrap_or("").to_owned();
    let (namespace, name, subresource) = (next(), next(), next());
    let info = RequestInfo {
        verb,
        group: group.to_owned(),
        version: version.to_owned(),
        resource: plural.to_owned(),
        subresource,
        namespace,
        name,
        rest: String::new(),
    };
    let options = Options::from_query(&info, query).unwrap();
    let content_type = if verb == Verb::Patch { "application/merge-patch+json" } else { "application/json" }.to_owned();
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    ApiRequest { user, info, options, content_type, user_agent: "test".to_owned(), body }
}

async fn ask(server: &Server, verb: Verb, resource: &str, at: &str, query: &str, body: Value) -> Result<Value, Status> {
    let response = server.handle(request(UserInfo::admin(), verb, resource, at, query, &body)).await?;
    Ok(value(response))
}

fn value(response: ApiResponse) -> Value {
    match response.answer {
        Answer::Object { item, .. } => serde_json::from_slice(&item.json).unwrap(),
        Answer::List { items, continue_token, remaining, revision, .. } => json!({
            "names": items.iter().map(|item| item.key.name.to_string()).collect::<Vec<_>>(),
            "continue": continue_token,
            "remaining": remaining,
            "revision": revision,
        }),
        Answer::Status(status) => serde_json::to_value(status).unwrap(),
        Answer::Watch { .. } | Answer::Connect { .. } => Value::Null,
    }
}

fn map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"v": value}}, "data": {"v": value}})
}

fn pod(name: &str, node: &str) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    if !node.is_empty() {
        pod["spec"]["nodeName"] = json!(node);
    }
    pod
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_version_and_a_stale_one_is_refused() {
    let server = server().await;
    let made = ask(&server, Verb::Create, "v1/configmaps", "default", "", map("a", "1")).await.unwrap();
    let version = made["metadata"]["resourceVersion"].clone();
    let same = ask(&server, Verb::Update, "v1/configmaps", "default/a", "", map("a", "1")).await.unwrap();
    assert_eq!(same["metadata"]["resourceVersion"], version);
    let changed = ask(&server, Verb::Patch, "v1/configmaps", "default/a", "", json!({"data": {"v": "2"}})).await.unwrap();
    assert_ne!(changed["metadata"]["resourceVersion"], version);
    let mut stale = map("a", "3");
    stale["metadata"]["resourceVersion"] = version;
    let refused = ask(&server, Verb::Update, "v1/configmaps", "default/a", "", stale).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
}

#[tokio::test]
async fn a_dry_run_stores_nothing_whatever_the_verb() {
    let server = server().await;
    ask(&server, Verb::Create, "v1/configmaps", "default", "", map("a", "1")).await.unwrap();
    let before = server.store.revision();
    let dry = "dryRun=All";
    ask(&server, Verb::Create, "v1/configmaps", "default", dry, map("b", "1")).await.unwrap();
    ask(&server, Verb::Update, "v1/configmaps", "default/a", dry, map("a", "2")).await.unwrap();
    ask(&server, Verb::Patch, "v1/configmaps", "default/a", dry, json!({"data": {"v": "2"}})).await.unwrap();
    ask(&server, Verb::Delete, "v1/configmaps", "default/a", dry, Value::Null).await.unwrap();
    ask(&server, Verb::Delete, "v1/configmaps", "default/a", "", json!({"dryRun": ["All"]})).await.unwrap();
    ask(&server, Verb::DeleteCollection, "v1/configmaps", "default", dry, Value::Null).await.unwrap();
    let service = json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "10.96.0.77", "ports": [{"port": 80}]}});
    ask(&server, Verb::Create, "v1/services", "default", dry, service.clone()).await.unwrap();
    assert_eq!(server.store.revision(), before);
    ask(&server, Verb::Create, "v1/services", "default", "", service).await.unwrap(); // its address was not kept by the dry run
}

#[tokio::test]
async fn nothing_is_made_in_a_namespace_that_is_missing_or_going() {
    let server = server().await;
    let missing = ask(&server, Verb::Create, "v1/configmaps", "nowhere", "", map("a", "1")).await.unwrap_err();
    assert_eq!(missing.message, "namespaces \"nowhere\" not found");
    ask(&server, Verb::Create, "v1/namespaces", "", "", json!({"metadata": {"name": "x"}})).await.unwrap();
    ask(&server, Verb::Create, "v1/configmaps", "x", "", map("a", "1")).await.unwrap();
    let going = ask(&server, Verb::Delete, "v1/namespaces", "x/x", "", Value::Null).await.unwrap();
    assert_eq!(going["status"]["phase"], "Terminating");
    let refused = ask(&server, Verb::Create, "v1/configmaps", "x", "", map("b", "1")).await.unwrap_err();
    assert_eq!(refused.message, "configmaps \"b\" is forbidden: unable to create new content in namespace x because it is being terminated");
    ask(&server, Verb::Delete, "v1/configmaps", "x/a", "", Value::Null).await.unwrap();
    let done = json!({"metadata": {"name": "x"}, "spec": {"finalizers": []}});
    ask(&server, Verb::Update, "v1/namespaces", "x/x/finalize", "", done).await.unwrap();
    assert!(ask(&server, Verb::Get, "v1/namespaces", "x/x", "", Value::Null).await.unwrap_err().is_not_found());
    let immortal = ask(&server, Verb::Delete, "v1/namespaces", "default/default", "", Value::Null).await.unwrap_err();
    assert_eq!(immortal.code, 403);
}

#[tokio::test]
async fn finalizers_hold_an_object_and_grace_holds_a_pod() {
    let server = server().await;
    let mut held = map("a", "1");
    held["metadata"]["finalizers"] = json!(["a.b/c"]);
    ask(&server, Verb::Create, "v1/configmaps", "default", "", held).await.unwrap();
    let marked = ask(&server, Verb::Delete, "v1/configmaps", "default/a", "", Value::Null).await.unwrap();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    ask(&server, Verb::Patch, "v1/configmaps", "default/a", "", json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert!(ask(&server, Verb::Get, "v1/configmaps", "default/a", "", Value::Null).await.unwrap_err().is_not_found());

    ask(&server, Verb::Create, "v1/pods", "default", "", pod("p", "n1")).await.unwrap();
    let marked = ask(&server, Verb::Delete, "v1/pods", "default/p", "", Value::Null).await.unwrap();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z");
    let longer = ask(&server, Verb::Delete, "v1/pods", "default/p", "gracePeriodSeconds=60", Value::Null).await.unwrap();
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 30);
    let shorter = ask(&server, Verb::Delete, "v1/pods", "default/p", "gracePeriodSeconds=5", Value::Null).await.unwrap();
    assert_eq!(shorter["metadata"]["deletionTimestamp"], "2026-01-01T00:00:05Z");
    ask(&server, Verb::Delete, "v1/pods", "default/p", "gracePeriodSeconds=0", Value::Null).await.unwrap();
    assert!(ask(&server, Verb::Get, "v1/pods", "default/p", "", Value::Null).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn preconditions_and_propagation_are_honoured() {
    let server = server().await;
    let made = ask(&server, Verb::Create, "v1/configmaps", "default", "", map("a", "1")).await.unwrap();
    let wrong = json!({"preconditions": {"uid": "other"}});
    assert_eq!(ask(&server, Verb::Delete, "v1/configmaps", "default/a", "", wrong).await.unwrap_err().code, 409);
    let foreground = ask(&server, Verb::Delete, "v1/configmaps", "default/a", "propagationPolicy=Foreground", Value::Null).await.unwrap();
    assert_eq!(foreground["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    assert_eq!(foreground["metadata"]["uid"], made["metadata"]["uid"]);
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}}});
    ask(&server, Verb::Create, "batch/v1/jobs", "default", "", job).await.unwrap();
    let response = server.handle(request(UserInfo::admin(), Verb::Delete, "batch/v1/jobs", "default/j", "", &Value::Null)).await.unwrap();
    assert!(response.warnings[0].starts_with("child pods are preserved by default when jobs are deleted"));
    assert_eq!(value(response)["metadata"]["finalizers"], json!(["orphan"]));
}

#[tokio::test]
async fn pages_stay_on_the_revision_that_they_began_at() {
    let server = server().await;
    for name in ["a", "b", "c", "d"] {
        ask(&server, Verb::Create, "v1/configmaps", "default", "", map(name, "1")).await.unwrap();
    }
    let first = ask(&server, Verb::List, "v1/configmaps", "default", "limit=2", Value::Null).await.unwrap();
    assert_eq!((&first["names"], &first["remaining"]), (&json!(["a", "b"]), &json!(2)));
    ask(&server, Verb::Delete, "v1/configmaps", "default/c", "", Value::Null).await.unwrap();
    ask(&server, Verb::Create, "v1/configmaps", "default", "", map("bb", "1")).await.unwrap();
    let next = format!("limit=5&continue={}", first["continue"].as_str().unwrap());
    let second = ask(&server, Verb::List, "v1/configmaps", "default", &next, Value::Null).await.unwrap();
    assert_eq!((&second["names"], &second["revision"]), (&json!(["c", "d"]), &first["revision"]));
    let now = ask(&server, Verb::List, "v1/configmaps", "", "labelSelector=v%3D1", Value::Null).await.unwrap();
    assert_eq!(now["names"], json!(["a", "b", "bb", "d"]));
}

#[tokio::test]
async fn a_watch_shows_what_enters_and_leaves_its_selector() {
    let server = server().await;
    let start = server.store.revision();
    ask(&server, Verb::Create, "v1/configmaps", "default", "", map("a", "1")).await.unwrap();
    for value in ["2", "3", "4"] {
        let patch = json!({"metadata": {"labels": {"v": value}}, "data": {"v": value}});
        ask(&server, Verb::Patch, "v1/configmaps", "default/a", "", patch).await.unwrap();
    }
    let query = format!("watch=1&resourceVersion={start}&labelSelector=v+in+(2,3)");
    let response = server.handle(request(UserInfo::admin(), Verb::Watch, "v1/configmaps", "default", &query, &Value::Null)).await.unwrap();
    let Answer::Watch { mut events, .. } = response.answer else { panic!("no watch") };
    let mut seen = Vec::new();
    while seen.len() < 3 {
        for event in events.next().await.unwrap() {
            let (kind, item) = match event {
                WatchEvent::Added(item) => ("ADDED", item),
                WatchEvent::Modified(item) => ("MODIFIED", item),
                WatchEvent::Deleted(item) => ("DELETED", item),
                WatchEvent::Bookmark { .. } | WatchEvent::Error(_) => panic!("not asked for"),
            };
            let object: Value = serde_json::from_slice(&item.json).unwrap();
            assert_eq!(object["metadata"]["resourceVersion"], item.revision.to_string());
            seen.push((kind, object["data"]["v"].as_str().unwrap().to_owned(), item.revision - start));
        }
    }
    let expected = [("ADDED", "2", 2), ("MODIFIED", "3", 3), ("DELETED", "3", 4)];
    assert_eq!(seen, expected.map(|(kind, value, revision)| (kind, value.to_owned(), revision)));
}

#[tokio::test]
async fn a_node_sees_and_writes_only_its_own() {
    let server = server().await;
    let agent = || UserInfo::new("system:node:n1", &[UserInfo::NODES]);
    ask(&server, Verb::Create, "v1/secrets", "default", "", json!({"metadata": {"name": "mine"}})).await.unwrap();
    ask(&server, Verb::Create, "v1/secrets", "default", "", json!({"metadata": {"name": "other"}})).await.unwrap();
    let mut named = pod("p", "n1");
    named["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "mine"}}]);
    ask(&server, Verb::Create, "v1/pods", "default", "", named).await.unwrap();
    ask(&server, Verb::Create, "v1/pods", "default", "", pod("q", "n2")).await.unwrap();
    let table = [
        (Verb::Get, "v1/secrets", "default/mine", "", Value::Null, true),
        (Verb::Get, "v1/secrets", "default/other", "", Value::Null, false),
        (Verb::List, "v1/secrets", "default", "", Value::Null, false),
        (Verb::List, "v1/pods", "", "fieldSelector=spec.nodeName%3Dn1", Value::Null, true),
        (Verb::List, "v1/pods", "", "fieldSelector=spec.nodeName%3Dn2", Value::Null, false),
        (Verb::List, "v1/pods", "", "", Value::Null, false),
        (Verb::Get, "v1/pods", "default/p", "", Value::Null, true),
        (Verb::Get, "v1/pods", "default/q", "", Value::Null, false),
        (Verb::Patch, "v1/pods", "default/p/status", "", json!({"status": {"message": "x"}}), true),
        (Verb::Patch, "v1/pods", "default/q/status", "", json!({"status": {"message": "x"}}), false),
        (Verb::Create, "v1/nodes", "", "", json!({"metadata": {"name": "n1"}}), true),
        (Verb::Create, "v1/nodes", "", "", json!({"metadata": {"name": "n3"}}), false),
        (Verb::Delete, "v1/pods", "default/q", "", Value::Null, false),
        (Verb::Create, "v1/configmaps", "default", "", map("a", "1"), false),
        (Verb::Create, "v1/pods", "default", "", pod("r", "n1"), false),
    ];
    for (verb, resource, at, query, body, allowed) in table {
        let outcome = server.handle(request(agent(), verb, resource, at, query, &body)).await.map(|_| ());
        match (&outcome, allowed) {
            (Ok(()), true) => {}
            (Err(status), false) if status.code == 403 => {}
            _ => panic!("{verb:?} {resource} {at} {query}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn strangers_may_do_nothing_and_are_told_so() {
    let server = server().await;
    let refused = server.handle(request(UserInfo::anonymous(), Verb::List, "v1/pods", "default", "", &Value::Null)).await.err().unwrap();
    let told = "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    assert_eq!((refused.code, refused.message.as_str()), (403, told));
    let jane = UserInfo::new("jane", &[]);
    let role = json!({"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]});
    ask(&server, Verb::Create, "rbac.authorization.k8s.io/v1/roles", "default", "", role).await.unwrap();
    let binding = json!({
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane"}],
    });
    ask(&server, Verb::Create, "rbac.authorization.k8s.io/v1/rolebindings", "default", "", binding).await.unwrap();
    assert!(server.handle(request(jane.clone(), Verb::List, "v1/pods", "default", "", &Value::Null)).await.is_ok());
    assert!(server.handle(request(jane, Verb::List, "v1/pods", "kube-system", "", &Value::Null)).await.is_err());
}

#[tokio::test]
async fn bindings_go_in_one_commit_and_fail_each_by_itself() {
    let server = server().await;
    for name in ["a", "b", "c"] {
        ask(&server, Verb::Create, "v1/pods", "default", "", pod(name, "")).await.unwrap();
    }
    let service = ObjectService::new(server.clone());
    let bind = |name: &str| v1::Binding { namespace: "default".into(), name: name.into(), uid: String::new(), node: "n1".into() };
    let mut call = tonic::Request::new(v1::BindBatchRequest { bindings: vec![bind("a"), bind("nobody"), bind("b")] });
    call.extensions_mut().insert(UserInfo::new(UserInfo::SCHEDULER, &[]));
    let before = server.store.metrics().commits;
    let results = service.bind_batch(call).await.unwrap().into_inner().results;
    assert_eq!(results.iter().map(|result| result.code).collect::<Vec<_>>(), [0, 404, 0]);
    assert_eq!(server.store.metrics().commits, before + 1);
    let mut call = tonic::Request::new(v1::BindBatchRequest { bindings: vec![bind("c"), bind("a")] });
    call.extensions_mut().insert(UserInfo::new(UserInfo::SCHEDULER, &[]));
    let results = service.bind_batch(call).await.unwrap().into_inner().results;
    assert_eq!(results.iter().map(|result| result.code).collect::<Vec<_>>(), [0, 409]);
    let counted = server.metrics.text();
    for (code, count) in [(201, 3), (404, 1), (409, 1)] {
        let line = format!("apiserver_request_total{{code=\"{code}\",resource=\"pods\",verb=\"create\"}} {count}");
        assert!(counted.lines().any(|one| one == line), "{line} in\n{counted}");
    }
}

#[tokio::test]
async fn both_tongues_answer_alike() {
    let server = server().await;
    let service = ObjectService::new(server.clone());
    let as_admin = |message| {
        let mut call = tonic::Request::new(message);
        call.extensions_mut().insert(UserInfo::admin());
        call
    };
    let create = v1::CreateRequest {
        resource: "configmaps".into(),
        namespace: "default".into(),
        json: Bytes::from(map("a", "1").to_string()),
        ..v1::CreateRequest::default()
    };
    let made = service.create(as_admin(create.clone())).await.unwrap().into_inner();
    let over_rest = server.handle(request(UserInfo::admin(), Verb::Get, "v1/configmaps", "default/a", "", &Value::Null)).await.unwrap();
    let Answer::Object { item, .. } = over_rest.answer else { panic!("no object") };
    assert_eq!((made.json, made.revision), (item.json, item.revision));
    let mut twice = tonic::Request::new(create);
    twice.extensions_mut().insert(UserInfo::admin());
    let refused = Status::from(service.create(twice).await.unwrap_err());
    let same = ask(&server, Verb::Create, "v1/configmaps", "default", "", map("a", "1")).await.unwrap_err();
    assert_eq!(refused, same);
    let mut watch = tonic::Request::new(v1::WatchRequest { resource: "configmaps".into(), ..v1::WatchRequest::default() });
    watch.extensions_mut().insert(UserInfo::admin());
    let mut events = service.watch(watch).await.unwrap().into_inner();
    let batch = events.next().await.unwrap().unwrap();
    assert_eq!(batch.events.len(), 2);
    assert!(batch.events[1].initial_events_end);
}

#[tokio::test]
async fn an_eviction_spends_the_budget() {
    let server = server().await;
    for name in ["a", "b"] {
        let mut running = pod(name, "n1");
        running["metadata"]["labels"] = json!({"app": "x"});
        ask(&server, Verb::Create, "v1/pods", "default", "", running).await.unwrap();
        let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        ask(&server, Verb::Patch, "v1/pods", &format!("default/{name}/status"), "", ready).await.unwrap();
    }
    let budget = json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}});
    ask(&server, Verb::Create, "policy/v1/poddisruptionbudgets", "default", "", budget).await.unwrap();
    let one = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 1, "expectedPods": 2, "currentHealthy": 2, "desiredHealthy": 1}});
    ask(&server, Verb::Patch, "policy/v1/poddisruptionbudgets", "default/b/status", "", one).await.unwrap();
    // Old kubectls say v1beta1.
    let evict = |version: &str, name: &str| json!({"apiVersion": format!("policy/{version}"), "kind": "Eviction", "metadata": {"name": name}});
    ask(&server, Verb::Create, "v1/pods", "default/a/eviction", "", evict("v1", "a")).await.unwrap();
    let gone = ask(&server, Verb::Get, "v1/pods", "default/a", "", Value::Null).await.unwrap();
    assert!(gone["metadata"]["deletionTimestamp"].is_string());
    let refused = ask(&server, Verb::Create, "v1/pods", "default/b/eviction", "", evict("v1beta1", "b")).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (429, "TooManyRequests"));
}

/// A server-side apply.
async fn apply(server: &Server, resource: &str, at: &str, query: &str, body: Value) -> Result<Value, Status> {
    let mut request = request(UserInfo::admin(), Verb::Patch, resource, at, query, &body);
    request.content_type = "application/apply-patch+yaml".to_owned();
    Ok(value(server.handle(request).await?))
}

#[tokio::test]
async fn an_apply_that_creates_needs_the_right_to_create() {
    let server = server().await;
    let (group, rules) = ("rbac.authorization.k8s.io", json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]));
    ask(&server, Verb::Create, &format!("{group}/v1/roles"), "default", "", json!({"metadata": {"name": "p"}, "rules": rules})).await.unwrap();
    let binding = json!({"metadata": {"name": "p"}, "roleRef": {"apiGroup": group, "kind": "Role", "name": "p"}, "subjects": [{"kind": "User", "name": "bob", "apiGroup": group}]});
    ask(&server, Verb::Create, &format!("{group}/v1/rolebindings"), "default", "", binding).await.unwrap();
    let bobs = || {
        let user = UserInfo { name: "bob".to_owned(), groups: Vec::new(), ..UserInfo::admin() };
        let mut request = request(user, Verb::Patch, "v1/configmaps", "default/a", "fieldManager=bob", &map("a", "1"));
        request.content_type = "application/apply-patch+yaml".to_owned();
        request
    };
    assert_eq!(server.handle(bobs()).await.err().map(|status| status.code), Some(403));
    ask(&server, Verb::Create, "v1/configmaps", "default", "", map("a", "1")).await.unwrap();
    assert!(server.handle(bobs()).await.is_ok());
}

/// Who wrote: manager, operation, version, subresource and fields of each entry.
fn writers(object: &Value) -> Vec<(String, String)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    entries
        .iter()
        .map(|one| {
            let who = ["manager", "operation", "apiVersion", "subresource"].map(|key| text(&one[key])).join(" ");
            (who.trim_end().to_owned(), one["fieldsV1"].to_string())
        })
        .collect()
}

#[tokio::test]
async fn every_write_notes_who_wrote_what() {
    let server = server().await;
    let made = ask(&server, Verb::Create, "v1/pods", "default", "fieldManager=maker", pod("p", "")).await.unwrap();
    let [(who, fields)] = &writers(&made)[..] else { panic!("{made}") };
    assert_eq!(who, "maker Update v1");
    assert!(fields.contains(r#"k:{\"name\":\"c\"}"#) && !fields.contains("f:status") && !fields.contains("f:name\":{},\"f:namespace"), "{fields}");
    let status = json!({"status": {"phase": "Running"}, "spec": {"activeDeadlineSeconds": 5}});
    let running = ask(&server, Verb::Patch, "v1/pods", "default/p/status", "", status.clone()).await.unwrap();
    assert!(writers(&running).contains(&("test Update v1 status".to_owned(), r#"{"f:status":{"f:phase":{}}}"#.to_owned())), "{running}");
    // nothing changed, nothing written
    let again = ask(&server, Verb::Patch, "v1/pods", "default/p/status", "fieldManager=other", status).await.unwrap();
    assert_eq!(again, running);
    // kinds without a word about status, and components by their name
    let service = ObjectService::new(server.clone());
    let json = Bytes::from(json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}).to_string());
    let create = v1::CreateRequest { resource: "leases.coordination.k8s.io".into(), namespace: "default".into(), json, ..Default::default() };
    let mut asked = tonic::Request::new(create);
    asked.extensions_mut().insert(UserInfo { name: "system:kube-scheduler".to_owned(), ..UserInfo::admin() });
    let lease: Value = serde_json::from_slice(&service.create(asked).await.unwrap().into_inner().json).unwrap();
    assert_eq!(writers(&lease), [("kube-scheduler Update coordination.k8s.io/v1".to_owned(), r#"{"f:spec":{"f:holderIdentity":{}}}"#.to_owned())]);
}

#[tokio::test]
async fn an_empty_list_forgets_who_wrote_and_an_absent_one_does_not() {
    let server = server().await;
    for (name, managers, left) in [("a", json!([]), 0), ("b", json!([{}]), 0), ("c", Value::Null, 1)] {
        let made = ask(&server, Verb::Create, "v1/configmaps", "default", "", map(name, "1")).await.unwrap();
        assert_eq!(writers(&made).len(), 1);
        let mut put = map(name, "1");
        put["metadata"]["managedFields"] = managers.clone();
        let at = format!("default/{name}");
        let done = ask(&server, Verb::Update, "v1/configmaps", &at, "", put).await.unwrap();
        assert_eq!(writers(&done).len(), left, "{managers}");
        ask(&server, Verb::Delete, "v1/configmaps", &at, "", Value::Null).await.unwrap();
        ask(&server, Verb::Create, "v1/configmaps", "default", "", map(name, "1")).await.unwrap();
        let patched = ask(&server, Verb::Patch, "v1/configmaps", &at, "", json!({"metadata": {"managedFields": managers}})).await.unwrap();
        assert_eq!(writers(&patched).len(), left, "{managers}");
    }
}

#[tokio::test]
async fn an_apply_creates_merges_and_takes_away() {
    let server = server().await;
    let wanted = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let dry = apply(&server, "v1/configmaps", "default/a", "fieldManager=one&dryRun=All", wanted(json!({"k": "1"}))).await.unwrap();
    assert_eq!(dry["data"], json!({"k": "1"}));
    let made = apply(&server, "v1/configmaps", "default/a", "fieldManager=one", wanted(json!({"k": "1", "l": "1"}))).await.unwrap();
    assert_eq!(apply(&server, "v1/configmaps", "default/a", "fieldManager=one", wanted(json!({"k": "1", "l": "1"}))).await.unwrap(), made);
    let refused = apply(&server, "v1/configmaps", "default/a", "fieldManager=two", wanted(json!({"k": "2"}))).await.unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (409, "Apply failed with 1 conflict: conflict with \"one\": .data.k"));
    let less = apply(&server, "v1/configmaps", "default/a", "fieldManager=one", wanted(json!({"l": "1"}))).await.unwrap();
    assert_eq!(less["data"], json!({"l": "1"}));
    let nameless = apply(&server, "v1/configmaps", "default/a", "", wanted(json!({}))).await.unwrap_err();
    assert_eq!((nameless.code, nameless.details.unwrap().causes[0].field.as_str()), (422, "fieldManager"));
    let absent =
        apply(&server, "v1/pods", "default/none/status", "fieldManager=one", json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "none"}})).await;
    assert_eq!(absent.unwrap_err().code, 404);
}

#[tokio::test]
async fn owners_are_known_in_every_version_of_a_kind() {
    let server = server().await;
    let (one, two) = ("autoscaling/v1/horizontalpodautoscalers", "autoscaling/v2/horizontalpodautoscalers");
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let scaler = |version: &str, most: u32| json!({"apiVersion": version, "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}, "spec": {"scaleTargetRef": target, "maxReplicas": most}});
    let mut first = scaler("autoscaling/v1", 3);
    first["spec"]["targetCPUUtilizationPercentage"] = json!(50);
    apply(&server, one, "default/h", "fieldManager=a", first).await.unwrap();
    let seen = ask(&server, Verb::Patch, two, "default/h", "fieldManager=b", json!({"spec": {"maxReplicas": 9}})).await.unwrap();
    let a = writers(&seen).into_iter().find(|(who, _)| who == "a Apply autoscaling/v1").unwrap().1;
    assert!(a.contains("f:targetCPUUtilizationPercentage") && !a.contains("f:maxReplicas"), "{a}");
    let refused = apply(&server, two, "default/h", "fieldManager=a", scaler("autoscaling/v2", 3)).await.unwrap_err();
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"b\" using autoscaling/v2: .spec.maxReplicas");
    let forced = apply(&server, two, "default/h", "fieldManager=a&force=true", scaler("autoscaling/v2", 3)).await.unwrap();
    assert_eq!((&forced["spec"]["maxReplicas"], &writers(&forced)[0].0), (&json!(3), &"a Apply autoscaling/v2".to_owned()));
}

#[tokio::test]
async fn replicas_set_through_scale_are_owned_by_who_set_them() {
    let server = server().await;
    let wanted = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    apply(&server, "apps/v1/replicasets", "default/r", "fieldManager=one", wanted.clone()).await.unwrap();
    let scale = |replicas: u32| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "r"}, "spec": {"replicas": replicas}});
    let refused = apply(&server, "apps/v1/replicasets", "default/r/scale", "fieldManager=two", scale(4)).await.unwrap_err();
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.replicas");
    apply(&server, "apps/v1/replicasets", "default/r/scale", "fieldManager=two&force=true", scale(4)).await.unwrap();
    let scaled = ask(&server, Verb::Get, "apps/v1/replicasets", "default/r", "", Value::Null).await.unwrap();
    assert_eq!(scaled["spec"]["replicas"], 4);
    assert!(writers(&scaled).contains(&("two Apply apps/v1 scale".to_owned(), r#"{"f:spec":{"f:replicas":{}}}"#.to_owned())), "{scaled}");
    let refused = apply(&server, "apps/v1/replicasets", "default/r", "fieldManager=one", wanted).await.unwrap_err();
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"two\" with subresource \"scale\": .spec.replicas");
}
