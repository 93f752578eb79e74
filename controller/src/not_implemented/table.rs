//! Every served kind: who acts on it, or what is said of its objects. A test walks the API server's list of kinds.

use serde_json::Value;

use super::partly;

/// What becomes of the objects of a kind.
#[derive(Clone, Copy)]
pub enum Effect {
    /// What Kubernetes does with them is done; by whom.
    Acts(&'static str),
    /// Nothing is done with them: the sentence says what does not happen.
    Nothing(&'static str),
    /// It depends on what they say.
    Partly(fn(&Value) -> Option<String>),
}

use Effect::{Acts, Nothing, Partly};

/// By group-resource.
pub const EFFECTS: &[(&str, Effect)] = &[
    ("configmaps", Acts("agent: volumes and environment")),
    ("endpoints", Acts("endpoints, endpoint_slice")),
    ("events", Acts("kept for an hour by the API server")),
    ("limitranges", Nothing("skiff does not act on LimitRanges yet: pods and claims get no defaults from it and are not held to its limits")),
    ("namespaces", Partly(partly::namespace)),
    ("nodes", Acts("node_lifecycle, scheduler, agent")),
    (
        "persistentvolumeclaims",
        Nothing("skiff does not act on PersistentVolumeClaims yet: the claim is bound to no volume, and pods that name it stay Pending"),
    ),
    ("persistentvolumes", Nothing("skiff does not act on PersistentVolumes yet: no claim is bound to it, and its reclaim policy is not carried out")),
    ("pods", Acts("scheduler, agent; what a node cannot do it names in an event of its own")),
    ("podtemplates", Acts("kept for whoever reads them, as in Kubernetes")),
    ("replicationcontrollers", Acts("replicaset")),
    ("resourcequotas", Nothing("skiff does not act on ResourceQuotas yet: nothing is counted and nothing is refused")),
    ("secrets", Partly(partly::secret)),
    ("serviceaccounts", Acts("API server: admission, tokens")),
    ("services", Partly(partly::service)),
    ("apiservices.apiregistration.k8s.io", Partly(partly::api_service)),
    ("controllerrevisions.apps", Acts("daemon_set")),
    ("daemonsets.apps", Acts("daemon_set, which tells of fields itself")),
    ("deployments.apps", Acts("deployment")),
    ("replicasets.apps", Acts("replicaset")),
    ("statefulsets.apps", Nothing("skiff does not act on StatefulSets yet: no pod is made, changed or removed for it")),
    ("horizontalpodautoscalers.autoscaling", Nothing("skiff does not act on HorizontalPodAutoscalers yet: nothing is measured and nothing is scaled")),
    ("cronjobs.batch", Nothing("skiff does not act on CronJobs yet: no Job is made when its time comes")),
    ("jobs.batch", Acts("job, which tells of fields itself")),
    ("certificatesigningrequests.certificates.k8s.io", Partly(partly::signing_request)),
    (
        "ingressclasses.networking.k8s.io",
        Nothing("skiff has no Ingress controller yet: an Ingress of this class routes nothing, and none gets it as the default class"),
    ),
    ("ingresses.networking.k8s.io", Nothing("skiff has no Ingress controller yet: nothing is routed by it, and it gets no address")),
    (
        "ipaddresses.networking.k8s.io",
        Nothing("skiff does not act on IPAddresses: the addresses of Services are kept in the Services alone, and this one is not reserved by it"),
    ),
    (
        "networkpolicies.networking.k8s.io",
        Nothing("skiff does not act on NetworkPolicies yet: the pods that it selects are reached by everybody and reach everything"),
    ),
    ("servicecidrs.networking.k8s.io", Nothing("skiff does not act on ServiceCIDRs yet: no Service gets an address out of it")),
    (
        "poddisruptionbudgets.policy",
        Nothing(
            "skiff does not compute the status of PodDisruptionBudgets yet: evictions of the pods that it selects are refused, and preemption does not heed it",
        ),
    ),
    ("clusterrolebindings.rbac.authorization.k8s.io", Acts("API server: authorization")),
    ("clusterroles.rbac.authorization.k8s.io", Partly(partly::cluster_role)),
    ("rolebindings.rbac.authorization.k8s.io", Acts("API server: authorization")),
    ("roles.rbac.authorization.k8s.io", Acts("API server: authorization")),
    ("csidrivers.storage.k8s.io", Nothing("skiff has no CSI volumes yet: the driver is never called")),
    ("csinodes.storage.k8s.io", Nothing("skiff has no CSI volumes yet: nobody reads which drivers a node has")),
    ("csistoragecapacities.storage.k8s.io", Nothing("skiff has no CSI volumes yet: the scheduler does not read how much storage is left")),
    ("storageclasses.storage.k8s.io", Nothing("skiff has no volume provisioner yet: no volume is made for claims of this class")),
    ("volumeattachments.storage.k8s.io", Nothing("skiff has no CSI volumes yet: nothing is attached or detached")),
    ("volumeattributesclasses.storage.k8s.io", Nothing("skiff has no CSI volumes yet: no volume is changed to these attributes")),
    ("mutatingwebhookconfigurations.admissionregistration.k8s.io", Nothing(WEBHOOKS)),
    ("validatingadmissionpolicies.admissionregistration.k8s.io", Nothing(POLICIES)),
    ("validatingadmissionpolicybindings.admissionregistration.k8s.io", Nothing(POLICIES)),
    ("validatingwebhookconfigurations.admissionregistration.k8s.io", Nothing(WEBHOOKS)),
    ("customresourcedefinitions.apiextensions.k8s.io", Partly(partly::custom_resource)),
    ("priorityclasses.scheduling.k8s.io", Acts("API server: admission; scheduler")),
    ("leases.coordination.k8s.io", Acts("node_lifecycle; others are kept for whoever holds them, as in Kubernetes")),
    ("runtimeclasses.node.k8s.io", Nothing("skiff's nodes have no other container runtimes yet: pods that name this RuntimeClass stay Pending")),
    ("endpointslices.discovery.k8s.io", Acts("endpoint_slice")),
    ("deviceclasses.resource.k8s.io", Nothing(DEVICES)),
    ("resourceclaims.resource.k8s.io", Nothing(DEVICES)),
    ("resourceclaimtemplates.resource.k8s.io", Nothing(DEVICES)),
    ("resourceslices.resource.k8s.io", Nothing(DEVICES)),
    ("flowschemas.flowcontrol.apiserver.k8s.io", Nothing(FLOWS)),
    ("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", Nothing(FLOWS)),
];

const WEBHOOKS: &str = "skiff does not call admission webhooks yet: no request is sent to them, changed by them or refused by them";
const POLICIES: &str = "skiff does not evaluate admission policies yet: no request is checked against it";
const DEVICES: &str = "skiff does not allocate devices yet: pods with resource claims stay Pending";
const FLOWS: &str = "skiff has no API priority and fairness yet: no request is queued, limited or preferred by it";

/// What is to be said of an object.
pub fn sentence(resource: &str, json: &[u8]) -> Result<Option<Box<str>>, serde_json::Error> {
    match EFFECTS.iter().find(|(known, _)| *known == resource) {
        None | Some((_, Acts(_))) => Ok(None),
        Some((_, Nothing(sentence))) => Ok(Some((*sentence).into())),
        Some((_, Partly(decide))) => Ok(decide(&serde_json::from_slice(json)?).map(Into::into)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    /// What the API server serves: group, version, resource, kind, …, verbs, subresources, the version that is stored.
    const SERVED: &str = include_str!("../../../apiserver/src/kinds/api-resources.tsv");

    #[test]
    fn every_stored_kind_acts_or_says_so() {
        let mut stored = 0;
        for line in SERVED.lines().skip(2) {
            let columns: Vec<&str> = line.split('\t').collect();
            let (group, resource, verbs) = (columns[0], columns[2], columns[8]);
            // Reviews and bindings are answered and never stored; events have two names.
            if !verbs.contains("watch") || group == "events.k8s.io" {
                continue;
            }
            stored += 1;
            let qualified = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
            assert!(EFFECTS.iter().any(|(known, _)| *known == qualified), "{qualified} neither acts nor says that it does not");
            assert!(KINDS.iter().any(|kind| kind.resource == qualified), "{qualified} is not followed");
        }
        assert!(stored > 50, "the list of kinds was not read");
        let names: std::collections::BTreeSet<_> = EFFECTS.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), EFFECTS.len());
    }

    #[test]
    fn what_acts_says_nothing() {
        assert_eq!(sentence("deployments.apps", b"{}").unwrap(), None);
        assert!(sentence("statefulsets.apps", b"not even read").unwrap().unwrap().contains("no pod is made"));
        assert!(sentence("services", b"not json").is_err());
    }
}
