//! Which keys a change concerns: from a pod to its ReplicaSet, from a ReplicaSet to its Deployment, from a pod to its services.
//! Pure over the caches; [`crate::manager`] puts the answers into the queues.

use std::sync::Arc;

use skiff_client::informer::{Cache, Change, Key};

use crate::view::deployment::StrategyKind;
use crate::view::{EndpointSlice, LabelSelector, Meta, Node, Object, Pod, Replicas};
use crate::world::World;

/// The objects of a change: before and after.
pub fn sides<T>(change: &Change<T>) -> (Option<&Arc<T>>, Option<&Arc<T>>) {
    match change {
        Change::Added { new, .. } => (None, Some(new)),
        Change::Modified { old, new, .. } => (Some(old), Some(new)),
        Change::Deleted { old, .. } => (Some(old), None),
        Change::Synced => (None, None),
    }
}

/// The key of a change.
pub fn key<T>(change: &Change<T>) -> Option<&Key> {
    match change {
        Change::Added { key, .. } | Change::Modified { key, .. } | Change::Deleted { key, .. } => Some(key),
        Change::Synced => None,
    }
}

/// The controllers of `kind` that an object before and after concerns: those that it names and, if it is nobody's, those that select it.
fn controllers<'a>(kind: &str, before: Option<&'a Meta>, after: Option<&'a Meta>, selecting: impl Fn(&Meta) -> Vec<Key>) -> Vec<Key> {
    let named = |meta: &Meta| meta.controller().filter(|owner| owner.kind == kind).map(|owner| Key::new(&meta.namespace, &owner.name));
    let mut keys: Vec<Key> = [before, after].into_iter().flatten().filter_map(named).collect();
    if let Some(orphan) = after.filter(|meta| meta.controller().is_none() && !meta.is_deleting())
        && before.is_none_or(|before| before.labels != orphan.labels || before.controller().is_some())
    {
        keys.extend(selecting(orphan));
    }
    keys.sort();
    keys.dedup();
    keys
}

/// The sets of one kind that a pod's change concerns.
pub fn sets_of_pod(kind: &str, sets: &Cache<Replicas>, change: &Change<Pod>) -> Vec<Key> {
    let (before, after) = sides(change);
    controllers(kind, before.map(|pod| pod.meta()), after.map(|pod| pod.meta()), |orphan| {
        let all = sets.list_namespace(&orphan.namespace);
        all.iter().filter(|set| selects(&set.spec.selector, orphan)).map(|set| set.key()).collect()
    })
}

/// The Jobs that a pod's change concerns.
pub fn jobs_of_pod(world: &World, change: &Change<Pod>) -> Vec<Key> {
    let (before, after) = sides(change);
    controllers("Job", before.map(|pod| pod.meta()), after.map(|pod| pod.meta()), |orphan| {
        let all = world.jobs.list_namespace(&orphan.namespace);
        all.iter().filter(|job| selects(&job.spec.selector, orphan)).map(|job| job.key()).collect()
    })
}

/// The DaemonSets that a pod's change concerns.
pub fn daemon_sets_of_pod(world: &World, change: &Change<Pod>) -> Vec<Key> {
    let (before, after) = sides(change);
    controllers("DaemonSet", before.map(|pod| pod.meta()), after.map(|pod| pod.meta()), |orphan| {
        let all = world.daemon_sets.list_namespace(&orphan.namespace);
        all.iter().filter(|set| selects(&set.spec.selector, orphan)).map(|set| set.key()).collect()
    })
}

/// The DaemonSets that a node's change concerns: all of them, where its labels or taints changed or it came or went.
pub fn daemon_sets_of_node(world: &World, change: &Change<Node>) -> Vec<Key> {
    let (before, after) = sides(change);
    let seen = |node: Option<&Arc<Node>>| node.map(|node| (node.metadata.labels.clone(), node.spec.taints.clone()));
    if seen(before) == seen(after) { Vec::new() } else { world.daemon_sets.keys() }
}

/// The Deployments that a ReplicaSet's change concerns.
pub fn deployments_of_set(world: &World, change: &Change<Replicas>) -> Vec<Key> {
    let (before, after) = sides(change);
    controllers("Deployment", before.map(|set| set.meta()), after.map(|set| set.meta()), |orphan| {
        let all = world.deployments.list_namespace(&orphan.namespace);
        all.iter().filter(|deployment| selects(&deployment.spec.selector, orphan)).map(|deployment| deployment.key()).collect()
    })
}

/// The Deployment that waits for a pod to be gone before it makes new ones.
pub fn recreating_deployment(world: &World, change: &Change<Pod>) -> Option<Key> {
    let (Some(pod), after) = sides(change) else { return None };
    if after.is_some_and(|after| !after.is_terminal() || pod.is_terminal()) {
        return None;
    }
    let owner = pod.metadata.controller().filter(|owner| owner.kind == "ReplicaSet")?;
    let set = world.replica_sets.get(&pod.metadata.namespace, &owner.name)?;
    let deployment = world.deployments.get(&pod.metadata.namespace, &set.metadata.controller()?.name)?;
    (deployment.spec.strategy.kind == StrategyKind::Recreate).then(|| deployment.key())
}

/// The pod, if a taint of its node may drive it away, or may have been about to: it is new on its node, bears other taints than it did, or is
/// gone.
pub fn movable_pod(world: &World, change: &Change<Pod>) -> Option<Key> {
    let (before, after) = sides(change);
    let place = |pod: &Pod| (pod.spec.node_name.clone(), pod.spec.tolerations.clone(), pod.metadata.is_deleting(), pod.metadata.uid.clone());
    let pod = after.or(before)?;
    if pod.spec.node_name.is_empty() || before.map(|pod| place(pod)) == after.map(|pod| place(pod)) {
        return None;
    }
    let node = world.nodes.get("", &pod.spec.node_name);
    let is_tainted = node.is_some_and(|node| node.spec.taints.iter().any(|taint| taint.effect == crate::node_lifecycle::taints::NO_EXECUTE));
    (is_tainted || before.is_some()).then(|| pod.key())
}

/// The services whose endpoints a pod's change concerns: those that select it before or after, if anything that endpoints show changed.
pub fn services_of_pod(world: &World, change: &Change<Pod>) -> Vec<Key> {
    let (before, after) = sides(change);
    if let (Some(before), Some(after)) = (before, after)
        && !endpoints_differ(before, after)
    {
        return Vec::new();
    }
    let Some(namespace) = before.or(after).map(|pod| pod.metadata.namespace.as_str()) else { return Vec::new() };
    let services = world.services.list_namespace(namespace);
    let concerns = |pod: Option<&Arc<Pod>>, selector: &crate::view::Labels| {
        pod.is_some_and(|pod| selector.iter().all(|(key, value)| pod.metadata.labels.get(key) == Some(value)))
    };
    services
        .iter()
        .filter(|service| service.is_ours_to_publish())
        .filter(|service| service.spec.selector.as_ref().is_some_and(|selector| concerns(before, selector) || concerns(after, selector)))
        .map(|service| service.key())
        .collect()
}

/// The service that a slice says it is of, before and after.
pub fn services_of_slice(change: &Change<EndpointSlice>) -> Vec<Key> {
    let service = |slice: &Arc<EndpointSlice>| {
        let name = slice.metadata.labels.get(crate::endpoint_slice::plan::SERVICE_NAME)?;
        Some(Key::new(&slice.metadata.namespace, name))
    };
    let (before, after) = sides(change);
    let mut keys: Vec<Key> = [before, after].into_iter().flatten().filter_map(service).collect();
    keys.dedup();
    keys
}

/// `podEndpointsChanged`: whether anything that endpoints show of a pod differs.
fn endpoints_differ(before: &Pod, after: &Pod) -> bool {
    let shown = |pod: &Pod| {
        (pod.is_ready(), pod.is_terminal(), pod.metadata.is_deleting(), pod.spec.node_name.clone(), pod.spec.hostname.clone(), pod.spec.subdomain.clone())
    };
    shown(before) != shown(after)
        || before.status.pod_ip != after.status.pod_ip
        || before.status.pod_ips != after.status.pod_ips
        || before.metadata.labels != after.metadata.labels
        || before.metadata.uid != after.metadata.uid
}

fn selects(selector: &LabelSelector, meta: &Meta) -> bool {
    !selector.is_empty() && selector.matches(&meta.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Labels, Owner};

    fn owned(uid: &str, name: &str) -> Meta {
        let owner = Owner { kind: "ReplicaSet".to_owned(), name: name.to_owned(), uid: uid.to_owned(), controller: true, ..Owner::default() };
        Meta { namespace: "ns".to_owned(), owner_references: vec![owner], ..Meta::default() }
    }

    #[test]
    fn a_change_concerns_owners_and_selectors() {
        let orphan = Meta { namespace: "ns".to_owned(), labels: Labels::from([("a", "b")]), ..Meta::default() };
        let unlabelled = Meta { namespace: "ns".to_owned(), ..Meta::default() };
        let (x, y) = (owned("1", "x"), owned("2", "y"));
        let select = |_: &Meta| vec![Key::new("ns", "selector")];
        let cases: [(Option<&Meta>, Option<&Meta>, &[&str]); 7] = [
            (None, Some(&x), &["x"]),
            (Some(&x), Some(&y), &["x", "y"]),
            (Some(&x), None, &["x"]),
            (None, Some(&orphan), &["selector"]),
            (Some(&orphan), Some(&orphan), &[]),
            (Some(&unlabelled), Some(&orphan), &["selector"]),
            (Some(&x), Some(&orphan), &["selector", "x"]),
        ];
        for (before, after, expected) in cases {
            let keys = controllers("ReplicaSet", before, after, select);
            assert_eq!(keys.iter().map(|key| &*key.name).collect::<Vec<_>>(), expected);
        }
        assert!(controllers("Job", None, Some(&x), select).is_empty());
    }
}
