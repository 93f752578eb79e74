//! What the project depends on: the lists of `deny.toml`, checked without cargo-deny, and the budget.

use std::collections::BTreeSet;

use serde_json::Value;
use skiff_tests::repository;

/// The only place that crates come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Packages in Cargo.lock, ours included.
const BUDGET: usize = 350;

/// The strings of `name = [ … ]`.
fn list(toml: &str, name: &str) -> BTreeSet<String> {
    let start = toml.find(&format!("\n{name} = [")).unwrap_or_else(|| panic!("deny.toml has no {name}"));
    let body = toml[start..].split_once('[').unwrap().1.split_once(']').unwrap().0;
    body.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met with these licences. `/` is an old way to write OR; an exception only gives.
fn allowed(expression: &str, allow: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    any(&mut words, allow)
}

fn any(words: &mut Vec<&str>, allow: &BTreeSet<String>) -> bool {
    let mut met = all(words, allow);
    while words.last() == Some(&"OR") {
        words.pop();
        met |= all(words, allow);
    }
    met
}

fn all(words: &mut Vec<&str>, allow: &BTreeSet<String>) -> bool {
    let mut met = one(words, allow);
    while words.last() == Some(&"AND") {
        words.pop();
        met &= one(words, allow);
    }
    met
}

fn one(words: &mut Vec<&str>, allow: &BTreeSet<String>) -> bool {
    match words.pop() {
        Some("(") => {
            let met = any(words, allow);
            assert_eq!(words.pop(), Some(")"));
            met
        }
        Some(name) => {
            if words.last() == Some(&"WITH") {
                words.truncate(words.len() - 2);
            }
            allow.contains(name)
        }
        None => false,
    }
}

#[test]
fn every_dependency_may_be_one() {
    let toml = std::fs::read_to_string(repository().join("deny.toml")).unwrap();
    let (allow, deny) = (list(&toml, "allow"), list(&toml, "deny"));
    let metadata = crate::metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let mut complaints = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let (name, license) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or_default());
        if !allowed(license, &allow) {
            complaints.push(format!("{name}: its licence is \"{license}\""));
        }
        if deny.contains(name) {
            complaints.push(format!("{name}: deny.toml bans it"));
        }
        if package["source"] != Value::Null && package["source"] != REGISTRY {
            complaints.push(format!("{name}: comes from {}", package["source"]));
        }
    }
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn dependencies_stay_within_their_budget() {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let packages = lock.matches("\n[[package]]\n").count();
    assert!(packages <= BUDGET, "{packages} packages in Cargo.lock: at most {BUDGET}");
}

#[test]
fn licences_are_read_as_they_are_written() {
    let allow = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND ISC", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("(MIT OR ISC) AND GPL-3.0", false),
        ("MIT WITH LLVM-exception", true),
        ("", false),
    ] {
        assert_eq!(allowed(expression, &allow), met, "{expression}");
    }
}
