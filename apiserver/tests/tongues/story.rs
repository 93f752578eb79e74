//! What is told to both servers, in order: every act in its ways, and every kind of refusal.

use serde_json::{Value, json};
use skiff_proto::v1::PatchType;

use super::call::{Call, Delete, Who};

/// A call of the story.
pub struct Told {
    /// What it is about.
    pub about: &'static str,
    /// The call.
    pub call: Call,
    /// The HTTP code that it is answered with.
    pub code: u16,
}

/// The whole story.
pub fn story() -> Vec<Told> {
    let parts = [writing(), refusals(), patches(), parts(), pages(), binding(), deleting()];
    parts.into_iter().flatten().map(|(code, about, call)| Told { about, call, code }).collect()
}

/// Code, what it is about, the call.
type Part = Vec<(u16, &'static str, Call)>;

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"n": name}}, "data": {"k": "v"}})
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i:1"}], "terminationGracePeriodSeconds": 20}})
}

fn deployment(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}}})
}

fn writing() -> Part {
    let get = || Call::get("configmaps", "default", "m");
    vec![
        (201, "a namespace", Call::create("namespaces", "", json!({"metadata": {"name": "n"}}))),
        (200, "which is there", Call::get("namespaces", "", "n")),
        (201, "an object", Call::create("configmaps", "default", map("m"))),
        (200, "which is there", get()),
        (201, "a name that the server makes up", Call::create("configmaps", "default", json!({"metadata": {"generateName": "g-"}}))),
        (201, "what would be created", Call::create("configmaps", "default", map("dry")).dry()),
        (404, "and is not", Call::get("configmaps", "default", "dry")),
        (200, "another in its place", Call::update("configmaps", "default", "m", json!({"metadata": {"name": "m"}, "data": {"k": "w"}}))),
        (200, "the same again", Call::update("configmaps", "default", "m", json!({"metadata": {"name": "m"}, "data": {"k": "w"}}))),
        (200, "what would be written", Call::update("configmaps", "default", "m", json!({"metadata": {"name": "m"}, "data": {"k": "x"}})).dry()),
        (200, "and is not", get()),
        (
            200,
            "on a revision that still is",
            Call::update("configmaps", "default", "m", json!({})).text(r#"{"metadata":{"name":"m","resourceVersion":"{rv}"}}"#),
        ),
        (201, "what is made by an update", Call::update("leases.coordination.k8s.io", "default", "l", json!({"metadata": {"name": "l"}, "spec": {}}))),
        (201, "another kind", Call::create("deployments.apps", "default", deployment("d"))),
    ]
}

fn refusals() -> Part {
    let long = "x".repeat(2 << 20);
    vec![
        (400, "no JSON", Call::create("configmaps", "default", json!({})).text("{")),
        (400, "another kind", Call::create("configmaps", "default", json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}))),
        (400, "a field of another type", Call::create("configmaps", "default", json!({"metadata": {"name": "m"}, "data": {"k": 1}}))),
        (400, "another name", Call::update("configmaps", "default", "m", map("o"))),
        (400, "another namespace", Call::create("configmaps", "default", json!({"metadata": {"name": "m", "namespace": "n"}}))),
        (403, "somebody who may not", Call::get("configmaps", "default", "m").by(Who::Jane)),
        (403, "who may not list either", Call::list("configmaps", "default").by(Who::Jane)),
        (403, "nor write", Call::create("configmaps", "default", map("j")).by(Who::Jane)),
        (403, "nor delete", Call::delete("configmaps", "default", "m").by(Who::Jane)),
        (403, "nobody", Call::get("configmaps", "default", "m").by(Who::Nobody)),
        (403, "a component outside its work", Call::create("configmaps", "default", map("j")).by(Who::Scheduler)),
        (404, "what is not there", Call::get("configmaps", "default", "none")),
        (404, "a resource that is none", Call::get("nonsenses", "default", "m")),
        (404, "a namespace that is none", Call::create("configmaps", "nowhere", map("m"))),
        (404, "an update of nothing", Call::update("configmaps", "default", "none", map("none"))),
        (404, "a patch of nothing", Call::patch("configmaps", "default", "none", PatchType::Merge, json!({}))),
        (404, "a deletion of nothing", Call::delete("configmaps", "default", "none")),
        (404, "a part that a kind has not", Call::update_status("configmaps", "default", "m", map("m"))),
        (405, "a verb that a kind has not", Call::list("subjectaccessreviews.authorization.k8s.io", "")),
        (409, "a name that is taken", Call::create("configmaps", "default", map("m"))),
        (409, "a revision that was", Call::update("configmaps", "default", "m", json!({"metadata": {"name": "m", "resourceVersion": "1"}}))),
        (
            409,
            "an object that was",
            Call::update("configmaps", "default", "m", json!({"metadata": {"name": "m", "uid": "00000000-0000-4000-8000-000000000000"}})),
        ),
        (422, "a name that is none", Call::create("configmaps", "default", map("No Name"))),
        (422, "a pod without containers", Call::create("pods", "default", json!({"metadata": {"name": "p"}, "spec": {"containers": []}}))),
        (
            422,
            "a selector that does not select",
            Call::patch("deployments.apps", "default", "d", PatchType::Merge, json!({"spec": {"selector": {"matchLabels": {"a": "c"}}}})),
        ),
        (422, "more than can be kept", Call::create("configmaps", "default", json!({"metadata": {"name": "long"}, "binaryData": {"k": long}}))),
    ]
}

fn patches() -> Part {
    let of = |kind, body| Call::patch("deployments.apps", "default", "d", kind, body);
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:2"}]}}}});
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"k": "v"}});
    vec![
        (200, "a strategic merge", of(PatchType::Strategic, image.clone())),
        (200, "that changes nothing", of(PatchType::Strategic, image)),
        (200, "a merge", of(PatchType::Merge, json!({"metadata": {"annotations": {"a": "b"}}}))),
        (200, "a JSON patch", of(PatchType::Json, json!([{"op": "replace", "path": "/spec/replicas", "value": 3}]))),
        (422, "one whose test fails", of(PatchType::Json, json!([{"op": "test", "path": "/spec/replicas", "value": 4}]))),
        (400, "one that is none", of(PatchType::Json, json!({"op": "test"}))),
        (200, "what would be patched", of(PatchType::Merge, json!({"spec": {"replicas": 9}})).dry()),
        (200, "and is not", Call::get("deployments.apps", "default", "d")),
        (409, "of a revision that was", of(PatchType::Merge, json!({"metadata": {"resourceVersion": "1"}}))),
        (422, "to what may not be", of(PatchType::Merge, json!({"spec": {"replicas": -1}}))),
        (201, "an application", Call::patch("configmaps", "default", "applied", PatchType::Apply, applied.clone())),
        (200, "and again", Call::patch("configmaps", "default", "applied", PatchType::Apply, applied)),
    ]
}

fn parts() -> Part {
    let scale = json!({"metadata": {"name": "d", "namespace": "default"}, "spec": {"replicas": 4}});
    let status = json!({"metadata": {"name": "d"}, "spec": {"replicas": 77}, "status": {"replicas": 4, "observedGeneration": 1}});
    let token = json!({"spec": {"audiences": ["a"], "expirationSeconds": 600}});
    vec![
        (200, "a scale", Call::get("deployments.apps", "default", "d").of("scale")),
        (200, "which is set", Call::update("deployments.apps", "default", "d", scale).of("scale")),
        (200, "or patched", Call::patch("deployments.apps", "default", "d", PatchType::Merge, json!({"spec": {"replicas": 5}})).of("scale")),
        (200, "a status, and nothing else", Call::update_status("deployments.apps", "default", "d", status)),
        (200, "or patched", Call::patch("deployments.apps", "default", "d", PatchType::Strategic, json!({"status": {"replicas": 5}})).of("status")),
        (200, "is read with the object", Call::get("deployments.apps", "default", "d").of("status")),
        (404, "a part that is none", Call::get("deployments.apps", "default", "d").of("nonsense")),
        (201, "a service account", Call::create("serviceaccounts", "default", json!({"metadata": {"name": "sa"}}))),
        (404, "the token of none", Call::create("serviceaccounts", "default", token).named("none").of("token")),
    ]
}

fn pages() -> Part {
    vec![
        (200, "everything", Call::list("configmaps", "default")),
        (200, "of every namespace", Call::list("configmaps", "")),
        (200, "what is selected by labels", Call::select("configmaps", "default", "n=m", "")),
        (200, "by a field", Call::select("configmaps", "default", "", "metadata.name=m")),
        (400, "by what is no selector", Call::select("configmaps", "default", "n==,=", "")),
        (400, "by what is no field", Call::select("configmaps", "default", "", "data.k=v")),
        (201, "one more", Call::create("configmaps", "n", map("a"))),
        (201, "one more", Call::create("configmaps", "n", map("b"))),
        (201, "one more", Call::create("configmaps", "n", map("c"))),
        (200, "a page", Call::page("configmaps", "n", 1, false)),
        (201, "which is not of the list", Call::create("configmaps", "n", map("ab"))),
        (200, "the next page", Call::page("configmaps", "n", 1, true)),
        (200, "the last page", Call::page("configmaps", "n", 5, true)),
    ]
}

fn binding() -> Part {
    vec![
        (201, "a node", Call::create("nodes", "", json!({"metadata": {"name": "node-1"}}))),
        (201, "a pod", Call::create("pods", "n", pod("p"))),
        (201, "another", Call::create("pods", "n", pod("q"))),
        (201, "goes to the node", Call::bind("n", "p", "node-1").by(Who::Scheduler)),
        (200, "where it is", Call::get("pods", "n", "p")),
        (409, "and not again", Call::bind("n", "p", "node-2").by(Who::Scheduler)),
        (404, "and nothing else", Call::bind("n", "none", "node-1").by(Who::Scheduler)),
        (404, "nor in a batch", Call::bind_batch("n", "none", "node-1").by(Who::Scheduler)),
        (403, "and nobody else sends it", Call::bind("n", "q", "node-1").by(Who::Jane)),
        (201, "and one in a batch", Call::create("pods", "n", pod("r"))),
        (201, "goes to the node too", Call::bind_batch("n", "r", "node-1").by(Who::Scheduler)),
        (200, "where it is", Call::get("pods", "n", "r")),
        (201, "it may be asked to go", Call::create("pods", "n", json!({"metadata": {"name": "q", "namespace": "n"}})).named("q").of("eviction").dry()),
    ]
}

fn deleting() -> Part {
    let delete = |how| Call::delete_as("configmaps", "n", "a", how);
    let finalized = json!({"metadata": {"name": "f", "finalizers": ["example.com/f"]}});
    vec![
        (200, "what would be deleted", Call::delete("configmaps", "n", "a").dry()),
        (200, "and is not", Call::get("configmaps", "n", "a")),
        (409, "of another uid", delete(Delete { uid: "00000000-0000-4000-8000-000000000000", ..Delete::default() })),
        (409, "of another revision", delete(Delete { revision: "1", ..Delete::default() })),
        (200, "as it is", delete(Delete { uid: "{uid}", revision: "{rv}", ..Delete::default() })),
        (404, "and not again", Call::delete("configmaps", "n", "a")),
        (201, "one that somebody holds", Call::create("configmaps", "n", finalized)),
        (200, "stays", Call::delete("configmaps", "n", "f")),
        (200, "until it is let go", Call::patch("configmaps", "n", "f", PatchType::Merge, json!({"metadata": {"finalizers": null}}))),
        (404, "and is gone", Call::get("configmaps", "n", "f")),
        (422, "a policy that is none", Call::delete_as("deployments.apps", "default", "d", Delete { policy: "Sideways", ..Delete::default() })),
        (200, "its dependents first", Call::delete_as("deployments.apps", "default", "d", Delete { policy: "Foreground", ..Delete::default() })),
        (201, "another", Call::create("deployments.apps", "default", deployment("e"))),
        (200, "without its dependents", Call::delete_as("deployments.apps", "default", "e", Delete { policy: "Orphan", ..Delete::default() })),
        (200, "a pod on a node, in its time", Call::delete("pods", "n", "p")),
        (200, "in less", Call::delete_as("pods", "n", "p", Delete { grace: Some(5), ..Delete::default() })),
        (200, "at once", Call::delete_as("pods", "n", "p", Delete { grace: Some(0), ..Delete::default() })),
        (200, "a pod on no node", Call::delete("pods", "n", "q")),
        (200, "a namespace", Call::delete("namespaces", "", "n")),
        (403, "takes nothing more", Call::create("configmaps", "n", map("late"))),
    ]
}
