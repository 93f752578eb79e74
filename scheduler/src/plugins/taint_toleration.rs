//! `TaintToleration`: taints keep pods away that do not tolerate them; `PreferNoSchedule` only discourages.

use skiff_proto::k8s_openapi::api::core::v1::{Taint, Toleration};
use skiff_proto::rules::taints::{tolerates, untolerated};

use crate::cache::NodeInfo;
use crate::framework::{Context, Filter, Rejection, Score, ScoreContext, scale};
use crate::view::PodView;

/// See the module.
pub struct TaintToleration;

impl Filter for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, pod: &PodView, node: &NodeInfo, _context: &Context<'_>) -> Result<(), Rejection> {
        match untolerated(&node.view.taints, &pod.tolerations, &["NoSchedule", "NoExecute"]) {
            None => Ok(()),
            Some(_) => Err(Rejection::final_("node(s) had untolerated taint(s)")),
        }
    }
}

fn discourages(taint: &&Taint) -> bool {
    taint.effect == "PreferNoSchedule"
}

impl Score for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn weight(&self) -> i64 {
        3
    }

    fn applies(&self, _pod: &PodView, context: &ScoreContext<'_>) -> bool {
        context.cache.nodes().iter().any(|node| node.view.taints.iter().any(|taint| discourages(&taint)))
    }

    /// How many taints are not tolerated: the fewer the better.
    fn score(&self, pod: &PodView, node: &NodeInfo, _context: &ScoreContext<'_>) -> i64 {
        let counts = |toleration: &&Toleration| matches!(toleration.effect.as_deref(), None | Some("" | "PreferNoSchedule"));
        let tolerated = |taint: &Taint| pod.tolerations.iter().filter(counts).any(|toleration| tolerates(toleration, taint));
        let intolerable = node.view.taints.iter().filter(discourages).filter(|taint| !tolerated(taint));
        i64::try_from(intolerable.count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64], _nodes: &[&NodeInfo], _context: &ScoreContext<'_>) {
        scale(scores, true);
    }
}
