//! The scheduler as a value: events go in, effects come out, time and seed are passed in. `lib.rs` performs the I/O around it.

use std::sync::Arc;
use std::time::Duration;

use skiff_client::informer::{Change, Key};

use crate::cache::Cache;
use crate::cycle::{Decision, decide};
use crate::explain::{self, Preemption};
use crate::preempt::{self, Plan};
use crate::queue::Queue;
use crate::view::{Labelled, NodeView, PodView};

/// The name in `spec.schedulerName` of pods that are ours.
pub const NAME: &str = "default-scheduler";

/// Something the scheduler learns.
#[derive(Debug)]
pub enum Event {
    /// Of a pod.
    Pod(Change<PodView>),
    /// Of a node.
    Node(Change<NodeView>),
    /// Of a namespace, whose labels affinity terms may select.
    Namespace(Change<Labelled>),
    /// Of a volume claim.
    Claim(Change<Labelled>),
    /// How a binding went.
    Bound {
        /// The pod.
        pod: Arc<PodView>,
        /// Why not.
        refused: Option<String>,
    },
}

/// Something to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Assign the pod to the node.
    Bind {
        /// The pod.
        pod: Arc<PodView>,
        /// The node.
        node: String,
    },
    /// Say that the pod cannot be placed: an event, and its `PodScheduled` condition if that says something else.
    Refuse {
        /// The pod.
        pod: Arc<PodView>,
        /// The sentence.
        message: String,
        /// What to set `status.nominatedNodeName` to, where it changes.
        nominate: Option<String>,
    },
    /// Take the victims away to make room for the pod.
    Displace {
        /// The pod.
        pod: Arc<PodView>,
        /// Who and where.
        plan: Plan,
    },
}

/// Everything the scheduler knows.
#[derive(Debug)]
pub struct Scheduler {
    cache: Cache,
    queue: Queue,
    /// Where the next pod begins to look.
    start: usize,
    /// Breaks ties, a step each pod.
    seed: u64,
    synced: Synced,
}

/// Which resources have been heard of completely. Nothing is placed before all have.
#[derive(Debug, Default)]
struct Synced {
    pods: bool,
    nodes: bool,
    namespaces: bool,
    claims: bool,
}

impl Scheduler {
    /// Knows nothing yet.
    pub fn new(seed: u64) -> Self {
        Self { cache: Cache::default(), queue: Queue::default(), start: 0, seed, synced: Synced::default() }
    }

    /// Whether everything has been heard of.
    pub fn is_synced(&self) -> bool {
        self.synced.pods && self.synced.nodes && self.synced.namespaces && self.synced.claims
    }

    /// What is known of the cluster.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Pods that wait.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// When there is something to do although nothing happens.
    pub fn next_due(&self) -> Option<Duration> {
        self.queue.next_due()
    }

    /// Learns.
    pub fn take(&mut self, event: Event, now: Duration) {
        match event {
            Event::Pod(Change::Added { new, .. }) => self.pod(None, new, now),
            Event::Pod(Change::Modified { old, new, .. }) => self.pod(Some(&old), new, now),
            Event::Pod(Change::Deleted { key, old }) => self.pod_gone(&key, old.is_on_node(), now),
            Event::Pod(Change::Synced) => self.synced.pods = true,
            Event::Node(Change::Added { new, .. } | Change::Modified { new, .. }) => self.node(new, now),
            Event::Node(Change::Deleted { old, .. }) => self.cache.remove_node(&old.name),
            Event::Node(Change::Synced) => self.synced.nodes = true,
            Event::Namespace(Change::Added { key, new } | Change::Modified { key, new, .. }) => {
                self.cache.namespaces.insert(key.name.to_string(), new.metadata.labels.clone());
                self.queue.wake_all(now, |pod| pod.constraints().affinity.is_some());
            }
            Event::Namespace(Change::Deleted { key, .. }) => {
                self.cache.namespaces.remove(&*key.name);
            }
            Event::Namespace(Change::Synced) => self.synced.namespaces = true,
            Event::Claim(Change::Added { key, .. } | Change::Modified { key, .. }) => {
                if self.cache.claims.insert(key) {
                    self.queue.wake_all(now, |pod| !pod.constraints().claims.is_empty());
                }
            }
            Event::Claim(Change::Deleted { key, .. }) => {
                self.cache.claims.remove(&key);
            }
            Event::Claim(Change::Synced) => self.synced.claims = true,
            Event::Bound { pod, refused } => self.bound(&pod, refused.is_none(), now),
        }
    }

    /// Places up to `most` pods that are ready; what is decided is assumed at once.
    pub fn run(&mut self, most: usize, now: Duration) -> Vec<Effect> {
        self.queue.advance(now);
        let mut effects = Vec::new();
        while self.is_synced() && effects.len() < most {
            let Some(pod) = self.queue.pop() else { break };
            self.seed = self.seed.wrapping_add(1);
            match decide(&pod, &self.cache, self.start, self.seed) {
                Decision::Place { node, looked_at, .. } => {
                    self.start = (self.start + looked_at) % self.cache.nodes().len().max(1);
                    self.queue.remove(&pod.key);
                    self.cache.denominate(&pod.key);
                    self.cache.assume(pod.clone(), &node);
                    effects.push(Effect::Bind { pod, node });
                }
                Decision::Refuse(refusal) => {
                    let plan = if refusal.all.is_empty() { preempt::plan(&pod, &self.cache, &refusal) } else { Err(Preemption::Helps) };
                    self.queue.refuse(&pod.key, false, now);
                    let (preemption, nominate) = match plan {
                        Ok(plan) => {
                            self.cache.nominate(&pod, &plan.node);
                            let node = plan.node.clone();
                            effects.push(Effect::Displace { pod: pod.clone(), plan });
                            (Preemption::Helps, node)
                        }
                        Err(Preemption::NotAllowed(why)) => (Preemption::NotAllowed(why), pod.nominated.clone()),
                        Err(none) => {
                            self.cache.denominate(&pod.key);
                            (none, String::new())
                        }
                    };
                    let message = explain::refusal(&refusal, &preemption);
                    let nominate = (nominate != pod.nominated).then_some(nominate);
                    effects.push(Effect::Refuse { pod, message, nominate });
                }
            }
        }
        effects
    }

    fn pod(&mut self, old: Option<&PodView>, new: Arc<PodView>, now: Duration) {
        if let Some(old) = old.filter(|old| old.uid != new.uid) {
            self.pod_gone(&new.key, old.is_on_node(), now);
        }
        if new.is_on_node() {
            let was_there = old.is_some_and(PodView::is_on_node);
            self.queue.remove(&new.key);
            self.cache.denominate(&new.key);
            self.cache.put_pod(new.clone(), &new.node);
            self.cache.confirm(&new.key);
            if !was_there || old.is_some_and(|old| old.labels != new.labels) {
                self.queue.wake_all(now, |pod| pod.constraints().affinity.is_some() || !pod.constraints().spread.is_empty());
            }
            return;
        }
        let waits = new.node.is_empty() && !new.finished && !new.deleting && new.scheduler == NAME && new.gates.is_empty();
        if !waits {
            return self.pod_gone(&new.key, old.is_some_and(PodView::is_on_node), now);
        }
        if self.cache.is_assumed(&new.key) {
            return; // its binding is under way
        }
        let changed = old.is_some_and(|old| may_help(old, &new));
        self.cache.nominate(&new, &new.nominated.clone());
        self.queue.put(new, changed, now);
    }

    fn pod_gone(&mut self, key: &Key, took_room: bool, now: Duration) {
        let took_room = took_room || self.cache.place(key).is_some();
        self.queue.remove(key);
        self.cache.denominate(key);
        self.cache.remove_pod(key);
        if took_room {
            self.queue.wake_all(now, |_| true);
        }
    }

    fn node(&mut self, new: Arc<NodeView>, now: Duration) {
        let old = self.cache.put_node(new.clone());
        let helps = old.is_none_or(|old| {
            old.labels != new.labels
                || old.taints != new.taints
                || old.allocatable != new.allocatable
                || old.max_pods != new.max_pods
                || old.unschedulable != new.unschedulable
        });
        if helps {
            self.queue.wake_all(now, |_| true);
        }
    }

    fn bound(&mut self, pod: &Arc<PodView>, succeeded: bool, now: Duration) {
        if succeeded {
            return; // the watch confirms it
        }
        if self.cache.is_assumed(&pod.key) {
            self.cache.remove_pod(&pod.key);
            self.queue.put(pod.clone(), false, now);
            self.queue.next_of(&pod.key);
            self.queue.refuse(&pod.key, true, now);
            self.queue.wake_all(now, |_| true);
        }
    }
}

/// Whether a change of a waiting pod may make it fit.
fn may_help(old: &PodView, new: &PodView) -> bool {
    old.labels != new.labels || old.tolerations.len() != new.tolerations.len() || old.requests != new.requests || old.gates != new.gates
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{asking, node};

    const NOW: Duration = Duration::from_secs(1);

    fn synced(nodes: &[&str]) -> Scheduler {
        let mut scheduler = Scheduler::new(1);
        for name in nodes {
            scheduler.take(Event::Node(Change::Added { key: Key::new("", name), new: node(name, json!({})) }), NOW);
        }
        for event in [Event::Node(Change::Synced), Event::Namespace(Change::Synced), Event::Claim(Change::Synced), Event::Pod(Change::Synced)] {
            scheduler.take(event, NOW);
        }
        scheduler
    }

    fn arrives(scheduler: &mut Scheduler, pod: &Arc<PodView>) {
        scheduler.take(Event::Pod(Change::Added { key: pod.key.clone(), new: pod.clone() }), NOW);
    }

    #[test]
    fn nothing_is_placed_before_everything_is_known() {
        let mut scheduler = Scheduler::new(1);
        scheduler.take(Event::Node(Change::Added { key: Key::new("", "a"), new: node("a", json!({})) }), NOW);
        arrives(&mut scheduler, &asking("p", "1"));
        assert!(scheduler.run(10, NOW).is_empty());
    }

    #[test]
    fn what_is_decided_is_assumed_at_once() {
        let mut scheduler = synced(&["a"]);
        arrives(&mut scheduler, &asking("p", "3"));
        arrives(&mut scheduler, &asking("q", "3"));
        let effects = scheduler.run(10, NOW);
        assert!(matches!(&effects[..], [Effect::Bind { node, .. }, Effect::Refuse { .. }] if node == "a"), "{effects:?}");
    }

    #[test]
    fn a_refused_binding_is_tried_again() {
        let mut scheduler = synced(&["a"]);
        let pod = asking("p", "3");
        arrives(&mut scheduler, &pod);
        scheduler.run(10, NOW);
        scheduler.take(Event::Bound { pod: pod.clone(), refused: Some("conflict".into()) }, NOW);
        assert!(scheduler.run(10, NOW).is_empty(), "not before its back-off");
        assert!(matches!(scheduler.run(10, NOW + Duration::from_secs(2))[..], [Effect::Bind { .. }]));
    }

    #[test]
    fn a_pod_that_goes_makes_room() {
        let mut scheduler = synced(&["a"]);
        let first = Arc::new(PodView { node: "a".into(), ..(*asking("p", "3")).clone() });
        arrives(&mut scheduler, &first);
        arrives(&mut scheduler, &asking("q", "3"));
        assert!(matches!(scheduler.run(10, NOW)[..], [Effect::Refuse { .. }]));
        scheduler.take(Event::Pod(Change::Deleted { key: first.key.clone(), old: first }), NOW + Duration::from_secs(5));
        assert!(matches!(scheduler.run(10, NOW + Duration::from_secs(5))[..], [Effect::Bind { .. }]));
    }

    #[test]
    fn pods_of_others_and_gated_pods_are_left_alone() {
        let mut scheduler = synced(&["a"]);
        arrives(&mut scheduler, &Arc::new(PodView { scheduler: "mine".into(), ..(*asking("p", "1")).clone() }));
        arrives(&mut scheduler, &Arc::new(PodView { gates: vec!["wait".into()], ..(*asking("q", "1")).clone() }));
        assert!(scheduler.run(10, NOW).is_empty() && scheduler.queue().is_empty());
    }

    #[test]
    fn an_important_pod_displaces_and_its_room_is_kept_for_it() {
        let mut scheduler = synced(&["a"]);
        arrives(&mut scheduler, &Arc::new(PodView { node: "a".into(), ..(*asking("victim", "3")).clone() }));
        arrives(&mut scheduler, &Arc::new(PodView { priority: 10, ..(*asking("vip", "4")).clone() }));
        let effects = scheduler.run(10, NOW);
        assert!(matches!(&effects[..], [Effect::Displace { plan, .. }, Effect::Refuse { nominate: Some(node), .. }] if plan.victims.len() == 1 && node == "a"));
        arrives(&mut scheduler, &asking("small", "500m"));
        let effects = scheduler.run(10, NOW);
        assert!(matches!(&effects[..], [Effect::Refuse { .. }]), "{effects:?}");
    }
}
