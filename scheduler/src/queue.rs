//! Pods that wait to be placed: ready ones by priority and age, refused ones in back-off or until something changes that may help.
//! A value with time passed in (durations since the scheduler's start). Mirrors `pkg/scheduler/backend/queue`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use skiff_client::backoff::Backoff;
use skiff_client::informer::Key;

use crate::view::PodView;

/// How long a refused pod waits at least, by the number of attempts.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(10) };
/// How long a refused pod waits at most, whatever happens (`DefaultPodMaxInUnschedulablePodsDuration`).
const LONGEST: Duration = Duration::from_secs(300);

/// Where a waiting pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// To be placed next.
    Ready,
    /// Refused; something may have changed since, but it has to wait until then.
    BackingOff(Duration),
    /// Refused; waits for a change, or until then.
    Refused(Duration),
}

#[derive(Clone, Debug)]
struct Waiting {
    pod: Arc<PodView>,
    place: Place,
    /// Order of arrival, which decides between equally important pods.
    arrival: u64,
    attempts: u32,
    /// When it was last refused.
    refused: Duration,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    pods: BTreeMap<Key, Waiting>,
    ready: BTreeSet<(Reverse<i32>, u64, Key)>,
    timed: BTreeSet<(Duration, Key)>,
    arrivals: u64,
}

impl Queue {
    /// A pod waits, or changed while it waits; `changed`: in a way that may help it.
    pub fn put(&mut self, pod: Arc<PodView>, changed: bool, now: Duration) {
        let key = pod.key.clone();
        if let Some(waiting) = self.pods.get_mut(&key) {
            if waiting.pod.uid == pod.uid {
                let old_priority = std::mem::replace(&mut waiting.pod, pod).priority;
                let arrival = waiting.arrival;
                if waiting.place == Place::Ready && self.ready.remove(&(Reverse(old_priority), arrival, key.clone())) {
                    self.ready.insert((Reverse(waiting.pod.priority), arrival, key));
                } else if changed {
                    self.wake(&key, now);
                }
                return;
            }
            self.remove(&key);
        }
        self.arrivals += 1;
        self.ready.insert((Reverse(pod.priority), self.arrivals, key.clone()));
        self.pods.insert(key, Waiting { pod, place: Place::Ready, arrival: self.arrivals, attempts: 0, refused: Duration::ZERO });
    }

    /// A pod waits no more.
    pub fn remove(&mut self, key: &Key) {
        if let Some(waiting) = self.pods.remove(key) {
            self.leave(key, &waiting);
        }
    }

    /// The next pod to place. It stays here until it is [removed](Queue::remove) or [refused](Queue::refuse).
    pub fn pop(&mut self) -> Option<Arc<PodView>> {
        let (_, _, key) = self.ready.pop_first()?;
        let waiting = self.pods.get_mut(&key)?;
        waiting.attempts += 1;
        Some(waiting.pod.clone())
    }

    /// Takes one pod as [`Queue::pop`] would.
    pub fn next_of(&mut self, key: &Key) {
        if let Some(waiting) = self.pods.get_mut(key) {
            self.ready.remove(&(Reverse(waiting.pod.priority), waiting.arrival, key.clone()));
            waiting.attempts += 1;
        }
    }

    /// A pod was refused; `again`: it is to be tried again after its back-off, whatever happens.
    pub fn refuse(&mut self, key: &Key, again: bool, now: Duration) {
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.refused = now;
            let due = now + if again { BACKOFF.delay(waiting.attempts) } else { LONGEST };
            waiting.place = if again { Place::BackingOff(due) } else { Place::Refused(due) };
            self.timed.insert((due, key.clone()));
        }
    }

    /// Something changed that may help refused pods that `may_help` names.
    pub fn wake_all(&mut self, now: Duration, may_help: impl Fn(&PodView) -> bool) {
        let refused = self.pods.iter().filter(|(_, waiting)| matches!(waiting.place, Place::Refused(_)) && may_help(&waiting.pod));
        let keys: Vec<Key> = refused.map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.wake(key, now));
    }

    /// Moves what is due at `now` on.
    pub fn advance(&mut self, now: Duration) {
        while let Some((due, key)) = self.timed.first().cloned() {
            if due > now {
                return;
            }
            self.timed.remove(&(due, key.clone()));
            self.make_ready(&key);
        }
    }

    /// When [`Queue::advance`] has something to do next.
    pub fn next_due(&self) -> Option<Duration> {
        self.timed.first().map(|(due, _)| *due)
    }

    /// How many pods are to be placed next.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// How many pods wait at all.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether no pod waits.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// A waiting pod.
    pub fn get(&self, key: &Key) -> Option<&Arc<PodView>> {
        self.pods.get(key).map(|waiting| &waiting.pod)
    }

    fn wake(&mut self, key: &Key, now: Duration) {
        let Some(waiting) = self.pods.get_mut(key) else { return };
        let Place::Refused(until) = waiting.place else { return };
        self.timed.remove(&(until, key.clone()));
        let due = waiting.refused + BACKOFF.delay(waiting.attempts);
        if due > now {
            waiting.place = Place::BackingOff(due);
            self.timed.insert((due, key.clone()));
        } else {
            self.make_ready(key);
        }
    }

    fn make_ready(&mut self, key: &Key) {
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.place = Place::Ready;
            self.ready.insert((Reverse(waiting.pod.priority), waiting.arrival, key.clone()));
        }
    }

    fn leave(&mut self, key: &Key, waiting: &Waiting) {
        match waiting.place {
            Place::Ready => {
                self.ready.remove(&(Reverse(waiting.pod.priority), waiting.arrival, key.clone()));
            }
            Place::BackingOff(due) | Place::Refused(due) => {
                self.timed.remove(&(due, key.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::pod;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn with_priority(name: &str, priority: i32) -> Arc<PodView> {
        Arc::new(PodView { priority, ..(*pod(name, json!({}))).clone() })
    }

    fn next(queue: &mut Queue) -> Option<String> {
        queue.pop().map(|pod| pod.key.name.to_string())
    }

    #[test]
    fn the_important_first_then_the_old() {
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 5), ("c", 0), ("d", 5)] {
            queue.put(with_priority(name, priority), false, at(0));
        }
        let order: Vec<String> = std::iter::from_fn(|| next(&mut queue)).collect();
        assert_eq!(order, ["b", "d", "a", "c"]);
    }

    #[test]
    fn a_refused_pod_waits_for_a_change_and_its_back_off() {
        let mut queue = Queue::default();
        queue.put(with_priority("a", 0), false, at(0));
        let key = queue.pop().unwrap().key.clone();
        queue.refuse(&key, false, at(0));
        queue.advance(at(200));
        assert_eq!(next(&mut queue), None, "nothing changed");
        queue.wake_all(at(200), |_| true);
        assert_eq!(next(&mut queue), Some("a".to_owned()), "its back-off of one second is long over");
        queue.refuse(&key, false, at(200));
        queue.wake_all(at(201), |_| true);
        assert_eq!((next(&mut queue), queue.next_due()), (None, Some(at(202))), "two seconds after the second attempt");
        queue.advance(at(202));
        assert_eq!(next(&mut queue), Some("a".to_owned()));
        queue.refuse(&key, false, at(202));
        queue.advance(at(502));
        assert_eq!(next(&mut queue), Some("a".to_owned()), "tried again after five minutes");
    }

    #[test]
    fn a_new_pod_of_an_old_name_starts_over() {
        let mut queue = Queue::default();
        queue.put(with_priority("a", 0), false, at(0));
        let key = queue.pop().unwrap().key.clone();
        queue.refuse(&key, false, at(0));
        queue.put(Arc::new(PodView { uid: "new".into(), ..(*with_priority("a", 0)).clone() }), false, at(0));
        assert_eq!(queue.pop().unwrap().uid, "new");
        queue.remove(&key);
        assert!(queue.is_empty() && queue.next_due().is_none());
    }
}
