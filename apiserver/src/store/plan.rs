//! What a group of commits does: a value, made of the cache and the group, before anything happens.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Shared;
use super::disk::Interner;
use super::types::{CommitError, Expect, Key, Op, Revision};
use super::version::{Event, EventKind, Version};
use super::writer::{Outcome, Prepared};

/// A plan in the making: the overlay of what the group has done so far over what is stored.
pub(crate) struct Plan<'a> {
    shared: &'a Shared,
    interner: &'a mut Interner,
    overlay: HashMap<Key, Option<Arc<Version>>>,
    next: Revision,
    planned: Planned,
}

/// The group's effect.
#[derive(Default)]
pub(crate) struct Planned {
    /// In order; each has the next revision.
    pub events: Vec<Arc<Event>>,
    /// Revisions that may reach the disk later.
    pub lazy: HashSet<Revision>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(shared: &'a Shared, interner: &'a mut Interner, last: Revision) -> Self {
        Self { shared, interner, overlay: HashMap::new(), next: last + 1, planned: Planned::default() }
    }

    /// Adds one commit, or says why not; then nothing of it is in the plan.
    pub(crate) fn add(&mut self, mut writes: Vec<Prepared>) -> Outcome {
        for prepared in &mut writes {
            self.interner.share(&mut prepared.write.key.resource);
            self.interner.share(&mut prepared.write.key.namespace);
        }
        if let [one] = writes.as_slice() {
            self.check(one, None)?;
        } else {
            let mut within: HashMap<&Key, Option<Revision>> = HashMap::new();
            for (index, prepared) in writes.iter().enumerate() {
                self.check(prepared, within.get(&prepared.write.key).copied())?;
                let revision = self.next + index as u64;
                within.insert(&prepared.write.key, matches!(prepared.write.op, Op::Put(_)).then_some(revision));
            }
        }
        // Only a replacement may be lazy: a creation or deletion that was seen must not be undone by a crash.
        let lazy = writes.iter().all(|one| one.write.lazy && matches!((one.write.expect, &one.write.op), (Expect::At(_), Op::Put(_))));
        Ok(writes.into_iter().map(|prepared| self.apply(prepared, lazy)).collect())
    }

    pub(crate) fn finish(self) -> Planned {
        self.planned
    }

    fn current(&self, key: &Key) -> Option<Arc<Version>> {
        match self.overlay.get(key) {
            Some(overlaid) => overlaid.clone(),
            None => self.shared.cache.get(&key.resource, &key.namespace, &key.name),
        }
    }

    /// Whether a write's expectation holds; `within` is what its own commit made of the key before.
    fn check(&self, prepared: &Prepared, within: Option<Option<Revision>>) -> Result<(), CommitError> {
        let key = &prepared.write.key;
        let have = within.unwrap_or_else(|| self.current(key).map(|version| version.revision));
        match (prepared.write.expect, have) {
            (Expect::Absent, None) => Ok(()),
            (Expect::Absent, Some(_)) => Err(CommitError::Exists(key.clone())),
            (Expect::At(_), None) => Err(CommitError::Missing(key.clone())),
            (Expect::At(wanted), Some(have)) if wanted == have => Ok(()),
            (Expect::At(_), Some(have)) => Err(CommitError::Conflict { key: key.clone(), have }),
        }
    }

    fn apply(&mut self, prepared: Prepared, lazy: bool) -> Arc<Version> {
        let Prepared { write, attributes } = prepared;
        let revision = self.next;
        self.next += 1;
        let previous = self.current(&write.key);
        // Versions of one object share its key.
        let key = previous.as_ref().map_or(write.key, |previous| previous.key.clone());
        let (kind, body) = match write.op {
            Op::Put(body) => (EventKind::Put, body),
            Op::Delete(body) => (EventKind::Delete, body),
        };
        let version = Version::new(key.clone(), revision, body.splice(revision), self.shared.describe.clone());
        let version = Arc::new(version.with_attributes(attributes));
        let current = match kind {
            EventKind::Put => Some(version.clone()),
            EventKind::Delete => None,
        };
        self.overlay.insert(key, current);
        if lazy {
            self.planned.lazy.insert(revision);
        }
        self.planned.events.push(Arc::new(Event { version: version.clone(), previous, kind }));
        version
    }
}
