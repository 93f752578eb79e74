//! Watchers: bounds, bookmarks, ends; and pages of lists.

use std::sync::Arc;

use super::super::{Backend, Compacted, Expect, Key, Lagged, Options, Scope, Store};
use super::{AtNode, put};

fn open(options: Options) -> Store {
    Store::open(Backend::Memory, options, Arc::new(AtNode)).unwrap()
}

async fn create(store: &Store, resource: &str, namespace: &str, name: &str) -> u64 {
    store.commit(vec![put(&Key::new(resource, namespace, name), Expect::Absent, "@n1@")]).await.unwrap()[0].revision
}

#[tokio::test]
async fn a_watcher_over_its_bound_is_closed_and_the_others_go_on() {
    let store = open(Options { watcher_bound: 3, ..Options::default() });
    let mut slow = store.watch(Scope::all("pods"), 1).unwrap();
    let mut quick = store.watch(Scope::all("pods"), 1).unwrap();
    for number in 0..5 {
        create(&store, "pods", "a", &format!("p{number}")).await;
        assert!(quick.next().await.unwrap().is_ok());
    }
    assert_eq!(slow.next().await.unwrap().unwrap_err(), Lagged);
    assert!(slow.next().await.is_none());
    assert_eq!(store.metrics().lagged, 1);
    // What it missed is in the log.
    assert_eq!(store.watch(Scope::all("pods"), 1).unwrap().next_batch(100).await.unwrap().unwrap().len(), 5);
}

#[tokio::test]
async fn progress_is_the_store_s_when_nothing_waits_and_the_watcher_s_when_something_does() {
    let store = open(Options::default());
    let mut watcher = store.watch(Scope { namespace: Some("a".to_owned()), ..Scope::all("pods") }, 1).unwrap();
    assert_eq!(watcher.progress(), 1);
    create(&store, "pods", "b", "elsewhere").await;
    assert_eq!(watcher.progress(), 2);
    let mine = create(&store, "pods", "a", "mine").await;
    create(&store, "secrets", "a", "other").await;
    assert_eq!(watcher.progress(), 1, "an event waits; nothing was handed out yet");
    assert_eq!(watcher.try_next().unwrap().revision(), mine);
    assert_eq!(watcher.progress(), 4);
}

#[tokio::test]
async fn a_sleeping_watcher_is_woken_by_its_event_and_by_the_end() {
    let store = open(Options::default());
    let (listing, mut watcher) = store.list_and_watch(Scope { node: Some("n1".to_owned()), ..Scope::all("pods") });
    assert_eq!((listing.revision, listing.items.len()), (1, 0));
    let reader = tokio::spawn(async move { (watcher.next().await.map(|event| event.unwrap().revision()), watcher.next().await.is_none()) });
    tokio::task::yield_now().await;
    create(&store, "pods", "a", "x").await;
    tokio::task::yield_now().await;
    store.close().await;
    assert_eq!(reader.await.unwrap(), (Some(2), true));
}

#[tokio::test]
async fn a_dropped_watcher_is_forgotten() {
    let store = open(Options::default());
    for scope in [
        Scope::all("pods"),
        Scope { name: Some("x".to_owned()), ..Scope::all("pods") },
        Scope { namespace: Some("x".to_owned()), ..Scope::all("pods") },
        Scope { node: Some("x".to_owned()), ..Scope::all("pods") },
    ] {
        let watcher = store.watch(scope, 1).unwrap();
        assert_eq!(store.metrics().watchers, 1);
        drop(watcher);
        assert_eq!(store.metrics().watchers, 0);
    }
}

#[tokio::test]
async fn pages_are_of_one_revision_whatever_happens_between_them() {
    let store = open(Options::default());
    for (namespace, count) in [("a", 3), ("b", 5), ("c", 2)] {
        for number in 0..count {
            create(&store, "pods", namespace, &format!("p{number}")).await;
        }
    }
    for (namespace, total) in [(None, 10), (Some("b"), 5)] {
        let first = store.page("pods", namespace, None, None, 2).unwrap();
        assert_eq!(first.remaining, total - 2);
        let mut seen: Vec<Key> = first.items.iter().map(|one| one.key.clone()).collect();
        create(&store, "pods", "b", &format!("new{total}")).await;
        loop {
            let last = seen.last().unwrap().clone();
            let page = store.page("pods", namespace, Some(first.revision), Some((&last.namespace, &last.name)), 2).unwrap();
            assert_eq!(page.revision, first.revision);
            seen.extend(page.items.iter().map(|one| one.key.clone()));
            assert_eq!(page.remaining, total - seen.len());
            if page.remaining == 0 {
                break;
            }
        }
        assert!(seen.is_sorted() && seen.len() == total);
        store
            .commit(vec![super::super::Write {
                op: super::super::Op::Delete(super::body("")),
                ..put(&Key::new("pods", "b", &format!("new{total}")), Expect::At(store.revision()), "")
            }])
            .await
            .unwrap();
    }
}

/// The log is bounded by bytes without anyone calling `compact`.
#[tokio::test]
async fn the_log_forgets_by_size() {
    let store = open(Options { retain_bytes: 5000, ..Options::default() });
    for number in 0..100 {
        create(&store, "pods", "a", &format!("p{number}")).await;
    }
    assert!(store.oldest() > 50, "{}", store.oldest());
    assert_eq!(store.watch(Scope::all("pods"), 1).err(), Some(Compacted { oldest: store.oldest() }));
    assert_eq!(store.list("pods", None).items.len(), 100, "what is current stays");
    assert!(store.watch(Scope::all("pods"), store.oldest()).is_ok());
}
