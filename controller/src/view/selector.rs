//! `metav1.LabelSelector`: which labels it selects. See `apimachinery/pkg/apis/meta/v1/helpers.go`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::meta::Labels;

/// Labels and expressions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Each must be there with this value.
    pub match_labels: Labels,
    /// Each must hold.
    pub match_expressions: Vec<Expression>,
}

/// `metav1.LabelSelectorRequirement`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Expression {
    /// The label.
    pub key: String,
    /// What must be true of it.
    pub operator: Operator,
    /// For `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// `metav1.LabelSelectorOperator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// A selector of exactly these labels.
    pub fn of(labels: Labels) -> Self {
        Self { match_labels: labels, match_expressions: Vec::new() }
    }

    /// Whether it says nothing: workloads treat such a selector as selecting nothing.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether `labels` are selected; an empty selector selects everything.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value)) && self.match_expressions.iter().all(|expression| expression.holds(labels))
    }

    /// The selector with one more label, as JSON: how a Deployment selects one of its ReplicaSets' pods.
    pub fn with_label(&self, key: &str, value: &str) -> Value {
        let mut labels = self.match_labels.to_map();
        labels.insert(key.to_owned(), value.to_owned());
        let mut selector = json!({ "matchLabels": labels });
        if !self.match_expressions.is_empty() {
            selector["matchExpressions"] = self.match_expressions.iter().map(Expression::to_json).collect();
        }
        selector
    }
}

impl Expression {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.iter().any(|one| one == value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }

    fn to_json(&self) -> Value {
        let mut json = json!({ "key": self.key, "operator": self.operator });
        if !self.values.is_empty() {
            json["values"] = json!(self.values);
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_as_kubernetes_does() {
        let cases = [
            (r#"{"matchLabels":{"a":"1"}}"#, true),
            (r#"{"matchLabels":{"a":"2"}}"#, false),
            (r#"{"matchExpressions":[{"key":"a","operator":"In","values":["1","2"]}]}"#, true),
            (r#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["1"]}]}"#, false),
            (r#"{"matchExpressions":[{"key":"z","operator":"NotIn","values":["1"]}]}"#, true),
            (r#"{"matchExpressions":[{"key":"a","operator":"Exists"}]}"#, true),
            (r#"{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]}"#, false),
            (r#"{"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"DoesNotExist"}]}"#, false),
            ("{}", true),
        ];
        let labels = Labels::from([("a", "1"), ("b", "x")]);
        for (selector, expected) in cases {
            let selector: LabelSelector = serde_json::from_str(selector).unwrap();
            assert_eq!(selector.matches(&labels), expected, "{selector:?}");
        }
    }
}
