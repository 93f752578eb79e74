//! `InterPodAffinity`: pods that want to be where certain others are, or are not. Required terms decide, preferred terms count, and
//! the terms of pods that are already placed hold against newcomers.

use std::collections::BTreeMap;

use skiff_proto::k8s_openapi::api::core::v1::{PodAffinityTerm, WeightedPodAffinityTerm};
use skiff_proto::selector::Selector;

use crate::cache::{Cache, NodeInfo};
use crate::framework::{Context, Filter, MAX_SCORE, Rejection, Score, ScoreContext};
use crate::view::PodView;

/// A required affinity term of a placed pod counts this much for a newcomer it selects.
const HARD_AFFINITY_WEIGHT: i64 = 1;

/// See the module.
pub struct InterPodAffinity;

/// One term, ready to be asked about a pod.
struct Term {
    key: String,
    namespaces: Vec<String>,
    namespace_selector: Option<Selector>,
    selector: Selector,
}

impl Term {
    fn of(term: &PodAffinityTerm, owner: &PodView) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(owner.key.namespace.to_string());
        }
        let selector = |selector| Selector::of(selector).unwrap_or_else(|_| Selector::nothing());
        Self {
            key: term.topology_key.clone(),
            namespaces,
            namespace_selector: term.namespace_selector.as_ref().map(|one| selector(Some(one))),
            selector: selector(term.label_selector.as_ref()),
        }
    }

    fn matches(&self, pod: &PodView, cache: &Cache) -> bool {
        let namespace: &str = &pod.key.namespace;
        let in_namespace = self.namespaces.iter().any(|one| one == namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| match cache.namespaces.get(namespace) {
                Some(labels) => selector.matches(labels),
                None => selector.is_everything(),
            });
        in_namespace && self.selector.matches(&pod.labels)
    }
}

#[derive(Clone, Copy)]
enum Side {
    Affinity,
    AntiAffinity,
}

fn required(pod: &PodView, side: Side) -> Vec<Term> {
    let Some(affinity) = &pod.constraints().affinity else { return Vec::new() };
    let terms = match side {
        Side::Affinity => affinity.pod_affinity.as_ref().and_then(|one| one.required_during_scheduling_ignored_during_execution.as_ref()),
        Side::AntiAffinity => affinity.pod_anti_affinity.as_ref().and_then(|one| one.required_during_scheduling_ignored_during_execution.as_ref()),
    };
    terms.into_iter().flatten().map(|term| Term::of(term, pod)).collect()
}

/// Preferred terms with their weights, negative for anti-affinity.
fn preferred(pod: &PodView) -> Vec<(Term, i64)> {
    let Some(affinity) = &pod.constraints().affinity else { return Vec::new() };
    let towards = affinity.pod_affinity.as_ref().and_then(|one| one.preferred_during_scheduling_ignored_during_execution.as_ref());
    let away = affinity.pod_anti_affinity.as_ref().and_then(|one| one.preferred_during_scheduling_ignored_during_execution.as_ref());
    let weighted = |sign: i64| move |one: &WeightedPodAffinityTerm| (Term::of(&one.pod_affinity_term, pod), sign * i64::from(one.weight));
    let towards = towards.into_iter().flatten().map(weighted(1));
    towards.chain(away.into_iter().flatten().map(weighted(-1))).collect()
}

/// Sums by topology: label key and value.
type Sums = BTreeMap<(String, String), i64>;

/// What was counted over all nodes for one pod.
#[derive(Default)]
pub struct InterPod {
    affinity: Vec<Term>,
    anti_affinity: Vec<Term>,
    /// Pods that all affinity terms select.
    attracting: Sums,
    /// Pods that an anti-affinity term selects.
    avoided: Sums,
    /// Placed pods whose anti-affinity selects this pod.
    repelling: Sums,
    /// Whether the pod satisfies its own affinity terms, which lets the first of a group be placed.
    selects_itself: bool,
    /// Preferences.
    scores: Sums,
}

impl InterPod {
    /// Counts what decides. None where neither the pod nor any placed pod has required terms.
    pub fn new<'a>(pod: &PodView, cache: &Cache, nodes: impl Iterator<Item = &'a NodeInfo>) -> Option<Self> {
        let (affinity, anti_affinity) = (required(pod, Side::Affinity), required(pod, Side::AntiAffinity));
        let own = !affinity.is_empty() || !anti_affinity.is_empty();
        let mut made = Self { affinity, anti_affinity, ..Self::default() };
        made.selects_itself = made.affinity.iter().all(|term| term.matches(pod, cache));
        for node in nodes {
            for other in node.repelling.iter().filter_map(|key| node.pods.get(key)) {
                let terms = required(other, Side::AntiAffinity);
                terms.iter().filter(|term| term.matches(pod, cache)).for_each(|term| add(&mut made.repelling, node, &term.key, 1));
            }
            for other in node.pods.values().filter(|_| own) {
                if !made.affinity.is_empty() && made.affinity.iter().all(|term| term.matches(other, cache)) {
                    made.affinity.iter().for_each(|term| add(&mut made.attracting, node, &term.key, 1));
                }
                for term in made.anti_affinity.iter().filter(|term| term.matches(other, cache)) {
                    add(&mut made.avoided, node, &term.key, 1);
                }
            }
        }
        (own || !made.repelling.is_empty()).then_some(made)
    }

    /// Counts what is preferred. None where nobody prefers anything.
    pub fn preferences(pod: &PodView, cache: &Cache) -> Option<Self> {
        let own = preferred(pod);
        let mut scores = Sums::new();
        for node in cache.nodes() {
            for other in node.pods.values().filter(|_| !own.is_empty()) {
                own.iter().filter(|(term, _)| term.matches(other, cache)).for_each(|(term, weight)| add(&mut scores, node, &term.key, *weight));
            }
            for other in node.affine.iter().filter_map(|key| node.pods.get(key)) {
                let wished = preferred(other).into_iter();
                let demanded = required(other, Side::Affinity).into_iter().map(|term| (term, HARD_AFFINITY_WEIGHT));
                for (term, weight) in wished.chain(demanded).filter(|(term, _)| term.matches(pod, cache)) {
                    add(&mut scores, node, &term.key, weight);
                }
            }
        }
        (!scores.is_empty()).then(|| Self { scores, ..Self::default() })
    }

    fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        let count = |sums: &Sums, key: &str| {
            let value = node.view.labels.get(key)?;
            Some(sums.get(&(key.to_owned(), value.clone())).copied().unwrap_or(0))
        };
        let labelled = self.affinity.iter().all(|term| node.view.labels.contains_key(&term.key));
        let attracted = self.affinity.iter().all(|term| count(&self.attracting, &term.key).unwrap_or(0) > 0);
        let is_first = self.attracting.is_empty() && self.selects_itself;
        if !labelled || !(attracted || is_first) {
            return Err(Rejection::final_("node(s) didn't match pod affinity rules"));
        }
        if self.anti_affinity.iter().any(|term| count(&self.avoided, &term.key).unwrap_or(0) > 0) {
            return Err(Rejection::resolvable("node(s) didn't match pod anti-affinity rules"));
        }
        let repelled = |((key, value), count): (&(String, String), &i64)| *count > 0 && node.view.labels.get(key) == Some(value);
        if self.repelling.iter().any(repelled) {
            return Err(Rejection::resolvable("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }
}

fn add(sums: &mut Sums, node: &NodeInfo, key: &str, amount: i64) {
    if let Some(value) = node.view.labels.get(key) {
        *sums.entry((key.to_owned(), value.clone())).or_insert(0) += amount;
    }
}

impl Filter for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn filter(&self, _pod: &PodView, node: &NodeInfo, context: &Context<'_>) -> Result<(), Rejection> {
        context.inter_pod.as_ref().map_or(Ok(()), |counts| counts.check(node))
    }
}

impl Score for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn applies(&self, _pod: &PodView, context: &ScoreContext<'_>) -> bool {
        context.inter_pod.is_some()
    }

    fn score(&self, _pod: &PodView, node: &NodeInfo, context: &ScoreContext<'_>) -> i64 {
        let scores = context.inter_pod.iter().flat_map(|counts| &counts.scores);
        scores.filter(|((key, value), _)| node.view.labels.get(key) == Some(value)).map(|(_, score)| *score).sum()
    }

    fn normalize(&self, scores: &mut [i64], _nodes: &[&NodeInfo], _context: &ScoreContext<'_>) {
        let (least, most) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
        for score in scores {
            *score = if most > least { MAX_SCORE * (*score - least) / (most - least) } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{labelled, node};

    fn term(app: &str) -> Value {
        json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}})
    }

    fn with(side: &str, terms: &Value) -> Value {
        json!({"affinity": {side: {"requiredDuringSchedulingIgnoredDuringExecution": terms}}})
    }

    fn verdicts(cache: &Cache, pod: &PodView) -> Vec<Result<(), Rejection>> {
        let context = Context::new(pod, cache, None);
        cache.nodes().iter().map(|node| InterPodAffinity.filter(pod, node, &context)).collect()
    }

    fn cluster() -> Cache {
        let mut cache = Cache::default();
        cache.put_node(node("a", json!({})));
        cache.put_node(node("b", json!({})));
        cache.put_pod(labelled("db", &[("app", "db")], json!({})), "a");
        cache
    }

    #[test]
    fn affinity_follows() {
        let follows = labelled("p", &[("app", "web")], with("podAffinity", &json!([term("db")])));
        assert_eq!(verdicts(&cluster(), &follows), [Ok(()), Err(Rejection::final_("node(s) didn't match pod affinity rules"))]);
        let nobody = labelled("p", &[("app", "web")], with("podAffinity", &json!([term("none")])));
        assert!(verdicts(&cluster(), &nobody).iter().all(Result::is_err));
        let first = labelled("p", &[("app", "web")], with("podAffinity", &json!([term("web")])));
        assert!(verdicts(&cluster(), &first).iter().all(Result::is_ok), "the first of its group goes anywhere");
    }

    #[test]
    fn anti_affinity_avoids_and_holds_against_newcomers() {
        let avoids = labelled("p", &[("app", "web")], with("podAntiAffinity", &json!([term("db")])));
        assert_eq!(verdicts(&cluster(), &avoids), [Err(Rejection::resolvable("node(s) didn't match pod anti-affinity rules")), Ok(())]);
        let mut cache = cluster();
        cache.put_pod(avoids, "b");
        let db = labelled("db2", &[("app", "db")], json!({}));
        let told = Rejection::resolvable("node(s) didn't satisfy existing pods anti-affinity rules");
        assert_eq!(verdicts(&cache, &db), [Ok(()), Err(told)]);
    }

    #[test]
    fn preferences_count() {
        let cache = cluster();
        let terms = json!([{"weight": 10, "podAffinityTerm": term("db")}]);
        let pod = labelled("p", &[], json!({"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}}));
        let context = ScoreContext { cache: &cache, soft_spread: None, inter_pod: InterPod::preferences(&pod, &cache) };
        let mut scores: Vec<i64> = cache.nodes().iter().map(|node| InterPodAffinity.score(&pod, node, &context)).collect();
        InterPodAffinity.normalize(&mut scores, &[], &context);
        assert_eq!(scores, [100, 0]);
    }
}
