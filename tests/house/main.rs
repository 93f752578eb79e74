//! What must stay true of the repository itself: who may know whom ([`arrows`]), what is depended on ([`dependencies`]), how files look
//! ([`tidy`]), who sees to each field of a pod ([`pod_fields`]).

#![allow(clippy::unwrap_used)] // what a test unwraps, it asserts

mod arrows;
mod dependencies;
mod pod_fields;
mod tidy;

use std::process::Command;

use serde_json::Value;

/// `cargo metadata`, without asking anybody.
fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO")).args(["metadata", "--format-version", "1", "--offline", "--locked"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
