//! The graph against a small world in memory: what it enqueues is enough to collect everything that should go, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::decide::{Decision, Dependents, decide};
use super::graph::{FOREGROUND, Graph, OwnerState, Uid, Work};
use crate::execute::Propagation;
use crate::kinds;
use crate::view::{Meta, Owner};

fn meta(name: &str, owners: &[(&str, bool)]) -> Meta {
    let owner = |(name, block): &(&str, bool)| Owner {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: (*name).to_owned(),
        uid: format!("uid-{name}"),
        controller: false,
        block_owner_deletion: *block,
    };
    Meta {
        name: name.to_owned(),
        namespace: "ns".to_owned(),
        uid: format!("uid-{name}"),
        owner_references: owners.iter().map(owner).collect(),
        ..Meta::default()
    }
}

fn kind() -> &'static kinds::Kind {
    kinds::find("apps/v1", "ReplicaSet").unwrap()
}

#[test]
fn the_last_of_an_owner_wakes_its_dependents() {
    let mut graph = Graph::default();
    assert_eq!(graph.upsert(kind(), &meta("a", &[])), []);
    assert_eq!(graph.upsert(kind(), &meta("b", &[("a", false)])), []);
    let b = Uid::of("uid-b");
    assert_eq!(graph.remove("uid-a"), [Work::Delete(b)]);
    assert_eq!(graph.owner_state(&meta("b", &[("a", false)]).owner_references[0], "ns"), OwnerState::Absent);
}

#[test]
fn an_unknown_owner_is_asked_about() {
    let mut graph = Graph::default();
    assert_eq!(graph.upsert(kind(), &meta("b", &[("a", false)])), [Work::Delete(Uid::of("uid-b"))]);
    graph.upsert(kind(), &meta("a", &[]));
    let reference = &meta("b", &[("a", false)]).owner_references[0];
    assert_eq!(graph.owner_state(reference, "ns"), OwnerState::Solid);
    assert_eq!(graph.owner_state(reference, "elsewhere"), OwnerState::Unknown, "the uid is of an object in another namespace");
}

#[test]
fn a_waiting_owner_is_woken_when_a_dependent_goes_or_unblocks() {
    let mut graph = Graph::default();
    let owner = Meta { deletion_timestamp: Some(k8s_openapi::jiff::Timestamp::UNIX_EPOCH), finalizers: vec![FOREGROUND.to_owned()], ..meta("a", &[]) };
    graph.upsert(kind(), &meta("b", &[("a", true)]));
    graph.upsert(kind(), &meta("c", &[("a", true)]));
    let (a, b, c) = (Uid::of("uid-a"), Uid::of("uid-b"), Uid::of("uid-c"));
    let work: BTreeSet<_> = graph.upsert(kind(), &owner).into_iter().collect();
    assert_eq!(work, BTreeSet::from([Work::Delete(a), Work::Delete(b), Work::Delete(c)]));
    assert_eq!(graph.blocking_dependents(a).len(), 2);
    assert_eq!(graph.remove("uid-b"), [Work::Delete(a)]);
    assert_eq!(graph.upsert(kind(), &meta("c", &[("a", false)])), [Work::Delete(a)]);
    assert!(graph.blocking_dependents(a).is_empty());
}

#[test]
fn uids_differ() {
    assert_eq!(Uid::of("0b1e7a0c-0000-4000-8000-000000000001"), Uid::of("0B1E7A0C-0000-4000-8000-000000000001"));
    assert_ne!(Uid::of("0b1e7a0c-0000-4000-8000-000000000001"), Uid::of("0b1e7a0c-0000-4000-8000-000000000002"));
    assert_ne!(Uid::of("a"), Uid::of("b"));
}

/// A store of objects whose deletion is immediate, and the collector's loop over it.
fn collect(mut objects: BTreeMap<String, Meta>, deleted: &[String]) -> BTreeSet<String> {
    let mut graph = Graph::default();
    let mut queue: BTreeSet<Work> = objects.values().flat_map(|meta| graph.upsert(kind(), meta)).collect();
    for name in deleted {
        if let Some(meta) = objects.remove(name) {
            queue.extend(graph.remove(&meta.uid));
        }
    }
    while let Some(work) = queue.pop_first() {
        let Work::Delete(uid) = work else { continue };
        let Some(node) = graph.node(uid).cloned() else { continue };
        let Some(latest) = objects.get_mut(&node.name) else { continue };
        let state = |owner: &Owner| match graph.owner_state(owner, "ns") {
            OwnerState::Unknown => OwnerState::Absent,
            known => known,
        };
        let owners: Vec<_> = latest.owner_references.iter().map(|owner| (owner.clone(), state(owner))).collect();
        let any = graph.dependents_of(uid).next().is_some();
        match decide(latest, &owners, Dependents { any, any_waiting: false }) {
            Decision::Keep => {}
            Decision::Detach(gone) => {
                latest.owner_references.retain(|owner| !gone.contains(&owner.uid));
                queue.extend(graph.upsert(kind(), latest));
            }
            Decision::Delete { propagation, .. } => {
                assert_eq!(propagation, Propagation::Background);
                objects.remove(&node.name);
                queue.extend(graph.remove(&node.uid));
            }
        }
    }
    objects.into_keys().collect()
}

/// What should be left: an object stays if it never had owners, or if one of them stays.
fn survivors(objects: &BTreeMap<String, Meta>, deleted: &[String]) -> BTreeSet<String> {
    let mut stay: BTreeSet<String> = objects.keys().filter(|name| !deleted.contains(name)).cloned().collect();
    loop {
        let lives = |name: &String| {
            let owners = &objects[name].owner_references;
            owners.is_empty() || owners.iter().any(|owner| stay.contains(&owner.name))
        };
        let next: BTreeSet<String> = stay.iter().filter(|name| lives(name)).cloned().collect();
        if next == stay {
            return stay;
        }
        stay = next;
    }
}

proptest! {
    /// Whatever lives for whom (no circles: an owner is older), exactly those go that have nobody left.
    #[test]
    fn collects_exactly_what_nobody_needs(edges in prop::collection::vec((0usize..12, 0usize..12), 0..24), deleted in prop::collection::vec(0usize..12, 0..6)) {
        let name = |number: usize| format!("o{number:02}");
        let objects: BTreeMap<String, Meta> = (0..12).map(|number| {
            let owners: BTreeSet<String> = edges.iter().filter(|(of, to)| *of == number && to < of).map(|(_, to)| name(*to)).collect();
            let owners: Vec<(&str, bool)> = owners.iter().map(|owner| (owner.as_str(), false)).collect();
            (name(number), meta(&name(number), &owners))
        }).collect();
        let deleted: Vec<String> = deleted.into_iter().map(name).collect();
        prop_assert_eq!(collect(objects.clone(), &deleted), survivors(&objects, &deleted));
    }
}
