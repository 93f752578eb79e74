//! How files look. Clippy keeps functions short (`clippy.toml`); files are counted here.

use std::path::PathBuf;
use std::process::Command;

use skiff_tests::repository;

/// Lines that a file may have.
const LONGEST: usize = 500;
/// Files that have more, each with its reason. One that has no more leaves the list.
const LONGER: [(&str, &str); 0] = [];

/// Crates with lints of their own, each with its reason.
const OWN_LINTS: [(&str, &str); 1] =
    [("demo/Cargo.toml", "process 1 of a container needs two C functions to hear signals; everything else is as in the workspace")];

/// Every Rust file of the repository, by its path from the root.
fn sources() -> Vec<(String, String)> {
    let files = tracked(&["*.rs"]);
    assert!(files.len() > 300, "{} files: git does not answer", files.len());
    files.into_iter().map(|name| (std::fs::read_to_string(repository().join(&name)).unwrap(), name)).map(|(text, name)| (name, text)).collect()
}

/// What git has, and what it does not have yet; a file that is gone from the folder is not there.
fn tracked(patterns: &[&str]) -> Vec<String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "--"];
    let output = Command::new("git").args(arguments).args(patterns).current_dir(repository()).output().unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().filter(|name| repository().join(name).exists()).map(str::to_owned).collect()
}

#[test]
fn files_stay_short() {
    let mut complaints = Vec::new();
    for (name, text) in sources() {
        let lines = text.lines().count();
        match (lines > LONGEST, LONGER.iter().find(|(exempt, _)| *exempt == name)) {
            (true, None) => complaints.push(format!("{name}: {lines} lines: split it by idea, or name it in LONGER with a reason")),
            (false, Some(_)) => complaints.push(format!("{name}: {lines} lines: it may leave LONGER")),
            (true, Some(_)) | (false, None) => {}
        }
    }
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(name, _)| name).collect();
    assert_eq!(silent, Vec::<String>::new(), "a file opens with //!");
}

/// The lints of the workspace (no unsafe code, among others) hold in every crate.
#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let manifests = tracked(&["*/Cargo.toml"]);
    assert!(manifests.len() >= 9, "{manifests:?}");
    let read = |name: &String| std::fs::read_to_string(repository().join(PathBuf::from(name))).unwrap();
    let without: Vec<&String> = manifests.iter().filter(|name| !read(name).contains("[lints]\nworkspace = true\n")).collect();
    assert_eq!(without, OWN_LINTS.map(|(name, _)| name), "crates with lints of their own are named in OWN_LINTS with a reason");
    let workspace = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
}
