//! `NodeResourcesBalancedAllocation`: better where CPU and memory would be used in like parts.

use crate::cache::NodeInfo;
use crate::framework::{MAX_SCORE, Score, ScoreContext};
use crate::view::PodView;

/// See the module.
pub struct BalancedAllocation;

impl Score for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn weight(&self) -> i64 {
        1
    }

    /// A pod that asks for neither would balance nothing (`PreScore` skips best-effort pods).
    fn applies(&self, pod: &PodView, _context: &ScoreContext<'_>) -> bool {
        pod.requests.milli_cpu > 0 || pod.requests.memory > 0
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // Kubernetes computes in float64, too
    fn score(&self, pod: &PodView, node: &NodeInfo, _context: &ScoreContext<'_>) -> i64 {
        let have = &node.view.allocatable;
        let part = |used: i64, asked: i64, have: i64| (have > 0).then(|| ((used + asked) as f64 / have as f64).min(1.0));
        let cpu = part(node.requested.milli_cpu, pod.requests.milli_cpu, have.milli_cpu);
        let memory = part(node.requested.memory, pod.requests.memory, have.memory);
        let deviation = match (cpu, memory) {
            (Some(cpu), Some(memory)) => ((cpu - memory) / 2.0).abs(),
            (Some(_), None) | (None, Some(_)) | (None, None) => 0.0,
        };
        ((1.0 - deviation) * MAX_SCORE as f64) as i64
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::Cache;
    use crate::testing::{asking, node};

    #[test]
    fn half_the_cpu_and_no_memory_is_a_quarter_off() {
        let cache = Cache::default();
        let context = ScoreContext { cache: &cache, soft_spread: None, inter_pod: None };
        assert_eq!(BalancedAllocation.score(&asking("p", "2"), &NodeInfo::new(node("a", json!({}))), &context), 75);
    }
}
