//! Kinds that are not workloads: nodes, namespaces, configuration, services, storage, access, and the server's own plumbing.
//!
//! A kind with rules worth a page has a file; the others are values of `small::Small`, by subject.

mod access;
mod config;
mod devices;
mod event;
mod ingress;
mod limits;
mod namespace;
mod network;
mod node;
mod plumbing;
mod quota;
mod service;
mod small;
mod storage;
mod traffic;

use std::sync::Arc;

use crate::registry::strategy::Strategy;

/// The rules of a group-resource, if it is one of these.
pub fn strategy(group_resource: &str) -> Option<Arc<dyn Strategy>> {
    Some(match group_resource {
        "namespaces" => Arc::new(namespace::Namespace),
        "services" => Arc::new(service::Service),
        "nodes" => Arc::new(node::Node),
        "events" | "events.events.k8s.io" => Arc::new(event::Event),
        "configmaps" => Arc::new(config::ConfigMap),
        "secrets" => Arc::new(config::Secret),
        other => return small(other).map(|small| Arc::new(small) as Arc<dyn Strategy>),
    })
}

fn small(group_resource: &str) -> Option<small::Small> {
    Some(match group_resource {
        "serviceaccounts" => small::SERVICE_ACCOUNT,
        "limitranges" => small::LIMIT_RANGE,
        "resourcequotas" => small::RESOURCE_QUOTA,
        "leases.coordination.k8s.io" => small::LEASE,
        "priorityclasses.scheduling.k8s.io" => small::PRIORITY_CLASS,
        "runtimeclasses.node.k8s.io" => small::RUNTIME_CLASS,
        "roles.rbac.authorization.k8s.io" => access::role("roles.v1.rbac.authorization.k8s.io"),
        "clusterroles.rbac.authorization.k8s.io" => access::role("clusterroles.v1.rbac.authorization.k8s.io"),
        "rolebindings.rbac.authorization.k8s.io" => access::binding("rolebindings.v1.rbac.authorization.k8s.io"),
        "clusterrolebindings.rbac.authorization.k8s.io" => access::binding("clusterrolebindings.v1.rbac.authorization.k8s.io"),
        "persistentvolumes" => storage::VOLUME,
        "persistentvolumeclaims" => storage::CLAIM,
        "storageclasses.storage.k8s.io" => storage::STORAGE_CLASS,
        "csidrivers.storage.k8s.io" => storage::CSI_DRIVER,
        "csinodes.storage.k8s.io" => storage::CSI_NODE,
        "volumeattachments.storage.k8s.io" => storage::ATTACHMENT,
        "volumeattributesclasses.storage.k8s.io" => storage::ATTRIBUTES_CLASS,
        "endpoints" => network::ENDPOINTS,
        "endpointslices.discovery.k8s.io" => network::ENDPOINT_SLICE,
        "networkpolicies.networking.k8s.io" => network::NETWORK_POLICY,
        "ingresses.networking.k8s.io" => network::INGRESS,
        "ingressclasses.networking.k8s.io" => network::INGRESS_CLASS,
        "ipaddresses.networking.k8s.io" => network::IP_ADDRESS,
        "servicecidrs.networking.k8s.io" => network::SERVICE_CIDR,
        "certificatesigningrequests.certificates.k8s.io" => plumbing::CSR,
        "apiservices.apiregistration.k8s.io" => plumbing::API_SERVICE,
        "customresourcedefinitions.apiextensions.k8s.io" => plumbing::CRD,
        "mutatingwebhookconfigurations.admissionregistration.k8s.io" => plumbing::MUTATING,
        "validatingwebhookconfigurations.admissionregistration.k8s.io" => plumbing::VALIDATING,
        "validatingadmissionpolicies.admissionregistration.k8s.io" => plumbing::POLICY,
        "validatingadmissionpolicybindings.admissionregistration.k8s.io" => plumbing::POLICY_BINDING,
        "flowschemas.flowcontrol.apiserver.k8s.io" => plumbing::FLOW_SCHEMA,
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io" => plumbing::PRIORITY_LEVEL,
        "deviceclasses.resource.k8s.io" => devices::DEVICE_CLASS,
        "resourceclaims.resource.k8s.io" => devices::CLAIM,
        "resourceclaimtemplates.resource.k8s.io" => devices::CLAIM_TEMPLATE,
        "resourceslices.resource.k8s.io" => devices::SLICE,
        _ => return None, // a kind of the workloads, or a plain one
    })
}
