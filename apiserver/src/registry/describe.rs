//! What selectors read of a stored object: its labels, and the fields its kind lets field selectors name.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::Resources;
use super::strategy::Strategy;
use crate::store::{Attributes, Describe};

/// Reads attributes by the rules of the built-in kinds; of kinds that it does not know (custom resources), labels only.
pub struct Describer {
    strategies: HashMap<String, Arc<dyn Strategy>>,
}

impl Describer {
    /// For these resources.
    pub fn new(resources: &Resources) -> Self {
        let mut strategies = HashMap::new();
        for one in resources.all().iter().filter(|one| !one.strategy.selectable_fields().is_empty()) {
            strategies.entry(one.storage_key()).or_insert_with(|| one.strategy.clone());
        }
        Self { strategies }
    }
}

/// Just the labels: the rest of the object is skipped without being kept.
#[derive(Deserialize)]
struct Labelled<'a> {
    #[serde(borrow, default)]
    metadata: Labels<'a>,
}

#[derive(Default, Deserialize)]
struct Labels<'a> {
    #[serde(borrow, default)]
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

impl Describe for Describer {
    fn attributes(&self, resource: &str, json: &[u8]) -> Attributes {
        let Some(strategy) = self.strategies.get(resource) else {
            // What the store holds was written by the registry: it parses. If a disk lied, an object without labels is the least harm.
            let labels = serde_json::from_slice::<Labelled<'_>>(json).map(|object| object.metadata.labels).unwrap_or_default();
            let labels = labels.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
            return Attributes { labels, fields: BTreeMap::new() };
        };
        let object: Value = serde_json::from_slice(json).unwrap_or_default(); // as above
        let fields = strategy.selectable_fields().iter().map(|path| (*path, strategy.field(&object, path))).collect();
        Attributes { labels: super::meta::labels_of(&object), fields }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_fields_are_read() {
        let describer = Describer::new(&Resources::builtin());
        let map = describer.attributes("configmaps", br#"{"metadata":{"name":"a","labels":{"x":"y\"z"}},"data":{"labels":"no"}}"#);
        assert_eq!(map.labels, [("x".to_owned(), "y\"z".to_owned())].into());
        let pod = describer.attributes("pods", br#"{"metadata":{"labels":{"x":"y"}},"spec":{"nodeName":"n1"},"status":{"phase":"Running"}}"#);
        assert_eq!(pod.labels, [("x".to_owned(), "y".to_owned())].into());
        if !pod.fields.is_empty() {
            assert_eq!((pod.fields["spec.nodeName"].as_str(), pod.fields["status.phase"].as_str()), ("n1", "Running"));
        }
    }
}
