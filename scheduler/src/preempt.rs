//! Preemption: if taking less important pods away would make room, which ones, where. See `pkg/scheduler/framework/preemption`
//! and `plugins/defaultpreemption`. Disruption budgets are not looked at yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cache::{Cache, NodeInfo};
use crate::cycle::{Refusal, filter};
use crate::explain::Preemption;
use crate::framework::{Context, Rejection};
use crate::view::PodView;

/// Candidate nodes that are tried at the most: 10 % of those that may help, at least 100.
const LEAST_CANDIDATES: usize = 100;

/// Who has to go, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The node's name.
    pub node: String,
    /// Least important last.
    pub victims: Vec<Arc<PodView>>,
}

/// What to displace for `pod`, which `refusal` keeps from being placed.
pub fn plan(pod: &PodView, cache: &Cache, refusal: &Refusal) -> Result<Plan, Preemption> {
    if !pod.preempts {
        return Err(Preemption::NotAllowed("not eligible due to preemptionPolicy=Never."));
    }
    if waits_for_victims(pod, cache, refusal) {
        return Err(Preemption::NotAllowed("not eligible due to a terminating pod on the nominated node."));
    }
    let hopeful: Vec<&NodeInfo> = cache.nodes().iter().filter(|node| refusal.by_node.get(&node.view.name).is_some_and(|one| one.resolvable)).collect();
    let most = (hopeful.len() / 10).max(LEAST_CANDIDATES);
    let (mut candidates, mut no_help) = (Vec::new(), BTreeMap::new());
    for node in hopeful.into_iter().take(most) {
        match victims(pod, node, cache) {
            Ok(victims) => candidates.push(Plan { node: node.view.name.clone(), victims }),
            Err(rejection) => {
                no_help.insert(node.view.name.clone(), rejection);
            }
        }
    }
    candidates.into_iter().min_by_key(cost).ok_or(Preemption::NoHelp(no_help))
}

/// Pods that were displaced for this one are still going: wait for them.
fn waits_for_victims(pod: &PodView, cache: &Cache, refusal: &Refusal) -> bool {
    let hopeless = refusal.by_node.get(&pod.nominated).is_some_and(|rejection| !rejection.resolvable);
    let node = cache.node(&pod.nominated).filter(|_| !hopeless);
    node.is_some_and(|node| node.pods.values().any(|other| other.priority < pod.priority && other.deleting && other.preempted))
}

/// The fewest and least important pods of the node without which `pod` fits.
fn victims(pod: &PodView, node: &NodeInfo, cache: &Cache) -> Result<Vec<Arc<PodView>>, Rejection> {
    let mut left = node.clone();
    let mut potential: Vec<Arc<PodView>> = node.pods.values().filter(|other| other.priority < pod.priority).cloned().collect();
    if potential.is_empty() {
        return Err(Rejection::final_("No preemption victims found for incoming pod"));
    }
    for other in &potential {
        left.remove(&other.key);
    }
    let fits = |left: &NodeInfo| filter(pod, left, &Context::new(pod, cache, Some(left)));
    fits(&left)?;
    // The most important first; of equals the one that has run longest.
    potential.sort_by_key(|other| (std::cmp::Reverse(other.priority), other.started));
    let mut victims = Vec::new();
    for other in potential {
        left.add(other.clone());
        if fits(&left).is_err() {
            left.remove(&other.key);
            victims.push(other);
        }
    }
    Ok(victims)
}

/// Lower is better: highest priority, sum of priorities, number, and then the latest start of the most important.
fn cost(plan: &Plan) -> (i32, i64, usize, i64) {
    let highest = plan.victims.iter().map(|one| one.priority).max().unwrap_or(i32::MIN);
    let sum = plan.victims.iter().map(|one| i64::from(one.priority) + i64::from(i32::MAX) + 1).sum();
    let earliest = plan.victims.iter().filter(|one| one.priority == highest).map(|one| one.started).min().unwrap_or(0);
    (highest, sum, plan.victims.len(), -earliest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cycle::{Decision, decide};
    use crate::testing::{asking, node};

    fn important(name: &str, cpu: &str, priority: i32) -> Arc<PodView> {
        Arc::new(PodView { priority, ..(*asking(name, cpu)).clone() })
    }

    fn planned(cache: &Cache, pod: &PodView) -> Result<(String, Vec<String>), Preemption> {
        let Decision::Refuse(refusal) = decide(pod, cache, 0, 0) else { panic!("it fits") };
        plan(pod, cache, &refusal).map(|plan| (plan.node, plan.victims.iter().map(|victim| victim.key.name.to_string()).collect()))
    }

    #[test]
    fn the_least_important_go_and_no_more_than_needed() {
        let mut cache = Cache::default();
        cache.put_node(node("a", json!({})));
        cache.put_node(node("b", json!({})));
        cache.put_pod(important("a1", "3", 5), "a");
        cache.put_pod(important("a2", "1", 1), "a");
        cache.put_pod(important("b1", "2", 2), "b");
        cache.put_pod(important("b2", "2", 3), "b");
        assert_eq!(planned(&cache, &important("p", "1", 9)).unwrap(), ("a".to_owned(), vec!["a2".to_owned()]));
        assert_eq!(planned(&cache, &important("p", "2", 9)).unwrap(), ("b".to_owned(), vec!["b1".to_owned()]));
    }

    #[test]
    fn equals_do_not_displace_each_other() {
        let mut cache = Cache::default();
        cache.put_node(node("a", json!({})));
        cache.put_pod(important("a1", "4", 5), "a");
        let expected = BTreeMap::from([("a".to_owned(), Rejection::final_("No preemption victims found for incoming pod"))]);
        assert_eq!(planned(&cache, &important("p", "1", 5)), Err(Preemption::NoHelp(expected)));
        let meek = PodView { preempts: false, ..(*important("p", "1", 9)).clone() };
        assert_eq!(planned(&cache, &meek), Err(Preemption::NotAllowed("not eligible due to preemptionPolicy=Never.")));
    }
}
