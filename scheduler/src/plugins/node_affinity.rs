//! `NodeAffinity`: `nodeSelector` and required node affinity decide, preferred node affinity counts.

use skiff_proto::k8s_openapi::api::core::v1::NodeAffinity as Terms;
use skiff_proto::rules::affinity::{NodeLabels, preferred_weight, required_matches};

use crate::cache::NodeInfo;
use crate::framework::{Context, Filter, Rejection, Score, ScoreContext, scale};
use crate::view::{NodeView, PodView};

/// See the module.
pub struct NodeAffinity;

/// Whether the pod's node selector and required node affinity hold.
pub fn matches(pod: &PodView, node: &NodeView) -> bool {
    required_matches(pod.constraints().node_selector.as_ref(), terms(pod), labels(node))
}

fn terms(pod: &PodView) -> Option<&Terms> {
    pod.constraints().affinity.as_ref()?.node_affinity.as_ref()
}

fn labels(node: &NodeView) -> NodeLabels<'_> {
    NodeLabels { name: &node.name, labels: &node.labels }
}

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, pod: &PodView, node: &NodeInfo, _context: &Context<'_>) -> Result<(), Rejection> {
        if matches(pod, &node.view) { Ok(()) } else { Err(Rejection::final_("node(s) didn't match Pod's node affinity/selector")) }
    }
}

impl Score for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn applies(&self, pod: &PodView, _context: &ScoreContext<'_>) -> bool {
        terms(pod).is_some_and(|terms| terms.preferred_during_scheduling_ignored_during_execution.as_ref().is_some_and(|all| !all.is_empty()))
    }

    fn score(&self, pod: &PodView, node: &NodeInfo, _context: &ScoreContext<'_>) -> i64 {
        preferred_weight(terms(pod), labels(&node.view))
    }

    fn normalize(&self, scores: &mut [i64], _nodes: &[&NodeInfo], _context: &ScoreContext<'_>) {
        scale(scores, false);
    }
}
