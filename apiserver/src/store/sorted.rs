//! A sorted map of one resource's objects that can be copied for the price of a reference count.
//!
//! A sorted array of shared runs of at most `RUN` versions. A reader clones the array's `Arc` under the lock and walks it at leisure; a
//! writer that finds a run shared copies that run only. So listing 150,000 pods never makes the writer wait.

use std::cmp::Ordering;
use std::sync::Arc;

use super::version::Version;

/// The most versions of one run. Small enough to copy in a microsecond.
const RUN: usize = 128;

/// Runs that together have fewer than this are joined.
const JOIN: usize = RUN / 2;

/// Objects of one resource, ordered by namespace, then name.
#[derive(Clone, Default)]
pub struct Sorted {
    runs: Arc<Vec<Arc<Vec<Arc<Version>>>>>,
    len: usize,
}

/// A key within a resource: namespace and name.
pub type Name<'a> = (&'a str, &'a str);

fn name(version: &Version) -> Name<'_> {
    (&version.key.namespace, &version.key.name)
}

impl Sorted {
    /// How many objects.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The object of that name.
    pub fn get(&self, wanted: Name<'_>) -> Option<&Arc<Version>> {
        let run = self.runs.get(self.run_of(wanted))?;
        let at = run.binary_search_by(|version| name(version).cmp(&wanted)).ok()?;
        run.get(at)
    }

    /// Adds or replaces; returns what was there.
    pub fn insert(&mut self, version: Arc<Version>) -> Option<Arc<Version>> {
        let at = self.run_of(name(&version)).min(self.runs.len().saturating_sub(1));
        let runs = Arc::make_mut(&mut self.runs);
        let last = at + 1 == runs.len();
        let Some(run) = runs.get_mut(at) else {
            runs.push(Arc::new(vec![version]));
            self.len += 1;
            return None;
        };
        let place = match run.binary_search_by(|other| name(other).cmp(&name(&version))) {
            Ok(place) => return Some(std::mem::replace(&mut Arc::make_mut(run)[place], version)),
            Err(place) => place,
        };
        self.len += 1;
        if run.len() < RUN {
            Arc::make_mut(run).insert(place, version);
        } else if place == RUN && last {
            // Names that ascend, as generated ones and start-up's often do, fill runs instead of halving them.
            runs.push(Arc::new(vec![version]));
        } else {
            let mut left = Arc::unwrap_or_clone(std::mem::take(run));
            let mut right = left.split_off(RUN / 2);
            if place <= left.len() {
                left.insert(place, version)
            } else {
                right.insert(place - left.len(), version)
            }
            runs[at] = Arc::new(left);
            runs.insert(at + 1, Arc::new(right));
        }
        None
    }

    /// Removes; returns what was there.
    pub fn remove(&mut self, wanted: Name<'_>) -> Option<Arc<Version>> {
        let at = self.run_of(wanted);
        let place = self.runs.get(at)?.binary_search_by(|version| name(version).cmp(&wanted)).ok()?;
        let runs = Arc::make_mut(&mut self.runs);
        let removed = Arc::make_mut(&mut runs[at]).remove(place);
        self.len -= 1;
        if runs[at].is_empty() {
            runs.remove(at);
        } else if let Some(next) = runs.get(at + 1).filter(|next| runs[at].len() + next.len() < JOIN).cloned() {
            Arc::make_mut(&mut runs[at]).extend(next.iter().cloned());
            runs.remove(at + 1);
        }
        Some(removed)
    }

    /// Everything from the first that is not before `bound`, in order. `bound` compares a key with the place to start at: `Less` is before.
    pub fn from(&self, bound: impl Fn(Name<'_>) -> Ordering) -> impl Iterator<Item = &Arc<Version>> {
        let before = |version: &Arc<Version>| bound(name(version)) == Ordering::Less;
        let first = self.runs.partition_point(|run| run.last().is_some_and(before));
        let skip = self.runs.get(first).map_or(0, |run| run.partition_point(before));
        self.runs[first..].iter().flat_map(|run| run.iter()).skip(skip)
    }

    /// How many are before `bound`.
    pub fn count_before(&self, bound: impl Fn(Name<'_>) -> Ordering) -> usize {
        let before = |version: &Arc<Version>| bound(name(version)) == Ordering::Less;
        let first = self.runs.partition_point(|run| run.last().is_some_and(before));
        let whole: usize = self.runs[..first].iter().map(|run| run.len()).sum();
        whole + self.runs.get(first).map_or(0, |run| run.partition_point(before))
    }

    /// The run that `wanted` is in or would be put into; one past the end if it is after everything.
    fn run_of(&self, wanted: Name<'_>) -> usize {
        self.runs.partition_point(|run| run.last().is_some_and(|last| name(last) < wanted))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::types::{Attributes, Describe, Key};
    use super::*;

    struct Nothing;
    impl Describe for Nothing {
        fn attributes(&self, _: &str, _: &[u8]) -> Attributes {
            Attributes::default()
        }
    }

    fn version(number: u16, revision: u64) -> Arc<Version> {
        let key = Key::new("pods", &format!("n{}", number % 3), &format!("p{number}"));
        Arc::new(Version::new(key, revision, Bytes::new(), Arc::new(Nothing)))
    }

    proptest! {
        /// It is a `BTreeMap` whose copies never change.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0_u16..700), 0..2000)) {
            let mut sorted = Sorted::default();
            let mut model: BTreeMap<(String, String), u64> = BTreeMap::new();
            let mut copies = Vec::new();
            for (revision, (put, number)) in (1_u64..).zip(steps) {
                let version = version(number, revision);
                let key = (version.key.namespace.to_string(), version.key.name.to_string());
                let (was, expected) = if put {
                    (sorted.insert(version), model.insert(key, revision))
                } else {
                    (sorted.remove((&key.0, &key.1)), model.remove(&key))
                };
                prop_assert_eq!(was.map(|version| version.revision), expected);
                if revision % 300 == 0 {
                    copies.push((sorted.clone(), model.clone()));
                }
            }
            copies.push((sorted, model));
            for (sorted, model) in copies {
                let all: Vec<u64> = sorted.from(|_| Ordering::Greater).map(|version| version.revision).collect();
                let expected: Vec<u64> = model.values().copied().collect();
                prop_assert_eq!(sorted.len(), expected.len());
                prop_assert_eq!(all, expected);
                for ((namespace, name), revision) in &model {
                    prop_assert_eq!(sorted.get((namespace, name)).map(|version| version.revision), Some(*revision));
                }
                let tail = sorted.from(|key| key.cmp(&("n1", "p4"))).count();
                let expected = model.range(("n1".to_owned(), "p4".to_owned())..).count();
                prop_assert_eq!(tail, expected);
                prop_assert_eq!(sorted.count_before(|key| key.cmp(&("n1", "p4"))), model.len() - expected);
            }
        }
    }
}
