//! The store: every version of every object, one global revision, and the watches that follow it.
//!
//! A commit's life: callers hand [`Write`]s to [`Store::commit`]; one writer (`writer`) collects what arrives together, checks expected
//! revisions against an overlay of the batch and assigns revisions, makes the batch durable ([`disk`], `sled`), and only then publishes
//! it to the objects and the log in memory ([`cache`], [`log`]) and to the watchers that select it ([`watch`]), and answers. So nothing
//! that a power cut could take back is ever readable. Reads never touch the disk.
//!
//! The log remembers the last five minutes (or 256 MiB) of changes, across restarts, so that a watch resumes where it was and a paged
//! list stays on the revision that it began at. What is older is [`Compacted`].

pub mod cache;
pub mod disk;
pub mod log;
mod options;
mod plan;
mod record;
mod sled;
pub mod sorted;
mod thread;
mod types;
pub mod version;
pub mod watch;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use tokio::sync::{Semaphore, oneshot};

pub use self::cache::{Listing, Page};
pub use self::disk::{Disk, DiskError};
pub use self::log::Compacted;
pub use self::options::{Backend, Metrics, MetricsSnapshot, Options};
pub use self::types::{Attributes, Body, CommitError, Describe, Expect, Key, Op, Revision, StoreError, Write};
pub use self::version::{Event, EventKind, Version};
pub use self::watch::{Lagged, Scope, Watcher};

use self::cache::Cache;
use self::disk::Loaded;
use self::disk::Replay;
use self::log::Log;
use self::sorted::Sorted;
use self::thread::Mailbox;
use self::watch::Hub;
use self::writer::{Core, lock};

/// The store. Cloning is cheap; every clone is the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    way: Way,
}

/// What readers and the writer share.
pub(crate) struct Shared {
    cache: Cache,
    hub: Arc<Hub>,
    metrics: Metrics,
    options: Options,
    describe: Arc<dyn Describe>,
    /// Why writes are refused, if they are.
    broken: std::sync::Mutex<Option<String>>,
    closed: AtomicBool,
}

/// How a commit reaches the writer.
enum Way {
    /// No thread, no disk: the caller runs the writer's step itself.
    Inline(std::sync::Mutex<Core>),
    /// A thread of its own, which collects what arrives while it syncs. The permits bound how many wait.
    Thread { mailbox: Arc<Mailbox>, permits: Semaphore },
}

impl Store {
    /// Opens the store and reads it into memory. Blocks on the disk: call it before serving.
    pub fn open(backend: Backend, options: Options, describe: Arc<dyn Describe>) -> Result<Self, StoreError> {
        match backend {
            Backend::Memory => Ok(Self::in_memory(options, describe)),
            Backend::Sled(path) => {
                let (disk, loaded) = sled::SledDisk::open(&path, Box::new(sled::Fdatasync), describe.clone())?;
                Self::on_disk(Box::new(disk), loaded, options, describe)
            }
        }
    }

    /// Applies all of `writes`, or none of them. Returns, when they are durable, one version each; for a delete that is the last state
    /// with the deletion's revision. Later writes of one commit see the earlier ones.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Arc<Version>>, CommitError> {
        self.inner.shared.admit(&writes)?;
        let (reply, answer) = oneshot::channel();
        let pending = writer::Pending { writes: self.inner.shared.prepare(writes), reply };
        let closed = || CommitError::Unavailable("the store is closed".to_owned());
        let _permit = match &self.inner.way {
            Way::Inline(core) => {
                lock(core).commit(vec![pending]).map_err(|error| CommitError::Unavailable(error.to_string()))?;
                None
            }
            Way::Thread { mailbox, permits } => {
                let permit = permits.acquire().await.map_err(|_| closed())?;
                mailbox.commit(pending);
                Some(permit)
            }
        };
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// The object as it is now.
    pub fn get(&self, key: &Key) -> Option<Arc<Version>> {
        self.find(&key.resource, &key.namespace, &key.name)
    }

    /// [`Store::get`] without making a key. `namespace` is empty for cluster-scoped objects.
    pub fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Version>> {
        self.inner.shared.cache.get(resource, namespace, name)
    }

    /// Everything of a resource (of one namespace, if given) now, in key order.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Listing {
        self.inner.shared.cache.list(resource, namespace)
    }

    /// The list as it was at `revision`: for `continue` and `resourceVersionMatch=Exact`. A revision beyond the newest gives the newest.
    pub fn list_at(&self, resource: &str, namespace: Option<&str>, revision: Revision) -> Result<Listing, Compacted> {
        self.page(resource, namespace, Some(revision), None, usize::MAX).map(Page::into_listing)
    }

    /// At most `limit` objects after the key (namespace, name) `after`, as of `revision` (or now): a page costs what it holds, not what
    /// the resource holds (except while the resource changes: see [`cache`]).
    pub fn page(
        &self,
        resource: &str,
        namespace: Option<&str>,
        revision: Option<Revision>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Page, Compacted> {
        self.inner.shared.cache.page(resource, namespace, revision, after, limit)
    }

    /// How many objects a resource has.
    pub fn count(&self, resource: &str) -> usize {
        self.inner.shared.cache.count(resource)
    }

    /// Every change of `scope` after `from`, in order, each once. `from` may be any revision from [`Store::oldest`] on; one that is not
    /// reached yet simply starts there.
    pub fn watch(&self, scope: Scope, from: Revision) -> Result<Watcher, Compacted> {
        watch::watch(&self.inner.shared.hub, &self.inner.shared.cache, scope, from)
    }

    /// What is there, and a watch of everything after it: no gap, no overlap.
    pub fn list_and_watch(&self, scope: Scope) -> (Listing, Watcher) {
        watch::list_and_watch(&self.inner.shared.hub, &self.inner.shared.cache, scope)
    }

    /// What is on a node (`scope.node`) now: costs that node's objects only.
    pub fn list_node(&self, scope: &Scope) -> Listing {
        watch::list_node(&self.inner.shared.hub, &self.inner.shared.cache, scope)
    }

    /// The newest revision that can be read.
    pub fn revision(&self) -> Revision {
        self.inner.shared.cache.revision()
    }

    /// The compaction revision: a watch may start from it, or from anything newer.
    pub fn oldest(&self) -> Revision {
        self.inner.shared.cache.oldest()
    }

    /// `Err` with the reason while writes are refused (a failed disk).
    pub fn health(&self) -> Result<(), String> {
        match lock(&self.inner.shared.broken).clone() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    /// Forgets changes older than [`Options::retain`] before `now`. To be called every half minute or so; the disk follows in small
    /// steps between commits. Size is bounded without it.
    pub fn compact(&self, now: SystemTime) {
        match &self.inner.way {
            Way::Inline(core) => lock(core).compact(now),
            Way::Thread { mailbox, .. } => mailbox.compact(now),
        }
    }

    /// Makes everything durable (lazy writes too) and ends writer and watchers. Commits after it are `Unavailable`; reads still work.
    pub async fn close(&self) {
        match &self.inner.way {
            // There is no disk to fail.
            Way::Inline(core) => drop(lock(core).close()),
            // An error means that the writer is gone already, which is what was asked for.
            Way::Thread { mailbox, .. } => drop(mailbox.close().await),
        }
    }

    /// Counters for `/metrics`.
    pub fn metrics(&self) -> MetricsSnapshot {
        let shared = &self.inner.shared;
        shared.metrics.snapshot(shared.cache.revision(), shared.cache.oldest(), shared.hub.watchers())
    }
}

impl Store {
    fn in_memory(options: Options, describe: Arc<dyn Describe>) -> Self {
        let loaded = Replay::new(0, 0, describe.clone()).finish();
        let shared = Shared::new(loaded.resources, loaded.log, loaded.revision, options, describe);
        let core = Core::new(shared.clone(), None, 0, Vec::new());
        Self { inner: Arc::new(Inner { shared, way: Way::Inline(std::sync::Mutex::new(core)) }) }
    }

    pub(crate) fn on_disk(disk: Box<dyn Disk>, loaded: Loaded, options: Options, describe: Arc<dyn Describe>) -> Result<Self, StoreError> {
        let permits = Semaphore::new(options.queue);
        let shared = Shared::new(loaded.resources, loaded.log, loaded.revision, options, describe);
        let core = Core::new(shared.clone(), Some(disk), loaded.ceiling, loaded.garbage);
        let mailbox = Mailbox::new();
        let theirs = mailbox.clone();
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        thread.spawn(move || thread::run(core, &theirs)).map_err(StoreError::Thread)?;
        Ok(Self { inner: Arc::new(Inner { shared, way: Way::Thread { mailbox, permits } }) })
    }
}

impl Drop for Inner {
    /// The last clone is gone: the writer makes everything durable and ends, in its own time.
    fn drop(&mut self) {
        match &self.way {
            Way::Inline(_) => {}
            Way::Thread { mailbox, .. } => drop(mailbox.close()),
        }
    }
}

impl Shared {
    fn new(resources: HashMap<Arc<str>, Sorted>, log: Log, revision: Revision, options: Options, describe: Arc<dyn Describe>) -> Arc<Self> {
        Arc::new(Self {
            cache: Cache::new(resources, log, revision),
            hub: Arc::new(Hub::new(options.watcher_bound, revision)),
            metrics: Metrics::default(),
            options,
            describe,
            broken: std::sync::Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// What can be refused before the writer is troubled.
    fn admit(&self, writes: &[Write]) -> Result<(), CommitError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(CommitError::Unavailable("the store is closed".to_owned()));
        }
        if let Some(reason) = lock(&self.broken).clone() {
            return Err(CommitError::Unavailable(reason));
        }
        for write in writes {
            let (Op::Put(body) | Op::Delete(body)) = &write.op;
            if body.json.len() > self.options.max_object {
                return Err(CommitError::TooLarge { size: body.json.len(), limit: self.options.max_object });
            }
        }
        Ok(())
    }

    /// Work that needs no order, done by the caller's thread: attributes, where the watch index will ask for them.
    fn prepare(&self, writes: Vec<Write>) -> Vec<writer::Prepared> {
        writes
            .into_iter()
            .map(|write| {
                let (Op::Put(body) | Op::Delete(body)) = &write.op;
                let wanted = self.hub.reads_attributes(&write.key.resource);
                let attributes = wanted.then(|| self.describe.attributes(&write.key.resource, &body.json));
                writer::Prepared { write, attributes }
            })
            .collect()
    }
}
