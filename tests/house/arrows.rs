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
}
