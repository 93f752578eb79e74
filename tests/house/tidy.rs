//! How files look. Clippy keeps functions short (`clippy.toml`); files are counted here.

use std::path::PathBuf;

use skiff_tests::repository;

/// Lines that a file may have.
const LONGEST: usize = 500;
/// Files that have more, each with its reason. One that has no more leaves the list.
const LONGER: [(&str, &str); 0] = [];

/// Crates with lints of their own, each with its reason.
const OWN_LINTS: [(&str, &str); 1] =
    [("demo/Cargo.toml", "process 1 of a container needs two C functions to hear signals; everything else is as in the workspace")];

/// Every Rust file of the repository: its path from the root, and its text.
fn sources() -> Vec<(String, String)> {
    let files = files(|name| name.ends_with(".rs"));
    assert!(files.len() > 300, "only {} files were found", files.len());
    let read = |name: String| {
        let text = std::fs::read_to_string(repository().join(&name)).unwrap();
        (name, text)
    };
    files.into_iter().map(read).collect()
}

/// The files of such names, by their path from the root and in order. What is built, and what is hidden, is not looked at.
fn files(wanted: fn(&str) -> bool) -> Vec<String> {
    let (mut folders, mut found) = (vec![PathBuf::new()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(repository().join(&folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let path = folder.join(&name);
            if entry.file_type().unwrap().is_dir() {
                let passed_by = name.starts_with('.') || (folder.as_os_str().is_empty() && ["target", "out"].contains(&name.as_str()));
                folders.extend((!passed_by).then_some(path));
            } else if wanted(&name) {
                found.push(path.into_os_string().into_string().unwrap());
            }
        }
    }
    found.sort();
    found
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
    let mut manifests = files(|name| name == "Cargo.toml");
    manifests.retain(|name| name != "Cargo.toml"); // the workspace's own
    assert!(manifests.len() >= 9, "{manifests:?}");
    let read = |name: &String| std::fs::read_to_string(repository().join(name)).unwrap();
    let without: Vec<&String> = manifests.iter().filter(|name| !read(name).contains("[lints]\nworkspace = true\n")).collect();
    assert_eq!(without, OWN_LINTS.map(|(name, _)| name), "crates with lints of their own are named in OWN_LINTS with a reason");
    let workspace = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
}
