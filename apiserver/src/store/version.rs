//! A version of an object, and the event that made it. Both are made once and shared by every reader.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;

use super::types::{Attributes, Describe, Key, Revision};
use super::writer::lock;

/// One state of one object, immutable.
pub struct Version {
    /// Which object.
    pub key: Key,
    /// When it was written; for a deletion's last state, when it was deleted.
    pub revision: Revision,
    /// Its JSON, resourceVersion and all.
    pub json: Bytes,
    attributes: OnceLock<Box<Attributes>>,
    encodings: OnceLock<Box<Encodings>>,
    describe: Arc<dyn Describe>,
}

type Encodings = Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>;

impl Version {
    /// A version whose attributes are read when first asked for.
    pub fn new(key: Key, revision: Revision, json: Bytes, describe: Arc<dyn Describe>) -> Self {
        Self { key, revision, json, attributes: OnceLock::new(), encodings: OnceLock::new(), describe }
    }

    pub(crate) fn with_attributes(mut self, attributes: Option<Attributes>) -> Self {
        if let Some(attributes) = attributes {
            self.attributes = OnceLock::from(Box::new(attributes));
        }
        self
    }

    /// What selectors read; parsed from the JSON once.
    pub fn attributes(&self) -> &Attributes {
        self.attributes.get_or_init(|| Box::new(self.describe.attributes(&self.key.resource, &self.json)))
    }

    /// `spec.nodeName`; empty without one.
    pub fn node(&self) -> &str {
        self.attributes().fields.get("spec.nodeName").map_or("", String::as_str)
    }

    /// [`Version::node`] without keeping all attributes: for walking everything there is.
    pub(crate) fn peek_node(&self) -> String {
        match self.attributes.get() {
            Some(attributes) => attributes.fields.get("spec.nodeName").cloned().unwrap_or_default(),
            None => self.describe.attributes(&self.key.resource, &self.json).fields.remove("spec.nodeName").unwrap_or_default(),
        }
    }

    /// Another form of this version (protobuf, a table row, a watch line …), made by the first who asks and shared with the rest. Each
    /// type `T` is a slot: give each form a type of its own.
    pub fn encoding<T: Any + Send + Sync>(&self, make: impl FnOnce(&Self) -> T) -> Arc<T> {
        let slots = self.encodings.get_or_init(Box::default);
        let wanted = TypeId::of::<T>();
        let found = lock(slots).iter().find(|(slot, _)| *slot == wanted).map(|(_, value)| value.clone());
        if let Some(value) = found.and_then(|value| value.downcast::<T>().ok()) {
            return value;
        }
        // Made outside the lock: two callers at once may both make it, and both are right.
        let made = Arc::new(make(self));
        lock(slots).push((wanted, made.clone()));
        made
    }

    /// Roughly what keeping it costs, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.json.len() + self.key.name.len() + std::mem::size_of::<Self>()
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.revision)
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Created (`previous` is none) or replaced.
    Put,
    /// Removed.
    Delete,
}

/// One change. `previous` is what it changed from: a watcher whose selector the object leaves gets a DELETED made of it.
#[derive(Debug)]
pub struct Event {
    /// The new state; for a delete, the last state with the deletion's revision.
    pub version: Arc<Version>,
    /// The state before; none for a creation.
    pub previous: Option<Arc<Version>>,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// The revision that made it.
    pub fn revision(&self) -> Revision {
        self.version.revision
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counting(AtomicUsize);

    impl Describe for Counting {
        fn attributes(&self, _: &str, json: &[u8]) -> Attributes {
            self.0.fetch_add(1, Ordering::Relaxed);
            let node = String::from_utf8_lossy(json).into_owned();
            Attributes { fields: [("spec.nodeName", node)].into(), ..Attributes::default() }
        }
    }

    #[test]
    fn attributes_are_read_once_and_only_when_asked_for() {
        let describe = Arc::new(Counting(AtomicUsize::new(0)));
        let version = Version::new(Key::new("pods", "a", "b"), 3, Bytes::from_static(b"n1"), describe.clone());
        assert_eq!(describe.0.load(Ordering::Relaxed), 0);
        assert_eq!((version.node(), version.node()), ("n1", "n1"));
        assert_eq!(describe.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn each_type_is_a_slot_made_once() {
        let describe = Arc::new(Counting(AtomicUsize::new(0)));
        let version = Version::new(Key::new("pods", "a", "b"), 3, Bytes::from_static(b"n1"), describe);
        assert_eq!(*version.encoding(|_| 1_u8), 1);
        assert_eq!(*version.encoding(|_| 2_u8), 1);
        assert_eq!(*version.encoding(|_| "other"), "other");
    }
}
