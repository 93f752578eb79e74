//! `NodeName`: a pod that names its node runs nowhere else.

use crate::cache::NodeInfo;
use crate::framework::{Context, Filter, Rejection};
use crate::view::PodView;

/// See the module.
pub struct NodeName;

impl Filter for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter(&self, pod: &PodView, node: &NodeInfo, _context: &Context<'_>) -> Result<(), Rejection> {
        if pod.node.is_empty() || pod.node == node.view.name { Ok(()) } else { Err(Rejection::final_("node(s) didn't match the requested node name")) }
    }
}
