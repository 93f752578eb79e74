//! Tests of the store as a whole.

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

pub(crate) fn body(content: &str) -> Body {
    Body { json: format!(r#"{{"metadata":{{"x":"{content}"}}}}"#).into_bytes(), at: 13, comma: true }
}

pub(crate) fn put(key: &Key, expect: Expect, content: &str) -> Write {
    Write { key: key.clone(), expect, op: Op::Put(body(content)), lazy: false }
}

#[tokio::test]
async fn a_write_is_read_back_from_memory_and_from_disk() {
    let dir = std::env::temp_dir().join(format!("skiff-store-{}", uuid::Uuid::new_v4()));
    for backend in [Backend::Memory, Backend::Sled(dir.clone())] {
        let store = Store::open(backend, Options::default(), Arc::new(AtNode)).unwrap();
        let key = Key::new("pods", "default", "web");
        let made = store.commit(vec![put(&key, Expect::Absent, "1")]).await.unwrap();
        assert_eq!(&made[0].json[..], br#"{"metadata":{"resourceVersion":"2","x":"1"}}"#);
        assert_eq!(store.get(&key).unwrap().json, made[0].json);
        store.close().await;
    }
    let store = Store::open(Backend::Sled(dir.clone()), Options::default(), Arc::new(AtNode)).unwrap();
    assert_eq!((store.revision(), store.list("pods", None).items.len()), (2, 1));
    drop(store);
    std::fs::remove_dir_all(dir).unwrap();
}
