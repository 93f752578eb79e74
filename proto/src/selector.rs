//! Label and field selectors: parsing (`a=b,c in (d,e),!f`) and matching.
//!
//! See `apimachinery/pkg/labels/selector.go` and `apimachinery/pkg/fields/selector.go`.

mod field;
mod parse;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

pub use self::field::{FieldRequirement, FieldSelector};
use self::parse::Parser;

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// One of the values (`=`, `==`, `in`).
    In,
    /// None of the values, or absent (`!=`, `notin`).
    NotIn,
    /// There.
    Exists,
    /// Not there.
    DoesNotExist,
    /// There, and an integer greater than the value.
    Gt,
    /// There, and an integer less than the value.
    Lt,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what; sorted.
    pub values: Vec<String>,
}

/// A conjunction of requirements; without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// All of them must hold.
    pub requirements: Vec<Requirement>,
    nothing: bool,
}

/// Why a text is no selector: the sentence Kubernetes gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// Labels as a map from key to value, however they are kept.
pub trait Labels {
    /// The label's value, if it is there.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labels for Option<BTreeMap<String, String>> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

impl Requirement {
    /// Whether the labels satisfy it.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let value = labels.label(&self.key);
        let compare = |holds: fn(i64, i64) -> bool| {
            let bound = self.values.first().and_then(|bound| bound.parse().ok());
            let have = value.and_then(|value| value.parse().ok());
            matches!((have, bound), (Some(have), Some(bound)) if holds(have, bound))
        };
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.iter().any(|one| one == value)),
            Operator::NotIn => value.is_none_or(|value| self.values.iter().all(|one| one != value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => compare(|have, bound| have > bound),
            Operator::Lt => compare(|have, bound| have < bound),
        }
    }
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects nothing (an absent `LabelSelector`).
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether the labels satisfy every requirement.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Exactly these labels (`Service.spec.selector`, `nodeSelector`).
    pub fn of_map(labels: &BTreeMap<String, String>) -> Self {
        let requirement = |(key, value): (&String, &String)| Requirement { key: key.clone(), operator: Operator::In, values: vec![value.clone()] };
        Self { requirements: labels.iter().map(requirement).collect(), nothing: false }
    }

    /// Of a `metav1.LabelSelector`: an absent one selects nothing, an empty one everything. See `LabelSelectorAsSelector`.
    pub fn of(selector: Option<&LabelSelector>) -> Result<Self, Malformed> {
        let Some(selector) = selector else { return Ok(Self::nothing()) };
        let mut made = selector.match_labels.as_ref().map(Self::of_map).unwrap_or_default();
        for expression in selector.match_expressions.iter().flatten() {
            made.requirements.push(Requirement::of(expression)?);
        }
        Ok(made)
    }

    /// Parses the query parameter `labelSelector`.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parser = Parser::new(text);
        let mut requirements = parser.requirements()?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }
}

impl Requirement {
    fn of(expression: &LabelSelectorRequirement) -> Result<Self, Malformed> {
        let operator = match expression.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => return Err(Malformed(format!("{other:?} is not a valid label selector operator"))),
        };
        let mut values = expression.values.clone().unwrap_or_default();
        values.sort();
        Ok(Self { key: expression.key.clone(), operator, values })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match (&self.operator, self.values.len()) {
            (Operator::In, 1) => write!(f, "{key}={values}"),
            (Operator::In, _) => write!(f, "{key} in ({values})"),
            (Operator::NotIn, 1) => write!(f, "{key}!={values}"),
            (Operator::NotIn, _) => write!(f, "{key} notin ({values})"),
            (Operator::Exists, _) => write!(f, "{key}"),
            (Operator::DoesNotExist, _) => write!(f, "!{key}"),
            (Operator::Gt, _) => write!(f, "{key}>{values}"),
            (Operator::Lt, _) => write!(f, "{key}<{values}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split(',').filter_map(|one| one.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn label_selectors_select() {
        for (selector, have, selected) in [
            ("", "a=b", true),
            ("a=b", "a=b", true),
            ("a==b", "a=c", false),
            ("a!=b", "x=y", true),
            ("a", "a=", true),
            ("!a", "a=", false),
            ("a in (b, c)", "a=c", true),
            ("a notin (b,c)", "a=d", true),
            ("a notin (b,c)", "x=d", true),
            ("a in (b),!z", "a=b", true),
            ("a>3", "a=4", true),
            ("a<3", "a=4", false),
            ("a=", "a=", true),
            ("example.com/a=b", "example.com/a=b", true),
            ("in in (in)", "in=in", true),
        ] {
            let parsed = Selector::parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}"));
            assert_eq!(parsed.matches(&labels(have)), selected, "{selector} on {have}");
        }
    }

    #[test]
    fn what_is_no_selector() {
        for text in ["a b", "a=b=c", "=b", "a in b", "a in (b", ",a", "a,", "a>x", "a=-b"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_as_kubernetes_does() {
        for text in ["a=b", "a!=b", "a", "!a", "a in (b,c)", "a notin (b,c)"] {
            assert_eq!(Selector::parse(text).map(|s| s.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn an_absent_label_selector_selects_nothing() {
        assert!(!Selector::of(None).expect("fine").matches(&labels("a=b")));
        assert!(Selector::of(Some(&LabelSelector::default())).expect("fine").matches(&labels("a=b")));
    }
}
