//! What the scheduler believes of the cluster: every node with the pods on it, those included that it has just decided to put there
//! (assumed) and whose binding it has not seen yet. Mirrors `pkg/scheduler/backend/cache`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skiff_client::informer::Key;

use crate::resources::Resources;
use crate::view::{HostPort, NodeView, PodView};

/// A node and what is on it.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The node.
    pub view: Arc<NodeView>,
    /// Its pods.
    pub pods: BTreeMap<Key, Arc<PodView>>,
    /// What they ask for.
    pub requested: Resources,
    /// The same with defaults: milli-CPU and bytes.
    pub nonzero: (i64, i64),
    /// Ports they take.
    pub ports: Vec<HostPort>,
    /// How many pods of each owner are here.
    pub owners: BTreeMap<String, i64>,
    /// Pods with required anti-affinity, which keep others away.
    pub repelling: BTreeSet<Key>,
    /// Pods with any pod affinity, which matter when nodes are compared.
    pub affine: BTreeSet<Key>,
}

impl NodeInfo {
    /// A node without pods.
    pub fn new(view: Arc<NodeView>) -> Self {
        Self {
            view,
            pods: BTreeMap::new(),
            requested: Resources::default(),
            nonzero: (0, 0),
            ports: Vec::new(),
            owners: BTreeMap::new(),
            repelling: BTreeSet::new(),
            affine: BTreeSet::new(),
        }
    }

    /// Puts a pod here.
    pub fn add(&mut self, pod: Arc<PodView>) {
        self.remove(&pod.key);
        self.requested.change(&pod.requests, 1);
        self.nonzero = (self.nonzero.0 + pod.nonzero.0, self.nonzero.1 + pod.nonzero.1);
        self.ports.extend(pod.constraints().host_ports.iter().cloned());
        if !pod.owner.is_empty() && !pod.deleting {
            *self.owners.entry(pod.owner.clone()).or_insert(0) += 1;
        }
        if let Some(affinity) = &pod.constraints().affinity {
            let anti = affinity.pod_anti_affinity.as_ref();
            if anti.is_some_and(|anti| anti.required_during_scheduling_ignored_during_execution.as_ref().is_some_and(|terms| !terms.is_empty())) {
                self.repelling.insert(pod.key.clone());
            }
            if anti.is_some() || affinity.pod_affinity.is_some() {
                self.affine.insert(pod.key.clone());
            }
        }
        self.pods.insert(pod.key.clone(), pod);
    }

    /// Takes a pod away; answers whether it was here.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<PodView>> {
        let pod = self.pods.remove(key)?;
        self.requested.change(&pod.requests, -1);
        self.nonzero = (self.nonzero.0 - pod.nonzero.0, self.nonzero.1 - pod.nonzero.1);
        for port in &pod.constraints().host_ports {
            if let Some(at) = self.ports.iter().position(|one| one == port) {
                self.ports.swap_remove(at);
            }
        }
        if !pod.owner.is_empty()
            && !pod.deleting
            && let Some(count) = self.owners.get_mut(&pod.owner)
        {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&pod.owner);
            }
        }
        self.repelling.remove(key);
        self.affine.remove(key);
        Some(pod)
    }
}

/// Every node, by name, and where each pod is.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// Sorted by name.
    nodes: Vec<NodeInfo>,
    /// Pods whose node is not (or no longer) known, by node.
    homeless: BTreeMap<String, BTreeMap<Key, Arc<PodView>>>,
    /// The node of each pod that takes room.
    places: BTreeMap<Key, String>,
    /// Pods that were put somewhere but not seen there yet.
    assumed: BTreeSet<Key>,
    /// Labels of each namespace.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Claims that are there.
    pub claims: BTreeSet<Key>,
    /// How many nodes hold each image.
    image_nodes: BTreeMap<String, i64>,
    /// Pods that wait for others to be displaced, and where.
    nominated: BTreeMap<Key, (String, Arc<PodView>)>,
}

impl Cache {
    /// All nodes, by name.
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.find(name).ok().map(|at| &self.nodes[at])
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|info| info.view.name.as_str().cmp(name))
    }

    /// On how many nodes an image is.
    pub fn nodes_with_image(&self, image: &str) -> i64 {
        self.image_nodes.get(image).copied().unwrap_or(0)
    }

    /// A node is there, or changed. Answers what it was.
    pub fn put_node(&mut self, view: Arc<NodeView>) -> Option<Arc<NodeView>> {
        let name = view.name.clone();
        for image in view.images.keys() {
            *self.image_nodes.entry(image.clone()).or_insert(0) += 1;
        }
        match self.find(&name) {
            Ok(at) => {
                let old = std::mem::replace(&mut self.nodes[at].view, view);
                self.forget_images(&old);
                Some(old)
            }
            Err(at) => {
                let mut info = NodeInfo::new(view);
                for (_, pod) in self.homeless.remove(&name).unwrap_or_default() {
                    info.add(pod);
                }
                self.nodes.insert(at, info);
                None
            }
        }
    }

    /// A node is gone; its pods are not.
    pub fn remove_node(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            let info = self.nodes.remove(at);
            self.forget_images(&info.view);
            if !info.pods.is_empty() {
                self.homeless.insert(name.to_owned(), info.pods);
            }
        }
    }

    fn forget_images(&mut self, view: &NodeView) {
        for image in view.images.keys() {
            if let Some(count) = self.image_nodes.get_mut(image) {
                *count -= 1;
                if *count == 0 {
                    self.image_nodes.remove(image);
                }
            }
        }
    }

    /// A pod takes room on `node` (its own `spec.nodeName`, or the one decided on).
    pub fn put_pod(&mut self, pod: Arc<PodView>, node: &str) {
        self.take_away(&pod.key);
        self.places.insert(pod.key.clone(), node.to_owned());
        match self.find(node) {
            Ok(at) => self.nodes[at].add(pod),
            Err(_) => {
                self.homeless.entry(node.to_owned()).or_default().insert(pod.key.clone(), pod);
            }
        }
    }

    /// A pod takes no room any more.
    pub fn remove_pod(&mut self, key: &Key) {
        self.assumed.remove(key);
        self.take_away(key);
    }

    fn take_away(&mut self, key: &Key) {
        let Some(node) = self.places.remove(key) else { return };
        if let Ok(at) = self.find(&node) {
            self.nodes[at].remove(key);
        } else if let Some(pods) = self.homeless.get_mut(&node) {
            pods.remove(key);
            if pods.is_empty() {
                self.homeless.remove(&node);
            }
        }
    }

    /// A pod is to be bound to `node`: it takes room there from now on.
    pub fn assume(&mut self, pod: Arc<PodView>, node: &str) {
        self.assumed.insert(pod.key.clone());
        self.put_pod(pod, node);
    }

    /// The binding was seen.
    pub fn confirm(&mut self, key: &Key) {
        self.assumed.remove(key);
    }

    /// Whether the pod was put somewhere but not seen there yet.
    pub fn is_assumed(&self, key: &Key) -> bool {
        self.assumed.contains(key)
    }

    /// A pod waits for room on `node`, which less important pods may not take; an empty name: it waits no more.
    pub fn nominate(&mut self, pod: &Arc<PodView>, node: &str) {
        if node.is_empty() {
            self.nominated.remove(&pod.key);
        } else {
            self.nominated.insert(pod.key.clone(), (node.to_owned(), pod.clone()));
        }
    }

    /// A pod waits for room no more.
    pub fn denominate(&mut self, key: &Key) {
        self.nominated.remove(key);
    }

    /// The node as it will be once the pods that wait for room on it are there: those at least as important as `pod`. None: as it is.
    pub fn with_nominated(&self, node: &NodeInfo, pod: &PodView) -> Option<NodeInfo> {
        let waits = |(place, other): &&(String, Arc<PodView>)| *place == node.view.name && other.priority >= pod.priority && other.key != pod.key;
        let mut filled: Option<NodeInfo> = None;
        for (_, other) in self.nominated.values().filter(waits) {
            filled.get_or_insert_with(|| node.clone()).add(other.clone());
        }
        filled
    }

    /// The node where a pod takes room.
    pub fn place(&self, key: &Key) -> Option<&str> {
        self.places.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{node, pod};

    #[test]
    fn what_is_added_and_removed_leaves_nothing() {
        let mut cache = Cache::default();
        cache.put_node(node("a", json!({})));
        let one = pod(
            "p",
            json!({"containers": [{"name": "c", "image": "i", "ports": [{"hostPort": 80}], "resources": {"requests": {"cpu": "1", "x.io/gpu": "2"}}}]}),
        );
        cache.assume(one.clone(), "a");
        cache.put_pod(one.clone(), "a");
        assert_eq!(cache.node("a").unwrap().requested.milli_cpu, 1000);
        cache.remove_pod(&one.key);
        let info = cache.node("a").unwrap();
        assert_eq!((info.requested.milli_cpu, info.requested.others["x.io/gpu"], info.ports.len(), info.nonzero), (0, 0, 0, (0, 0)));
        assert!(!cache.is_assumed(&one.key));
    }

    #[test]
    fn pods_of_a_node_that_comes_back_are_still_there() {
        let mut cache = Cache::default();
        let one = pod("p", json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}));
        cache.put_pod(one.clone(), "a");
        cache.put_node(node("a", json!({})));
        assert_eq!(cache.node("a").unwrap().requested.milli_cpu, 1000);
        cache.remove_node("a");
        cache.put_node(node("a", json!({})));
        assert_eq!(cache.node("a").unwrap().pods.len(), 1);
    }
}
