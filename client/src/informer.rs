//! A cache that follows a resource: everything selected at first, then every change, resumed after a broken connection.
//!
//! [`Follower`] is the whole decision, as a value: what a watch event does to the cache and what the handler is told. [`Informer::run`]
//! is the thin loop around it that watches and reconnects. Mirrors client-go's `tools/cache` Reflector and DeltaFIFO.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use skiff_proto::status::Status;
use skiff_proto::v1::{self, watch_event::Type};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::api::Api;
use crate::backoff::Backoff;

/// What a cache keeps of an object: the whole typed object, or a compact view of it.
pub trait Cached: Sized + Send + Sync + 'static {
    /// Reads what is kept out of the object's JSON.
    fn read(object: &v1::Object) -> Result<Self, serde_json::Error>;
}

impl<T> Cached for T
where
    T: k8s_openapi::Resource + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(&object.json)
    }
}

/// Namespace (empty for cluster-scoped objects) and name, ordered as lists are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

impl Key {
    /// A key of these two.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// What happened to a cached object. The cache already holds the new state when the handler is told.
#[derive(Debug)]
pub enum Change<T> {
    /// It is new here.
    Added {
        /// Which.
        key: Key,
        /// What it is.
        new: Arc<T>,
    },
    /// It changed (or was replaced by another of its name).
    Modified {
        /// Which.
        key: Key,
        /// What it was.
        old: Arc<T>,
        /// What it is.
        new: Arc<T>,
    },
    /// It is gone, or no longer selected.
    Deleted {
        /// Which.
        key: Key,
        /// What it was.
        old: Arc<T>,
    },
    /// Everything that was there at first has been told. Comes again after each complete re-list.
    Synced,
}

struct Entry<T> {
    value: Arc<T>,
    revision: u64,
}

/// The objects of one watch, by key. Readers see whole objects; a lookup holds the lock for the lookup only.
pub struct Cache<T> {
    objects: RwLock<BTreeMap<Key, Entry<T>>>,
    synced: AtomicBool,
    seen: AtomicU64,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self { objects: RwLock::new(BTreeMap::new()), synced: AtomicBool::new(false), seen: AtomicU64::new(0) }
    }
}

impl<T> Cache<T> {
    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.by_key(&Key::new(namespace, name))
    }

    /// One object.
    pub fn by_key(&self, key: &Key) -> Option<Arc<T>> {
        self.read().get(key).map(|entry| entry.value.clone())
    }

    /// The revision at which the cache has this object.
    pub fn revision(&self, key: &Key) -> Option<u64> {
        self.read().get(key).map(|entry| entry.revision)
    }

    /// Every change up to this revision is in the cache: whoever wrote an object of this watch at revision R sees its own write once this
    /// is at least R.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    /// Every object, in key order.
    pub fn list(&self) -> Vec<Arc<T>> {
        self.read().values().map(|entry| entry.value.clone()).collect()
    }

    /// Every object of a namespace, in name order.
    pub fn list_namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        let first = Key::new(namespace, "");
        let objects = self.read();
        let of_namespace = objects.range(first..).take_while(|(key, _)| &*key.namespace == namespace);
        of_namespace.map(|(_, entry)| entry.value.clone()).collect()
    }

    /// Every key, in order.
    pub fn keys(&self) -> Vec<Key> {
        self.read().keys().cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether everything that was there at first has arrived.
    pub fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Key, Entry<T>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<Key, Entry<T>>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a watch stands, and what each event does. No I/O.
pub struct Follower<T> {
    cache: Arc<Cache<T>>,
    /// Everything up to here is in the cache; 0: nothing yet.
    revision: u64,
    /// While initial events arrive: the keys not heard of so far, which are gone if they stay so.
    unheard: Option<std::collections::BTreeSet<Key>>,
}

impl<T: Cached> Follower<T> {
    /// Nothing is known.
    pub fn new(cache: Arc<Cache<T>>) -> Self {
        Self { cache, revision: 0, unheard: None }
    }

    /// The watch to ask for next: a resume, or everything from the start.
    pub fn next_watch(&mut self, template: &v1::WatchRequest) -> v1::WatchRequest {
        let from_revision = (self.revision > 0).then_some(self.revision);
        if from_revision.is_none() {
            self.unheard = Some(self.cache.keys().into_iter().collect());
        }
        v1::WatchRequest { from_revision, ..template.clone() }
    }

    /// The server no longer has the revision: the next watch starts over.
    pub fn expired(&mut self) {
        self.revision = 0;
    }

    /// Takes one event in; answers what to tell, in order.
    pub fn take(&mut self, event: v1::WatchEvent) -> Result<Vec<Change<T>>, serde_json::Error> {
        let kind = event.r#type();
        let object = event.object.unwrap_or_default();
        let revision = object.revision;
        let changes = match kind {
            Type::Added | Type::Modified => self.put(&object)?.into_iter().collect(),
            Type::Deleted => self.remove(&Key::new(&object.namespace, &object.name)).into_iter().collect(),
            Type::Bookmark if event.initial_events_end => self.complete(),
            Type::Bookmark | Type::Unspecified => Vec::new(),
        };
        // Initial events are not in the order of their revisions: only the bookmark that ends them says where the watch stands.
        if self.unheard.is_none() {
            self.revision = self.revision.max(revision);
            self.cache.seen.fetch_max(self.revision, Ordering::AcqRel);
        }
        Ok(changes)
    }

    fn put(&mut self, object: &v1::Object) -> Result<Option<Change<T>>, serde_json::Error> {
        let key = Key::new(&object.namespace, &object.name);
        if let Some(unheard) = &mut self.unheard {
            unheard.remove(&key);
        }
        let mut objects = self.cache.write();
        if objects.get(&key).is_some_and(|entry| entry.revision >= object.revision) {
            return Ok(None);
        }
        let new = Arc::new(T::read(object)?);
        let entry = Entry { value: new.clone(), revision: object.revision };
        Ok(Some(match objects.insert(key.clone(), entry) {
            Some(old) => Change::Modified { key, old: old.value, new },
            None => Change::Added { key, new },
        }))
    }

    fn remove(&mut self, key: &Key) -> Option<Change<T>> {
        let old = self.cache.write().remove(key)?;
        Some(Change::Deleted { key: key.clone(), old: old.value })
    }

    fn complete(&mut self) -> Vec<Change<T>> {
        let gone = self.unheard.take().unwrap_or_default();
        let mut changes: Vec<_> = gone.iter().filter_map(|key| self.remove(key)).collect();
        self.cache.synced.store(true, Ordering::Release);
        changes.push(Change::Synced);
        changes
    }
}

/// Follows one watch for as long as it is told to, and keeps its cache.
pub struct Informer<T> {
    api: Arc<dyn Api>,
    template: v1::WatchRequest,
    cache: Arc<Cache<T>>,
}

impl<T: Cached> Informer<T> {
    /// Of everything that `template` selects (its `from_revision` is not used).
    pub fn new(api: Arc<dyn Api>, template: v1::WatchRequest) -> Self {
        Self { api, template, cache: Arc::new(Cache::default()) }
    }

    /// Of every object of a group-resource.
    pub fn all(api: Arc<dyn Api>, resource: &str) -> Self {
        Self::new(api, v1::WatchRequest { resource: resource.to_owned(), ..Default::default() })
    }

    /// The cache, to be read by others.
    pub fn cache(&self) -> Arc<Cache<T>> {
        self.cache.clone()
    }

    /// Follows until `stop`; tells `handler` every change, in order. The handler must not block.
    pub async fn run(self, stop: CancellationToken, mut handler: impl FnMut(Change<T>) + Send) {
        let mut sync = Follower::new(self.cache.clone());
        let mut failures = 0;
        loop {
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.follow(&mut sync, &mut failures, &mut handler) => outcome,
            };
            if let Err(error) = outcome {
                if error.is_expired() {
                    sync.expired();
                }
                debug!(resource = %self.template.resource, %error, "watch ended");
            }
            failures += 1;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Backoff::RECONNECT.delay(failures)) => {}
            }
        }
    }

    async fn follow(&self, sync: &mut Follower<T>, failures: &mut u32, handler: &mut (impl FnMut(Change<T>) + Send)) -> Result<(), Status> {
        let mut stream = self.api.watch(sync.next_watch(&self.template)).await?;
        while let Some(batch) = stream.next().await {
            for event in batch? {
                *failures = 0;
                match sync.take(event) {
                    Ok(changes) => changes.into_iter().for_each(&mut *handler),
                    // An object that cannot be read cannot be acted on; the others go on.
                    Err(error) => warn!(resource = %self.template.resource, %error, "an object cannot be read"),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Text(String);

    impl Cached for Text {
        fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
            serde_json::from_slice(&object.json).map(Text)
        }
    }

    fn event(kind: Type, name: &str, revision: u64, text: &str) -> v1::WatchEvent {
        let json = format!("{text:?}").into_bytes().into();
        let object = v1::Object { namespace: "ns".into(), name: name.into(), revision, json, ..Default::default() };
        v1::WatchEvent { r#type: kind.into(), object: Some(object), initial_events_end: false }
    }

    fn end(revision: u64) -> v1::WatchEvent {
        let object = v1::Object { revision, ..Default::default() };
        v1::WatchEvent { r#type: Type::Bookmark.into(), object: Some(object), initial_events_end: true }
    }

    fn told(sync: &mut Follower<Text>, events: Vec<v1::WatchEvent>) -> Vec<String> {
        let changes = events.into_iter().flat_map(|event| sync.take(event).expect("readable"));
        changes
            .map(|change| match change {
                Change::Added { key, new } => format!("+{key}={}", new.0),
                Change::Modified { key, old, new } => format!("~{key}={}>{}", old.0, new.0),
                Change::Deleted { key, old } => format!("-{key}={}", old.0),
                Change::Synced => "synced".to_owned(),
            })
            .collect()
    }

    #[test]
    fn resumes_only_after_the_initial_events_are_complete() {
        let mut sync: Follower<Text> = Follower::new(Arc::default());
        let template = v1::WatchRequest::default();
        assert_eq!(sync.next_watch(&template).from_revision, None);
        assert_eq!(told(&mut sync, vec![event(Type::Added, "a", 9, "x")]), ["+ns/a=x"]);
        assert_eq!(sync.next_watch(&template).from_revision, None, "b, at revision 5, may be missing");
        assert_eq!(told(&mut sync, vec![event(Type::Added, "a", 9, "x"), end(10)]), ["synced"]);
        assert_eq!(sync.next_watch(&template).from_revision, Some(10));
        assert_eq!(sync.cache.seen(), 10);
    }

    #[test]
    fn what_a_new_list_lacks_is_gone() {
        let mut sync: Follower<Text> = Follower::new(Arc::default());
        let template = v1::WatchRequest::default();
        sync.next_watch(&template);
        told(&mut sync, vec![event(Type::Added, "a", 1, "x"), event(Type::Added, "b", 2, "y"), end(2)]);
        sync.expired();
        sync.next_watch(&template);
        assert_eq!(told(&mut sync, vec![event(Type::Added, "b", 7, "z"), end(8)]), ["~ns/b=y>z", "-ns/a=x", "synced"]);
    }

    #[test]
    fn an_event_seen_twice_is_told_once() {
        let mut sync: Follower<Text> = Follower::new(Arc::default());
        sync.next_watch(&v1::WatchRequest::default());
        told(&mut sync, vec![end(1)]);
        let twice = vec![event(Type::Added, "a", 2, "x"), event(Type::Added, "a", 2, "x"), event(Type::Deleted, "a", 3, "x")];
        assert_eq!(told(&mut sync, twice), ["+ns/a=x", "-ns/a=x"]);
    }
}
