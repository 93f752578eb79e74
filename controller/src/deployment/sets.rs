//! A Deployment's ReplicaSets while a plan is being made: each as the cache has it, and as the plan leaves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::template;
use crate::view::replicas::ReplicasStatus;
use crate::view::{Deployment, Object, Replicas};

/// The number of the template, counted from 1: what `kubectl rollout undo --to-revision` means.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Numbers that the same template had before.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// `spec.replicas` of the Deployment when it last scaled the set.
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// That, and the surge that was allowed.
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of the Deployment that are not its ReplicaSets'.
const NOT_COPIED: [&str; 6] =
    [crate::view::meta::LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS, "deprecated.deployment.rollback.to"];
/// Longest revision history: `maxRevHistoryLengthInChars`.
const HISTORY_LIMIT: usize = 2000;

/// One ReplicaSet, cached or about to be made.
#[derive(Clone, Debug)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// As the cache has it; absent while it is only planned.
    pub cached: Option<Arc<Replicas>>,
    /// `spec.replicas`, as planned.
    pub replicas: i32,
    /// `spec.minReadySeconds`, as planned.
    pub min_ready_seconds: i32,
    /// Its annotations, as planned.
    pub annotations: BTreeMap<String, String>,
    /// Its status, which no plan changes.
    pub status: ReplicasStatus,
    /// Each change of `replicas`, for the events.
    pub scalings: Vec<(i32, i32)>,
}

impl Set {
    /// A set of the cache.
    pub fn cached(set: &Arc<Replicas>) -> Self {
        Self {
            name: set.metadata.name.clone(),
            replicas: set.spec.replicas,
            min_ready_seconds: set.spec.min_ready_seconds,
            annotations: set.metadata.annotations.to_map(),
            status: set.status.clone(),
            scalings: Vec::new(),
            cached: Some(Arc::clone(set)),
        }
    }

    /// A set to be made for the Deployment.
    pub fn planned(name: String, deployment: &Deployment) -> Self {
        Self {
            name,
            cached: None,
            replicas: 0,
            min_ready_seconds: deployment.spec.min_ready_seconds,
            annotations: BTreeMap::new(),
            status: ReplicasStatus::default(),
            scalings: Vec::new(),
        }
    }

    /// Whether it should have pods.
    pub fn is_active(&self) -> bool {
        self.replicas > 0
    }

    /// Whether its template is this one.
    pub fn has_template(&self, wanted: &Value) -> bool {
        self.cached.as_ref().is_some_and(|set| template::same(&template::parse(&set.spec.template), wanted))
    }

    /// Its revision; 0 where it has none or an unreadable one.
    pub fn revision(&self) -> i64 {
        self.annotations.get(REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0)
    }

    /// When it was made, then its name: `ReplicaSetsByCreationTimestamp`.
    pub fn age_order(&self) -> (i64, &str) {
        (self.cached.as_ref().map_or(i64::MAX, |set| set.meta().created()), &self.name)
    }

    /// A count kept in an annotation.
    fn count(&self, annotation: &str) -> Option<i32> {
        self.annotations.get(annotation)?.parse().ok().filter(|count| *count >= 0)
    }

    /// What the Deployment wanted when it last scaled the set.
    pub fn desired(&self) -> Option<i32> {
        self.count(DESIRED_REPLICAS)
    }

    /// The most it allowed when it last scaled the set.
    pub fn max(&self) -> Option<i32> {
        self.count(MAX_REPLICAS)
    }

    /// `scaleReplicaSet`: another size, and what it is a share of.
    pub fn scale(&mut self, replicas: i32, desired: i32, max: i32) -> bool {
        let changes = self.replicas != replicas;
        if changes {
            self.scalings.push((self.replicas, replicas));
            self.replicas = replicas;
        }
        self.note_sizes(desired, max);
        changes
    }

    /// `SetReplicasAnnotations`.
    pub fn note_sizes(&mut self, desired: i32, max: i32) {
        self.annotations.insert(DESIRED_REPLICAS.to_owned(), desired.to_string());
        self.annotations.insert(MAX_REPLICAS.to_owned(), max.to_string());
    }

    /// `SetNewReplicaSetAnnotations`, but for the sizes: the Deployment's annotations, and the revision if it is higher than the set's.
    pub fn annotate(&mut self, deployment: &Deployment, revision: i64) {
        for (key, value) in deployment.metadata.annotations.iter().filter(|(key, _)| !NOT_COPIED.contains(key)) {
            self.annotations.insert(key.to_owned(), value.to_owned());
        }
        let before = self.annotations.get(REVISION).cloned();
        let number = match before.as_deref() {
            None | Some("") => 0,
            // A revision that is no number is somebody's mistake; it is left to them.
            Some(text) => match text.parse::<i64>() {
                Ok(number) => number,
                Err(_) => return,
            },
        };
        if number < revision {
            self.annotations.insert(REVISION.to_owned(), revision.to_string());
            if let Some(before) = before {
                self.remember_revision(&before);
            }
        }
    }

    /// Appends a revision to the history, dropping the oldest to make room.
    fn remember_revision(&mut self, revision: &str) {
        let history = self.annotations.get(REVISION_HISTORY).cloned().unwrap_or_default();
        let mut all: Vec<&str> = history.split(',').filter(|one| !one.is_empty()).collect();
        all.push(revision);
        while all.len() > 1 && all.join(",").len() > HISTORY_LIMIT {
            all.remove(0);
        }
        self.annotations.insert(REVISION_HISTORY.to_owned(), all.join(","));
    }

    /// The merge patch from the cached to the planned state, or nothing. Its resourceVersion is the precondition.
    pub fn patch(&self) -> Option<Value> {
        let cached = self.cached.as_ref()?;
        let before = cached.metadata.annotations.to_map();
        let changed: BTreeMap<_, _> = self.annotations.iter().filter(|(key, value)| before.get(*key) != Some(*value)).collect();
        let mut spec = serde_json::Map::new();
        if cached.spec.replicas != self.replicas {
            spec.insert("replicas".to_owned(), self.replicas.into());
        }
        if cached.spec.min_ready_seconds != self.min_ready_seconds {
            spec.insert("minReadySeconds".to_owned(), self.min_ready_seconds.into());
        }
        if changed.is_empty() && spec.is_empty() {
            return None;
        }
        let mut patch = json!({ "metadata": { "resourceVersion": cached.metadata.resource_version, "uid": cached.metadata.uid } });
        if !changed.is_empty() {
            patch["metadata"]["annotations"] = json!(changed);
        }
        if !spec.is_empty() {
            patch["spec"] = Value::Object(spec);
        }
        Some(patch)
    }
}
