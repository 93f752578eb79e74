//! The first law, against a trivial model: a watch from revision N replays exactly the commits after N, in order, or says that N is
//! compacted; across restarts, compaction, lazy writes and several commits at once. And a list at N is the model at N.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;

use super::super::{Backend, CommitError, EventKind, Expect, Key, Op, Options, Revision, Scope, Store, Write};
use super::{AtNode, TempDir, body};

/// One thing that a history is made of.
#[derive(Clone, Debug)]
enum Step {
    /// Commits started together; each is a list of writes.
    Commits(Vec<Vec<Wish>>),
    /// Time passes, and what is older than the retention is forgotten.
    Compact(u64),
    /// Ended and opened again, where there is a disk.
    Restart,
    /// Watches and lists are compared with the model.
    Look,
}

#[derive(Clone, Debug)]
struct Wish {
    key: u8,
    /// Whether to expect what is there; otherwise something wrong.
    right: bool,
    delete: bool,
    lazy: bool,
    node: u8,
}

fn wish() -> impl Strategy<Value = Wish> {
    (0_u8..6, prop::bool::weighted(0.9), prop::bool::weighted(0.25), any::<bool>(), 0_u8..3).prop_map(|(key, right, delete, lazy, node)| Wish {
        key,
        right,
        delete,
        lazy,
        node,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(prop::collection::vec(wish(), 1..4), 1..4).prop_map(Step::Commits),
        1 => (0_u64..4).prop_map(Step::Compact),
        1 => Just(Step::Restart),
        3 => Just(Step::Look),
    ]
}

/// What happened, as a list: the model has no index, no cache and no disk.
#[derive(Clone, Debug, PartialEq)]
struct Happened {
    revision: Revision,
    key: Key,
    node: Option<String>,
    second: u64,
}

/// What commits that are not in the history yet make of keys.
type Pending = BTreeMap<Key, Option<(Revision, String)>>;

#[derive(Default)]
struct Model {
    history: Vec<Happened>,
}

impl Model {
    fn at(&self, revision: Revision) -> BTreeMap<Key, (Revision, String)> {
        let mut objects = BTreeMap::new();
        for happened in self.history.iter().filter(|happened| happened.revision <= revision) {
            match &happened.node {
                Some(node) => objects.insert(happened.key.clone(), (happened.revision, node.clone())),
                None => objects.remove(&happened.key),
            };
        }
        objects
    }

    fn revision(&self) -> Revision {
        self.history.last().map_or(1, |last| last.revision)
    }

    /// Expectations as a caller that has read everything has them, within and across the commits of one step.
    fn writes(&self, pending: &mut Pending, next: &mut Revision, wishes: &[Wish]) -> (Vec<Write>, Option<Vec<Happened>>) {
        let mut now: Pending = self.at(Revision::MAX).into_iter().map(|(key, now)| (key, Some(now))).collect();
        now.extend(pending.clone());
        let (mut writes, mut happened, mut holds) = (Vec::new(), Vec::new(), true);
        for (index, wish) in wishes.iter().enumerate() {
            let key = Key::new("pods", if wish.key % 2 == 0 { "a" } else { "b" }, &format!("p{}", wish.key));
            let (have, was) = now.get(&key).cloned().flatten().unzip();
            let delete = wish.delete && have.is_some();
            // A deletion's body is the last state: it is where the object was.
            let node = was.filter(|_| delete).unwrap_or_else(|| format!("n{}", wish.node));
            let content = body(&format!("@{node}@"));
            let expect = match (have, wish.right) {
                (Some(have), true) => Expect::At(have),
                (None, true) | (Some(_), false) => Expect::Absent,
                (None, false) => Expect::At(1),
            };
            holds &= wish.right;
            let revision = *next + index as u64;
            now.insert(key.clone(), (!delete).then(|| (revision, node.clone())));
            let op = if delete { Op::Delete(content) } else { Op::Put(content) };
            writes.push(Write { key: key.clone(), expect, op, lazy: wish.lazy });
            happened.push(Happened { revision, key, node: (!delete).then_some(node), second: 0 });
        }
        if !holds {
            return (writes, None);
        }
        for one in &happened {
            pending.insert(one.key.clone(), one.node.clone().map(|node| (one.revision, node)));
        }
        *next += wishes.len() as u64;
        (writes, Some(happened))
    }
}

struct World {
    dir: Option<TempDir>,
    clock: Arc<std::sync::atomic::AtomicU64>,
    store: Store,
    model: Model,
}

const RETAIN: u64 = 3;

impl World {
    fn new(on_disk: bool) -> Self {
        let dir = on_disk.then(TempDir::new);
        let clock = Arc::new(std::sync::atomic::AtomicU64::new(1000));
        let store = Self::open(dir.as_ref(), &clock);
        Self { dir, clock, store, model: Model::default() }
    }

    fn open(dir: Option<&TempDir>, clock: &Arc<std::sync::atomic::AtomicU64>) -> Store {
        let backend = dir.map_or(Backend::Memory, |dir| Backend::Sled(dir.path().to_owned()));
        let clock = clock.clone();
        let clock = Arc::new(move || UNIX_EPOCH + Duration::from_secs(clock.load(std::sync::atomic::Ordering::Relaxed)));
        let options = Options { retain: Duration::from_secs(RETAIN), clock, ..Options::default() };
        Store::open(backend, options, Arc::new(AtNode)).unwrap()
    }

    fn second(&self) -> u64 {
        self.clock.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.second())
    }

    async fn commits(&mut self, commits: &[Vec<Wish>]) {
        let (mut pending, mut next) = (BTreeMap::new(), self.store.revision() + 1);
        let mut asked = Vec::new();
        for wishes in commits {
            asked.push(self.model.writes(&mut pending, &mut next, wishes));
        }
        // Polled in this order, they arrive in it.
        let answers = futures::future::join_all(asked.iter().map(|(writes, _)| self.store.commit(writes.clone()))).await;
        for ((writes, expected), answer) in asked.into_iter().zip(answers) {
            match (expected, answer) {
                (Some(expected), Ok(versions)) => {
                    let revisions: Vec<Revision> = versions.iter().map(|version| version.revision).collect();
                    assert_eq!(revisions, expected.iter().map(|one| one.revision).collect::<Vec<_>>());
                    let second = self.second();
                    self.model.history.extend(expected.into_iter().map(|one| Happened { second, ..one }));
                }
                (None, Err(CommitError::Exists(_) | CommitError::Missing(_) | CommitError::Conflict { .. })) => {}
                (expected, answer) => panic!("{writes:?}: expected {expected:?}, got {answer:?}"),
            }
        }
    }

    async fn restart(&mut self) {
        if self.dir.is_some() {
            self.store.close().await;
            self.store = Self::open(self.dir.as_ref(), &self.clock);
        }
    }

    /// Compaction is the writer's, in its own time: wait for it.
    async fn compact(&mut self, seconds: u64) {
        self.clock.fetch_add(seconds, std::sync::atomic::Ordering::Relaxed);
        self.store.compact(self.now());
        let horizon = self.second() - RETAIN;
        let expected = self.model.history.iter().filter(|one| one.second < horizon).map(|one| one.revision).max().unwrap_or(0);
        for _ in 0..5000 {
            if self.store.oldest() >= expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(self.store.oldest(), expected);
    }

    fn look(&self) {
        assert_eq!(self.store.revision(), self.model.revision());
        let newest = self.model.revision();
        for from in 0..=newest + 1 {
            let compacted = from < self.store.oldest();
            for scope in scopes() {
                let watcher = self.store.watch(scope.clone(), from);
                assert_eq!(watcher.is_err(), compacted, "from {from}");
                let Ok(mut watcher) = watcher else { continue };
                let mut seen = Vec::new();
                while let Some(event) = watcher.try_next() {
                    let node = (event.kind == EventKind::Put).then(|| event.version.node().to_owned());
                    seen.push((event.version.revision, event.version.key.clone(), node));
                }
                assert_eq!(seen, self.expected(&scope, from), "{scope:?} from {from}");
                assert_eq!(watcher.progress(), newest.max(from));
            }
            let listed = self.store.list_at("pods", None, from).ok();
            assert_eq!(listed.is_none(), compacted);
            if let Some(listed) = listed {
                let items: Vec<_> = listed.items.iter().map(|one| (one.key.clone(), (one.revision, one.node().to_owned()))).collect();
                assert_eq!(items, self.model.at(from).into_iter().collect::<Vec<_>>(), "list at {from}");
            }
        }
        for node in ["n0", "n1"] {
            let scope = Scope { node: Some(node.to_owned()), ..Scope::all("pods") };
            let there: Vec<Key> = self.store.list_node(&scope).items.iter().map(|one| one.key.clone()).collect();
            let expected: Vec<Key> = self.model.at(newest).into_iter().filter(|(_, (_, on))| on == node).map(|(key, _)| key).collect();
            assert_eq!(there, expected);
        }
    }

    /// What a watch must replay: a change concerns it if the object is in the scope or was.
    fn expected(&self, scope: &Scope, from: Revision) -> Vec<(Revision, Key, Option<String>)> {
        let concerns = |one: &Happened| {
            let was = self.model.at(one.revision - 1).get(&one.key).map(|(_, node)| node.clone());
            let wanted = |node: &Option<String>| scope.node.is_none() || node == &scope.node;
            scope.namespace.as_deref().is_none_or(|namespace| *one.key.namespace == *namespace)
                && scope.name.as_deref().is_none_or(|name| *one.key.name == *name)
                && (wanted(&one.node) || wanted(&was))
        };
        let after = self.model.history.iter().filter(|one| one.revision > from && concerns(one));
        after.map(|one| (one.revision, one.key.clone(), one.node.clone())).collect()
    }
}

fn scopes() -> Vec<Scope> {
    let all = Scope::all("pods");
    vec![
        Scope { namespace: Some("a".to_owned()), ..all.clone() },
        Scope { name: Some("p1".to_owned()), ..all.clone() },
        Scope { namespace: Some("b".to_owned()), name: Some("p1".to_owned()), ..all.clone() },
        Scope { node: Some("n1".to_owned()), ..all.clone() },
        all,
    ]
}

fn play(on_disk: bool, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(on_disk);
        let mut follower = world.store.watch(Scope::all("pods"), 0).unwrap();
        let mut followed = Vec::new();
        for step in steps {
            match step {
                Step::Commits(commits) => world.commits(commits).await,
                Step::Compact(seconds) => world.compact(*seconds).await,
                Step::Restart => {
                    drain(&mut follower, &mut followed);
                    world.restart().await;
                    let from = followed.last().copied().unwrap_or(0).max(world.store.oldest());
                    follower = world.store.watch(Scope::all("pods"), from).unwrap();
                }
                Step::Look => world.look(),
            }
        }
        world.look();
        drain(&mut follower, &mut followed);
        let all: Vec<Revision> = world.model.history.iter().map(|one| one.revision).collect();
        assert_eq!(followed, all, "a watch that resumes misses nothing and repeats nothing");
        world.store.close().await;
    });
}

fn drain(follower: &mut super::super::Watcher, followed: &mut Vec<Revision>) {
    while let Some(event) = follower.try_next() {
        followed.push(event.revision());
    }
}

/// Lazy writes that one persist folds together leave only the last of them in the log of the next start: histories on disk that restart
/// have none. (`lazy` has its own tests.)
fn eager(mut steps: Vec<Step>) -> Vec<Step> {
    for step in &mut steps {
        if let Step::Commits(commits) = step {
            commits.iter_mut().flatten().for_each(|wish| wish.lazy = false);
        }
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_watch_replays_exactly_what_happened_in_memory(steps in prop::collection::vec(step(), 1..25)) {
        play(false, &steps);
    }

    #[test]
    fn a_watch_replays_exactly_what_happened_on_disk(steps in prop::collection::vec(step(), 1..25)) {
        play(true, &eager(steps));
    }
}
