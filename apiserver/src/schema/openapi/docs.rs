//! What the types and their fields mean, as the build collected it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

static DOCS: &str = include_str!(concat!(env!("OUT_DIR"), "/docs.tsv"));
static BY_FIELD: LazyLock<BTreeMap<(&'static str, &'static str), &'static str>> = LazyLock::new(|| {
    let rows = DOCS.lines().filter_map(|line| {
        let (name, rest) = line.split_once('\t')?;
        let (field, text) = rest.split_once('\t')?;
        Some(((name, field), text))
    });
    rows.collect()
});

const API_VERSION: &str = "The version of this representation of the object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "The kind of REST resource that this object represents. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// The description of a type (an empty field) or of one of its fields.
pub(super) fn of(name: &str, field: &str) -> Option<String> {
    match (BY_FIELD.get(&(name, field)), field) {
        (Some(text), _) => Some(text.replace("\\n", "\n")),
        (None, "apiVersion") => Some(API_VERSION.to_owned()),
        (None, "kind") => Some(KIND.to_owned()),
        (None, _) => None,
    }
}

static FINGERPRINT: LazyLock<u64> = LazyLock::new(|| {
    let sources = [env!("CARGO_PKG_VERSION"), DOCS, super::super::types::TABLE, include_str!("schemas.rs"), include_str!("paths.rs")];
    let bytes = sources.iter().flat_map(|source| source.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
});

/// FNV-1a of what the documents are made from.
pub(super) fn fingerprint() -> u64 {
    *FINGERPRINT
}
