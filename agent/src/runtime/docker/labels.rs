//! What Docker is told about whose a container is: names as dockershim gave them, and labels, so that a restarted agent finds its own.

use std::collections::{BTreeMap, HashMap};

use super::super::{ContainerSpec, PodId, SandboxSpec};

/// The cluster a container or network belongs to.
pub const CLUSTER: &str = "skiff.dev/cluster";
/// The node a container belongs to.
pub const NODE: &str = "skiff.dev/node";
/// `podsandbox` or `container`, as dockershim called them.
pub const TYPE: &str = "io.kubernetes.docker.type";
/// The value of [`TYPE`] of a pause container.
pub const SANDBOX: &str = "podsandbox";
/// The value of [`TYPE`] of any other container.
pub const CONTAINER: &str = "container";
/// The pod's uid.
pub const POD_UID: &str = "io.kubernetes.pod.uid";
/// The pod's name.
pub const POD_NAME: &str = "io.kubernetes.pod.name";
/// The pod's namespace.
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// The container's name in the pod; `POD` for a pause container.
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// [`ContainerSpec::attempt`].
pub const ATTEMPT: &str = "io.kubernetes.container.restartCount";
/// [`ContainerSpec::hash`].
pub const HASH: &str = "io.kubernetes.container.hash";
/// The sandbox a container was made in.
pub const SANDBOX_ID: &str = "io.kubernetes.sandbox.id";
/// The image as the pod names it.
const IMAGE: &str = "skiff.dev/image";
/// Put before the agent's own facts.
const FACT: &str = "fact.skiff.dev/";

/// Whose containers these are: the one cluster and node that a runtime acts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The cluster.
    pub cluster: String,
    /// The node.
    pub node: String,
}

impl Owner {
    /// A filter that Docker applies to lists and events.
    pub fn filter(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{CLUSTER}={}", self.cluster), format!("{NODE}={}", self.node)])])
    }

    /// Whether something with these labels is ours.
    pub fn owns(&self, labels: &HashMap<String, String>) -> bool {
        labels.get(CLUSTER) == Some(&self.cluster) && labels.get(NODE) == Some(&self.node)
    }

    fn labels(&self, pod: &PodId, kind: &str, name: &str, attempt: u32) -> HashMap<String, String> {
        [
            (CLUSTER, self.cluster.as_str()),
            (NODE, &self.node),
            (TYPE, kind),
            (POD_UID, &pod.uid),
            (POD_NAME, &pod.name),
            (POD_NAMESPACE, &pod.namespace),
            (CONTAINER_NAME, name),
            (ATTEMPT, &attempt.to_string()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }

    /// The labels of a pause container: the pod's own too, unless they are called like ours.
    pub fn sandbox_labels(&self, spec: &SandboxSpec) -> HashMap<String, String> {
        let mut labels: HashMap<String, String> = spec.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        labels.extend(self.labels(&spec.pod, SANDBOX, "POD", spec.attempt));
        labels
    }

    /// The labels of a container.
    pub fn container_labels(&self, sandbox: &str, spec: &ContainerSpec) -> HashMap<String, String> {
        let mut labels = self.labels(&spec.pod, CONTAINER, &spec.name, spec.attempt);
        labels.extend([(HASH, &spec.hash), (IMAGE, &spec.image)].map(|(key, value)| (key.to_owned(), value.clone())));
        labels.insert(SANDBOX_ID.to_owned(), sandbox.to_owned());
        labels.extend(spec.labels.iter().map(|(key, value)| (format!("{FACT}{key}"), value.clone())));
        labels
    }
}

/// `k8s_POD_<pod>_<namespace>_<uid>_<attempt>`.
pub fn sandbox_name(spec: &SandboxSpec) -> String {
    name("POD", &spec.pod, spec.attempt)
}

/// `k8s_<container>_<pod>_<namespace>_<uid>_<attempt>`.
pub fn container_name(spec: &ContainerSpec) -> String {
    name(&spec.name, &spec.pod, spec.attempt)
}

fn name(container: &str, pod: &PodId, attempt: u32) -> String {
    format!("k8s_{container}_{}_{}_{}_{attempt}", pod.name, pod.namespace, pod.uid)
}

/// What the labels of a container of ours say; none where it is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The pod.
    pub pod: PodId,
    /// Whether it is a pause container.
    pub is_sandbox: bool,
    /// The container's name.
    pub name: String,
    /// How many came before it.
    pub attempt: u32,
    /// The spec's hash.
    pub hash: String,
    /// The image as the pod named it.
    pub image: String,
    /// The sandbox it was made in.
    pub sandbox: String,
    /// The agent's facts.
    pub facts: BTreeMap<String, String>,
}

impl Told {
    /// Reads labels.
    #[expect(clippy::disallowed_methods, reason = "what is read goes into an ordered map")]
    pub fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let get = |key: &str| labels.get(key).cloned();
        Some(Self {
            pod: PodId { uid: get(POD_UID)?, namespace: get(POD_NAMESPACE)?, name: get(POD_NAME)? },
            is_sandbox: get(TYPE)? == SANDBOX,
            name: get(CONTAINER_NAME)?,
            attempt: get(ATTEMPT)?.parse().ok()?,
            hash: get(HASH).unwrap_or_default(),
            image: get(IMAGE).unwrap_or_default(),
            sandbox: get(SANDBOX_ID).unwrap_or_default(),
            facts: labels.iter().filter_map(|(key, value)| Some((key.strip_prefix(FACT)?.to_owned(), value.clone()))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> PodId {
        PodId { uid: "u-1".into(), namespace: "shop".into(), name: "web-0".into() }
    }

    #[test]
    fn labels_tell_what_was_asked_for() {
        let owner = Owner { cluster: "c".into(), node: "node-1".into() };
        let spec = ContainerSpec {
            pod: pod(),
            name: "app".into(),
            attempt: 2,
            hash: "abc".into(),
            image: "skiff/demo:1".into(),
            labels: BTreeMap::from([("grace".to_owned(), "30".to_owned())]),
            ..ContainerSpec::default()
        };
        let labels = owner.container_labels("sandbox-1", &spec);
        assert!(owner.owns(&labels));
        assert!(!Owner { node: "node-2".into(), ..owner.clone() }.owns(&labels));
        let told = Told::read(&labels).unwrap();
        assert_eq!((told.pod, told.is_sandbox, told.attempt, told.facts), (spec.pod.clone(), false, 2, spec.labels.clone()));
        assert_eq!((told.name, told.hash, told.image, told.sandbox), (spec.name.clone(), spec.hash.clone(), spec.image.clone(), "sandbox-1".to_owned()));
        assert_eq!(container_name(&spec), "k8s_app_web-0_shop_u-1_2");
    }

    #[test]
    fn a_pods_labels_cannot_pose_as_ours() {
        let owner = Owner { cluster: "c".into(), node: "node-1".into() };
        let spec = SandboxSpec {
            pod: pod(),
            labels: BTreeMap::from([(NODE.to_owned(), "node-9".to_owned()), ("app".to_owned(), "web".to_owned())]),
            ..SandboxSpec::default()
        };
        let labels = owner.sandbox_labels(&spec);
        assert!(owner.owns(&labels));
        assert_eq!(labels.get("app").map(String::as_str), Some("web"));
        assert!(Told::read(&labels).unwrap().is_sandbox);
        assert_eq!(sandbox_name(&spec), "k8s_POD_web-0_shop_u-1_0");
    }
}
