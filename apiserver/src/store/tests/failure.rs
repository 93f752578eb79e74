//! Disks that fail, and writes that may wait.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::super::sled::{SledDisk, SyncFile};
use super::super::{Backend, CommitError, Expect, Key, Options, Scope, Store, Version, Write};
use super::{AtNode, TempDir, put};

/// Syncs that fail while told to.
#[derive(Clone, Default)]
struct Faulty {
    failing: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl SyncFile for Faulty {
    fn sync(&mut self, _: &Path, file: &File) -> io::Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.failing.load(Ordering::SeqCst) { Err(io::Error::other("the drive is gone")) } else { file.sync_data() }
    }
}

fn open_with(dir: &Path, faulty: &Faulty, options: Options) -> Store {
    let (disk, loaded) = SledDisk::open(dir, Box::new(faulty.clone()), Arc::new(AtNode)).unwrap();
    Store::on_disk(Box::new(disk), loaded, options, Arc::new(AtNode)).unwrap()
}

fn open(dir: &Path) -> Store {
    Store::open(Backend::Sled(dir.to_owned()), Options::default(), Arc::new(AtNode)).unwrap()
}

async fn write(store: &Store, name: &str, expect: Expect) -> Result<Arc<Version>, CommitError> {
    Ok(store.commit(vec![put(&Key::new("pods", "a", name), expect, name)]).await?.remove(0))
}

fn names(store: &Store) -> Vec<String> {
    store.list("pods", None).items.iter().map(|version| version.key.name.to_string()).collect()
}

#[tokio::test]
async fn a_failed_sync_refuses_writes_and_is_never_retried_in_place() {
    let (dir, faulty) = (TempDir::new(), Faulty::default());
    let store = open_with(dir.path(), &faulty, Options::default());
    let mut watcher = store.watch(Scope::all("pods"), 0).unwrap();
    write(&store, "before", Expect::Absent).await.unwrap();

    faulty.failing.store(true, Ordering::SeqCst);
    let refused = write(&store, "during", Expect::Absent).await;
    assert_eq!(refused.unwrap_err(), CommitError::Unavailable("the drive is gone".to_owned()));
    assert_eq!(store.health(), Err("the drive is gone".to_owned()));
    assert!(matches!(write(&store, "later", Expect::Absent).await, Err(CommitError::Unavailable(_))));
    assert_eq!((store.revision(), names(&store)), (2, vec!["before".to_owned()]), "what is not durable is not readable");

    faulty.failing.store(false, Ordering::SeqCst);
    while store.health().is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(dir.path().join("2").exists() && !dir.path().join("1").exists(), "it is written anew, on fresh ground");
    let after = write(&store, "after", Expect::Absent).await.unwrap();
    assert_eq!(after.revision, 3);
    let seen: Vec<u64> = std::iter::from_fn(|| watcher.try_next()).map(|event| event.revision()).collect();
    assert_eq!(seen, [2, 3], "watchers live through it");
    store.close().await;

    let store = open(dir.path());
    assert_eq!((store.revision(), names(&store)), (3, vec!["after".to_owned(), "before".to_owned()]));
    assert!(store.watch(Scope::all("pods"), 0).is_ok(), "the log is there too");
}

/// A start writes a snapshot; killed in the middle of it, or on a full disk, it leaves half of one.
#[tokio::test]
async fn a_start_that_was_interrupted_harms_nothing() {
    let dir = TempDir::new();
    let store = open(dir.path());
    write(&store, "x", Expect::Absent).await.unwrap();
    store.close().await;
    let half = dir.path().join("1/snap.FFFFFFFFFFFFFFFF.generating");
    for left in [&b""[..], b"half of a snapshot"] {
        fs::write(&half, left).unwrap();
        let store = open(dir.path());
        assert_eq!(names(&store), ["x"]);
        store.close().await;
        assert!(!half.exists());
    }
}

#[tokio::test]
async fn attempts_to_recover_pause_longer_and_longer() {
    let (dir, faulty) = (TempDir::new(), Faulty::default());
    let store = open_with(dir.path(), &faulty, Options::default());
    faulty.failing.store(true, Ordering::SeqCst);
    let before = faulty.asked.load(Ordering::SeqCst);
    assert!(write(&store, "x", Expect::Absent).await.is_err());
    for _ in 0..200 {
        assert!(write(&store, "x", Expect::Absent).await.is_err());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The write's, and those after 100 ms and 200 ms more; a slow machine has had fewer.
    assert!(faulty.asked.load(Ordering::SeqCst) - before <= 4);
    faulty.failing.store(false, Ordering::SeqCst);
    store.close().await;
}

#[tokio::test]
async fn an_interrupted_recovery_leaves_the_old_generation_in_use() {
    let dir = TempDir::new();
    let store = open(dir.path());
    write(&store, "kept", Expect::Absent).await.unwrap();
    store.close().await;
    fs::create_dir_all(dir.path().join("2")).unwrap();
    fs::write(dir.path().join("2/db"), b"half").unwrap();
    let store = open(dir.path());
    assert_eq!(names(&store), ["kept"]);
    assert!(!dir.path().join("2").exists());
}

fn renew(key: &Key, at: u64) -> Vec<Write> {
    vec![Write { lazy: true, ..put(key, Expect::At(at), "renewed") }]
}

#[tokio::test]
async fn a_lazy_write_is_answered_from_memory_and_persisted_later() {
    let (dir, faulty) = (TempDir::new(), Faulty::default());
    let store = open_with(dir.path(), &faulty, Options { lazy_persist: Duration::from_millis(50), ..Options::default() });
    let key = Key::new("leases.coordination.k8s.io", "kube-node-lease", "node-1");
    let mut at = store.commit(vec![put(&key, Expect::Absent, "made")]).await.unwrap()[0].revision;
    // The first raises the ceiling, which is durable; the others are not.
    at = store.commit(renew(&key, at)).await.unwrap()[0].revision;
    let synced = faulty.asked.load(Ordering::SeqCst);
    for _ in 0..20 {
        at = store.commit(renew(&key, at)).await.unwrap()[0].revision;
    }
    assert!(faulty.asked.load(Ordering::SeqCst) - synced <= 2, "renewals do not sync each");
    while faulty.asked.load(Ordering::SeqCst) == synced {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(store.get(&key).unwrap().revision, at);
    store.close().await;
    let store = open(dir.path());
    assert_eq!((store.revision(), store.get(&key).unwrap().revision), (at, at));
}

/// Revisions that watchers saw are not given to something else by a crash that loses the lazy writes that had them.
#[tokio::test]
async fn a_lazy_write_that_a_crash_loses_takes_its_revision_along() {
    let (dir, copy, faulty) = (TempDir::new(), TempDir::new(), Faulty::default());
    let store = open_with(dir.path(), &faulty, Options::default());
    let key = Key::new("leases.coordination.k8s.io", "kube-node-lease", "node-1");
    let made = store.commit(vec![put(&key, Expect::Absent, "made")]).await.unwrap()[0].revision;
    let mut at = made;
    for _ in 0..5 {
        at = store.commit(renew(&key, at)).await.unwrap()[0].revision;
    }
    copy_dir(dir.path(), copy.path());
    let crashed = open(copy.path());
    assert_eq!(crashed.get(&key).unwrap().revision, made, "what was in memory only is lost");
    assert!(crashed.revision() >= at);
    let next = crashed.commit(vec![put(&key, Expect::At(made), "again")]).await.unwrap()[0].revision;
    assert!(next > at);
    let mut watcher = crashed.watch(Scope::all("leases.coordination.k8s.io"), at).unwrap();
    assert_eq!(watcher.try_next().unwrap().revision(), next);
    store.close().await;
}

/// What a lease had on disk stays there until what replaced it is there.
#[tokio::test]
async fn compaction_never_takes_the_only_durable_version() {
    let (dir, copy) = (TempDir::new(), TempDir::new());
    let store = open_with(dir.path(), &Faulty::default(), Options { retain: Duration::ZERO, ..Options::default() });
    let key = Key::new("leases.coordination.k8s.io", "kube-node-lease", "node-1");
    let made = store.commit(vec![put(&key, Expect::Absent, "made")]).await.unwrap()[0].revision;
    let renewed = store.commit(renew(&key, made)).await.unwrap()[0].revision;
    tokio::time::sleep(Duration::from_millis(2)).await;
    while store.oldest() < renewed {
        store.compact(std::time::SystemTime::now());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    write(&store, "other", Expect::Absent).await.unwrap();
    copy_dir(dir.path(), copy.path());
    assert!(open(copy.path()).get(&key).is_some());
    store.close().await;
}

#[tokio::test]
async fn what_is_too_large_or_late_is_refused() {
    let store = Store::open(Backend::Memory, Options { max_object: 100, ..Options::default() }, Arc::new(AtNode)).unwrap();
    let key = Key::new("pods", "a", "b");
    let refused = store.commit(vec![put(&key, Expect::Absent, &"x".repeat(100))]).await.unwrap_err();
    assert!(matches!(refused, CommitError::TooLarge { limit: 100, .. }));
    store.close().await;
    assert!(matches!(write(&store, "late", Expect::Absent).await, Err(CommitError::Unavailable(_))));
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
