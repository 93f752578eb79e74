//! Pods, and the kinds that make pods.

pub mod autoscaler;
pub mod daemonset;
pub mod deployment;
pub mod disruptionbudget;
pub mod jobs;
pub mod pod;
pub mod podspec;
pub mod podtemplate;
pub mod replicaset;
pub mod statefulset;
pub mod template;
pub mod warnings;

use std::sync::Arc;

use crate::registry::strategy::Strategy;

/// The rules of a group-resource, if it is one of these.
pub fn strategy(group_resource: &str) -> Option<Arc<dyn Strategy>> {
    Some(match group_resource {
        "pods" => Arc::new(pod::Pod),
        "podtemplates" => Arc::new(podtemplate::PodTemplate),
        "controllerrevisions.apps" => Arc::new(podtemplate::ControllerRevision),
        "deployments.apps" => Arc::new(deployment::Deployment),
        "replicasets.apps" => Arc::new(replicaset::ReplicaSet),
        "replicationcontrollers" => Arc::new(replicaset::ReplicationController),
        "statefulsets.apps" => Arc::new(statefulset::StatefulSet),
        "daemonsets.apps" => Arc::new(daemonset::DaemonSet),
        "jobs.batch" => Arc::new(jobs::Job),
        "cronjobs.batch" => Arc::new(jobs::cronjob::CronJob),
        "horizontalpodautoscalers.autoscaling" => Arc::new(autoscaler::HorizontalPodAutoscaler),
        "poddisruptionbudgets.policy" => Arc::new(disruptionbudget::PodDisruptionBudget),
        _ => return None,
    })
}
