//! What the writer asks of a disk, and how a log read back from one becomes objects again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::cache::Kept;
use super::log::{Garbage, Log};
use super::sorted::Sorted;
use super::types::{Describe, Key, Revision};
use super::version::{Event, EventKind, Version};

/// A failure of the disk: the operating system's or the database's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DiskError(pub String);

impl From<std::io::Error> for DiskError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What is written at once: all of it or, after a crash, nothing.
#[derive(Debug, Default)]
pub struct Batch {
    /// New versions.
    pub puts: Vec<Kept>,
    /// Versions to forget.
    pub garbage: Vec<Garbage>,
    /// The log begins after this.
    pub floor: Option<Revision>,
    /// Revisions up to this may have been seen, though no version here has them (lazy writes).
    pub ceiling: Option<Revision>,
}

/// Keeps batches. After an error of `apply` or `sync` only `replace` may follow: what the disk then holds is unknown.
pub trait Disk: Send {
    /// Hands a batch to the operating system. Batches become durable in order.
    fn apply(&mut self, batch: &Batch) -> Result<(), DiskError>;
    /// Returns when everything applied survives a power cut.
    fn sync(&mut self) -> Result<(), DiskError>;
    /// Writes everything anew beside the old, makes it durable, and only then forgets the old. What failed is not trusted again: after a
    /// failed fsync the kernel calls pages clean that never reached the disk.
    fn replace(&mut self, batches: &mut dyn Iterator<Item = Batch>) -> Result<(), DiskError>;
}

/// One version read from a disk.
pub struct Stored {
    /// When it was written.
    pub at: u64,
    /// Its revision.
    pub revision: Revision,
    /// Whether it made or removed the object.
    pub kind: EventKind,
    /// Which object.
    pub key: Key,
    /// Its JSON.
    pub json: bytes::Bytes,
}

/// A store's contents.
pub struct Loaded {
    /// Current objects.
    pub resources: HashMap<Arc<str>, Sorted>,
    /// The changes after the floor.
    pub log: Log,
    /// No smaller revision is given out again.
    pub revision: Revision,
    /// What the ceiling is on disk.
    pub ceiling: Revision,
    /// What was to be forgotten and is still there.
    pub garbage: Vec<Garbage>,
}

/// Plays versions, oldest first, into objects and log.
pub struct Replay {
    loaded: Loaded,
    floor: Revision,
    describe: Arc<dyn Describe>,
}

impl Replay {
    /// Begins. `floor` and `ceiling` are what the disk says.
    pub fn new(floor: Revision, ceiling: Revision, describe: Arc<dyn Describe>) -> Self {
        let revision = floor.max(ceiling).max(1);
        let log = Log::new(floor);
        Self { loaded: Loaded { resources: HashMap::new(), log, revision, ceiling, garbage: Vec::new() }, floor, describe }
    }

    /// The next version.
    pub fn add(&mut self, stored: Stored) {
        let Stored { at, revision, kind, key, json } = stored;
        let loaded = &mut self.loaded;
        loaded.revision = loaded.revision.max(revision);
        let version = Arc::new(Version::new(key, revision, json, self.describe.clone()));
        let objects = loaded.resources.entry(version.key.resource.clone()).or_default();
        let previous = match kind {
            EventKind::Put => objects.insert(version.clone()),
            EventKind::Delete => objects.remove((&version.key.namespace, &version.key.name)),
        };
        if revision > self.floor {
            loaded.log.push(at, Arc::new(Event { version, previous, kind }));
            return;
        }
        // Superseded before the log begins: a removal that a crash forestalled.
        let deleted = (kind == EventKind::Delete).then_some(version);
        for version in previous.into_iter().chain(deleted) {
            loaded.garbage.push(Garbage { revision: version.revision, len: version.json.len(), floor: self.floor });
        }
    }

    /// Ends.
    pub fn finish(mut self) -> Loaded {
        self.loaded.resources.retain(|_, objects| !objects.is_empty());
        self.loaded
    }
}

/// Shares equal strings: resources and namespaces are few, their mentions many.
#[derive(Default)]
pub struct Interner(HashSet<Arc<str>>);

impl Interner {
    /// The most strings to remember; past it, begin again.
    const MOST: usize = 16_384;

    /// The shared string equal to `text`.
    pub fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.0.get(text) {
            return shared.clone();
        }
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        let shared: Arc<str> = text.into();
        self.0.insert(shared.clone());
        shared
    }

    /// The shared string equal to `text`, which becomes it if it is new.
    pub fn share(&mut self, text: &mut Arc<str>) {
        match self.0.get(text) {
            Some(shared) => *text = shared.clone(),
            None => *text = self.text(text),
        }
    }
}
