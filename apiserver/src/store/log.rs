//! The log: the latest changes, in order, so that watches resume and lists can be had as they were.
//!
//! Kept twice over the same shared events: one queue of all (what to forget next) and one a resource (what a watch reads).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::types::Revision;
use super::version::{Event, EventKind};

/// The asked-for revision is older than the log: `410 Gone`, reason `Expired`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the revision is compacted; the oldest is {oldest}")]
pub struct Compacted {
    /// The oldest revision that can be asked for.
    pub oldest: Revision,
}

/// Events after [`Log::oldest`], oldest first.
pub struct Log {
    all: VecDeque<Entry>,
    resources: HashMap<Arc<str>, VecDeque<Arc<Event>>>,
    oldest: Revision,
    bytes: usize,
}

struct Entry {
    at: Millis,
    event: Arc<Event>,
}

/// Milliseconds since 1970, as stored with each event.
pub type Millis = u64;

/// The stored form of a wall-clock time. A clock before 1970 reads as 1970.
pub fn millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A version that is neither current nor in the log any more: the disk can forget it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// Its revision.
    pub revision: Revision,
    /// Bytes of its JSON.
    pub len: usize,
    /// It may be forgotten only together with, or after, raising the stored floor to this.
    pub floor: Revision,
}

impl Log {
    /// A log that begins after `oldest`.
    pub fn new(oldest: Revision) -> Self {
        Self { all: VecDeque::new(), resources: HashMap::new(), oldest, bytes: 0 }
    }

    /// The revision that the log begins after.
    pub fn oldest(&self) -> Revision {
        self.oldest
    }

    /// Bytes of the versions that only the log keeps, roughly: each change accounts for what it made.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the newest event.
    pub fn push(&mut self, at: Millis, event: Arc<Event>) {
        self.bytes += event.version.weight();
        match self.resources.get_mut(&event.version.key.resource) {
            Some(queue) => queue.push_back(event.clone()),
            None => {
                self.resources.insert(event.version.key.resource.clone(), VecDeque::from([event.clone()]));
            }
        }
        self.all.push_back(Entry { at, event });
    }

    /// At most `limit` of a resource's events after `from`, oldest first.
    pub fn after(&self, resource: &str, from: Revision, limit: usize) -> Vec<Arc<Event>> {
        let Some(queue) = self.resources.get(resource) else { return Vec::new() };
        let first = queue.partition_point(|event| event.revision() <= from);
        queue.range(first..).take(limit).cloned().collect()
    }

    /// Every event, oldest first, with its time.
    pub fn entries(&self) -> impl Iterator<Item = (Millis, &Arc<Event>)> {
        self.all.iter().map(|entry| (entry.at, &entry.event))
    }

    /// Forgets what is older than `retain` at `now`, and as much more as exceeds `retain_bytes`; at most `limit` events.
    pub fn trim(&mut self, now: Millis, retain: Duration, retain_bytes: usize, limit: usize) -> Vec<Garbage> {
        let horizon = now.saturating_sub(u64::try_from(retain.as_millis()).unwrap_or(u64::MAX));
        let mut garbage = Vec::new();
        for _ in 0..limit {
            let due = self.all.front().is_some_and(|entry| entry.at < horizon || self.bytes > retain_bytes);
            let Some(entry) = due.then(|| self.all.pop_front()).flatten() else { break };
            self.forget(&entry.event, &mut garbage);
        }
        garbage
    }

    fn forget(&mut self, event: &Event, garbage: &mut Vec<Garbage>) {
        let floor = event.revision();
        self.oldest = floor;
        self.bytes = self.bytes.saturating_sub(event.version.weight());
        if let Some(queue) = self.resources.get_mut(&event.version.key.resource) {
            queue.pop_front();
            if queue.is_empty() {
                self.resources.remove(&event.version.key.resource);
            }
        }
        let mut add = |version: &super::Version| garbage.push(Garbage { revision: version.revision, len: version.json.len(), floor });
        if let Some(previous) = &event.previous {
            add(previous);
        }
        match event.kind {
            EventKind::Delete => add(&event.version),
            EventKind::Put => {}
        }
    }
}
