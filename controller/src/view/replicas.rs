//! ReplicaSets and ReplicationControllers: two spellings of "this many pods of this template".

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::meta::{Labels, Meta};
use super::selector::LabelSelector;

/// A ReplicaSet or a ReplicationController.
#[derive(Clone, Debug, Deserialize)]
pub struct Replicas {
    /// Name, labels, owners.
    pub metadata: Meta,
    /// How many of what.
    pub spec: ReplicasSpec,
    /// How many there were.
    #[serde(default)]
    pub status: ReplicasStatus,
}

/// `apps/v1.ReplicaSetSpec`, `core/v1.ReplicationControllerSpec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicasSpec {
    /// How many pods there should be.
    #[serde(default = "one")]
    pub replicas: i32,
    /// How long a pod must be ready before it counts as available.
    #[serde(default)]
    pub min_ready_seconds: i32,
    /// Whose pods; a ReplicationController's plain map becomes `matchLabels`.
    #[serde(default, deserialize_with = "either_selector")]
    pub selector: LabelSelector,
    /// What each pod is made of, unparsed: read only when one is made or compared.
    pub template: Template,
}

/// A pod template: its JSON, and the labels that are read often.
#[derive(Clone, Debug)]
pub struct Template {
    /// The template as it was written.
    pub json: Box<RawValue>,
    /// `metadata.labels` of it.
    pub labels: Labels,
}

/// `apps/v1.ReplicaSetStatus`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicasStatus {
    /// Active pods.
    pub replicas: i32,
    /// Active pods that have every label of the template.
    pub fully_labeled_replicas: i32,
    /// Active pods that are ready.
    pub ready_replicas: i32,
    /// Active pods that have been ready for `minReadySeconds`.
    pub available_replicas: i32,
    /// Pods on their way out; ReplicationControllers do not say.
    pub terminating_replicas: Option<i32>,
    /// The generation that these numbers are about.
    pub observed_generation: i64,
    /// `ReplicaFailure`, where pods cannot be made or deleted.
    pub conditions: Vec<Condition>,
}

/// `apps/v1.ReplicaSetCondition`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// `ReplicaFailure`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// When `status` changed.
    pub last_transition_time: Option<Timestamp>,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Labelled {
            metadata: Inner,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Inner {
            labels: Labels,
        }
        let json: Box<RawValue> = Deserialize::deserialize(deserializer)?;
        let labelled: Labelled = serde_json::from_str(json.get()).map_err(serde::de::Error::custom)?;
        Ok(Self { json, labels: labelled.metadata.labels })
    }
}

fn either_selector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LabelSelector, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Plain(Labels),
        Full(LabelSelector),
    }
    // A plain map holds only strings and a selector only a map and a list, so that which it is cannot be mistaken.
    Ok(match Option::<Either>::deserialize(deserializer)? {
        None => LabelSelector::default(),
        Some(Either::Plain(labels)) => LabelSelector::of(labels),
        Some(Either::Full(selector)) => selector,
    })
}

fn one() -> i32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_spellings() {
        for selector in [r#"{"app":"a"}"#, r#"{"matchLabels":{"app":"a"}}"#] {
            let json = format!(
                r#"{{"metadata":{{"name":"x"}},"spec":{{"replicas":2,"selector":{selector},"template":{{"metadata":{{"labels":{{"app":"a"}}}},"spec":{{}}}}}}}}"#
            );
            let read: Replicas = serde_json::from_slice(json.as_bytes()).unwrap();
            assert_eq!(read.spec.selector, LabelSelector::of([("app", "a")].into()));
            assert_eq!(read.spec.template.labels.get("app"), Some("a"));
        }
    }
}
