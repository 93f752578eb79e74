//! The kinds that hold objects: what the garbage collector follows and a namespace's deletion sweeps.
//!
//! A table of Kubernetes 1.35's discovery document; kinds that only answer (reviews, bindings) are not in it. Custom kinds come with their
//! definitions later.

/// One kind, in the version that is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// `deployments.apps`.
    pub resource: &'static str,
    /// `apps/v1`.
    pub api_version: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// `apps`; empty for the core group.
    pub fn group(&self) -> &'static str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// `deployments`.
    pub fn plural(&self) -> &'static str {
        self.resource.split_once('.').map_or(self.resource, |(plural, _)| plural)
    }
}

/// The kind that an owner reference names; any version of the group will do.
pub fn find(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    KINDS.iter().find(|known| known.kind == kind && known.group() == group)
}

const fn namespaced(resource: &'static str, api_version: &'static str, kind: &'static str) -> Kind {
    Kind { resource, api_version, kind, namespaced: true }
}

const fn cluster(resource: &'static str, api_version: &'static str, kind: &'static str) -> Kind {
    Kind { resource, api_version, kind, namespaced: false }
}

/// Every kind with objects.
pub const KINDS: &[Kind] = &[
    namespaced("configmaps", "v1", "ConfigMap"),
    namespaced("endpoints", "v1", "Endpoints"),
    namespaced("events", "v1", "Event"),
    namespaced("limitranges", "v1", "LimitRange"),
    cluster("namespaces", "v1", "Namespace"),
    cluster("nodes", "v1", "Node"),
    namespaced("persistentvolumeclaims", "v1", "PersistentVolumeClaim"),
    cluster("persistentvolumes", "v1", "PersistentVolume"),
    namespaced("pods", "v1", "Pod"),
    namespaced("podtemplates", "v1", "PodTemplate"),
    namespaced("replicationcontrollers", "v1", "ReplicationController"),
    namespaced("resourcequotas", "v1", "ResourceQuota"),
    namespaced("secrets", "v1", "Secret"),
    namespaced("serviceaccounts", "v1", "ServiceAccount"),
    namespaced("services", "v1", "Service"),
    cluster("apiservices.apiregistration.k8s.io", "apiregistration.k8s.io/v1", "APIService"),
    namespaced("controllerrevisions.apps", "apps/v1", "ControllerRevision"),
    namespaced("daemonsets.apps", "apps/v1", "DaemonSet"),
    namespaced("deployments.apps", "apps/v1", "Deployment"),
    namespaced("replicasets.apps", "apps/v1", "ReplicaSet"),
    namespaced("statefulsets.apps", "apps/v1", "StatefulSet"),
    namespaced("horizontalpodautoscalers.autoscaling", "autoscaling/v2", "HorizontalPodAutoscaler"),
    namespaced("cronjobs.batch", "batch/v1", "CronJob"),
    namespaced("jobs.batch", "batch/v1", "Job"),
    cluster("certificatesigningrequests.certificates.k8s.io", "certificates.k8s.io/v1", "CertificateSigningRequest"),
    cluster("ingressclasses.networking.k8s.io", "networking.k8s.io/v1", "IngressClass"),
    namespaced("ingresses.networking.k8s.io", "networking.k8s.io/v1", "Ingress"),
    cluster("ipaddresses.networking.k8s.io", "networking.k8s.io/v1", "IPAddress"),
    namespaced("networkpolicies.networking.k8s.io", "networking.k8s.io/v1", "NetworkPolicy"),
    cluster("servicecidrs.networking.k8s.io", "networking.k8s.io/v1", "ServiceCIDR"),
    namespaced("poddisruptionbudgets.policy", "policy/v1", "PodDisruptionBudget"),
    cluster("clusterrolebindings.rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    cluster("clusterroles.rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1", "ClusterRole"),
    namespaced("rolebindings.rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1", "RoleBinding"),
    namespaced("roles.rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1", "Role"),
    cluster("csidrivers.storage.k8s.io", "storage.k8s.io/v1", "CSIDriver"),
    cluster("csinodes.storage.k8s.io", "storage.k8s.io/v1", "CSINode"),
    namespaced("csistoragecapacities.storage.k8s.io", "storage.k8s.io/v1", "CSIStorageCapacity"),
    cluster("storageclasses.storage.k8s.io", "storage.k8s.io/v1", "StorageClass"),
    cluster("volumeattachments.storage.k8s.io", "storage.k8s.io/v1", "VolumeAttachment"),
    cluster("volumeattributesclasses.storage.k8s.io", "storage.k8s.io/v1", "VolumeAttributesClass"),
    cluster("mutatingwebhookconfigurations.admissionregistration.k8s.io", "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    cluster("validatingadmissionpolicies.admissionregistration.k8s.io", "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    cluster("validatingadmissionpolicybindings.admissionregistration.k8s.io", "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
    cluster("validatingwebhookconfigurations.admissionregistration.k8s.io", "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    cluster("customresourcedefinitions.apiextensions.k8s.io", "apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    cluster("priorityclasses.scheduling.k8s.io", "scheduling.k8s.io/v1", "PriorityClass"),
    namespaced("leases.coordination.k8s.io", "coordination.k8s.io/v1", "Lease"),
    cluster("runtimeclasses.node.k8s.io", "node.k8s.io/v1", "RuntimeClass"),
    namespaced("endpointslices.discovery.k8s.io", "discovery.k8s.io/v1", "EndpointSlice"),
    cluster("deviceclasses.resource.k8s.io", "resource.k8s.io/v1", "DeviceClass"),
    namespaced("resourceclaims.resource.k8s.io", "resource.k8s.io/v1", "ResourceClaim"),
    namespaced("resourceclaimtemplates.resource.k8s.io", "resource.k8s.io/v1", "ResourceClaimTemplate"),
    cluster("resourceslices.resource.k8s.io", "resource.k8s.io/v1", "ResourceSlice"),
    cluster("flowschemas.flowcontrol.apiserver.k8s.io", "flowcontrol.apiserver.k8s.io/v1", "FlowSchema"),
    cluster("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_group_and_kind() {
        assert_eq!(find("apps/v1beta1", "Deployment").map(|kind| kind.resource), Some("deployments.apps"));
        assert_eq!(find("v1", "Pod").map(|kind| (kind.resource, kind.group(), kind.plural())), Some(("pods", "", "pods")));
        assert_eq!(find("v1", "Deployment"), None);
    }

    #[test]
    fn resources_are_named_once() {
        let names: std::collections::BTreeSet<_> = KINDS.iter().map(|kind| kind.resource).collect();
        assert_eq!(names.len(), KINDS.len());
    }
}
