//! Secondary indexes over a cache: the pods of an owner, the pods of a node. Kept by the informer's handler, read by reconcilers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skiff_client::informer::{Cache, Change, Key};

use crate::view::{Object, Pod};

/// Keys by some property of their objects.
pub struct Index<T> {
    of: fn(&T) -> Option<String>,
    keys: Mutex<BTreeMap<String, BTreeSet<Key>>>,
}

impl<T> Index<T> {
    /// An index by what `of` says of an object; objects without it are not indexed.
    pub fn new(of: fn(&T) -> Option<String>) -> Self {
        Self { of, keys: Mutex::default() }
    }

    /// Follows one change.
    pub fn take(&self, change: &Change<T>) {
        match change {
            Change::Added { key, new } => self.insert(key, new),
            Change::Modified { key, old, new } => {
                if (self.of)(old) != (self.of)(new) {
                    self.remove(key, old);
                    self.insert(key, new);
                }
            }
            Change::Deleted { key, old } => self.remove(key, old),
            Change::Synced => {}
        }
    }

    /// The objects with this property, in key order.
    pub fn find(&self, value: &str, cache: &Cache<T>) -> Vec<Arc<T>> {
        let keys: Vec<Key> = self.lock().get(value).into_iter().flatten().cloned().collect();
        keys.iter().filter_map(|key| cache.by_key(key)).collect()
    }

    fn insert(&self, key: &Key, object: &T) {
        if let Some(value) = (self.of)(object) {
            self.lock().entry(value).or_default().insert(key.clone());
        }
    }

    fn remove(&self, key: &Key, object: &T) {
        let Some(value) = (self.of)(object) else { return };
        let mut keys = self.lock();
        if let Some(set) = keys.get_mut(&value) {
            set.remove(key);
            if set.is_empty() {
                keys.remove(&value);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<Key>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pods by the uid of their controller, or by `orphans/NAMESPACE` where they have none.
pub fn by_controller(pod: &Pod) -> Option<String> {
    Some(match pod.metadata.controller() {
        Some(owner) => owner.uid.clone(),
        None => orphans_of(&pod.meta().namespace),
    })
}

/// Where [`by_controller`] keeps a namespace's pods without a controller.
pub fn orphans_of(namespace: &str) -> String {
    format!("orphans/{namespace}")
}

/// Pods by the node that they are assigned to.
pub fn by_node(pod: &Pod) -> Option<String> {
    (!pod.spec.node_name.is_empty()).then(|| pod.spec.node_name.clone())
}
