//! What readers see: the current objects and the log, one revision over both, behind one lock that is held for microseconds.
//!
//! Only durable writes get here. A list copies an `Arc` under the lock ([`super::sorted`]) and is made outside it. A list at an older
//! revision is today's with the log's changes since then undone.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::log::{Compacted, Garbage, Log, Millis};
use super::sorted::Sorted;
use super::types::Revision;
use super::version::{Event, EventKind, Version};

/// A consistent list.
#[derive(Debug)]
pub struct Listing {
    /// It contains exactly the effects of the revisions up to this.
    pub revision: Revision,
    /// By namespace, then name.
    pub items: Vec<Arc<Version>>,
}

/// A part of a consistent list.
#[derive(Debug)]
pub struct Page {
    /// The list's revision: ask for the next page with it.
    pub revision: Revision,
    /// By namespace, then name.
    pub items: Vec<Arc<Version>>,
    /// How many come after these: `metadata.remainingItemCount`.
    pub remaining: usize,
}

impl Page {
    pub(crate) fn into_listing(self) -> Listing {
        Listing { revision: self.revision, items: self.items }
    }
}

/// One version as the disk keeps it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// When it was written.
    pub at: Millis,
    /// Whether it made or removed the object.
    pub kind: EventKind,
    /// The version.
    pub version: Arc<Version>,
}

/// Objects and log.
pub struct Cache {
    state: RwLock<State>,
}

struct State {
    resources: HashMap<Arc<str>, Sorted>,
    log: Log,
    revision: Revision,
}

impl Cache {
    /// What was read from the disk: the objects, and the log that led to them.
    pub fn new(resources: HashMap<Arc<str>, Sorted>, log: Log, revision: Revision) -> Self {
        Self { state: RwLock::new(State { resources, log, revision }) }
    }

    /// The newest revision.
    pub fn revision(&self) -> Revision {
        self.read().revision
    }

    /// The revision that the log begins after.
    pub fn oldest(&self) -> Revision {
        self.read().log.oldest()
    }

    /// One object.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Version>> {
        self.read().resources.get(resource)?.get((namespace, name)).cloned()
    }

    /// How many objects a resource has.
    pub fn count(&self, resource: &str) -> usize {
        self.read().resources.get(resource).map_or(0, Sorted::len)
    }

    /// Everything now.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Listing {
        let (sorted, revision) = self.snapshot(resource);
        let items = match namespace {
            None => sorted.from(|_| Ordering::Greater).cloned().collect(),
            Some(wanted) => in_namespace(&sorted, wanted, None).cloned().collect(),
        };
        Listing { revision, items }
    }

    /// See [`super::Store::page`].
    pub fn page(&self, resource: &str, namespace: Option<&str>, at: Option<Revision>, after: Option<(&str, &str)>, limit: usize) -> Result<Page, Compacted> {
        let (sorted, revision) = match at {
            None => self.snapshot(resource),
            Some(at) => self.snapshot_at(resource, at)?,
        };
        let (items, total): (Vec<_>, usize) = match namespace {
            None => {
                let start = |key: (&str, &str)| after.map_or(Ordering::Greater, |after| just_after(key, after));
                (sorted.from(start).take(limit).cloned().collect(), sorted.len() - sorted.count_before(start))
            }
            Some(wanted) => {
                let items = in_namespace(&sorted, wanted, after).take(limit).cloned().collect();
                let before = sorted.count_before(start_in(wanted, after));
                let end = sorted.count_before(|(namespace, _)| if namespace <= wanted { Ordering::Less } else { Ordering::Greater });
                (items, end.saturating_sub(before))
            }
        };
        Ok(Page { revision, remaining: total - items.len(), items })
    }

    /// A resource's objects now, and the revision that this is.
    pub fn snapshot(&self, resource: &str) -> (Sorted, Revision) {
        let state = self.read();
        (state.resources.get(resource).cloned().unwrap_or_default(), state.revision)
    }

    /// A resource's objects as of `at`: now, with what happened since undone.
    pub fn snapshot_at(&self, resource: &str, at: Revision) -> Result<(Sorted, Revision), Compacted> {
        let (mut sorted, since, revision) = {
            let state = self.read();
            if at < state.log.oldest() {
                return Err(Compacted { oldest: state.log.oldest() });
            }
            let sorted = state.resources.get(resource).cloned().unwrap_or_default();
            (sorted, state.log.after(resource, at, usize::MAX), state.revision)
        };
        // The first change of a key since then tells what it was.
        let mut then: BTreeMap<(&str, &str), &Event> = BTreeMap::new();
        for event in &since {
            then.entry((&event.version.key.namespace, &event.version.key.name)).or_insert(event);
        }
        for (name, event) in then {
            match &event.previous {
                Some(previous) => drop(sorted.insert(previous.clone())),
                None => drop(sorted.remove(name)),
            }
        }
        Ok((sorted, at.min(revision)))
    }

    /// At most `limit` events of a resource after `from`, and the revision that the log has reached.
    pub fn events_after(&self, resource: &str, from: Revision, limit: usize) -> Result<(Vec<Arc<Event>>, Revision), Compacted> {
        let state = self.read();
        if from < state.log.oldest() {
            return Err(Compacted { oldest: state.log.oldest() });
        }
        Ok((state.log.after(resource, from, limit), state.revision))
    }

    /// Makes events readable. They are in order, and newer than everything before.
    pub fn publish(&self, at: Millis, events: &[Arc<Event>]) {
        let mut guard = self.write();
        let state = &mut *guard;
        for event in events {
            let key = &event.version.key;
            match event.kind {
                EventKind::Put => {
                    let objects = match state.resources.get_mut(&key.resource) {
                        Some(objects) => objects,
                        None => state.resources.entry(key.resource.clone()).or_default(),
                    };
                    objects.insert(event.version.clone());
                }
                EventKind::Delete => {
                    if let Some(objects) = state.resources.get_mut(&key.resource) {
                        objects.remove((&key.namespace, &key.name));
                    }
                }
            }
            state.revision = event.revision();
            state.log.push(at, event.clone());
        }
    }

    /// Forgets old events: see [`Log::trim`].
    pub fn trim(&self, now: Millis, retain: Duration, retain_bytes: usize, limit: usize) -> Vec<Garbage> {
        self.write().log.trim(now, retain, retain_bytes, limit)
    }

    /// Bytes of the log.
    pub fn log_bytes(&self) -> usize {
        self.read().log.bytes()
    }

    /// Everything that a fresh disk must hold, oldest first: current objects, the log's versions, and what the log's oldest changed.
    #[expect(clippy::disallowed_methods, reason = "put in the order of revisions")]
    pub fn export(&self) -> Vec<Kept> {
        let state = self.read();
        let mut kept: BTreeMap<Revision, Kept> = BTreeMap::new();
        let current = state.resources.values().flat_map(|objects| objects.from(|_| Ordering::Greater));
        let changed_from = state.log.entries().filter_map(|(_, event)| event.previous.as_ref());
        for version in current.chain(changed_from) {
            kept.insert(version.revision, Kept { at: 0, kind: EventKind::Put, version: version.clone() });
        }
        for (at, event) in state.log.entries() {
            kept.insert(event.revision(), Kept { at, kind: event.kind, version: event.version.clone() });
        }
        kept.into_values().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // A panic while publishing would be a bug; what was published before it is still right.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bound just after `after`.
fn just_after(key: (&str, &str), after: (&str, &str)) -> Ordering {
    if key <= after { Ordering::Less } else { Ordering::Greater }
}

/// A bound at the beginning of a namespace, or after a key of it.
fn start_in<'a>(wanted: &'a str, after: Option<(&'a str, &'a str)>) -> impl Fn((&str, &str)) -> Ordering + 'a {
    move |key: (&str, &str)| match after {
        Some(after) if after.0 == wanted => just_after(key, after),
        Some(_) | None => {
            if key.0 < wanted {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

/// A namespace's objects, after a key if given.
pub(crate) fn in_namespace<'a>(sorted: &'a Sorted, wanted: &'a str, after: Option<(&'a str, &'a str)>) -> impl Iterator<Item = &'a Arc<Version>> {
    sorted.from(start_in(wanted, after)).take_while(move |version| &*version.key.namespace == wanted)
}
