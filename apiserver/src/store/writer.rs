//! The one writer. [`Core`] is its state and its steps; `thread` runs them where there is a disk.
//!
//! A step takes what has arrived, plans it ([`super::plan`]), makes it durable, publishes, and answers, in this order. While it syncs, the
//! next group collects: the busier the store, the more commits share a sync.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::oneshot;

use super::Shared;
use super::cache::Kept;
use super::disk::{Batch, Disk, DiskError, Interner};
use super::log::{Garbage, Millis, millis};
use super::options::Metrics;
use super::plan::{Plan, Planned};
use super::types::{Attributes, CommitError, Key, Revision, Write};
use super::version::{Event, Version};

/// Locks; a panic elsewhere while it was held leaves what was complete before.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One caller's commit, waiting.
pub(crate) struct Pending {
    pub writes: Vec<Prepared>,
    pub reply: oneshot::Sender<Outcome>,
}

/// What a caller of commit gets.
pub(crate) type Outcome = Result<Vec<Arc<Version>>, CommitError>;

/// A write with what its caller's thread could do already.
pub(crate) struct Prepared {
    pub write: Write,
    pub attributes: Option<Attributes>,
}

/// The most removals that ride on one batch.
const SWEEP: usize = 64;

/// The most events that are forgotten in one step.
const TRIM: usize = 512;

/// How many revisions a raised ceiling allows lazy writes before it must be raised again.
const HEADROOM: u64 = 1 << 16;

/// The writer's state.
pub(crate) struct Core {
    shared: Arc<Shared>,
    disk: Option<Box<dyn Disk>>,
    /// The last revision given out and published.
    last: Revision,
    ceiling: Revision,
    /// Lazy writes that the disk has not, with the revision that it has instead.
    dirty: HashMap<Key, Dirty>,
    /// Revisions that must stay on disk until `dirty` is written.
    pinned: HashSet<Revision>,
    garbage: VecDeque<Garbage>,
    /// Events written before this are to be forgotten.
    horizon: Option<Millis>,
    interner: Interner,
}

struct Dirty {
    kept: Kept,
    on_disk: Revision,
}

impl Core {
    pub(crate) fn new(shared: Arc<Shared>, disk: Option<Box<dyn Disk>>, ceiling: Revision, garbage: Vec<Garbage>) -> Self {
        let last = shared.cache.revision();
        Self {
            shared,
            disk,
            last,
            ceiling,
            dirty: HashMap::new(),
            pinned: HashSet::new(),
            garbage: garbage.into(),
            horizon: None,
            interner: Interner::default(),
        }
    }

    /// Commits a group: durable, then readable, then answered. An error is the disk's, and every caller has been told.
    pub(crate) fn commit(&mut self, group: Vec<Pending>) -> Result<(), DiskError> {
        let at = millis((self.shared.options.clock)());
        let mut plan = Plan::new(&self.shared, &mut self.interner, self.last);
        let mut replies = Vec::with_capacity(group.len());
        for Pending { writes, reply } in group {
            let outcome = plan.add(writes);
            replies.push((reply, outcome));
        }
        let planned = plan.finish();
        let kept = self.make_durable(at, &planned);
        let metrics = &self.shared.metrics;
        if let Err(error) = kept {
            Metrics::add(&metrics.refused, replies.len());
            // Known before anybody is told: whoever hears of the failure finds the store unhealthy.
            self.set_broken(Some(error.to_string()));
            for (reply, outcome) in replies {
                answer(reply, outcome.and(Err(CommitError::Unavailable(error.to_string()))));
            }
            return Err(error);
        }
        self.publish(at, planned);
        let metrics = &self.shared.metrics;
        let happened = replies.iter().filter(|(_, outcome)| outcome.is_ok()).count();
        Metrics::add(&metrics.commits, happened);
        Metrics::add(&metrics.refused, replies.len() - happened);
        for (reply, outcome) in replies {
            answer(reply, outcome);
        }
        Ok(())
    }

    fn publish(&mut self, at: Millis, planned: Planned) {
        let shared = &self.shared;
        let Some(last) = planned.events.last() else { return };
        self.last = last.revision();
        shared.cache.publish(at, &planned.events);
        shared.hub.deliver(&planned.events, &shared.metrics);
        Metrics::add(&shared.metrics.writes, planned.events.len());
        if shared.cache.log_bytes() > shared.options.retain_bytes {
            self.trim(0);
        }
    }

    /// Everything of a plan that may not wait goes to disk; lazy writes are noted.
    fn make_durable(&mut self, at: Millis, planned: &Planned) -> Result<(), DiskError> {
        if self.disk.is_none() || planned.events.is_empty() {
            return Ok(());
        }
        let raise = !planned.lazy.is_empty() && planned.events.last().is_some_and(|last| last.revision() > self.ceiling);
        let kept = |event: &Arc<Event>| Kept { at, kind: event.kind, version: event.version.clone() };
        let puts: Vec<Kept> = planned.events.iter().filter(|event| !planned.lazy.contains(&event.revision())).map(kept).collect();
        if raise || !puts.is_empty() {
            let ceiling = raise.then_some(self.last + HEADROOM);
            let replaced: Vec<Key> = puts.iter().map(|kept| kept.version.key.clone()).filter(|key| self.dirty.contains_key(key)).collect();
            self.write(Batch { puts, ceiling, ..Batch::default() }, true)?;
            self.ceiling = ceiling.unwrap_or(self.ceiling);
            for key in replaced {
                self.settle(&key);
            }
        }
        for event in planned.events.iter().filter(|event| planned.lazy.contains(&event.revision())) {
            self.note_lazy(kept(event), event.previous.as_ref().map_or(0, |previous| previous.revision));
        }
        Ok(())
    }

    fn note_lazy(&mut self, kept: Kept, previous: Revision) {
        let key = kept.version.key.clone();
        let on_disk = self.dirty.get(&key).map_or(previous, |dirty| dirty.on_disk);
        self.pinned.insert(on_disk);
        self.dirty.insert(key, Dirty { kept, on_disk });
    }

    fn settle(&mut self, key: &Key) {
        if let Some(dirty) = self.dirty.remove(key) {
            self.pinned.remove(&dirty.on_disk);
        }
    }

    /// Writes a batch, some removals riding along.
    fn write(&mut self, mut batch: Batch, sync: bool) -> Result<(), DiskError> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let began = Instant::now();
        while let Some(garbage) = self.garbage.front().filter(|next| batch.garbage.len() < SWEEP && !self.pinned.contains(&next.revision)) {
            batch.garbage.push(*garbage);
            batch.floor = Some(garbage.floor);
            self.garbage.pop_front();
        }
        disk.apply(&batch)?;
        if sync {
            disk.sync()?;
        }
        let metrics = &self.shared.metrics;
        Metrics::add(&metrics.groups, 1);
        Metrics::add(&metrics.sync_nanos, usize::try_from(began.elapsed().as_nanos()).unwrap_or(usize::MAX));
        Ok(())
    }

    /// The bytes of a group, and the longest that a lazy write waits.
    pub(crate) fn bounds(&self) -> (usize, std::time::Duration) {
        (self.shared.options.group_bytes, self.shared.options.lazy_persist)
    }

    /// Why writes are refused.
    pub(crate) fn broken(&self) -> String {
        lock(&self.shared.broken).clone().unwrap_or_default()
    }

    /// Refuses writes, or takes them again.
    pub(crate) fn set_broken(&self, reason: Option<String>) {
        if reason.is_some() {
            Metrics::add(&self.shared.metrics.failures, 1);
        }
        *lock(&self.shared.broken) = reason;
    }

    /// Whether lazy writes wait for the disk.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Makes lazy writes durable.
    #[expect(clippy::disallowed_methods, reason = "put in the order of revisions")]
    pub(crate) fn persist_lazy(&mut self) -> Result<(), DiskError> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        let mut puts: Vec<Kept> = self.dirty.values().map(|dirty| dirty.kept.clone()).collect();
        puts.sort_unstable_by_key(|kept| kept.version.revision);
        self.write(Batch { puts, ..Batch::default() }, true)?;
        self.dirty.clear();
        self.pinned.clear();
        Ok(())
    }

    /// Begins to forget what is too old at `now`; without a disk, does it.
    pub(crate) fn compact(&mut self, now: SystemTime) {
        self.horizon = Some(millis(now));
        if self.disk.is_none() {
            while self.has_housekeeping() {
                // There is no disk to fail.
                drop(self.housekeep());
            }
        }
    }

    /// Whether there is something to forget.
    pub(crate) fn has_housekeeping(&self) -> bool {
        self.horizon.is_some() || !self.garbage.is_empty()
    }

    /// One small step of forgetting, in memory and on disk, for when nobody waits. It needs no sync: removals and the floor that allows
    /// them are one batch, and batches become durable in order.
    pub(crate) fn housekeep(&mut self) -> Result<(), DiskError> {
        if let Some(now) = self.horizon
            && !self.trim(now)
        {
            self.horizon = None;
        }
        match self.garbage.front() {
            None => Ok(()),
            Some(next) if self.pinned.contains(&next.revision) => self.persist_lazy(),
            Some(_) => self.write(Batch::default(), false),
        }
    }

    /// Forgets some of what is too old or too much; says whether there may be more.
    fn trim(&mut self, now: Millis) -> bool {
        let options = &self.shared.options;
        let before = self.shared.cache.oldest();
        let garbage = self.shared.cache.trim(now, options.retain, options.retain_bytes, TRIM);
        if self.disk.is_some() {
            self.garbage.extend(garbage);
        }
        self.shared.cache.oldest() != before
    }

    /// Writes everything onto fresh ground after a failure.
    pub(crate) fn recover(&mut self) -> Result<(), DiskError> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let kept = self.shared.cache.export();
        let first = Batch { floor: Some(self.shared.cache.oldest()), ceiling: Some(self.last), ..Batch::default() };
        let rest = kept.chunks(256).map(|puts| Batch { puts: puts.to_vec(), ..Batch::default() });
        disk.replace(&mut std::iter::once(first).chain(rest))?;
        self.ceiling = self.last;
        self.dirty.clear();
        self.pinned.clear();
        self.garbage.clear();
        Ok(())
    }

    /// Leaves everything durable, and says so: the ceiling comes down to what was really used.
    pub(crate) fn close(&mut self) -> Result<(), DiskError> {
        self.shared.closed.store(true, std::sync::atomic::Ordering::Release);
        let flushed = self.persist_lazy().and_then(|()| self.write(Batch { ceiling: Some(self.last), ..Batch::default() }, true));
        self.shared.hub.close();
        self.disk = None;
        flushed
    }
}

fn answer(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    // A caller that has gone needs no answer; what it asked for has happened or not all the same.
    drop(reply.send(outcome));
}
