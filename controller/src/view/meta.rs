//! `metadata`, as reconcilers need it: names, owners, labels; no managed fields, no last-applied configuration.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// The annotation in which `kubectl apply` keeps a whole copy of the object: no plan reads it, so no cache keeps it.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `metav1.ObjectMeta`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Unique in its namespace for its kind.
    pub name: String,
    /// Empty for cluster-wide objects.
    pub namespace: String,
    /// Unique for ever.
    pub uid: String,
    /// The revision of this state.
    pub resource_version: String,
    /// Counts changes of the spec.
    pub generation: i64,
    /// Labels, sorted.
    pub labels: Labels,
    /// Annotations without [`LAST_APPLIED`].
    #[serde(deserialize_with = "without_last_applied")]
    pub annotations: Labels,
    /// Who this object lives for.
    pub owner_references: Vec<Owner>,
    /// What has to be done before it may go.
    pub finalizers: Vec<String>,
    /// When it was made.
    pub creation_timestamp: Option<Timestamp>,
    /// When it was asked to go.
    pub deletion_timestamp: Option<Timestamp>,
}

impl Meta {
    /// Whether somebody asked for the object's deletion.
    pub fn is_deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// The owner that manages the object: `metav1.GetControllerOf`.
    pub fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Whether `uid` manages the object.
    pub fn is_controlled_by(&self, uid: &str) -> bool {
        self.controller().is_some_and(|owner| owner.uid == uid)
    }

    /// When it was made, in seconds; objects without a time sort first.
    pub fn created(&self) -> i64 {
        self.creation_timestamp.map_or(0, |time| time.as_second())
    }

    /// The revision as a number; 0 where there is none.
    pub fn revision(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }
}

/// `metav1.OwnerReference`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// `apps/v1`.
    pub api_version: String,
    /// `ReplicaSet`.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid: a namesake made later is another object.
    pub uid: String,
    /// Whether it manages the object; at most one does.
    pub controller: bool,
    /// Whether its foreground deletion waits for the object.
    pub block_owner_deletion: bool,
}

/// A sorted string map in two words: labels of 150,000 pods add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(have, _)| have.as_ref().cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// Every pair, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy that can be changed.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self(map.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Labels {
    fn from(pairs: [(&str, &str); N]) -> Self {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>().into()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map: Option<BTreeMap<Box<str>, Box<str>>> = Deserialize::deserialize(deserializer)?;
        Ok(Self(map.unwrap_or_default().into_iter().collect()))
    }
}

/// Reads `null` as nothing: lists that Go does not omit when they are empty are written so.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn without_last_applied<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    let map: Option<BTreeMap<Box<str>, Box<str>>> = Deserialize::deserialize(deserializer)?;
    Ok(Labels(map.unwrap_or_default().into_iter().filter(|(key, _)| key.as_ref() != LAST_APPLIED).collect()))
}

/// How Kubernetes writes a `metav1.Time`: whole seconds, UTC.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
