//! How the released `skiff` is linked: small, for every process of a cluster maps it.
//!
//! - At a fixed address: a position-independent executable of this size carries 50,000 relocations, which each process applies at its
//!   start and then keeps in memory: 2 MiB in each, 1 MiB of the file.
//! - Its address is no multiple of 2 MiB, or a kernel may map the whole of it in huge pages where an eighth is used.
//!
//! The latter is said in a word of mold and lld; lld is what rustc links with on this platform unless told otherwise.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|set| set == value);
    let platform = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && is("CARGO_CFG_TARGET_ARCH", "x86_64");
    if !platform || !is("PROFILE", "release") {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let known_linker = !flags.contains("linker") && (!flags.contains("fuse-ld") || flags.contains("mold") || flags.contains("lld"));
    if known_linker {
        println!("cargo::rustc-link-arg-bins=-Wl,--image-base=0x410000");
    }
}
