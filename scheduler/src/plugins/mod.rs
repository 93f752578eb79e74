//! The plugins, one file each, under Kubernetes' names; what runs by default and how much each score counts is
//! `pkg/scheduler/apis/config/v1/default_plugins.go`.

pub mod balanced_allocation;
pub mod image_locality;
pub mod inter_pod_affinity;
pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
pub mod node_unschedulable;
pub mod resources_fit;
pub mod taint_toleration;
pub mod topology_spread;

use crate::framework::{Filter, Score};

/// Filters, in the order in which they are asked; the first that refuses is the one that is told.
pub static FILTERS: [&dyn Filter; 8] = [
    &node_unschedulable::NodeUnschedulable,
    &node_name::NodeName,
    &taint_toleration::TaintToleration,
    &node_affinity::NodeAffinity,
    &node_ports::NodePorts,
    &resources_fit::ResourcesFit,
    &topology_spread::TopologySpread,
    &inter_pod_affinity::InterPodAffinity,
];

/// Scores.
pub static SCORES: [&dyn Score; 7] = [
    &taint_toleration::TaintToleration,
    &node_affinity::NodeAffinity,
    &resources_fit::ResourcesFit,
    &topology_spread::TopologySpread,
    &inter_pod_affinity::InterPodAffinity,
    &balanced_allocation::BalancedAllocation,
    &image_locality::ImageLocality,
];
