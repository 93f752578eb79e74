//! Who lives for whom: a graph of every object by uid, kept from watch events, that says what has to be looked at.
//! See `pkg/controller/garbagecollector/graph_builder.go`.
//!
//! It is lean: of an object without owners only 24 bytes are kept (its uid and a fingerprint of its name); the others have a node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::kinds::{self, Kind};
use crate::view::{Meta, Owner};

/// The finalizer of an object whose dependents go first.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents stay.
pub const ORPHAN: &str = "orphan";
/// How many uids of deleted owners are remembered, so that each of their dependents need not ask for them.
const ABSENT: usize = 2000;

/// A uid in 16 bytes; what is no UUID is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(u128);

impl Uid {
    /// The uid of this text.
    pub fn of(text: &str) -> Self {
        let digits = text.chars().filter(|c| *c != '-');
        if text.len() == 36 && digits.clone().count() == 32 {
            let value = digits.clone().try_fold(0u128, |value, digit| Some(value << 4 | u128::from(digit.to_digit(16)?)));
            if let Some(value) = value {
                return Self(value);
            }
        }
        Self(u128::from(hash(&(0u8, text))) << 64 | u128::from(hash(&(1u8, text))))
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Group, kind, namespace and name in 8 bytes: whether a reference means the object that has the uid.
fn fingerprint(group: &str, kind: &str, namespace: &str, name: &str) -> u64 {
    hash(&(group, kind, namespace, name))
}

/// Something to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Whether the object still has somebody to live for, or something to wait for.
    Delete(Uid),
    /// The object's dependents are to be let go.
    Orphan(Uid),
}

/// An object that has owners, or whose deletion waits for its dependents.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: &'static Kind,
    /// Empty for cluster-wide kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid as text.
    pub uid: String,
    /// Who it lives for.
    pub owners: Vec<Owner>,
    /// Whether it was asked to go.
    pub deleting: bool,
    /// Whether it waits for its dependents to go.
    pub deleting_dependents: bool,
}

/// What is known of an owner that a reference names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// It lives.
    Solid,
    /// It lives until its dependents are gone.
    Waiting,
    /// It is gone, or never was.
    Absent,
    /// The server has to be asked.
    Unknown,
}

/// The graph.
#[derive(Debug, Default)]
pub struct Graph {
    live: BTreeMap<Uid, u64>,
    nodes: BTreeMap<Uid, Node>,
    dependents: BTreeMap<Uid, BTreeSet<Uid>>,
    absent: VecDeque<Uid>,
}

impl Graph {
    /// An object was made or changed.
    pub fn upsert(&mut self, kind: &'static Kind, meta: &Meta) -> Vec<Work> {
        let uid = Uid::of(&meta.uid);
        self.live.insert(uid, fingerprint(kind.group(), kind.kind, &meta.namespace, &meta.name));
        let before = self.nodes.get(&uid).map(|node| node.owners.clone()).unwrap_or_default();
        let deleting_dependents = meta.is_deleting() && has(meta, FOREGROUND);
        let orphaning = meta.is_deleting() && has(meta, ORPHAN);
        let mut work = Vec::new();
        if !meta.owner_references.is_empty() || deleting_dependents || orphaning {
            let node = Node {
                kind,
                namespace: meta.namespace.clone(),
                name: meta.name.clone(),
                uid: meta.uid.clone(),
                owners: meta.owner_references.clone(),
                deleting: meta.is_deleting(),
                deleting_dependents,
            };
            self.nodes.insert(uid, node);
        } else {
            self.nodes.remove(&uid);
        }
        self.relink(uid, &before, &meta.owner_references, &mut work);
        if orphaning {
            work.push(Work::Orphan(uid));
        } else if deleting_dependents {
            work.extend(self.dependents_of(uid).map(Work::Delete));
            work.push(Work::Delete(uid));
        }
        work
    }

    /// An object is gone.
    pub fn remove(&mut self, uid: &str) -> Vec<Work> {
        let uid = Uid::of(uid);
        self.live.remove(&uid);
        let owners = self.nodes.remove(&uid).map(|node| node.owners).unwrap_or_default();
        let mut work: Vec<Work> = self.dependents_of(uid).map(Work::Delete).collect();
        if !work.is_empty() {
            self.note_absent(uid);
        }
        self.unlink(uid, &owners);
        for owner in &owners {
            self.wake_waiting(owner, &mut work);
        }
        work
    }

    /// The server says that no object has this uid (any more).
    pub fn note_absent(&mut self, uid: Uid) {
        if self.absent.contains(&uid) {
            return;
        }
        if self.absent.len() == ABSENT {
            self.absent.pop_front();
        }
        self.absent.push_back(uid);
    }

    /// Whether an object with this uid is known.
    pub fn is_live(&self, uid: Uid) -> bool {
        self.live.contains_key(&uid)
    }

    /// The node of an object.
    pub fn node(&self, uid: Uid) -> Option<&Node> {
        self.nodes.get(&uid)
    }

    /// The objects that live for this one.
    pub fn dependents_of(&self, uid: Uid) -> impl Iterator<Item = Uid> + '_ {
        self.dependents.get(&uid).into_iter().flatten().copied()
    }

    /// The dependents without which the object must not go: those that say `blockOwnerDeletion`.
    pub fn blocking_dependents(&self, uid: Uid) -> Vec<Uid> {
        let blocks = |dependent: &Uid| {
            let owners = self.nodes.get(dependent).map(|node| node.owners.as_slice()).unwrap_or_default();
            owners.iter().any(|owner| owner.block_owner_deletion && Uid::of(&owner.uid) == uid)
        };
        self.dependents_of(uid).filter(blocks).collect()
    }

    /// What is known of the owner that an object of `namespace` names.
    pub fn owner_state(&self, owner: &Owner, namespace: &str) -> OwnerState {
        let uid = Uid::of(&owner.uid);
        if self.absent.contains(&uid) {
            return OwnerState::Absent;
        }
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        let at = |namespace: &str| fingerprint(group, &owner.kind, namespace, &owner.name);
        let is_namespaced = kinds::find(&owner.api_version, &owner.kind).map(|kind| kind.namespaced);
        let expected = if is_namespaced == Some(false) { at("") } else { at(namespace) };
        match self.live.get(&uid) {
            Some(print) if *print == expected => {
                if self.nodes.get(&uid).is_some_and(|node| node.deleting_dependents) {
                    OwnerState::Waiting
                } else {
                    OwnerState::Solid
                }
            }
            // The uid is another object's, or nobody's that we know.
            Some(_) | None => OwnerState::Unknown,
        }
    }

    /// How many objects there are, and how many edges.
    pub fn size(&self) -> (usize, usize) {
        (self.live.len(), self.dependents.values().map(BTreeSet::len).sum())
    }

    fn relink(&mut self, uid: Uid, before: &[Owner], after: &[Owner], work: &mut Vec<Work>) {
        let gone: Vec<Owner> = before.iter().filter(|old| !after.iter().any(|new| new.uid == old.uid)).cloned().collect();
        self.unlink(uid, &gone);
        for owner in &gone {
            self.wake_waiting(owner, work);
        }
        for owner in after {
            match before.iter().find(|old| old.uid == owner.uid) {
                Some(old) if old.block_owner_deletion && !owner.block_owner_deletion => self.wake_waiting(owner, work),
                Some(_) => {}
                None => {
                    self.dependents.entry(Uid::of(&owner.uid)).or_default().insert(uid);
                    let namespace = self.nodes.get(&uid).map(|node| node.namespace.clone()).unwrap_or_default();
                    if self.owner_state(owner, &namespace) != OwnerState::Solid {
                        work.push(Work::Delete(uid));
                    }
                }
            }
        }
    }

    fn unlink(&mut self, uid: Uid, owners: &[Owner]) {
        for owner in owners {
            let owner = Uid::of(&owner.uid);
            if let Some(dependents) = self.dependents.get_mut(&owner) {
                dependents.remove(&uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner);
                }
            }
        }
    }

    /// An owner that waits for its dependents may be done.
    fn wake_waiting(&self, owner: &Owner, work: &mut Vec<Work>) {
        let uid = Uid::of(&owner.uid);
        if self.nodes.get(&uid).is_some_and(|node| node.deleting_dependents) {
            work.push(Work::Delete(uid));
        }
    }
}

fn has(meta: &Meta, finalizer: &str) -> bool {
    meta.finalizers.iter().any(|have| have == finalizer)
}
