//! Collects what the fields of Kubernetes' types mean, for `kubectl explain`: the doc comments of crate `k8s-openapi`.
//!
//! The crate is a dependency anyway, so its source is wherever cargo put it (a registry or a vendor directory). The result is `docs.tsv` in `OUT_DIR`: type, JSON field (empty for the type itself), text. Without the source the file is
//! empty, a warning says so, and explain shows no descriptions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The module of `k8s-openapi` with the version that the table of types is of.
const VERSION: &str = "v1_35";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?).join("docs.tsv");
    let mut table = String::new();
    match source() {
        Some(root) => {
            // a downloaded version never changes, and another one changes the lock file
            let mut files = Vec::new();
            collect(&root.join("src").join(VERSION), &mut files)?;
            files.sort();
            for file in files {
                describe(&fs::read_to_string(file)?, &mut table)?;
            }
        }
        None => {
            println!("cargo::rerun-if-changed=look-again-next-time");
            println!("cargo::warning=the source of k8s-openapi was not found: `kubectl explain` will show no descriptions");
        }
    }
    fs::write(out, table)?;
    Ok(())
}

/// The directory of crate `k8s-openapi`, in the version of the lock file.
fn source() -> Option<PathBuf> {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).parent()?.to_owned();
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());
    let lock = fs::read_to_string(root.join("Cargo.lock")).ok()?;
    let (_, rest) = lock.split_once("name = \"k8s-openapi\"\nversion = \"")?;
    let name = format!("k8s-openapi-{}", rest.split('"').next()?);
    in_registry(&name).or_else(|| by_metadata(&root, &name)).filter(|found| found.join("src").join(VERSION).is_dir())
}

/// Where cargo unpacks what it downloads.
fn in_registry(name: &str) -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry").join("src")).ok()?;
    registries.filter_map(|entry| entry.ok().map(|entry| entry.path().join(name))).find(|path| path.is_dir())
}

/// Wherever else cargo has it: a vendor directory. Metadata is not asked first, for it wants every crate of every platform.
fn by_metadata(root: &Path, name: &str) -> Option<PathBuf> {
    let output = Command::new(env::var_os("CARGO")?)
        .args(["metadata", "--format-version=1", "--offline", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .output()
        .ok()?;
    let metadata = String::from_utf8(output.stdout).ok()?;
    // the one fact wanted of a large document: a manifest path, as JSON writes it
    let paths = metadata.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut crates = paths.map(|path| PathBuf::from(path.replace("\\\\", "\\"))).filter_map(|path| path.parent().map(Path::to_owned));
    crates.find(|found| found.file_name().and_then(|file| file.to_str()).is_some_and(|file| file == "k8s-openapi" || file == name))
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Adds the lines of one generated file: its type, and the fields of its struct by their JSON names.
fn describe(text: &str, table: &mut String) -> Result<(), std::fmt::Error> {
    let Some(name) = text.lines().find_map(|line| line.strip_prefix("// Generated from definition ")) else { return Ok(()) };
    // `"fieldName" => Field::Key_field_name,`
    let names: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix(',')?.split_once("\" => Field::Key_"))
        .map(|(json, rust)| (rust, json))
        .collect();
    let mut doc: Vec<&str> = Vec::new();
    let mut described_type = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(words) = line.strip_prefix("///") {
            doc.push(words.strip_prefix(' ').unwrap_or(words));
        } else if let Some(field) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")).map(|(field, _)| field) {
            if let Some(json) = names.get(field.trim_start_matches("r#")) {
                row(table, name, json, &doc)?;
            }
            doc.clear();
        } else if line.starts_with("pub struct") || line.starts_with("pub enum") {
            if !described_type {
                row(table, name, "", &doc)?;
            }
            described_type = true;
            doc.clear();
        } else if !line.starts_with("#[") {
            doc.clear();
        }
        if described_type && line == "}" {
            break;
        }
    }
    Ok(())
}

fn row(table: &mut String, name: &str, field: &str, doc: &[&str]) -> std::fmt::Result {
    if doc.is_empty() {
        return Ok(());
    }
    let text = doc.join("\\n").replace('\t', " ");
    // rustdoc needs these escaped, people do not
    let text = ["<", ">", "[", "]"].iter().fold(text, |text, sign| text.replace(&format!("\\{sign}"), sign));
    writeln!(table, "{name}\t{field}\t{text}")
}
