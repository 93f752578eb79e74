//! The work queue between informers and reconcilers: keys, never events. A key that is added while it is being worked on is worked on
//! again afterwards, never twice at once. Mirrors client-go's `util/workqueue`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff::Backoff;

/// A queue of keys, shared by those who add and those who work. Holds at most one entry a key, so it is bounded by the keys there are.
pub struct Queue<K> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    state: Mutex<State<K>>,
    backoff: Backoff,
    changed: Notify,
}

struct State<K> {
    /// Keys that wait for a worker, oldest first.
    ready: VecDeque<K>,
    /// Keys that need work: those in `ready`, and those in `working` that were added meanwhile.
    dirty: BTreeSet<K>,
    /// Keys that a worker has.
    working: BTreeSet<K>,
    /// Keys to add later, by time; each key at its earliest time only.
    later: BTreeSet<(Instant, K)>,
    due: BTreeMap<K, Instant>,
    failures: BTreeMap<K, u32>,
    closed: bool,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<K: Ord + Clone> Default for Queue<K> {
    fn default() -> Self {
        Self::new(Backoff::RECONCILE)
    }
}

impl<K: Ord + Clone> Queue<K> {
    /// An empty queue that delays keys by `backoff` in [`Queue::add_rate_limited`].
    pub fn new(backoff: Backoff) -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            working: BTreeSet::new(),
            later: BTreeSet::new(),
            due: BTreeMap::new(),
            failures: BTreeMap::new(),
            closed: false,
        };
        Self { inner: Arc::new(Inner { state: Mutex::new(state), backoff, changed: Notify::new() }) }
    }

    /// Adds a key, unless it waits already.
    pub fn add(&self, key: K) {
        let mut state = self.lock();
        if state.closed || !state.dirty.insert(key.clone()) {
            return;
        }
        if !state.working.contains(&key) {
            state.ready.push_back(key);
            drop(state);
            self.inner.changed.notify_one();
        }
    }

    /// Adds a key after `delay`; of several delays of one key the earliest counts.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let at = Instant::now() + delay;
        let mut state = self.lock();
        match state.due.get(&key).copied() {
            Some(due) if due <= at => return,
            Some(due) => {
                state.later.remove(&(due, key.clone()));
            }
            None => {}
        }
        state.due.insert(key.clone(), at);
        state.later.insert((at, key));
        drop(state);
        self.inner.changed.notify_one();
    }

    /// Adds a key that failed, after a delay that doubles each time until [`Queue::forget`].
    pub fn add_rate_limited(&self, key: K) {
        let failures = {
            let mut state = self.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures = failures.saturating_add(1);
            *failures
        };
        self.add_after(key, self.inner.backoff.delay(failures));
    }

    /// How often a key failed since it was last forgotten.
    pub fn failures(&self, key: &K) -> u32 {
        self.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// The key succeeded: its next failure is its first.
    pub fn forget(&self, key: &K) {
        self.lock().failures.remove(key);
    }

    /// The next key, as soon as there is one; `None` once the queue is closed. Call [`Queue::done`] with it afterwards.
    pub async fn get(&self) -> Option<K> {
        loop {
            let changed = self.inner.changed.notified();
            let next_due = {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                state.promote(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.working.insert(key.clone());
                    if !state.ready.is_empty() {
                        self.inner.changed.notify_one();
                    }
                    return Some(key);
                }
                state.later.first().map(|(at, _)| *at)
            };
            match next_due {
                Some(at) => {
                    tokio::select! { () = changed => {}, () = tokio::time::sleep_until(at) => {} }
                }
                None => changed.await,
            }
        }
    }

    /// The worker is through with `key`; if it was added meanwhile, it waits again.
    pub fn done(&self, key: &K) {
        let mut state = self.lock();
        state.working.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.inner.changed.notify_one();
        }
    }

    /// Lets every [`Queue::get`] answer `None`.
    pub fn close(&self) {
        self.lock().closed = true;
        self.inner.changed.notify_waiters();
        self.inner.changed.notify_one();
    }

    /// How many keys wait (not those being worked on, nor those of later).
    pub fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// Whether no key waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> State<K> {
    /// Moves the keys whose time has come to `ready`.
    fn promote(&mut self, now: Instant) {
        while let Some((at, key)) = self.later.first().cloned() {
            if at > now {
                return;
            }
            self.later.remove(&(at, key.clone()));
            self.due.remove(&key);
            if self.dirty.insert(key.clone()) && !self.working.contains(&key) {
                self.ready.push_back(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_and_is_never_worked_on_twice_at_once() {
        let queue: Queue<&str> = Queue::default();
        queue.add("a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.get().await, Some("a"));
        queue.add("a");
        assert_eq!(queue.get().await, Some("b"));
        assert!(queue.is_empty(), "a is being worked on");
        queue.done(&"a");
        assert_eq!(queue.get().await, Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_delay_counts() {
        let queue: Queue<&str> = Queue::default();
        let start = Instant::now();
        queue.add_after("a", Duration::from_secs(9));
        queue.add_after("a", Duration::from_secs(3));
        queue.add_after("a", Duration::from_secs(5));
        assert_eq!(queue.get().await, Some("a"));
        assert_eq!((Instant::now() - start).as_secs(), 3);
        queue.done(&"a");
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.get()).await.is_err(), "only once");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_delay_longer_until_forgotten() {
        let queue: Queue<&str> = Queue::new(Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) });
        let mut delays = Vec::new();
        for _ in 0..4 {
            let start = Instant::now();
            queue.add_rate_limited("a");
            queue.get().await;
            queue.done(&"a");
            delays.push((Instant::now() - start).as_secs());
        }
        assert_eq!(delays, [1, 2, 4, 8]);
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn closing_wakes_workers() {
        let queue: Queue<&str> = Queue::default();
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.get().await }
        });
        tokio::task::yield_now().await;
        queue.close();
        assert_eq!(worker.await.unwrap_or(Some("panicked")), None);
    }
}
