//! The writer's thread: waits for commits or for the time of something, and runs [`Core`]'s steps. All waiting is here.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::disk::DiskError;
use super::types::{CommitError, Op};
use super::writer::{Core, Pending, lock};

/// What the thread is asked for.
#[derive(Default)]
struct Inbox {
    commits: Vec<Pending>,
    compact: Option<SystemTime>,
    close: Option<oneshot::Sender<()>>,
    /// No more commits are taken.
    closed: bool,
}

/// The way to the thread.
pub(crate) struct Mailbox {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
}

/// The pauses before attempts to recover from a failed disk.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(10);

impl Mailbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { inbox: Mutex::default(), arrived: Condvar::new() })
    }

    /// Hands a commit over. Callers bound how many wait.
    pub(crate) fn commit(&self, pending: Pending) {
        let mut inbox = lock(&self.inbox);
        if inbox.closed {
            // Dropping the reply tells the caller.
            return;
        }
        inbox.commits.push(pending);
        drop(inbox);
        self.arrived.notify_one();
    }

    pub(crate) fn compact(&self, now: SystemTime) {
        lock(&self.inbox).compact = Some(now);
        self.arrived.notify_one();
    }

    pub(crate) fn close(&self) -> oneshot::Receiver<()> {
        let (reply, done) = oneshot::channel();
        let mut inbox = lock(&self.inbox);
        if !inbox.closed {
            inbox.close = Some(reply);
        }
        drop(inbox);
        self.arrived.notify_one();
        done
    }

    /// Waits until there is something, or until `deadline`; without one, for ever.
    fn wait(&self, deadline: Option<Instant>, group_bytes: usize) -> Inbox {
        let mut inbox = lock(&self.inbox);
        loop {
            if !inbox.commits.is_empty() || inbox.compact.is_some() || inbox.close.is_some() {
                break;
            }
            inbox = match deadline {
                None => self.arrived.wait(inbox).unwrap_or_else(std::sync::PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.arrived.wait_timeout(inbox, left).unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        }
        inbox.closed |= inbox.close.is_some();
        let later = later(&mut inbox.commits, group_bytes);
        let commits = std::mem::replace(&mut inbox.commits, later);
        // Whoever closes waits until the commits that came before are done.
        let close = if inbox.commits.is_empty() { inbox.close.take() } else { None };
        Inbox { commits, compact: inbox.compact.take(), close, closed: inbox.closed }
    }
}

/// Splits off what exceeds a group's bytes. A group has at least one commit.
fn later(commits: &mut Vec<Pending>, group_bytes: usize) -> Vec<Pending> {
    let mut bytes = 0;
    let fits = commits.iter().take_while(|pending| {
        let before = bytes;
        bytes += size(pending);
        before == 0 || bytes <= group_bytes
    });
    let fits = fits.count();
    commits.split_off(fits)
}

fn size(pending: &Pending) -> usize {
    let len = |prepared: &super::writer::Prepared| match &prepared.write.op {
        Op::Put(body) | Op::Delete(body) => body.json.len(),
    };
    pending.writes.iter().map(len).sum()
}

/// When things are due.
struct Clock {
    lazy: Option<Instant>,
    retry: Option<(Instant, Duration)>,
}

/// The thread's life.
pub(crate) fn run(mut core: Core, mailbox: &Mailbox) {
    let (group_bytes, lazy_persist) = core.bounds();
    let mut clock = Clock { lazy: None, retry: None };
    loop {
        let deadline = match (clock.retry, core.has_housekeeping()) {
            (Some((at, _)), _) => Some(at),
            (None, true) => Some(Instant::now()),
            (None, false) => clock.lazy,
        };
        let inbox = mailbox.wait(deadline, group_bytes);
        if let Some(now) = inbox.compact {
            core.compact(now);
        }
        if clock.retry.is_some() {
            refuse(inbox.commits, core.broken());
        } else {
            let idle = inbox.commits.is_empty();
            let mut step = if idle { Ok(()) } else { core.commit(inbox.commits) };
            if core.is_dirty() {
                let due = *clock.lazy.get_or_insert_with(|| Instant::now() + lazy_persist);
                if step.is_ok() && Instant::now() >= due {
                    step = core.persist_lazy();
                }
            }
            if !core.is_dirty() {
                clock.lazy = None;
            }
            if idle && step.is_ok() && core.has_housekeeping() {
                step = core.housekeep();
            }
            if let Err(error) = step {
                fail(&mut core, &mut clock, &error);
            }
        }
        retry(&mut core, &mut clock);
        if let Some(reply) = inbox.close {
            if let Err(error) = core.close() {
                tracing::error!(%error, "the store closed without its last writes");
            }
            // Nobody may be waiting any more.
            let _ = reply.send(());
            return;
        }
    }
}

fn refuse(commits: Vec<Pending>, reason: String) {
    for pending in commits {
        // A caller that has gone needs no answer.
        let _ = pending.reply.send(Err(CommitError::Unavailable(reason.clone())));
    }
}

fn fail(core: &mut Core, clock: &mut Clock, error: &DiskError) {
    let pause = clock.retry.map_or(FIRST_RETRY, |(_, pause)| (pause * 2).min(LAST_RETRY));
    clock.retry = Some((Instant::now() + pause, pause));
    tracing::error!(%error, retry_in = ?pause, "the store's disk failed; writes are refused");
    core.set_broken(Some(error.to_string()));
}

fn retry(core: &mut Core, clock: &mut Clock) {
    if clock.retry.is_none_or(|(at, _)| Instant::now() < at) {
        return;
    }
    match core.recover() {
        Ok(()) => {
            tracing::info!("the store is written anew and takes writes again");
            (clock.retry, clock.lazy) = (None, None);
            core.set_broken(None);
        }
        Err(error) => fail(core, clock, &error),
    }
}
