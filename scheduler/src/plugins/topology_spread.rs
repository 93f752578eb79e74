//! `PodTopologySpread`: pods that match a selector are spread over zones, nodes or whatever a label names. `DoNotSchedule` decides
//! ([`HardSpread`]), `ScheduleAnyway` counts ([`SoftSpread`]); a pod without constraints of its own is spread over nodes and zones
//! with the other pods of its owner.

use std::collections::BTreeMap;

use skiff_proto::k8s_openapi::api::core::v1::TopologySpreadConstraint;
use skiff_proto::rules::taints::untolerated;
use skiff_proto::selector::{Operator, Requirement, Selector};

use super::node_affinity;
use crate::cache::NodeInfo;
use crate::framework::{Context, Filter, MAX_SCORE, Rejection, Score, ScoreContext};
use crate::view::{NodeView, PodView};

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
const UNMATCHED: &str = "node(s) didn't match pod topology spread constraints";

/// See the module.
pub struct TopologySpread;

/// Which pods a constraint counts.
enum Counted {
    Selected(Selector),
    /// Those of the same owner.
    Siblings,
}

struct Constraint {
    key: String,
    max_skew: i64,
    min_domains: i64,
    counted: Counted,
    honor_affinity: bool,
    honor_taints: bool,
}

impl Constraint {
    fn of(constraint: &TopologySpreadConstraint, pod: &PodView) -> Self {
        let mut selector = Selector::of(constraint.label_selector.as_ref()).unwrap_or_else(|_| Selector::nothing());
        for key in constraint.match_label_keys.iter().flatten() {
            if let Some(value) = pod.labels.get(key) {
                selector.requirements.push(Requirement { key: key.clone(), operator: Operator::In, values: vec![value.clone()] });
            }
        }
        Self {
            key: constraint.topology_key.clone(),
            max_skew: i64::from(constraint.max_skew),
            min_domains: i64::from(constraint.min_domains.unwrap_or(1)),
            counted: Counted::Selected(selector),
            honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        }
    }

    fn counts(&self, pod: &PodView, node: &NodeView) -> bool {
        (!self.honor_affinity || node_affinity::matches(pod, node))
            && (!self.honor_taints || untolerated(&node.taints, &pod.tolerations, &["NoSchedule", "NoExecute"]).is_none())
    }

    /// How many pods of the node count.
    fn count(&self, pod: &PodView, node: &NodeInfo) -> i64 {
        match &self.counted {
            Counted::Siblings => node.owners.get(&pod.owner).copied().unwrap_or(0),
            Counted::Selected(selector) => {
                let selected = |other: &&PodView| !other.deleting && other.key.namespace == pod.key.namespace && selector.matches(&other.labels);
                i64::try_from(node.pods.values().map(AsRef::as_ref).filter(selected).count()).unwrap_or(i64::MAX)
            }
        }
    }
}

fn constraints(pod: &PodView, when: &str) -> Vec<Constraint> {
    pod.constraints().spread.iter().filter(|one| one.when_unsatisfiable == when).map(|one| Constraint::of(one, pod)).collect()
}

fn has_all_keys(node: &NodeView, constraints: &[Constraint]) -> bool {
    constraints.iter().all(|constraint| node.labels.contains_key(&constraint.key))
}

/// How many pods count in each domain of each `DoNotSchedule` constraint.
pub struct HardSpread {
    constraints: Vec<Constraint>,
    domains: Vec<BTreeMap<String, i64>>,
}

impl HardSpread {
    /// None where the pod has no such constraint.
    pub fn new<'a>(pod: &PodView, nodes: impl Iterator<Item = &'a NodeInfo>) -> Option<Self> {
        let constraints = constraints(pod, "DoNotSchedule");
        if constraints.is_empty() {
            return None;
        }
        let mut domains = vec![BTreeMap::new(); constraints.len()];
        for node in nodes.filter(|node| has_all_keys(&node.view, &constraints)) {
            for (constraint, counts) in constraints.iter().zip(&mut domains) {
                if constraint.counts(pod, &node.view) {
                    *counts.entry(node.view.labels[&constraint.key].clone()).or_insert(0) += constraint.count(pod, node);
                }
            }
        }
        Some(Self { constraints, domains })
    }

    fn check(&self, pod: &PodView, node: &NodeView) -> Result<(), Rejection> {
        for (constraint, counts) in self.constraints.iter().zip(&self.domains) {
            let Some(domain) = node.labels.get(&constraint.key) else {
                return Err(Rejection::final_(format!("{UNMATCHED} (missing required label)")));
            };
            let enough_domains = i64::try_from(counts.len()).unwrap_or(i64::MAX) >= constraint.min_domains;
            let least = if enough_domains { counts.values().copied().min().unwrap_or(i64::from(i32::MAX)) } else { 0 };
            let own = matches!(&constraint.counted, Counted::Selected(selector) if selector.matches(&pod.labels));
            if counts.get(domain).copied().unwrap_or(0) + i64::from(own) - least > constraint.max_skew {
                return Err(Rejection::resolvable(UNMATCHED));
            }
        }
        Ok(())
    }
}

impl Filter for TopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn filter(&self, pod: &PodView, node: &NodeInfo, context: &Context<'_>) -> Result<(), Rejection> {
        context.hard_spread.as_ref().map_or(Ok(()), |spread| spread.check(pod, &node.view))
    }
}

/// How many pods count in each domain of each `ScheduleAnyway` constraint, and how much each constraint weighs.
pub struct SoftSpread {
    constraints: Vec<Constraint>,
    domains: Vec<BTreeMap<String, i64>>,
    weights: Vec<f64>,
    /// Whether a node without one of the labels gets nothing.
    all_keys: bool,
}

impl SoftSpread {
    /// Over the nodes that are left, with counts over all of them. None where nothing is to be spread.
    #[allow(clippy::cast_precision_loss)] // Kubernetes computes in float64, too
    pub fn new(pod: &PodView, feasible: &[&NodeInfo], all: &[NodeInfo]) -> Option<Self> {
        let own = constraints(pod, "ScheduleAnyway");
        let all_keys = !pod.constraints().spread.is_empty();
        let constraints = if all_keys { own } else { default_constraints(pod) };
        if constraints.is_empty() {
            return None;
        }
        let counted: Vec<&&NodeInfo> = feasible.iter().filter(|node| !all_keys || has_all_keys(&node.view, &constraints)).collect();
        let mut domains = vec![BTreeMap::new(); constraints.len()];
        let mut weights = Vec::new();
        for (constraint, counts) in constraints.iter().zip(&mut domains) {
            let mut size = counted.len();
            if constraint.key != HOSTNAME {
                counts.extend(counted.iter().filter_map(|node| Some((node.view.labels.get(&constraint.key)?.clone(), 0))));
                size = counts.len();
                for node in all.iter().filter(|node| (!all_keys || has_all_keys(&node.view, &constraints)) && constraint.counts(pod, &node.view)) {
                    if let Some(count) = node.view.labels.get(&constraint.key).and_then(|domain| counts.get_mut(domain)) {
                        *count += constraint.count(pod, node);
                    }
                }
            }
            weights.push(((size + 2) as f64).ln());
        }
        Some(Self { constraints, domains, weights, all_keys })
    }

    fn ignores(&self, node: &NodeView) -> bool {
        self.all_keys && !has_all_keys(node, &self.constraints)
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn score(&self, pod: &PodView, node: &NodeInfo) -> i64 {
        if self.ignores(&node.view) {
            return 0;
        }
        let mut score = 0.0;
        for ((constraint, counts), weight) in self.constraints.iter().zip(&self.domains).zip(&self.weights) {
            let Some(domain) = node.view.labels.get(&constraint.key) else { continue };
            let count = if constraint.key == HOSTNAME { constraint.count(pod, node) } else { counts.get(domain).copied().unwrap_or(0) };
            score += count as f64 * weight + (constraint.max_skew - 1) as f64;
        }
        score.round() as i64
    }
}

/// What Kubernetes' system defaults say: nodes with a skew of 3, zones with a skew of 5, for pods that have an owner.
fn default_constraints(pod: &PodView) -> Vec<Constraint> {
    if pod.owner.is_empty() {
        return Vec::new();
    }
    let one = |key: &str, max_skew| Constraint {
        key: key.to_owned(),
        max_skew,
        min_domains: 1,
        counted: Counted::Siblings,
        honor_affinity: true,
        honor_taints: false,
    };
    vec![one(HOSTNAME, 3), one(ZONE, 5)]
}

impl Score for TopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn applies(&self, _pod: &PodView, context: &ScoreContext<'_>) -> bool {
        context.soft_spread.is_some()
    }

    fn score(&self, pod: &PodView, node: &NodeInfo, context: &ScoreContext<'_>) -> i64 {
        context.soft_spread.as_ref().map_or(0, |spread| spread.score(pod, node))
    }

    fn normalize(&self, scores: &mut [i64], nodes: &[&NodeInfo], context: &ScoreContext<'_>) {
        let Some(spread) = &context.soft_spread else { return };
        let ignored: Vec<bool> = nodes.iter().map(|node| spread.ignores(&node.view)).collect();
        let counted: Vec<i64> = scores.iter().zip(&ignored).filter(|(_, ignored)| !**ignored).map(|(score, _)| *score).collect();
        let (least, most) = (counted.iter().copied().min().unwrap_or(0), counted.iter().copied().max().unwrap_or(0));
        for (score, ignored) in scores.iter_mut().zip(ignored) {
            *score = match (ignored, most) {
                (true, _) => 0,
                (false, 0) => MAX_SCORE,
                (false, _) => MAX_SCORE * (most + least - *score) / most,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::Cache;
    use crate::testing::{labelled, node};

    fn cluster() -> Cache {
        let mut cache = Cache::default();
        for (name, zone) in [("a", "z1"), ("b", "z1"), ("c", "z2")] {
            cache.put_node(node(name, json!({"metadata": {"labels": {"zone": zone}}})));
        }
        cache.put_node(node("bare", json!({})));
        cache.put_pod(labelled("one", &[("app", "web")], json!({})), "a");
        cache
    }

    fn verdict(cache: &Cache, spread: serde_json::Value, name: &str) -> Result<(), Rejection> {
        let pod = labelled("p", &[("app", "web")], json!({"topologySpreadConstraints": [spread]}));
        TopologySpread.filter(&pod, cache.node(name).unwrap(), &Context::new(&pod, cache, None))
    }

    #[test]
    fn hard_constraints_decide() {
        let cache = cluster();
        let hard = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}});
        assert_eq!(verdict(&cache, hard.clone(), "b"), Err(Rejection::resolvable(UNMATCHED)));
        assert_eq!(verdict(&cache, hard.clone(), "c"), Ok(()));
        assert_eq!(verdict(&cache, hard.clone(), "bare"), Err(Rejection::final_(format!("{UNMATCHED} (missing required label)"))));
        let mut three = hard;
        three["minDomains"] = json!(3);
        assert_eq!(verdict(&cache, three, "c"), Ok(()), "with too few domains the least is 0");
    }

    #[test]
    fn soft_constraints_prefer_the_emptier_zone() {
        let cache = cluster();
        let soft = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "web"}}}]);
        let pod = labelled("p", &[("app", "web")], json!({"topologySpreadConstraints": soft}));
        let nodes: Vec<&NodeInfo> = cache.nodes().iter().collect();
        let context = ScoreContext { cache: &cache, soft_spread: SoftSpread::new(&pod, &nodes, cache.nodes()), inter_pod: None };
        let mut scores: Vec<i64> = nodes.iter().map(|node| TopologySpread.score(&pod, node, &context)).collect();
        TopologySpread.normalize(&mut scores, &nodes, &context);
        let names: Vec<&str> = nodes.iter().map(|node| node.view.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "bare", "c"]);
        assert_eq!(scores, [0, 0, 0, 100]);
    }
}
