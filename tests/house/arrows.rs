//! Who may know whom: `proto ← client ← {scheduler, controller, agent} ← cli` and `proto ← apiserver ← cli`, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

#[test]
fn arrows_point_one_way() {
    let metadata = crate::metadata(&["--no-deps"]);
    let mut knows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let is_ours = |dependency: &&serde_json::Value| dependency["path"].is_string() && dependency["kind"].is_null();
        let ours = package["dependencies"].as_array().unwrap().iter().filter(is_ours);
        let names = ours.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
        knows.insert(package["name"].as_str().unwrap().to_owned(), names);
    }
    let component: &[&str] = &["skiff-client", "skiff-proto"];
    let allowed: [(&str, &[&str]); 7] = [
        ("skiff-proto", &[]),
        ("skiff-client", &["skiff-proto"]),
        ("skiff-apiserver", &["skiff-proto"]),
        ("skiff-scheduler", component),
        ("skiff-controller", component),
        ("skiff-agent", component),
        ("skiff-demo", &[]),
    ];
    for (name, may) in allowed {
        let has: Vec<&str> = knows[name].iter().map(String::as_str).collect();
        assert_eq!(has, may, "{name}");
    }
    let everything = ["skiff", "skiff-tests"];
    let known: BTreeSet<&str> = allowed.iter().map(|(name, _)| *name).chain(everything).collect();
    assert_eq!(knows.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "a new crate says here whom it may know");
}

/// Nobody but the API server knows that there is a store, and nobody but the agent that there is Docker.
#[test]
fn what_one_crate_alone_may_touch() {
    let metadata = crate::metadata(&["--no-deps"]);
    for (dependency, owner) in [("sled", "skiff-apiserver"), ("bollard", "skiff-agent")] {
        let uses = |package: &&serde_json::Value| package["dependencies"].as_array().unwrap().iter().any(|one| one["name"] == dependency);
        let users: Vec<&str> = metadata["packages"].as_array().unwrap().iter().filter(uses).map(|package| package["name"].as_str().unwrap()).collect();
        assert_eq!(users, [owner], "{dependency}");
    }
}
