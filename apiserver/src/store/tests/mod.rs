//! Tests of the store as a whole: against a trivial model ([`model`]), a modelled drive that loses power ([`power`]), disks that fail
//! ([`failure`]), and processes that are killed (`apiserver/tests/store_kill.rs`).

mod failure;
mod model;
mod power;
mod watchers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Attributes, Backend, Body, Describe, Expect, Key, Op, Options, Store, Write};

/// Attributes for tests: the node is what stands between `@`s.
pub(crate) struct AtNode;

impl Describe for AtNode {
    fn attributes(&self, _: &str, json: &[u8]) -> Attributes {
        let text = String::from_utf8_lossy(json);
        let node = text.split('@').nth(1).unwrap_or_default().to_owned();
        Attributes { fields: [("spec.nodeName", node)].into(), ..Attributes::default() }
    }
}

/// A directory that goes with the value.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("skiff-store-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A writer's thread may still be adding files; what stays is in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A small generator (splitmix64): tests repeat by their seed.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

pub(crate) fn body(content: &str) -> Body {
    Body { json: format!(r#"{{"metadata":{{"x":"{content}"}}}}"#).into_bytes(), at: 13, comma: true }
}

pub(crate) fn put(key: &Key, expect: Expect, content: &str) -> Write {
    Write { key: key.clone(), expect, op: Op::Put(body(content)), lazy: false }
}

#[tokio::test]
async fn a_write_is_read_back_from_memory_and_from_disk() {
    let dir = TempDir::new();
    let backend = || Backend::Sled(dir.path().to_owned());
    for backend in [Backend::Memory, backend()] {
        let store = Store::open(backend, Options::default(), Arc::new(AtNode)).unwrap();
        let key = Key::new("pods", "default", "web");
        let made = store.commit(vec![put(&key, Expect::Absent, "1")]).await.unwrap();
        assert_eq!(&made[0].json[..], br#"{"metadata":{"resourceVersion":"2","x":"1"}}"#);
        assert_eq!(store.get(&key).unwrap().json, made[0].json);
        store.close().await;
    }
    let store = Store::open(backend(), Options::default(), Arc::new(AtNode)).unwrap();
    assert_eq!((store.revision(), store.list("pods", None).items.len()), (2, 1));
}
