//! How a store is set up, and what it counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::types::Revision;

/// Where versions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In a directory, by sled. Survives power cuts.
    Sled(PathBuf),
    /// In memory only: no thread, no file. For tests and simulation.
    Memory,
}

/// The store's bounds and its clock.
#[derive(Clone)]
pub struct Options {
    /// How long changes stay watchable. Five minutes, as kube-apiserver compacts etcd.
    pub retain: Duration,
    /// The most bytes of changes to keep watchable.
    pub retain_bytes: usize,
    /// The most events that may wait for one watcher; past it, the watcher is closed with [`super::Lagged`].
    pub watcher_bound: usize,
    /// The longest a lazy write may stay in memory only.
    pub lazy_persist: Duration,
    /// The largest object. etcd's `--max-request-bytes` is 1.5 MiB.
    pub max_object: usize,
    /// The most commits that may wait for the writer; more wait to be let in.
    pub queue: usize,
    /// The most bytes of one group of commits, so that none waits long for its sync.
    pub group_bytes: usize,
    /// Wall-clock time, which compaction goes by.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retain: Duration::from_secs(300),
            retain_bytes: 256 << 20,
            watcher_bound: 16_384,
            lazy_persist: Duration::from_secs(10),
            max_object: 3 << 19,
            queue: 4096,
            group_bytes: 4 << 20,
            clock: Arc::new(SystemTime::now),
        }
    }
}

/// Counters, all since the start.
#[derive(Default)]
pub struct Metrics {
    /// Commits that happened.
    pub commits: AtomicU64,
    /// Commits that were refused (expectations, disk).
    pub refused: AtomicU64,
    /// Writes of the commits that happened.
    pub writes: AtomicU64,
    /// Groups of commits that were made durable together.
    pub groups: AtomicU64,
    /// Nanoseconds spent in applying and syncing them.
    pub sync_nanos: AtomicU64,
    /// Events handed to watchers' queues.
    pub delivered: AtomicU64,
    /// Watchers closed because they were over their bound.
    pub lagged: AtomicU64,
    /// Disk failures.
    pub failures: AtomicU64,
}

/// [`Metrics`] at one moment, with the state beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsSnapshot {
    /// See [`Metrics::commits`].
    pub commits: u64,
    /// See [`Metrics::refused`].
    pub refused: u64,
    /// See [`Metrics::writes`].
    pub writes: u64,
    /// See [`Metrics::groups`].
    pub groups: u64,
    /// See [`Metrics::sync_nanos`].
    pub sync_nanos: u64,
    /// See [`Metrics::delivered`].
    pub delivered: u64,
    /// See [`Metrics::lagged`].
    pub lagged: u64,
    /// See [`Metrics::failures`].
    pub failures: u64,
    /// The newest revision.
    pub revision: Revision,
    /// The compaction revision.
    pub oldest: Revision,
    /// Watchers open now.
    pub watchers: u64,
}

impl Metrics {
    pub(crate) fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, revision: Revision, oldest: Revision, watchers: usize) -> MetricsSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MetricsSnapshot {
            commits: read(&self.commits),
            refused: read(&self.refused),
            writes: read(&self.writes),
            groups: read(&self.groups),
            sync_nanos: read(&self.sync_nanos),
            delivered: read(&self.delivered),
            lagged: read(&self.lagged),
            failures: read(&self.failures),
            revision,
            oldest,
            watchers: watchers as u64,
        }
    }
}
