//! Links the program of `demo/` statically and leaves it where `images.rs` embeds it.
//!
//! Cargo cannot make one member of a workspace for another with other flags; so this calls `rustc` itself. The program depends on
//! nothing but the standard library, which keeps that one command line.

use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let demo = Path::new("../demo/src");
    println!("cargo::rerun-if-changed={}", demo.display());
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR")).join("demo");
    let target = variable("TARGET");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition", "2024", "--crate-name", "demo", "--target", &target]);
    rustc.args(["-C", "target-feature=+crt-static", "-C", "opt-level=s", "-C", "panic=abort", "-C", "strip=symbols", "-C", "codegen-units=1"]);
    rustc.args(["-C", "lto=true"]);
    let status = rustc.arg(demo.join("main.rs")).arg("-o").arg(&out).status().unwrap_or_else(|fault| panic!("cannot run rustc: {fault}"));
    assert!(status.success(), "rustc could not make the demo program");
    let program = std::fs::read(&out).unwrap_or_else(|fault| panic!("cannot read {}: {fault}", out.display()));
    #[allow(deprecated)] // the one hash in the standard library that is promised to stay what it is
    let mut hash = std::hash::SipHasher::new();
    hash.write(&program);
    println!("cargo::rustc-env=SKIFF_DEMO_HASH={:016x}", hash.finish());
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets ${name}"))
}
