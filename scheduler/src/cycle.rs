//! One pod, one decision: filter the nodes, score what is left, take the best. Pure: the same pod, cache, start and seed give the
//! same decision. Mirrors `pkg/scheduler/schedule_one.go`.

use std::collections::BTreeMap;

use crate::cache::{Cache, NodeInfo};
use crate::framework::{Context, Rejection, Score, ScoreContext};
use crate::plugins::inter_pod_affinity::InterPod;
use crate::plugins::topology_spread::SoftSpread;
use crate::plugins::{FILTERS, SCORES};
use crate::view::PodView;

/// Fewer nodes than this are always all looked at.
const FEW: usize = 100;

/// What was decided about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is to run there.
    Place {
        /// The node's name.
        node: String,
        /// How many nodes were looked at: the next pod starts after them.
        looked_at: usize,
        /// Each candidate with its weighted score, best first: for whoever asks why.
        candidates: Vec<(String, i64)>,
    },
    /// It fits nowhere.
    Refuse(Refusal),
}

/// Why a pod fits nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// How many nodes there are.
    pub nodes: usize,
    /// What rules all nodes out at once; empty: nothing.
    pub all: String,
    /// What rules each node out.
    pub by_node: BTreeMap<String, Rejection>,
}

/// Decides about `pod`. `start`: where in the list of nodes to begin; `seed`: breaks ties.
pub fn decide(pod: &PodView, cache: &Cache, start: usize, seed: u64) -> Decision {
    let nodes = cache.nodes();
    if let Some(all) = ruled_out_everywhere(pod, cache) {
        return Decision::Refuse(Refusal { nodes: nodes.len(), all, by_node: BTreeMap::new() });
    }
    let context = Context::new(pod, cache, None);
    let (mut feasible, mut by_node, mut looked_at) = (Vec::new(), BTreeMap::new(), 0);
    let wanted = enough(nodes.len());
    for offset in 0..nodes.len() {
        let node = &nodes[(start + offset) % nodes.len()];
        looked_at += 1;
        match filter_with_nominated(pod, node, &context) {
            Ok(()) => feasible.push(node),
            Err(rejection) => {
                by_node.insert(node.view.name.clone(), rejection);
            }
        }
        if feasible.len() >= wanted {
            break;
        }
    }
    if feasible.is_empty() {
        return Decision::Refuse(Refusal { nodes: nodes.len(), all: String::new(), by_node });
    }
    let candidates = rank(pod, &feasible, cache, seed);
    Decision::Place { node: candidates[0].0.clone(), looked_at, candidates }
}

/// Asks every filter about one node.
pub fn filter(pod: &PodView, node: &NodeInfo, context: &Context<'_>) -> Result<(), Rejection> {
    FILTERS.iter().try_for_each(|plugin| plugin.filter(pod, node, context))
}

/// The same, with the room that more important pods wait for taken already.
fn filter_with_nominated(pod: &PodView, node: &NodeInfo, context: &Context<'_>) -> Result<(), Rejection> {
    if let Some(filled) = context.cache.with_nominated(node, pod) {
        filter(pod, &filled, &Context::new(pod, context.cache, Some(&filled)))?;
    }
    filter(pod, node, context)
}

/// How many feasible nodes are enough (`numFeasibleNodesToFind`): all of up to 100, then 50 % falling to 5 % at 5,625 nodes.
pub fn enough(nodes: usize) -> usize {
    if nodes < FEW {
        return nodes;
    }
    let percentage = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percentage / 100).max(FEW)
}

fn ruled_out_everywhere(pod: &PodView, cache: &Cache) -> Option<String> {
    let constraints = pod.constraints();
    if let Some(field) = constraints.unsupported.first() {
        return Some(format!("skiff does not act on {field} yet"));
    }
    for claim in &constraints.claims {
        let key = skiff_client::informer::Key::new(&pod.key.namespace, claim);
        if !cache.claims.contains(&key) {
            return Some(format!("persistentvolumeclaim \"{claim}\" not found"));
        }
    }
    (!constraints.claims.is_empty()).then(|| "skiff does not act on spec.volumes[*].persistentVolumeClaim yet".to_owned())
}

/// The feasible nodes, best first; equals in an order that the seed decides.
fn rank(pod: &PodView, feasible: &[&NodeInfo], cache: &Cache, seed: u64) -> Vec<(String, i64)> {
    let mut totals = vec![0; feasible.len()];
    if feasible.len() > 1 {
        let soft_spread = SoftSpread::new(pod, feasible, cache.nodes());
        let context = ScoreContext { cache, soft_spread, inter_pod: InterPod::preferences(pod, cache) };
        for plugin in SCORES.iter().filter(|plugin| plugin.applies(pod, &context)) {
            add_scores(*plugin, pod, feasible, &context, &mut totals);
        }
    }
    let mut ranked: Vec<(usize, i64)> = totals.into_iter().enumerate().collect();
    ranked.sort_by_key(|(at, score)| (std::cmp::Reverse(*score), mix(seed ^ mix(*at as u64))));
    ranked.into_iter().map(|(at, score)| (feasible[at].view.name.clone(), score)).collect()
}

fn add_scores(plugin: &dyn Score, pod: &PodView, nodes: &[&NodeInfo], context: &ScoreContext<'_>, totals: &mut [i64]) {
    let mut scores: Vec<i64> = nodes.iter().map(|node| plugin.score(pod, node, context)).collect();
    plugin.normalize(&mut scores, nodes, context);
    totals.iter_mut().zip(scores).for_each(|(total, score)| *total += plugin.weight() * score);
}

/// splitmix64: spreads a number over all 64 bits.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::{asking, node, pod};

    fn cluster(nodes: usize) -> Cache {
        let mut cache = Cache::default();
        for number in 0..nodes {
            cache.put_node(node(&format!("n{number:04}"), json!({})));
        }
        cache
    }

    fn place(decision: &Decision) -> &str {
        match decision {
            Decision::Place { node, .. } => node,
            Decision::Refuse(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    #[test]
    fn how_many_nodes_are_enough() {
        for (nodes, wanted) in [(10, 10), (99, 99), (100, 100), (1000, 420), (5000, 500), (6000, 300)] {
            assert_eq!(enough(nodes), wanted, "{nodes}");
        }
    }

    #[test]
    fn the_emptier_node_wins() {
        let mut cache = cluster(3);
        cache.put_pod(asking("x", "2"), "n0000");
        cache.put_pod(asking("y", "1"), "n0002");
        assert_eq!(place(&decide(&asking("p", "1"), &cache, 0, 7)), "n0001");
    }

    #[test]
    fn pods_of_one_owner_are_spread_evenly() {
        let mut cache = cluster(3);
        for number in 0..9 {
            let mut one = (*pod(&format!("p{number}"), json!({}))).clone();
            one.owner = "rs".to_owned();
            let node = place(&decide(&one, &cache, 0, number)).to_owned();
            cache.assume(one.into(), &node);
        }
        assert!(cache.nodes().iter().all(|node| node.pods.len() == 3));
    }

    #[test]
    fn a_missing_claim_is_told() {
        let one = pod("p", json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]}));
        let Decision::Refuse(refusal) = decide(&one, &cluster(2), 0, 0) else { panic!("placed") };
        assert_eq!(refusal.all, "persistentvolumeclaim \"none\" not found");
    }

    proptest! {
        /// Whatever is asked for in whatever order, no node is overcommitted, and the same seed gives the same decision.
        #[test]
        fn never_overcommits(asked in proptest::collection::vec(1u32..3000, 1..40), seed: u64) {
            let mut cache = cluster(4);
            for (number, millis) in asked.iter().enumerate() {
                let one = asking(&format!("p{number}"), &format!("{millis}m"));
                let decision = decide(&one, &cache, number, seed);
                prop_assert_eq!(&decision, &decide(&one, &cache, number, seed));
                match decision {
                    Decision::Place { node, .. } => cache.assume(one, &node),
                    Decision::Refuse(_) => {
                        let free = |node: &NodeInfo| node.view.allocatable.milli_cpu - node.requested.milli_cpu;
                        prop_assert!(cache.nodes().iter().all(|node| free(node) < i64::from(*millis)));
                    }
                }
            }
            prop_assert!(cache.nodes().iter().all(|node| node.requested.milli_cpu <= node.view.allocatable.milli_cpu));
        }
    }
}
