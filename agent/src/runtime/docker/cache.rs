//! What is known of this node's containers, and what of it is stale: plain state, no I/O.
//!
//! Docker's events and our own calls *touch* a container; only touched ones are inspected again. Each touch raises a counter, so that an
//! inspection which began before the latest touch does not count as fresh.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

use super::super::{ObservedPod, PodId};
use super::create::Shared;
use super::observe::{Hearsay, Seen, Thing};

/// Everything known.
#[derive(Debug, Default)]
pub struct Cache {
    /// By container id.
    entries: BTreeMap<String, Entry>,
    /// Container ids by the pod's uid.
    pods: BTreeMap<String, BTreeSet<String>>,
    /// Raised by every touch.
    clock: u64,
    /// Whether everything has been listed since the connection was made.
    complete: bool,
    /// Names and ids that a call of ours is about: it will touch them itself.
    busy: BTreeSet<String>,
}

/// One container.
#[derive(Debug)]
struct Entry {
    pod: PodId,
    seen: Option<Seen>,
    hearsay: Hearsay,
    touched: u64,
    looked: u64,
}

/// When a look at Docker began: what is touched later is not covered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(u64);

impl Cache {
    /// Now.
    pub fn moment(&self) -> Moment {
        Moment(self.clock)
    }

    /// Whether [`Cache::listed`] has been called since [`Cache::lost`].
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Events may have been missed: nothing known counts.
    pub fn lost(&mut self) {
        self.complete = false;
    }

    /// Something may have happened to this container.
    pub fn touch(&mut self, id: &str, pod: &PodId) {
        self.clock += 1;
        let clock = self.clock;
        let entry =
            self.entries.entry(id.to_owned()).or_insert_with(|| Entry { pod: pod.clone(), seen: None, hearsay: Hearsay::default(), touched: 0, looked: 0 });
        entry.touched = clock;
        self.pods.entry(entry.pod.uid.clone()).or_default().insert(id.to_owned());
    }

    /// The same, of a container whose pod is known already; nothing where it is not known.
    pub fn touch_known(&mut self, id: &str) {
        self.clock += 1;
        if let Some(entry) = self.entries.get_mut(id) {
            entry.touched = self.clock;
        }
    }

    /// A call of ours is about to make or start this.
    pub fn busy(&mut self, what: &str) {
        self.busy.insert(what.to_owned());
    }

    /// That call has ended.
    pub fn idle(&mut self, what: &str) {
        self.busy.remove(what);
    }

    /// Whether a call of ours is making or starting this.
    pub fn is_busy(&self, what: &str) -> bool {
        self.busy.contains(what)
    }

    /// The kernel killed something in this container for memory.
    pub fn heard_oom(&mut self, id: &str) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.hearsay.oom = true;
        }
    }

    /// Starting this container failed.
    pub fn start_failed(&mut self, id: &str, at: Timestamp) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.hearsay.start_failed_at = Some(at);
        }
        self.touch_known(id);
    }

    /// This container is no more. Whether it was known.
    pub fn forget(&mut self, id: &str) -> bool {
        self.clock += 1;
        let Some(entry) = self.entries.remove(id) else { return false };
        if let Some(ids) = self.pods.get_mut(&entry.pod.uid) {
            ids.remove(id);
            if ids.is_empty() {
                self.pods.remove(&entry.pod.uid);
            }
        }
        true
    }

    /// What has been made just now, without asking Docker.
    pub fn made(&mut self, id: &str, seen: Seen) {
        let pod = seen.pod.clone();
        self.touch(id, &pod);
        let now = self.moment();
        self.saw(id, now, Some(seen));
    }

    /// What an inspection that began at `began` found; none: the container is gone.
    pub fn saw(&mut self, id: &str, began: Moment, found: Option<Seen>) {
        let Some(found) = found else {
            self.forget(id);
            return;
        };
        let Some(entry) = self.entries.get_mut(id) else { return }; // removed meanwhile
        if began.0 < entry.looked {
            return; // a later look has been here
        }
        entry.looked = began.0;
        entry.seen = Some(keep_user(entry.seen.take(), found));
    }

    /// What a list of all containers that began at `began` found. Whatever else was known before is gone.
    pub fn listed(&mut self, began: Moment, found: &[(String, PodId)]) {
        let there: BTreeSet<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        let gone: Vec<String> =
            self.entries.iter().filter(|(id, entry)| entry.touched <= began.0 && !there.contains(id.as_str())).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.forget(&id);
        }
        for (id, pod) in found {
            self.touch(id, pod);
        }
        self.complete = true;
    }

    /// What has to be inspected before this pod is known; of all pods without a uid.
    pub fn stale(&self, uid: Option<&str>) -> Vec<(String, Hearsay)> {
        let stale = |(id, entry): (&String, &Entry)| (entry.seen.is_none() || entry.looked < entry.touched).then(|| (id.clone(), entry.hearsay.clone()));
        match uid {
            Some(uid) => self.pods.get(uid).into_iter().flatten().filter_map(|id| self.entries.get_key_value(id)).filter_map(stale).collect(),
            None => self.entries.iter().filter_map(stale).collect(),
        }
    }

    /// One pod as it is known.
    pub fn pod(&self, uid: &str) -> Option<ObservedPod> {
        let entries: Vec<&Entry> = self.pods.get(uid)?.iter().filter_map(|id| self.entries.get(id)).collect();
        let mut pod = ObservedPod { pod: entries.first()?.pod.clone(), ..ObservedPod::default() };
        for seen in entries.iter().filter_map(|entry| entry.seen.as_ref()) {
            match &seen.thing {
                Thing::Sandbox(sandbox, _) => pod.sandboxes.push(sandbox.clone()),
                Thing::Container(container) => pod.containers.push((**container).clone()),
            }
        }
        pod.sandboxes.sort_by(|a, b| (b.attempt, b.created_at, &b.id).cmp(&(a.attempt, a.created_at, &a.id)));
        pod.containers.sort_by(|a, b| (b.created_at, b.attempt, &b.id).cmp(&(a.created_at, a.attempt, &a.id)));
        (!pod.sandboxes.is_empty() || !pod.containers.is_empty()).then_some(pod)
    }

    /// All pods as they are known.
    pub fn pods(&self) -> Vec<ObservedPod> {
        self.pods.keys().filter_map(|uid| self.pod(uid)).collect()
    }

    /// What is known of one container.
    pub fn get(&self, id: &str) -> Option<&Seen> {
        self.entries.get(id)?.seen.as_ref()
    }

    /// Whose container this is.
    pub fn pod_of(&self, id: &str) -> Option<&PodId> {
        self.entries.get(id).map(|entry| &entry.pod)
    }

    /// The namespaces of a sandbox.
    pub fn shared(&self, sandbox: &str) -> Option<Shared> {
        match &self.get(sandbox)?.thing {
            Thing::Sandbox(_, shared) => Some(*shared),
            Thing::Container(_) => None,
        }
    }

    /// Every container (not sandbox) that runs, with its id.
    pub fn running(&self) -> Vec<(String, PodId, String)> {
        self.entries
            .iter()
            .filter_map(|(id, entry)| match &entry.seen.as_ref()?.thing {
                Thing::Container(container) if container.state.is_running() => Some((id.clone(), entry.pod.clone(), container.name.clone())),
                Thing::Container(_) | Thing::Sandbox(..) => None,
            })
            .collect()
    }
}

/// Who a process was is known while it runs; remembered when it is dead.
fn keep_user(before: Option<Seen>, mut now: Seen) -> Seen {
    if let (Some(Seen { thing: Thing::Container(before), .. }), Thing::Container(container)) = (before, &mut now.thing)
        && container.user.is_none()
    {
        container.user = before.user;
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{ContainerState, ObservedContainer, ObservedUser};
    use std::collections::BTreeMap;

    fn pod(uid: &str) -> PodId {
        PodId { uid: uid.into(), namespace: "ns".into(), name: "p".into() }
    }

    fn seen(uid: &str, id: &str, attempt: u32, state: ContainerState) -> Seen {
        let container = ObservedContainer {
            id: id.into(),
            sandbox: String::new(),
            name: "app".into(),
            attempt,
            image: String::new(),
            image_id: String::new(),
            hash: String::new(),
            labels: BTreeMap::new(),
            created_at: Timestamp::UNIX_EPOCH,
            state,
            user: None,
        };
        Seen { pod: pod(uid), pid: 0, thing: Thing::Container(Box::new(container)) }
    }

    fn stale(cache: &Cache, uid: &str) -> Vec<String> {
        cache.stale(Some(uid)).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn only_what_was_touched_is_looked_at_again() {
        let mut cache = Cache::default();
        cache.made("a", seen("u", "a", 0, ContainerState::Created));
        cache.made("b", seen("u", "b", 1, ContainerState::Created));
        assert_eq!(stale(&cache, "u"), Vec::<String>::new());
        cache.touch_known("b");
        assert_eq!(stale(&cache, "u"), ["b"]);
        let began = cache.moment();
        cache.saw("b", began, Some(seen("u", "b", 1, ContainerState::Running { started_at: Timestamp::UNIX_EPOCH })));
        assert_eq!(stale(&cache, "u"), Vec::<String>::new());
        assert_eq!(cache.pod("u").unwrap().containers.iter().map(|c| c.attempt).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(cache.running().len(), 1);
    }

    #[test]
    fn a_look_that_began_before_a_touch_is_not_fresh() {
        let mut cache = Cache::default();
        cache.touch("a", &pod("u"));
        let early = cache.moment();
        cache.touch_known("a");
        let late = cache.moment();
        cache.saw("a", early, Some(seen("u", "a", 0, ContainerState::Created)));
        assert_eq!(stale(&cache, "u"), ["a"]);
        cache.saw("a", late, Some(seen("u", "a", 7, ContainerState::Created)));
        cache.saw("a", early, Some(seen("u", "a", 0, ContainerState::Created)));
        assert_eq!(cache.pod("u").unwrap().containers[0].attempt, 7, "a late answer to an early look changes nothing");
    }

    #[test]
    fn a_list_removes_what_it_does_not_show_but_not_what_came_after_it_began() {
        let mut cache = Cache::default();
        cache.made("old", seen("u", "old", 0, ContainerState::Created));
        let began = cache.moment();
        cache.made("new", seen("v", "new", 0, ContainerState::Created));
        assert!(!cache.is_complete());
        cache.listed(began, &[("found".to_owned(), pod("w"))]);
        assert!(cache.is_complete());
        assert_eq!(cache.pods().iter().map(|p| p.pod.uid.clone()).collect::<Vec<_>>(), ["v"]);
        assert_eq!(stale(&cache, "w"), ["found"]);
        assert_eq!(cache.pod("u"), None);
    }

    #[test]
    fn what_is_gone_stays_gone() {
        let mut cache = Cache::default();
        cache.made("a", seen("u", "a", 0, ContainerState::Created));
        let began = cache.moment();
        assert!(cache.forget("a"));
        assert!(!cache.forget("a"));
        cache.saw("a", began, Some(seen("u", "a", 0, ContainerState::Created)));
        assert_eq!(cache.pod("u"), None);
    }

    #[test]
    fn hearsay_and_users_are_kept() {
        let mut cache = Cache::default();
        let mut running = seen("u", "a", 0, ContainerState::Running { started_at: Timestamp::UNIX_EPOCH });
        let user = ObservedUser { uid: 1, gid: 2, groups: vec![] };
        if let Thing::Container(container) = &mut running.thing {
            container.user = Some(user.clone());
        }
        cache.made("a", running);
        cache.heard_oom("a");
        cache.touch_known("a");
        assert!(cache.stale(Some("u"))[0].1.oom);
        cache.saw("a", cache.moment(), Some(seen("u", "a", 0, ContainerState::Created)));
        assert_eq!(cache.pod("u").unwrap().containers[0].user, Some(user));
    }
}
