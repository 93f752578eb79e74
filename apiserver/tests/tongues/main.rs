//! Both tongues say the same: every verb is asked over REST and over gRPC, and the answers (objects, lists, events, refusals) are the same.
//!
//! Two servers with the same clock and the same dice are told the same [`story`], one in each tongue ([`rest`], [`grpc`]); what they answer is compared
//! call by call, uids and revisions included. Then one server is spoken to in both at once.

// What a test unwraps, it asserts.
#![allow(clippy::unwrap_used)]

mod call;
mod grpc;
#[path = "../inside/mod.rs"]
mod inside;
mod rest;
mod story;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use skiff_proto::identity::UserInfo;
use skiff_proto::v1;

use self::call::{Answer, Call, Event};
use self::inside::{Inside, Pretended};

#[tokio::test(start_paused = true)]
async fn every_verb_answers_the_same_in_both_tongues() {
    let mut rest = rest::Rest::new(server().await);
    let mut grpc = grpc::Grpc::new(server().await);
    let mut acts = BTreeSet::new();
    for told in story::story() {
        acts.insert(told.call.act.name());
        let said = (rest.ask(&told.call).await, grpc.ask(&told.call).await);
        assert_eq!(said.0.code, told.code, "{}: over REST: {}", told.about, said.0.body);
        assert_same(told.about, &told.call, &said.0, &said.1);
    }
    assert_eq!(acts.into_iter().collect::<Vec<_>>(), call::ACTS, "every act is in the story");
}

fn assert_same(about: &str, call: &Call, rest: &Answer, grpc: &Answer) {
    if rest.code < 400 && rest.body["kind"] == "Status" {
        // What is gone at once is a Status to people and its last state to components; a binding has nothing to show.
        assert!(grpc.code < 400, "{about}: over gRPC: {}", grpc.body);
        if grpc.body["kind"] != "Status" && !grpc.body.is_null() {
            assert_eq!(rest.body["details"]["uid"], grpc.body["metadata"]["uid"], "{about}");
            assert_eq!(rest.body["details"]["name"], grpc.body["metadata"]["name"], "{about}");
        }
        return;
    }
    assert_eq!(pretty(&rest.body), pretty(&grpc.body), "{about} ({call:?}): REST left, gRPC right");
    assert_eq!(rest.code >= 400, grpc.code >= 400, "{about}");
    if rest.code >= 400 {
        assert_eq!(rest.code, grpc.code, "{about}");
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// The service has no method that the story leaves out; a watch has tests of its own below.
#[test]
fn the_story_leaves_nothing_out() {
    let methods = include_str!("../../../proto/proto/skiff/v1/objects.proto").lines().filter_map(|line| line.trim().strip_prefix("rpc "));
    let named: BTreeSet<String> = methods.map(|line| line.split('(').next().unwrap().to_lowercase()).collect();
    let told = call::ACTS.iter().map(|act| act.replace('-', "")).chain(["watch".to_owned()]);
    assert_eq!(named, told.collect());
}

/// A refusal before anybody knows what is asked: of a token that nobody signed.
#[tokio::test(start_paused = true)]
async fn a_stranger_is_refused_the_same_in_both_tongues() {
    let call = Call::get("configmaps", "default", "m");
    let rest = rest::Rest::new(server().await).with_token("nonsense").ask(&call).await;
    let grpc = grpc::Grpc::new(server().await).with_token("nonsense").ask(&call).await;
    assert_eq!((rest.code, &rest.body["reason"]), (401, &json!("Unauthorized")));
    assert_same("a stranger", &call, &rest, &grpc);
}

/// One server, watched and written in both tongues.
#[tokio::test(start_paused = true)]
async fn watches_in_both_tongues_hear_the_same() {
    let server = Arc::new(server().await);
    let (mut rest, mut grpc) = (rest::Rest::new(server.clone()), grpc::Grpc::new(server.clone()));
    for (name, tier) in [("a", "x"), ("b", "y")] {
        let code = rest.ask(&Call::create("configmaps", "default", labelled(name, tier))).await.code;
        assert_eq!(code, 201);
    }
    for selector in ["", "tier=x"] {
        let mut watches = (rest.watch("configmaps", "default", selector, None).await, grpc.watch("configmaps", "default", selector, None).await);
        let writes: [(bool, Call); 5] = [
            (true, Call::create("configmaps", "default", labelled("c", "x"))),
            (false, Call::create("configmaps", "default", labelled("d", "y"))),
            (false, Call::patch("configmaps", "default", "c", v1::PatchType::Merge, json!({"metadata": {"labels": {"tier": "y"}}}))),
            (true, Call::delete("configmaps", "default", "c")),
            (true, Call::delete("configmaps", "default", "d")),
        ];
        for (over_rest, write) in writes {
            let answer = if over_rest { rest.ask(&write).await } else { grpc.ask(&write).await };
            assert!(answer.code < 400, "{}", answer.body);
        }
        let wanted = if selector.is_empty() { 2 + 1 + 5 } else { 1 + 1 + 2 };
        let heard = (watches.0.next(wanted).await, watches.1.next(wanted).await);
        assert_eq!(heard.0, heard.1, "{selector}");
        let bookmarks: Vec<bool> = heard.0.iter().filter(|event| event.kind == "BOOKMARK").map(|event| event.initial_events_end).collect();
        assert_eq!(bookmarks, [true], "{selector}: where the initial events end");
        assert_eq!(heard.0.last().map(|event| event.kind.as_str()), Some("DELETED"), "{selector}");
    }
}

/// A watch from a revision tells exactly what came after it; from one that is forgotten, that it is.
#[tokio::test(start_paused = true)]
async fn watches_resume_or_say_that_they_cannot() {
    let server = Arc::new(server().await);
    let (mut rest, mut grpc) = (rest::Rest::new(server.clone()), grpc::Grpc::new(server.clone()));
    let first = rest.ask(&Call::create("configmaps", "default", labelled("a", "x"))).await;
    let from: u64 = first.body["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    assert!(grpc.ask(&Call::create("configmaps", "default", labelled("b", "x"))).await.code < 400);
    let resumed =
        [rest.watch("configmaps", "default", "", Some(from)).await.next(1).await, grpc.watch("configmaps", "default", "", Some(from)).await.next(1).await];
    assert_eq!(resumed[0], resumed[1]);
    assert_eq!((resumed[0][0].kind.as_str(), &resumed[0][0].object["metadata"]["name"]), ("ADDED", &json!("b")));
    let later = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    server.server().store.compact(later);
    assert_eq!(rest.ask(&Call::create("configmaps", "default", labelled("c", "x"))).await.code, 201);
    let gone: [Vec<Event>; 2] =
        [rest.watch("configmaps", "default", "", Some(1)).await.next(1).await, grpc.watch("configmaps", "default", "", Some(1)).await.next(1).await];
    assert_eq!((gone[0][0].kind.as_str(), &gone[0][0].object["code"], &gone[0][0].object["reason"]), ("ERROR", &json!(410), &json!("Expired")));
    assert_eq!(gone[0], gone[1]);
}

fn labelled(name: &str, tier: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"tier": tier}}})
}

async fn server() -> Inside {
    Inside::start_with(Arc::new(Pretended::default())).await
}

/// The people of the story.
fn user(who: call::Who) -> Option<UserInfo> {
    match who {
        call::Who::Admin => Some(UserInfo::admin()),
        call::Who::Jane => Some(UserInfo::new("jane", &[])),
        call::Who::Scheduler => Some(UserInfo::new(UserInfo::SCHEDULER, &[])),
        call::Who::Nobody => None,
    }
}
