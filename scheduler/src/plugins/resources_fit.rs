//! `NodeResourcesFit`: what a pod asks for must be free; emptier nodes are better (`LeastAllocated`).

use std::collections::BTreeMap;

use crate::cache::NodeInfo;
use crate::framework::{Context, Filter, MAX_SCORE, Rejection, Score, ScoreContext};
use crate::view::PodView;

/// See the module.
pub struct ResourcesFit;

impl Filter for ResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self, pod: &PodView, node: &NodeInfo, _context: &Context<'_>) -> Result<(), Rejection> {
        let (have, used, asked) = (&node.view.allocatable, &node.requested, &pod.requests);
        let mut rejection = Rejection { reasons: Vec::new(), resolvable: true };
        if i64::try_from(node.pods.len()).unwrap_or(i64::MAX) + 1 > node.view.max_pods {
            rejection.reasons.push("Too many pods".to_owned());
        }
        let mut check = |name: &str, asked: i64, have: i64, used: i64| {
            if asked > 0 && asked > have - used {
                rejection.reasons.push(format!("Insufficient {name}"));
                rejection.resolvable &= asked <= have;
            }
        };
        check("cpu", asked.milli_cpu, have.milli_cpu, used.milli_cpu);
        check("memory", asked.memory, have.memory, used.memory);
        check("ephemeral-storage", asked.ephemeral_storage, have.ephemeral_storage, used.ephemeral_storage);
        for (name, amount) in &asked.others {
            let of = |all: &BTreeMap<String, i64>| all.get(name).copied().unwrap_or(0);
            check(name, *amount, of(&have.others), of(&used.others));
        }
        if rejection.reasons.is_empty() { Ok(()) } else { Err(rejection) }
    }
}

impl Score for ResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn applies(&self, _pod: &PodView, _context: &ScoreContext<'_>) -> bool {
        true
    }

    fn score(&self, pod: &PodView, node: &NodeInfo, _context: &ScoreContext<'_>) -> i64 {
        let free = |used: i64, asked: i64, have: i64| {
            let wanted = used + asked;
            (have > 0).then(|| if wanted > have { 0 } else { (have - wanted) * MAX_SCORE / have })
        };
        let have = &node.view.allocatable;
        match (free(node.nonzero.0, pod.nonzero.0, have.milli_cpu), free(node.nonzero.1, pod.nonzero.1, have.memory)) {
            (Some(cpu), Some(memory)) => (cpu + memory) / 2,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::Cache;
    use crate::testing::{asking, node, pod};

    fn verdict(node: &NodeInfo, pod: &PodView) -> Result<(), Rejection> {
        ResourcesFit.filter(pod, node, &Context::new(pod, &Cache::default(), None))
    }

    #[test]
    fn fits_up_to_the_last_bit() {
        let mut info = NodeInfo::new(node("a", json!({})));
        info.add(asking("used", "3"));
        assert_eq!(verdict(&info, &asking("p", "1")), Ok(()));
        assert_eq!(verdict(&info, &asking("p", "1001m")), Err(Rejection::resolvable("Insufficient cpu")));
        assert_eq!(verdict(&info, &asking("p", "5")), Err(Rejection::final_("Insufficient cpu")), "more than the node has");
        assert_eq!(verdict(&info, &pod("p", json!({}))), Ok(()), "asks for nothing");
    }

    #[test]
    fn every_reason_is_told() {
        let mut info = NodeInfo::new(node("a", json!({"status": {"allocatable": {"pods": "1"}}})));
        info.add(asking("used", "4"));
        let greedy = pod("p", json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "9Gi", "x.io/gpu": "1"}}}]}));
        let rejection = verdict(&info, &greedy).unwrap_err();
        assert_eq!(rejection.reasons, ["Too many pods", "Insufficient cpu", "Insufficient memory", "Insufficient x.io/gpu"]);
        assert!(!rejection.resolvable);
    }

    #[test]
    fn least_allocated_counts_what_asks_for_nothing() {
        // (4000-100)/4000 = 97, (8192-200)/8192 = 97
        let (info, plain, cache) = (NodeInfo::new(node("a", json!({}))), pod("p", json!({})), Cache::default());
        let context = ScoreContext { cache: &cache, soft_spread: None, inter_pod: None };
        assert_eq!(ResourcesFit.score(&plain, &info, &context), 97);
    }
}
