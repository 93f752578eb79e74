//! What to do about a DaemonSet: one pod on each node that should have one. See `pkg/controller/daemon/daemon_controller.go` and `update.go`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use skiff_proto::rules::affinity::{NodeLabels, required_matches};

use crate::node_lifecycle::evict::bears;
use crate::view::daemon_set::{ControllerRevision, DaemonSetStatus};
use crate::view::pod::Toleration;
use crate::view::{DaemonSet, Node, Pod};

/// The label that tells one template's pods from another's: `apps.DefaultDaemonSetUniqueLabelKey`.
pub const HASH_LABEL: &str = "controller-revision-hash";
/// Taints that a daemon bears whatever its template says: `util.AddOrUpdateDaemonPodTolerations`.
const BORNE: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// How many seconds a failed pod stays at least: bounds how often one that cannot run is made again. (Upstream waits longer each time.)
const FAILED_STAYS: i64 = 5;

/// What to write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Nodes to make a pod for.
    pub create: Vec<String>,
    /// Pods to delete.
    pub delete: Vec<Arc<Pod>>,
    /// Pods that failed and are among those to delete, with their node.
    pub failed: Vec<(Arc<Pod>, String)>,
    /// Merge patch of the status.
    pub status: Option<Value>,
    /// When to look again although nothing happens.
    pub check_after: Option<Duration>,
}

/// Whether a node should have the pod, and whether one that is there may stay: `NodeShouldRunDaemonPod`.
pub fn belongs(template: &PodSpec, tolerations: &[Toleration], node: &Node) -> (bool, bool) {
    let labels = node.metadata.labels.to_map();
    let affinity = template.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let named = template.node_name.as_ref().is_none_or(|name| name.is_empty() || *name == node.metadata.name);
    let fits = named && required_matches(template.node_selector.as_ref(), affinity, NodeLabels { name: &node.metadata.name, labels: &labels });
    let borne = |effects: &[&str]| {
        let counted = node.spec.taints.iter().filter(|taint| effects.contains(&taint.effect.as_str()));
        counted.into_iter().all(|taint| tolerations.iter().any(|toleration| bears(toleration, taint)))
    };
    (fits && borne(&["NoSchedule", "NoExecute"]), fits && borne(&["NoExecute"]))
}

/// The template's tolerations and those of every daemon.
pub fn tolerations(template: &Value) -> Vec<Toleration> {
    let own: Vec<Toleration> = serde_json::from_value(template["spec"]["tolerations"].clone()).unwrap_or_default();
    let more = borne(template["spec"]["hostNetwork"] == true);
    own.into_iter().chain(more.into_iter().filter_map(|toleration| serde_json::from_value(toleration).ok())).collect()
}

fn borne(host_network: bool) -> Vec<Value> {
    let network = host_network.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    BORNE.into_iter().chain(network).map(|(key, effect)| json!({ "key": key, "operator": "Exists", "effect": effect })).collect()
}

/// What is known of a DaemonSet.
pub struct View<'a> {
    /// The DaemonSet.
    pub set: &'a DaemonSet,
    /// Its own pods.
    pub pods: &'a [Arc<Pod>],
    /// Every node.
    pub nodes: &'a [Arc<Node>],
    /// Its template.
    pub template: &'a Value,
    /// The template's hash.
    pub hash: &'a str,
}

/// Decides.
pub fn plan(view: &View, now: Timestamp) -> Plan {
    let spec: PodSpec = serde_json::from_value(view.template["spec"].clone()).unwrap_or_default();
    let tolerations = tolerations(view.template);
    let mut on_node: BTreeMap<&str, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in view.pods {
        on_node.entry(pod.target_node()).or_default().push(pod);
    }
    let (mut plan, mut status) = (Plan::default(), DaemonSetStatus { collision_count: view.set.status.collision_count, ..DaemonSetStatus::default() });
    let mut old: Vec<&Arc<Pod>> = Vec::new();
    for node in view.nodes {
        let pods = on_node.remove(node.metadata.name.as_str()).unwrap_or_default();
        let (should_run, may_stay) = belongs(&spec, &tolerations, node);
        let kept = settle_node(now, node, &pods, should_run, may_stay, &mut plan);
        count(view, should_run, kept.or_else(|| pods.first().copied()), now, &mut status);
        old.extend(kept.filter(|pod| should_run && pod.metadata.labels.get(HASH_LABEL) != Some(view.hash)));
    }
    // Pods whose node is gone are the pod collector's.
    status.number_unavailable = status.desired_number_scheduled - status.number_available;
    status.observed_generation = view.set.metadata.generation;
    if view.set.metadata.is_deleting() {
        plan = Plan::default();
    } else if view.set.spec.update_strategy.kind != "OnDelete" {
        roll(view, &old, &status, now, &mut plan);
    }
    plan.status = patch(view.set, &status);
    if status.number_available < status.number_ready && view.set.spec.min_ready_seconds > 0 {
        plan.check_after = Some(Duration::from_secs(1));
    }
    plan
}

/// `podsShouldBeOnNode`: makes the node's pod, or deletes what is too much. Answers the pod that stays.
fn settle_node<'a>(now: Timestamp, node: &Node, pods: &[&'a Arc<Pod>], should_run: bool, may_stay: bool, plan: &mut Plan) -> Option<&'a Arc<Pod>> {
    let staying: Vec<&Arc<Pod>> = pods.iter().filter(|pod| !pod.metadata.is_deleting()).copied().collect();
    if !may_stay {
        plan.delete.extend(staying.into_iter().cloned());
        return None;
    }
    if should_run && pods.is_empty() {
        plan.create.push(node.metadata.name.clone());
    }
    let (failed, mut running): (Vec<&Arc<Pod>>, Vec<&Arc<Pod>>) = staying.into_iter().partition(|pod| pod.status.phase == "Failed");
    for pod in failed {
        if now.as_second() - pod.metadata.created() < FAILED_STAYS {
            plan.check_after = Some(Duration::from_secs(1));
            continue;
        }
        plan.failed.push((pod.clone(), node.metadata.name.clone()));
        plan.delete.push(pod.clone());
    }
    running.sort_by_key(|pod| (pod.metadata.created(), pod.metadata.name.clone()));
    let kept = running.first().copied();
    plan.delete.extend(running.into_iter().skip(1).cloned());
    kept
}

fn count(view: &View, should_run: bool, pod: Option<&Arc<Pod>>, now: Timestamp, status: &mut DaemonSetStatus) {
    let has = pod.is_some();
    if !should_run {
        status.number_misscheduled += i32::from(has);
        return;
    }
    status.desired_number_scheduled += 1;
    let Some(pod) = pod else { return };
    status.current_number_scheduled += 1;
    status.number_ready += i32::from(pod.is_ready());
    status.number_available += i32::from(pod.is_available(view.set.spec.min_ready_seconds, now));
    status.updated_number_scheduled += i32::from(pod.metadata.labels.get(HASH_LABEL) == Some(view.hash));
}

/// `rollingUpdate`: old pods that are not available go at once, others as many as may be missing.
fn roll(view: &View, old: &[&Arc<Pod>], status: &DaemonSetStatus, now: Timestamp, plan: &mut Plan) {
    let desired = status.desired_number_scheduled;
    let most = view.set.spec.update_strategy.rolling_update.as_ref().and_then(|rolling| rolling.max_unavailable.as_ref());
    let most = most.map_or(1, |most| most.of(desired, true));
    let is_available = |pod: &&&Arc<Pod>| pod.is_available(view.set.spec.min_ready_seconds, now);
    let (available, unavailable): (Vec<&&Arc<Pod>>, Vec<&&Arc<Pod>>) = old.iter().partition(is_available);
    let spare = usize::try_from(most - (desired - status.number_available)).unwrap_or(0);
    plan.delete.extend(unavailable.into_iter().chain(available.into_iter().take(spare)).map(|pod| (*pod).clone()));
}

fn patch(set: &DaemonSet, status: &DaemonSetStatus) -> Option<Value> {
    if set.status == *status {
        return None;
    }
    let some = |number: i32| if number == 0 { Value::Null } else { number.into() };
    Some(json!({
        "metadata": { "resourceVersion": set.metadata.resource_version, "uid": set.metadata.uid },
        "status": {
            "currentNumberScheduled": status.current_number_scheduled, "numberMisscheduled": status.number_misscheduled,
            "desiredNumberScheduled": status.desired_number_scheduled, "numberReady": status.number_ready,
            "numberAvailable": some(status.number_available), "numberUnavailable": some(status.number_unavailable),
            "updatedNumberScheduled": some(status.updated_number_scheduled),
            "observedGeneration": if status.observed_generation == 0 { Value::Null } else { status.observed_generation.into() },
        },
    }))
}

/// A pod for one node. The scheduler binds it there: it fits nowhere else.
pub fn pod(set: &DaemonSet, template: &Value, owner: Value, hash: &str, node: &str) -> Value {
    let mut pod = crate::replicaset::plan::pod_from_template(&set.metadata.name, template, owner);
    pod["metadata"]["labels"][HASH_LABEL] = hash.into();
    if let Some(generation) = set.metadata.annotations.get("deprecated.daemonset.template.generation") {
        pod["metadata"]["labels"]["pod-template-generation"] = generation.into();
    }
    let spec = &mut pod["spec"];
    let term = json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }] });
    spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = json!({ "nodeSelectorTerms": [term] });
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    let more = borne(spec["hostNetwork"] == true);
    tolerations.extend(more);
    spec["tolerations"] = tolerations.into();
    pod
}

/// What to do about the revisions of the template.
#[derive(Clone, Debug, PartialEq)]
pub enum Revise {
    /// The current one is there.
    Current {
        /// Its hash.
        hash: String,
    },
    /// The current one has to be made.
    Create(Box<Value>),
    /// The current one is an old one again: it gets the highest number (merge patch).
    Renumber {
        /// Its name.
        name: String,
        /// Its number.
        patch: Value,
    },
}

/// Finds the current template among the revisions: `constructHistory`.
pub fn revise(set: &DaemonSet, template: &Value, revisions: &[Arc<ControllerRevision>], owner: &Value) -> Revise {
    let data = data(template);
    let highest = revisions.iter().map(|revision| revision.revision).max().unwrap_or(0);
    if let Some(current) = revisions.iter().filter(|revision| revision.data == data).max_by_key(|revision| revision.revision) {
        let hash = current.metadata.labels.get(HASH_LABEL).unwrap_or_default().to_owned();
        if current.revision == highest {
            return Revise::Current { hash };
        }
        let patch = json!({ "metadata": { "resourceVersion": current.metadata.resource_version }, "revision": highest + 1 });
        return Revise::Renumber { name: current.metadata.name.clone(), patch };
    }
    let hash = crate::hash::template_hash(template, set.status.collision_count);
    let mut labels = set.spec.template.labels.to_map();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    Revise::Create(Box::new(json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {
            "name": format!("{}-{hash}", set.metadata.name), "namespace": set.metadata.namespace, "labels": labels,
            "annotations": set.metadata.annotations.to_map(), "ownerReferences": [owner],
        },
        "data": data, "revision": highest + 1,
    })))
}

/// The patch that a revision holds.
fn data(template: &Value) -> Value {
    let mut template = template.clone();
    template["$patch"] = "replace".into();
    json!({ "spec": { "template": template } })
}

/// Revisions beyond the limit that no pod is of, oldest first.
pub fn surplus(set: &DaemonSet, revisions: &[Arc<ControllerRevision>], pods: &[Arc<Pod>], current: &str) -> Vec<Arc<ControllerRevision>> {
    let is_used = |hash: &str| hash == current || pods.iter().any(|pod| pod.metadata.labels.get(HASH_LABEL) == Some(hash));
    let mut old: Vec<_> = revisions.iter().filter(|revision| !is_used(revision.metadata.labels.get(HASH_LABEL).unwrap_or_default())).cloned().collect();
    old.sort_by_key(|revision| revision.revision);
    let keep = usize::try_from(set.spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
    old.truncate(old.len().saturating_sub(keep));
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(strategy: &str) -> DaemonSet {
        let json = json!({
            "metadata": {"name": "d", "namespace": "ns", "uid": "ds", "generation": 1},
            "spec": {"selector": {"matchLabels": {"app": "d"}}, "updateStrategy": {"type": strategy}, "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": []}}},
        });
        serde_json::from_str(&json.to_string()).unwrap()
    }

    fn node(name: &str, taints: Value) -> Arc<Node> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"taints": taints}})).unwrap())
    }

    fn pod_on(node: &str, name: &str, hash: &str, phase: &str, ready: bool) -> Arc<Pod> {
        let json = json!({
            "metadata": {"name": name, "uid": name, "labels": {HASH_LABEL: hash}}, "spec": {"nodeName": node},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        });
        Arc::new(serde_json::from_value(json).unwrap())
    }

    fn run(set: &DaemonSet, pods: &[Arc<Pod>], nodes: &[Arc<Node>]) -> Plan {
        let template = crate::deployment::template::parse(&set.spec.template);
        plan(&View { set, pods, nodes, template: &template, hash: "new" }, Timestamp::UNIX_EPOCH + k8s_openapi::jiff::SignedDuration::from_mins(1))
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
        pods.iter().map(|pod| pod.metadata.name.as_str()).collect()
    }

    #[test]
    fn one_on_each_node_that_it_bears() {
        let cordoned = json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]);
        let tainted = json!([{"key": "mine", "effect": "NoSchedule"}]);
        let nodes = [node("a", json!([])), node("b", cordoned), node("c", tainted)];
        let plan = run(&set("RollingUpdate"), &[pod_on("c", "p", "new", "Running", true)], &nodes);
        assert_eq!(plan.create, ["a", "b"]);
        assert!(plan.delete.is_empty(), "what runs may stay under NoSchedule");
        let status = &plan.status.unwrap()["status"];
        assert_eq!((&status["desiredNumberScheduled"], &status["numberMisscheduled"]), (&json!(2), &json!(1)));
        let evicting = [node("a", json!([{"key": "mine", "effect": "NoExecute"}]))];
        assert_eq!(names(&run(&set("RollingUpdate"), &[pod_on("a", "p", "new", "Running", true)], &evicting).delete), ["p"]);
    }

    #[test]
    fn failed_and_surplus_pods_go() {
        let nodes = [node("a", json!([])), node("b", json!([]))];
        let pods = [pod_on("a", "p1", "new", "Failed", false), pod_on("b", "p2", "new", "Running", true), pod_on("b", "p3", "new", "Running", true)];
        assert_eq!(names(&run(&set("RollingUpdate"), &pods, &nodes).delete), ["p1", "p3"]);
    }

    #[test]
    fn rolls_one_node_at_a_time() {
        let nodes = [node("a", json!([])), node("b", json!([])), node("c", json!([]))];
        let pods =
            |ready: bool| [pod_on("a", "p1", "old", "Running", true), pod_on("b", "p2", "old", "Running", true), pod_on("c", "p3", "new", "Running", ready)];
        assert_eq!(names(&run(&set("RollingUpdate"), &pods(true), &nodes).delete), ["p1"]);
        assert!(run(&set("RollingUpdate"), &pods(false), &nodes).delete.is_empty());
        assert!(run(&set("OnDelete"), &pods(true), &nodes).delete.is_empty());
    }

    #[test]
    fn revisions_count_up() {
        let (set, owner) = (set("RollingUpdate"), json!({"uid": "ds"}));
        let template = crate::deployment::template::parse(&set.spec.template);
        let Revise::Create(made) = revise(&set, &template, &[], &owner) else { panic!("not made") };
        let first: Arc<ControllerRevision> = Arc::new(serde_json::from_value((*made).clone()).unwrap());
        assert!(matches!(revise(&set, &template, std::slice::from_ref(&first), &owner), Revise::Current { .. }));
        let second = Arc::new(ControllerRevision { revision: 2, ..ControllerRevision::default() });
        let Revise::Renumber { patch, .. } = revise(&set, &template, &[first, second], &owner) else { panic!("not renumbered") };
        assert_eq!(patch["revision"], 3);
    }

    #[test]
    fn a_pod_is_for_one_node_and_bears_its_troubles() {
        let set = set("RollingUpdate");
        let template = crate::deployment::template::parse(&set.spec.template);
        let pod: Pod = serde_json::from_value(pod(&set, &template, json!({}), "h", "a")).unwrap();
        assert_eq!((pod.target_node(), pod.spec.tolerations.len()), ("a", 6));
    }
}
