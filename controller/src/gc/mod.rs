//! Garbage collection: an object whose owners are all gone goes too. [`graph`] knows who lives for whom, [`mod@decide`] what follows; this
//! file asks the server where they cannot know, and writes.

pub mod decide;
pub mod graph;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use serde::Deserialize;
use skiff_client::informer::{Cached, Change, Key};
use skiff_client::queue::Queue;
use skiff_proto::status::Status;
use skiff_proto::v1;
use tracing::{debug, warn};

use self::decide::{Decision, Dependents, decide};
use self::graph::{FOREGROUND, Graph, Node, ORPHAN, OwnerState, Uid, Work};
use crate::execute::{DeleteOptions, Propagation, Writer, unless_gone};
use crate::kinds::{self, Kind};
use crate::not_implemented::table;
use crate::routes::sides;
use crate::view::{Meta, Object, Owner};

/// What the collector keeps of kinds that no other controller reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Bare {
    /// Names, owners, finalizers; no labels.
    pub metadata: Meta,
    /// What is said of it.
    #[serde(skip)]
    pub not_implemented: Option<Box<str>>,
}

impl Object for Bare {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
    fn not_implemented(&self) -> Option<&str> {
        self.not_implemented.as_deref()
    }
}

impl Cached for Bare {
    fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
        let mut bare: Self = serde_json::from_slice(&object.json)?;
        bare.metadata.labels = Default::default();
        bare.metadata.annotations = Default::default();
        bare.not_implemented = table::sentence(&object.resource, &object.json)?;
        Ok(bare)
    }
}

/// The collector: fed by informers, worked by its own queue.
pub struct Collector {
    writer: Writer,
    graph: Mutex<Graph>,
    queue: Queue<Work>,
}

impl Collector {
    /// An empty graph.
    pub fn new(writer: Writer) -> Self {
        Self { writer, graph: Mutex::default(), queue: Queue::default() }
    }

    /// Follows one change of any kind.
    pub fn take<T: Object>(&self, kind: &'static Kind, change: &Change<T>) {
        let (before, after) = sides(change);
        let mut work = Vec::new();
        let mut graph = self.lock();
        if let Some(before) = before
            && after.is_none_or(|after| after.meta().uid != before.meta().uid)
        {
            work.extend(graph.remove(&before.meta().uid));
        }
        if let Some(after) = after {
            work.extend(graph.upsert(kind, after.meta()));
        }
        drop(graph);
        work.into_iter().for_each(|work| self.queue.add(work));
    }

    /// How many objects and references are known.
    pub fn size(&self) -> (usize, usize) {
        self.lock().size()
    }

    /// Ends [`Collector::work`].
    pub fn close(&self) {
        self.queue.close();
    }

    /// Works until closed. To be started when every informer has synced: before that, owners look absent.
    pub async fn work(self: Arc<Self>) {
        while let Some(work) = self.queue.get().await {
            let result = match work {
                Work::Delete(uid) => self.attempt_delete(uid).await,
                Work::Orphan(uid) => self.orphan(uid).await,
            };
            match result {
                Ok(()) => self.queue.forget(&work),
                Err(status) => {
                    if status.is_conflict() {
                        debug!(%status, "garbage collection: trying again");
                    } else {
                        warn!(%status, "garbage collection: trying again");
                    }
                    self.queue.add_rate_limited(work);
                }
            }
            self.queue.done(&work);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt_delete(&self, uid: Uid) -> Result<(), Status> {
        let Some(node) = self.lock().node(uid).cloned() else { return Ok(()) };
        if node.deleting && !node.deleting_dependents {
            return Ok(());
        }
        let Some(latest) = self.latest(&node).await? else {
            // The watch will say so; whoever lived for it need not wait for that.
            let work = self.lock().remove(&node.uid);
            work.into_iter().for_each(|work| self.queue.add(work));
            return Ok(());
        };
        if node.deleting_dependents {
            return self.finish_foreground(uid, &node, &latest).await;
        }
        let mut owners = Vec::with_capacity(latest.owner_references.len());
        for owner in &latest.owner_references {
            owners.push((owner.clone(), self.owner_state(owner, &node.namespace).await?));
        }
        let dependents = {
            let graph = self.lock();
            let waits = |dependent: Uid| graph.node(dependent).is_some_and(|node| node.deleting_dependents);
            Dependents { any: graph.dependents_of(uid).next().is_some(), any_waiting: graph.dependents_of(uid).any(waits) }
        };
        match decide(&latest, &owners, dependents) {
            Decision::Keep => Ok(()),
            Decision::Detach(gone) => {
                unless_gone(self.writer.strategic(node.kind.resource, &key(&node), "", &decide::detach_patch(&node.uid, &gone)).await)?;
                Ok(())
            }
            Decision::Delete { propagation, unblock } => self.delete(&node, &latest, propagation, unblock).await,
        }
    }

    async fn delete(&self, node: &Node, latest: &Meta, propagation: Propagation, unblock: bool) -> Result<(), Status> {
        let mut resource_version = latest.resource_version.clone();
        if unblock {
            let patched = self.writer.strategic(node.kind.resource, &key(node), "", &decide::unblock_patch(latest)).await;
            let Some(patched) = unless_gone(patched)? else { return Ok(()) };
            resource_version = patched.revision.to_string();
        }
        let options = DeleteOptions { uid: node.uid.clone(), resource_version, ..Default::default() };
        unless_gone(self.writer.delete(node.kind.resource, &key(node), propagation, options).await)?;
        Ok(())
    }

    /// `processDeletingDependentsItem`: the finalizer goes when nothing that blocks is left.
    async fn finish_foreground(&self, uid: Uid, node: &Node, latest: &Meta) -> Result<(), Status> {
        let (blocked, waiting) = self.blocking(uid);
        if !blocked {
            return self.remove_finalizer(node, latest, FOREGROUND).await;
        }
        waiting.into_iter().for_each(|dependent| self.queue.add(Work::Delete(dependent)));
        Ok(())
    }

    /// Whether dependents block the object's going, and those of them that have not begun to go dependents-first themselves.
    fn blocking(&self, uid: Uid) -> (bool, Vec<Uid>) {
        let graph = self.lock();
        let blocking = graph.blocking_dependents(uid);
        let begun = |dependent: &Uid| graph.node(*dependent).is_none_or(|node| node.deleting_dependents);
        (!blocking.is_empty(), blocking.into_iter().filter(|dependent| !begun(dependent)).collect())
    }

    /// Lets the dependents go, then the object.
    async fn orphan(&self, uid: Uid) -> Result<(), Status> {
        let (node, dependents) = {
            let graph = self.lock();
            let Some(node) = graph.node(uid).cloned() else { return Ok(()) };
            let dependents: Vec<Node> = graph.dependents_of(uid).filter_map(|dependent| graph.node(dependent).cloned()).collect();
            (node, dependents)
        };
        let owners = [node.uid.clone()];
        let detached = join_all(dependents.iter().map(async |dependent| {
            let patch = decide::detach_patch(&dependent.uid, &owners);
            unless_gone(self.writer.strategic(dependent.kind.resource, &key(dependent), "", &patch).await)
        }));
        detached.await.into_iter().collect::<Result<Vec<_>, Status>>()?;
        match self.latest(&node).await? {
            Some(latest) => self.remove_finalizer(&node, &latest, ORPHAN).await,
            None => Ok(()),
        }
    }

    async fn remove_finalizer(&self, node: &Node, latest: &Meta, finalizer: &str) -> Result<(), Status> {
        if let Some(patch) = decide::finalizer_patch(latest, finalizer) {
            unless_gone(self.writer.merge(node.kind.resource, &key(node), &patch).await)?;
        }
        Ok(())
    }

    /// The object as the server has it, if it is still the same one.
    async fn latest(&self, node: &Node) -> Result<Option<Meta>, Status> {
        let Some(object) = unless_gone(self.writer.get(node.kind.resource, &key(node)).await)? else { return Ok(None) };
        Ok(read(&object).filter(|meta| meta.uid == node.uid))
    }

    /// What the graph knows of an owner, or the server.
    async fn owner_state(&self, owner: &Owner, namespace: &str) -> Result<OwnerState, Status> {
        let known = self.lock().owner_state(owner, namespace);
        if known != OwnerState::Unknown {
            return Ok(known);
        }
        let Some(kind) = kinds::find(&owner.api_version, &owner.kind) else { return Ok(OwnerState::Unknown) };
        if kind.namespaced && namespace.is_empty() {
            return Ok(OwnerState::Unknown);
        }
        let place = if kind.namespaced { namespace } else { "" };
        let found = unless_gone(self.writer.get(kind.resource, &Key::new(place, &owner.name)).await)?;
        Ok(match found.as_ref().and_then(read).filter(|meta| meta.uid == owner.uid) {
            None => {
                // Only where no object has the uid may every reference to it be taken for dangling.
                let mut graph = self.lock();
                if !graph.is_live(Uid::of(&owner.uid)) {
                    graph.note_absent(Uid::of(&owner.uid));
                }
                OwnerState::Absent
            }
            Some(meta) if meta.is_deleting() && meta.finalizers.iter().any(|have| have == FOREGROUND) => OwnerState::Waiting,
            Some(_) => OwnerState::Solid,
        })
    }
}

fn key(node: &Node) -> Key {
    Key::new(&node.namespace, &node.name)
}

fn read(object: &v1::Object) -> Option<Meta> {
    serde_json::from_slice::<Bare>(&object.json).ok().map(|bare| bare.metadata)
}
