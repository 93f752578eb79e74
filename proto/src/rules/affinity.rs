//! Which nodes a pod may and would rather run on. See `component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};

/// A node's name and labels: all that node affinity looks at.
#[derive(Clone, Copy, Debug)]
pub struct NodeLabels<'a> {
    /// `metadata.name`, which `matchFields` may name.
    pub name: &'a str,
    /// `metadata.labels`
    pub labels: &'a BTreeMap<String, String>,
}

/// Whether the node satisfies `spec.nodeSelector` and the required part of `spec.affinity.nodeAffinity`.
pub fn required_matches(selector: Option<&BTreeMap<String, String>>, affinity: Option<&NodeAffinity>, node: NodeLabels<'_>) -> bool {
    let selected = selector.is_none_or(|selector| selector.iter().all(|(key, value)| node.labels.get(key) == Some(value)));
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    selected && required.is_none_or(|required| selector_matches(required, node))
}

/// Whether one of the selector's terms holds. A selector without terms matches nothing.
pub fn selector_matches(selector: &NodeSelector, node: NodeLabels<'_>) -> bool {
    selector.node_selector_terms.iter().any(|term| term_matches(term, node))
}

/// The sum of the weights of the preferred terms that hold.
pub fn preferred_weight(affinity: Option<&NodeAffinity>, node: NodeLabels<'_>) -> i64 {
    let preferred = affinity.and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref());
    let holding = preferred.into_iter().flatten().filter(|preference| preference.weight != 0 && term_matches(&preference.preference, node));
    holding.map(|preference| i64::from(preference.weight)).sum()
}

/// An empty term matches nothing.
fn term_matches(term: &NodeSelectorTerm, node: NodeLabels<'_>) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |key: &str| node.labels.get(key).map(String::as_str);
    let field = |key: &str| (key == "metadata.name").then_some(node.name);
    expressions.iter().all(|one| requirement_matches(one, label(&one.key))) && fields.iter().all(|one| requirement_matches(one, field(&one.key)))
}

fn requirement_matches(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = |value: &str| values.iter().any(|one| one == value);
    let compare = |holds: fn(i64, i64) -> bool| {
        let bound = values.first().filter(|_| values.len() == 1).and_then(|bound| bound.parse().ok());
        let have = value.and_then(|value| value.parse().ok());
        matches!((have, bound), (Some(have), Some(bound)) if holds(have, bound))
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(|have, bound| have > bound),
        "Lt" => compare(|have, bound| have < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(key: &str, operator: &str, values: &[&str]) -> NodeSelectorTerm {
        let values = Some(values.iter().map(|value| (*value).to_owned()).collect());
        let one = NodeSelectorRequirement { key: key.into(), operator: operator.into(), values };
        NodeSelectorTerm { match_expressions: Some(vec![one]), match_fields: None }
    }

    #[test]
    fn term_table() {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned()), ("cores".to_owned(), "8".to_owned())]);
        let node = NodeLabels { name: "node-1", labels: &labels };
        for (term, expected) in [
            (term("zone", "In", &["a", "b"]), true),
            (term("zone", "NotIn", &["a"]), false),
            (term("disk", "NotIn", &["ssd"]), true),
            (term("zone", "Exists", &[]), true),
            (term("disk", "DoesNotExist", &[]), true),
            (term("cores", "Gt", &["4"]), true),
            (term("cores", "Lt", &["8"]), false),
            (term("zone", "Gt", &["4"]), false),
            (NodeSelectorTerm::default(), false),
        ] {
            assert_eq!(term_matches(&term, node), expected, "{term:?}");
        }
    }

    #[test]
    fn fields_name_the_node() {
        let labels = BTreeMap::new();
        let mut by_name = term("metadata.name", "In", &["node-1"]);
        by_name.match_fields = by_name.match_expressions.take();
        let selector = NodeSelector { node_selector_terms: vec![by_name] };
        assert!(selector_matches(&selector, NodeLabels { name: "node-1", labels: &labels }));
        assert!(!selector_matches(&selector, NodeLabels { name: "node-2", labels: &labels }));
        assert!(!selector_matches(&NodeSelector::default(), NodeLabels { name: "node-1", labels: &labels }), "no terms, no nodes");
    }
}
