//! The shape of a decision: filters say where a pod cannot run and why, scores say where it would best run. Every plugin is a pure
//! function of the pod, one node, and what was worked out once for the pod ([`Context`]). Mirrors `pkg/scheduler/framework`.

use crate::cache::{Cache, NodeInfo};
use crate::plugins::inter_pod_affinity::InterPod;
use crate::plugins::topology_spread::{HardSpread, SoftSpread};
use crate::view::PodView;

/// The highest score of one plugin.
pub const MAX_SCORE: i64 = 100;

/// Why a node will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `Insufficient cpu`, `node(s) had untolerated taint(s)`: counted over the nodes in the event.
    pub reasons: Vec<String>,
    /// Whether taking pods away from the node could help.
    pub resolvable: bool,
}

impl Rejection {
    /// Room could be made.
    pub fn resolvable(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: true }
    }

    /// Nothing that is done to the node's pods helps.
    pub fn final_(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: false }
    }
}

/// What was worked out once for a pod before its nodes are looked at (`PreFilter`).
pub struct Context<'a> {
    /// All nodes.
    pub cache: &'a Cache,
    /// Counts for `topologySpreadConstraints` with `DoNotSchedule`.
    pub hard_spread: Option<HardSpread>,
    /// Counts for pod affinity and anti-affinity.
    pub inter_pod: Option<InterPod>,
}

impl<'a> Context<'a> {
    /// For `pod`; `replaced`: this node is taken to be like this instead (what preemption would leave).
    pub fn new(pod: &PodView, cache: &'a Cache, replaced: Option<&NodeInfo>) -> Self {
        let nodes = || {
            let swap = move |info: &'a NodeInfo| replaced.filter(|other| other.view.name == info.view.name).unwrap_or(info);
            cache.nodes().iter().map(swap)
        };
        Self { cache, hard_spread: HardSpread::new(pod, nodes()), inter_pod: InterPod::new(pod, cache, nodes()) }
    }
}

/// Says whether a pod can run on a node.
pub trait Filter: Sync {
    /// Kubernetes' name of the plugin.
    fn name(&self) -> &'static str;
    /// Nothing, or why not.
    fn filter(&self, pod: &PodView, node: &NodeInfo, context: &Context<'_>) -> Result<(), Rejection>;
}

/// What was worked out once for a pod and the nodes that are left (`PreScore`).
pub struct ScoreContext<'a> {
    /// All nodes.
    pub cache: &'a Cache,
    /// Counts for soft spreading.
    pub soft_spread: Option<SoftSpread>,
    /// Sums for preferred pod affinity.
    pub inter_pod: Option<InterPod>,
}

/// Says how well a pod would run on a node.
pub trait Score: Sync {
    /// Kubernetes' name of the plugin.
    fn name(&self) -> &'static str;
    /// How much it counts.
    fn weight(&self) -> i64;
    /// Whether it has anything to say about this pod; if not, it is left out.
    fn applies(&self, pod: &PodView, context: &ScoreContext<'_>) -> bool;
    /// The score of one node, in any range that [`Score::normalize`] understands.
    fn score(&self, pod: &PodView, node: &NodeInfo, context: &ScoreContext<'_>) -> i64;
    /// Brings the scores of all nodes into 0 to [`MAX_SCORE`].
    fn normalize(&self, _scores: &mut [i64], _nodes: &[&NodeInfo], _context: &ScoreContext<'_>) {}
}

/// Scales scores so that the highest becomes [`MAX_SCORE`]; `reverse`: high becomes low (`plugins/helper/normalize_score.go`).
pub fn scale(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        *score = match (highest, reverse) {
            (0, true) => MAX_SCORE,
            (0, false) => 0,
            (_, true) => MAX_SCORE - MAX_SCORE * *score / highest,
            (_, false) => MAX_SCORE * *score / highest,
        };
    }
}
