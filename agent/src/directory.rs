//! Which pods are here, for whoever serves them to the outside (`server.rs`): the workers write it, nobody else does.

use crate::runtime::{ContainerState, ObservedContainer, ObservedPod};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

/// A pod of this node as its worker last saw it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The object.
    pub pod: Arc<Pod>,
    /// The status the agent last made of it.
    pub status: Arc<PodStatus>,
    /// What the runtime has of it.
    pub observed: Arc<ObservedPod>,
}

impl Entry {
    /// The newest container of that name.
    pub fn container(&self, name: &str) -> Option<&ObservedContainer> {
        self.observed.containers.iter().filter(|container| container.name == name).max_by_key(|container| container.attempt)
    }

    /// The one before it, for `kubectl logs --previous`: the newest dead one that is not the newest of all.
    pub fn previous(&self, name: &str) -> Option<&ObservedContainer> {
        let newest = self.container(name)?;
        let dead = |container: &&ObservedContainer| matches!(container.state, ContainerState::Exited(_));
        self.observed
            .containers
            .iter()
            .filter(|container| container.name == name && container.id != newest.id)
            .filter(dead)
            .max_by_key(|container| container.attempt)
    }
}

/// The pods of this node, by uid.
#[derive(Debug, Default)]
pub struct Directory {
    entries: RwLock<BTreeMap<String, Entry>>,
}

impl Directory {
    /// The pod of that name; with a uid, only if it is that one.
    pub fn find(&self, namespace: &str, name: &str, uid: &str) -> Option<Entry> {
        let entries = self.read();
        if !uid.is_empty() {
            return entries.get(uid).cloned();
        }
        let named = |entry: &&Entry| entry.pod.metadata.namespace.as_deref() == Some(namespace) && entry.pod.metadata.name.as_deref() == Some(name);
        entries.values().find(named).cloned()
    }

    /// Every pod.
    pub fn list(&self) -> Vec<Entry> {
        self.read().values().cloned().collect()
    }

    pub(crate) fn put(&self, uid: &str, entry: Entry) {
        self.write().insert(uid.to_owned(), entry);
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.write().remove(uid);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Entry>> {
        self.entries.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Entry>> {
        self.entries.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
