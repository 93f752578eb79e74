//! `NodeUnschedulable`: a cordoned node takes only pods that tolerate it.

use skiff_proto::k8s_openapi::api::core::v1::Taint;
use skiff_proto::rules::taints::tolerates;

use crate::cache::NodeInfo;
use crate::framework::{Context, Filter, Rejection};
use crate::view::PodView;

/// See the module.
pub struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, pod: &PodView, node: &NodeInfo, _context: &Context<'_>) -> Result<(), Rejection> {
        if !node.view.unschedulable {
            return Ok(());
        }
        let cordon = Taint { key: "node.kubernetes.io/unschedulable".to_owned(), effect: "NoSchedule".to_owned(), value: None, time_added: None };
        let tolerated = pod.tolerations.iter().any(|toleration| tolerates(toleration, &cordon));
        if tolerated { Ok(()) } else { Err(Rejection::final_("node(s) were unschedulable")) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::Cache;
    use crate::testing::{node, pod};

    #[test]
    fn a_cordon_can_be_tolerated() {
        let cache = Cache::default();
        let info = NodeInfo::new(node("a", json!({"spec": {"unschedulable": true}})));
        let plain = pod("p", json!({}));
        let daemon = pod("d", json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}]}));
        assert!(NodeUnschedulable.filter(&plain, &info, &Context::new(&plain, &cache, None)).is_err());
        assert!(NodeUnschedulable.filter(&daemon, &info, &Context::new(&daemon, &cache, None)).is_ok());
    }
}
