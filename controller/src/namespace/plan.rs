//! What a namespace's deletion says of itself. See `pkg/controller/namespace/deletion/status_condition_utils.go`.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::replicaset::status::condition_json;
use crate::view::Namespace;
use crate::view::replicas::Condition;

/// The finalizer that content is deleted under: `corev1.FinalizerKubernetes`.
pub const FINALIZER: &str = "kubernetes";

/// What one sweep found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sweep {
    /// How many objects of each resource remain.
    pub remaining: BTreeMap<&'static str, usize>,
    /// How many remaining objects each finalizer holds.
    pub finalizers: BTreeMap<String, usize>,
    /// What could not be deleted, and why.
    pub errors: Vec<String>,
    /// How many seconds what remains may take.
    pub estimate: i64,
}

impl Sweep {
    /// Whether the namespace is empty.
    pub fn is_clean(&self) -> bool {
        self.remaining.is_empty() && self.errors.is_empty()
    }

    /// Takes in what remains of one kind.
    pub fn remains<'a>(&mut self, kind: &Kind, finalizers: impl Iterator<Item = &'a [String]>) {
        let mut count = 0;
        for of_object in finalizers {
            count += 1;
            for finalizer in of_object {
                *self.finalizers.entry(finalizer.clone()).or_default() += 1;
            }
        }
        if count > 0 {
            self.remaining.insert(kind.resource, count);
        }
    }
}

/// The five conditions, each with what it says when all is well.
const CONDITIONS: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    ("NamespaceDeletionContentFailure", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

/// The conditions after a sweep.
pub fn conditions(namespace: &Namespace, sweep: &Sweep, now: Timestamp) -> Vec<Condition> {
    let mut conditions = namespace.status.conditions.clone();
    for (kind, reason, message) in CONDITIONS {
        let (status, reason, message) = match failure(kind, sweep) {
            Some((reason, message)) => ("True", reason, message),
            None => ("False", reason, message.to_owned()),
        };
        let condition = Condition { kind: kind.to_owned(), status: status.to_owned(), last_transition_time: Some(now), reason: reason.to_owned(), message };
        match conditions.iter_mut().find(|existing| existing.kind == kind) {
            None => conditions.push(condition),
            Some(existing) => {
                let since = if existing.status == condition.status { existing.last_transition_time } else { Some(now) };
                *existing = Condition { last_transition_time: since, ..condition };
            }
        }
    }
    conditions
}

/// Reason and message, where the sweep gives this condition cause.
fn failure(kind: &str, sweep: &Sweep) -> Option<(&'static str, String)> {
    match kind {
        "NamespaceDeletionContentFailure" if !sweep.errors.is_empty() => {
            let mut errors = sweep.errors.clone();
            errors.sort();
            Some(("ContentDeletionFailed", format!("Failed to delete all resource types, {} remaining: {}", errors.len(), errors.join(", "))))
        }
        "NamespaceContentRemaining" if !sweep.remaining.is_empty() => {
            // A core resource is written with its empty group: `pods.`.
            let dotted = |resource: &str| if resource.contains('.') { resource.to_owned() } else { format!("{resource}.") };
            let each = sweep.remaining.iter().map(|(resource, count)| format!("{} has {count} resource instances", dotted(resource)));
            Some(("SomeResourcesRemain", format!("Some resources are remaining: {}", each.collect::<Vec<_>>().join(", "))))
        }
        "NamespaceFinalizersRemaining" if !sweep.finalizers.is_empty() => {
            let each = sweep.finalizers.iter().map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"));
            Some(("SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {}", each.collect::<Vec<_>>().join(", "))))
        }
        _ => None,
    }
}

/// The merge patch of the status after a sweep, or nothing where it says so already.
pub fn status_patch(namespace: &Namespace, conditions: &[Condition]) -> Option<Value> {
    if namespace.status.conditions == conditions && namespace.status.phase == "Terminating" {
        return None;
    }
    Some(json!({
        "metadata": { "uid": namespace.metadata.uid },
        "status": { "phase": "Terminating", "conditions": conditions.iter().map(condition_json).collect::<Value>() },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    #[test]
    fn says_what_remains() {
        let mut sweep = Sweep::default();
        let finalizers = [vec!["a.io/b".to_owned()], vec![]];
        sweep.remains(kinds::find("v1", "Pod").unwrap(), finalizers.iter().map(Vec::as_slice));
        let conditions = conditions(&Namespace::default(), &sweep, Timestamp::UNIX_EPOCH);
        let said: Vec<_> = conditions.iter().map(|condition| (condition.status.as_str(), condition.message.as_str())).collect();
        assert_eq!(
            said,
            [
                ("False", "All resources successfully discovered"),
                ("False", "All legacy kube types successfully parsed"),
                ("False", "All content successfully deleted, may be waiting on finalization"),
                ("True", "Some resources are remaining: pods. has 2 resource instances"),
                ("True", "Some content in the namespace has finalizers remaining: a.io/b in 1 resource instances"),
            ]
        );
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let later = Timestamp::UNIX_EPOCH + k8s_openapi::jiff::SignedDuration::from_secs(5);
        let mut namespace = Namespace::default();
        namespace.status.conditions = conditions(&namespace, &Sweep::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(conditions(&namespace, &Sweep::default(), later), namespace.status.conditions);
        let failed = Sweep { errors: vec!["no".to_owned()], ..Sweep::default() };
        assert_eq!(conditions(&namespace, &failed, later)[2].last_transition_time, Some(later));
    }
}
