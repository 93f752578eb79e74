//! Watches: who gets which event, at a cost that depends on who does, not on who watches.
//!
//! Each [`Watcher`] has a bounded queue. The `Hub` finds the queues of an event by an index: a resource's watchers are filed by node,
//! by name, by namespace or under the whole resource, whichever is narrowest, and the scope then has the last word. A queue at its bound
//! is closed; the writer never waits for a reader.
//!
//! Publication is two steps, cache then hub. A watch takes its backlog from the cache's log while it holds the hub, and skips what
//! the hub delivers of it again: no gap, no overlap.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};

use futures::Stream;
use futures::task::AtomicWaker;

use super::cache::{Cache, Listing};
use super::log::Compacted;
use super::options::Metrics;
use super::types::Revision;
use super::version::{Event, EventKind, Version};
use super::writer::lock;

/// What a watch follows. The narrowest fields that are known make the cheapest watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Group-resource.
    pub resource: Arc<str>,
    /// One namespace only.
    pub namespace: Option<String>,
    /// Objects of this name only.
    pub name: Option<String>,
    /// Objects whose `spec.nodeName` is this only. An object that leaves or enters the node is an event of it.
    pub node: Option<String>,
}

impl Scope {
    /// A whole resource.
    pub fn all(resource: &str) -> Self {
        Self { resource: resource.into(), namespace: None, name: None, node: None }
    }

    /// Whether an object is in it.
    pub fn contains(&self, version: &Version) -> bool {
        self.resource == version.key.resource
            && self.namespace.as_deref().is_none_or(|namespace| namespace == &*version.key.namespace)
            && self.name.as_deref().is_none_or(|name| name == &*version.key.name)
            && self.node.as_deref().is_none_or(|node| node == version.node())
    }

    /// Whether a change concerns it: the object is in it, or was.
    pub fn concerns(&self, event: &Event) -> bool {
        self.contains(&event.version) || event.previous.as_deref().is_some_and(|previous| self.contains(previous))
    }
}

/// The watcher was over its bound and is closed. Watch again from the last event's revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the watcher did not keep up")]
pub struct Lagged;

struct Queue {
    scope: Scope,
    /// Events up to this were in the backlog, or are not asked for.
    start: Revision,
    waiting: Mutex<Waiting>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Arc<Event>>,
    state: QueueState,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum QueueState {
    #[default]
    Open,
    /// Over its bound: its reader is told once.
    Lagged,
    /// The store is closed, or the reader was told.
    Closed,
}

/// The index of watchers, and of what is on which node.
pub(crate) struct Hub {
    state: Mutex<State>,
    /// Everything up to this is in the queues.
    delivered: AtomicU64,
    /// Resources whose attributes the index reads, known without the lock.
    by_node: RwLock<Vec<Arc<str>>>,
    bound: usize,
}

#[derive(Default)]
struct State {
    next: u64,
    resources: HashMap<Arc<str>, Index>,
    watchers: usize,
    closed: bool,
}

type Queues = BTreeMap<u64, Arc<Queue>>;

#[derive(Default)]
struct Index {
    whole: Queues,
    namespaces: HashMap<String, Queues>,
    names: HashMap<String, Queues>,
    nodes: HashMap<String, Queues>,
    /// Objects by node; kept from when the first watch by node asks.
    placed: Option<HashMap<String, Placed>>,
}

type Placed = BTreeMap<(Arc<str>, Arc<str>), Arc<Version>>;

impl Hub {
    pub(crate) fn new(bound: usize, delivered: Revision) -> Self {
        Self { state: Mutex::default(), delivered: AtomicU64::new(delivered), by_node: RwLock::default(), bound }
    }

    /// How many watchers are open.
    pub(crate) fn watchers(&self) -> usize {
        lock(&self.state).watchers
    }

    /// Whether delivering this resource's events will read their attributes.
    pub(crate) fn reads_attributes(&self, resource: &str) -> bool {
        self.by_node.read().unwrap_or_else(PoisonError::into_inner).iter().any(|one| &**one == resource)
    }

    /// Hands published events, in order, to the watchers they concern.
    pub(crate) fn deliver(&self, events: &[Arc<Event>], metrics: &Metrics) {
        let Some(last) = events.last() else { return };
        let mut wake: Vec<Arc<Queue>> = Vec::new();
        let (mut delivered, mut lagged) = (0, 0);
        let mut state = lock(&self.state);
        for event in events {
            let Some(index) = state.resources.get_mut(&event.version.key.resource) else { continue };
            index.place(event);
            index.candidates(event, |queue| match queue.push(event, self.bound) {
                Pushed::First => {
                    delivered += 1;
                    wake.push(queue.clone());
                }
                Pushed::Next => delivered += 1,
                Pushed::Lagged => {
                    lagged += 1;
                    wake.push(queue.clone());
                }
                Pushed::Not => {}
            });
        }
        // Before the lock goes, so that a watch that begins now counts from here.
        self.delivered.store(last.revision(), Ordering::Release);
        drop(state);
        for queue in wake {
            queue.waker.wake();
        }
        Metrics::add(&metrics.delivered, delivered);
        Metrics::add(&metrics.lagged, lagged);
    }

    /// Ends every watcher.
    #[expect(clippy::disallowed_methods, reason = "all of them end")]
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let all: Vec<Arc<Queue>> = state.resources.values().flat_map(Index::queues).cloned().collect();
        drop(state);
        for queue in all {
            lock(&queue.waiting).state = QueueState::Closed;
            queue.waker.wake();
        }
    }

    fn register(self: &Arc<Self>, state: &mut State, scope: Scope, start: Revision, backlog: VecDeque<Arc<Event>>, from: Revision) -> Watcher {
        state.next += 1;
        let id = state.next;
        let waiting = Waiting { state: if state.closed { QueueState::Closed } else { QueueState::Open }, ..Waiting::default() };
        let queue = Arc::new(Queue { scope, start, waiting: Mutex::new(waiting), waker: AtomicWaker::new() });
        state.resources.entry(queue.scope.resource.clone()).or_default().file(&queue.scope).insert(id, queue.clone());
        state.watchers += 1;
        if queue.scope.node.is_some() {
            self.note_by_node(&queue.scope.resource);
        }
        Watcher { hub: self.clone(), id, queue, backlog, last: from }
    }

    fn note_by_node(&self, resource: &Arc<str>) {
        let mut by_node = self.by_node.write().unwrap_or_else(PoisonError::into_inner);
        if !by_node.contains(resource) {
            by_node.push(resource.clone());
        }
    }

    fn unregister(&self, id: u64, scope: &Scope) {
        let mut state = lock(&self.state);
        if let Some(index) = state.resources.get_mut(&scope.resource) {
            index.unfile(scope, id);
            state.watchers = state.watchers.saturating_sub(1);
        }
    }
}

impl Index {
    /// Where watchers of a scope are filed.
    fn file(&mut self, scope: &Scope) -> &mut Queues {
        match (&scope.node, &scope.name, &scope.namespace) {
            (Some(node), _, _) => self.nodes.entry(node.clone()).or_default(),
            (None, Some(name), _) => self.names.entry(name.clone()).or_default(),
            (None, None, Some(namespace)) => self.namespaces.entry(namespace.clone()).or_default(),
            (None, None, None) => &mut self.whole,
        }
    }

    fn unfile(&mut self, scope: &Scope, id: u64) {
        let (file, key) = match (&scope.node, &scope.name, &scope.namespace) {
            (Some(node), _, _) => (&mut self.nodes, node),
            (None, Some(name), _) => (&mut self.names, name),
            (None, None, Some(namespace)) => (&mut self.namespaces, namespace),
            (None, None, None) => {
                self.whole.remove(&id);
                return;
            }
        };
        if let Some(queues) = file.get_mut(key) {
            queues.remove(&id);
            if queues.is_empty() {
                file.remove(key);
            }
        }
    }

    /// Every watcher that an event may concern, each once.
    fn candidates(&self, event: &Event, mut visit: impl FnMut(&Arc<Queue>)) {
        let key = &event.version.key;
        self.whole.values().for_each(&mut visit);
        if let Some(queues) = self.namespaces.get(&*key.namespace) {
            queues.values().for_each(&mut visit);
        }
        if let Some(queues) = self.names.get(&*key.name) {
            queues.values().for_each(&mut visit);
        }
        if !self.nodes.is_empty() {
            let node = event.version.node();
            let was = event.previous.as_deref().map_or(node, Version::node);
            if let Some(queues) = self.nodes.get(node) {
                queues.values().for_each(&mut visit);
            }
            if let Some(queues) = self.nodes.get(was).filter(|_| was != node) {
                queues.values().for_each(&mut visit);
            }
        }
    }

    /// Keeps the objects by node.
    fn place(&mut self, event: &Event) {
        let Some(placed) = &mut self.placed else { return };
        let (key, node) = (&event.version.key, event.version.node());
        if let Some(was) = event.previous.as_deref().map(Version::node).filter(|was| *was != node || event.kind == EventKind::Delete)
            && let Some(objects) = placed.get_mut(was)
        {
            objects.remove(&(key.namespace.clone(), key.name.clone()));
            if objects.is_empty() {
                placed.remove(was);
            }
        }
        match event.kind {
            EventKind::Put if !node.is_empty() => {
                let objects = match placed.get_mut(node) {
                    Some(objects) => objects,
                    None => placed.entry(node.to_owned()).or_default(),
                };
                objects.insert((key.namespace.clone(), key.name.clone()), event.version.clone());
            }
            EventKind::Put | EventKind::Delete => {}
        }
    }

    /// In no order.
    #[expect(clippy::disallowed_methods, reason = "whoever asks does the same to all")]
    fn queues(&self) -> impl Iterator<Item = &Arc<Queue>> {
        let filed = self.namespaces.values().chain(self.names.values()).chain(self.nodes.values());
        self.whole.values().chain(filed.flat_map(BTreeMap::values))
    }
}

enum Pushed {
    /// The queue was empty: its reader may sleep.
    First,
    Next,
    /// It was full and is closed now.
    Lagged,
    /// It does not concern this watcher.
    Not,
}

impl Queue {
    fn push(&self, event: &Arc<Event>, bound: usize) -> Pushed {
        if event.revision() <= self.start || !self.scope.concerns(event) {
            return Pushed::Not;
        }
        let mut waiting = lock(&self.waiting);
        if waiting.state != QueueState::Open {
            return Pushed::Not;
        }
        if waiting.events.len() >= bound {
            waiting.events = VecDeque::new();
            waiting.state = QueueState::Lagged;
            return Pushed::Lagged;
        }
        waiting.events.push_back(event.clone());
        if waiting.events.len() == 1 { Pushed::First } else { Pushed::Next }
    }
}

/// A place in the sequence of a scope's events. Dropping it ends the watch.
pub struct Watcher {
    hub: Arc<Hub>,
    id: u64,
    queue: Arc<Queue>,
    /// Taken from the queue, or from the log, not yet handed out.
    backlog: VecDeque<Arc<Event>>,
    /// The revision of what was handed out last.
    last: Revision,
}

impl Watcher {
    /// The next event; waits for one. `None` when the store is closed, or after [`Lagged`].
    pub async fn next(&mut self) -> Option<Result<Arc<Event>, Lagged>> {
        std::future::poll_fn(|context| self.poll_one(context)).await
    }

    /// Every event that is there, at most `limit`; waits for one. So that many are written out at once.
    pub async fn next_batch(&mut self, limit: usize) -> Option<Result<Vec<Arc<Event>>, Lagged>> {
        let first = match self.next().await? {
            Ok(event) => event,
            Err(lagged) => return Some(Err(lagged)),
        };
        let mut batch = vec![first];
        while batch.len() < limit {
            // The end of the watch, if it is one, is told by the next call.
            let Some(event) = self.try_next() else { break };
            batch.push(event);
        }
        Some(Ok(batch))
    }

    /// The next event, if it is there.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        if self.backlog.is_empty() {
            self.backlog = std::mem::take(&mut lock(&self.queue.waiting).events);
        }
        let event = self.backlog.pop_front()?;
        self.last = event.revision();
        Some(event)
    }

    /// Everything up to this that concerns the watcher has been handed out: what a bookmark may say.
    pub fn progress(&self) -> Revision {
        // Read before the queue: what is delivered in between only makes this an older truth.
        let delivered = self.hub.delivered.load(Ordering::Acquire).max(self.queue.start);
        let waiting = lock(&self.queue.waiting);
        let all = self.backlog.is_empty() && waiting.events.is_empty() && waiting.state == QueueState::Open;
        if all { delivered.max(self.last) } else { self.last }
    }

    fn poll_one(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Arc<Event>, Lagged>>> {
        if let Some(event) = self.try_next() {
            return Poll::Ready(Some(Ok(event)));
        }
        self.queue.waker.register(context.waker());
        if let Some(event) = self.try_next() {
            return Poll::Ready(Some(Ok(event)));
        }
        let mut waiting = lock(&self.queue.waiting);
        match waiting.state {
            // An event that arrived between the two locks woke the waker that was registered before.
            QueueState::Open => Poll::Pending,
            QueueState::Lagged => {
                waiting.state = QueueState::Closed;
                Poll::Ready(Some(Err(Lagged)))
            }
            QueueState::Closed if waiting.events.is_empty() => Poll::Ready(None),
            QueueState::Closed => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Stream for Watcher {
    type Item = Result<Arc<Event>, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_one(context)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.hub.unregister(self.id, &self.queue.scope);
    }
}

/// How much of a backlog is taken from the log at a time while nobody else may publish.
const STEP: usize = 1024;

/// See [`super::Store::watch`].
pub(crate) fn watch(hub: &Arc<Hub>, cache: &Cache, scope: Scope, from: Revision) -> Result<Watcher, Compacted> {
    let mut backlog = VecDeque::new();
    let mut reached = from;
    // The bulk without the hub's lock; what came meanwhile with it.
    loop {
        let (events, _) = cache.events_after(&scope.resource, reached, STEP)?;
        let more = events.len() == STEP;
        reached = events.last().map_or(reached, |event| event.revision());
        backlog.extend(events.into_iter().filter(|event| scope.concerns(event)));
        if !more {
            break;
        }
    }
    let mut state = lock(&hub.state);
    let (events, newest) = cache.events_after(&scope.resource, reached, usize::MAX)?;
    backlog.extend(events.into_iter().filter(|event| scope.concerns(event)));
    Ok(hub.register(&mut state, scope, newest.max(from), backlog, from))
}

/// See [`super::Store::list_and_watch`].
pub(crate) fn list_and_watch(hub: &Arc<Hub>, cache: &Cache, scope: Scope) -> (Listing, Watcher) {
    let mut state = lock(&hub.state);
    if scope.node.is_some() {
        let listing = placed(hub, &mut state, cache, &scope);
        let revision = listing.revision;
        return (listing, hub.register(&mut state, scope, revision, VecDeque::new(), revision));
    }
    let (sorted, revision) = cache.snapshot(&scope.resource);
    let watcher = hub.register(&mut state, scope.clone(), revision, VecDeque::new(), revision);
    drop(state);
    let items = match (&scope.namespace, &scope.name) {
        (Some(namespace), Some(name)) => sorted.get((namespace, name)).cloned().into_iter().collect(),
        (Some(namespace), None) => super::cache::in_namespace(&sorted, namespace, None).cloned().collect(),
        (None, Some(_) | None) => sorted.from(|_| std::cmp::Ordering::Greater).filter(|version| scope.contains(version)).cloned().collect(),
    };
    (Listing { revision, items }, watcher)
}

/// What is on a node now, without looking at other nodes' objects: see [`super::Store::list_node`].
pub(crate) fn list_node(hub: &Arc<Hub>, cache: &Cache, scope: &Scope) -> Listing {
    placed(hub, &mut lock(&hub.state), cache, scope)
}

/// The objects of a scope with a node, as of what is delivered.
fn placed(hub: &Arc<Hub>, state: &mut State, cache: &Cache, scope: &Scope) -> Listing {
    let index = state.resources.entry(scope.resource.clone()).or_default();
    let placed = index.placed.get_or_insert_with(|| {
        hub.note_by_node(&scope.resource);
        place_all(cache, &scope.resource, hub.delivered.load(Ordering::Acquire))
    });
    let node = scope.node.as_deref().unwrap_or_default();
    let all = placed.get(node).map(|objects| objects.values().filter(|version| scope.contains(version)).cloned().collect());
    Listing { revision: hub.delivered.load(Ordering::Acquire), items: all.unwrap_or_default() }
}

fn place_all(cache: &Cache, resource: &str, delivered: Revision) -> HashMap<String, Placed> {
    let mut placed: HashMap<String, Placed> = HashMap::new();
    // The cache may be a group of events ahead of the queues. (Were that group larger than the whole log, its events would only be
    // delivered again.)
    let sorted = cache.snapshot_at(resource, delivered).map_or_else(|_| cache.snapshot(resource).0, |(sorted, _)| sorted);
    for version in sorted.from(|_| std::cmp::Ordering::Greater) {
        let node = version.peek_node();
        if !node.is_empty() {
            let objects = placed.entry(node).or_default();
            objects.insert((version.key.namespace.clone(), version.key.name.clone()), version.clone());
        }
    }
    placed
}
