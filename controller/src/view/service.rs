//! Services, and the two kinds that publish who stands behind them.

use serde::{Deserialize, Serialize};

use super::meta::{Labels, Meta, or_default};

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name and labels.
    pub metadata: Meta,
    /// Whom it selects.
    pub spec: ServiceSpec,
    /// What is said of it.
    #[serde(skip)]
    pub not_implemented: Option<Box<str>>,
}

/// The part of `core/v1.ServiceSpec` that endpoints are made from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// Absent: endpoints are somebody else's.
    pub selector: Option<Labels>,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `None` for a headless service.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    /// `IPv4`, `IPv6`.
    #[serde(deserialize_with = "or_default")]
    pub ip_families: Vec<String>,
    /// Its ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<ServicePort>,
    /// Whether pods that are not ready are published as ready.
    pub publish_not_ready_addresses: bool,
    /// `PreferClose`, … : copied nowhere, but topology hints are not given for it.
    pub traffic_distribution: String,
}

/// `core/v1.ServicePort`, without the node port.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// May be empty where there is one port.
    pub name: String,
    /// The service's port.
    pub port: i32,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
    /// The pod's port, by number or name.
    pub target_port: Option<TargetPort>,
    /// A hint for those who speak it.
    pub app_protocol: Option<String>,
}

/// `intstr.IntOrString`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum TargetPort {
    /// That port of the pod.
    Number(i32),
    /// The container port of that name.
    Name(String),
}

/// `core/v1.ObjectReference`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reference {
    /// `Pod`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// `v1`, where somebody wrote it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
}

/// `core/v1.Endpoints`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// Its service's name.
    pub metadata: Meta,
    /// Addresses and ports that go together.
    #[serde(deserialize_with = "or_default")]
    pub subsets: Vec<Subset>,
}

/// `core/v1.EndpointSubset`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    /// Ready ones.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// The others.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub not_ready_addresses: Vec<Address>,
    /// On each of them.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// `core/v1.EndpointAddress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Address {
    /// The address.
    pub ip: String,
    /// Its name in DNS.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<Reference>,
}

/// `core/v1.EndpointPort`, and `discovery/v1.EndpointPort` as we write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// The service port's name. Endpoints leave an empty one out, slices write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The pod's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// `TCP`, `UDP`, `SCTP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// As the service says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// `discovery/v1.EndpointSlice`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Labelled with its service.
    pub metadata: Meta,
    /// `IPv4`, `IPv6`, `FQDN`.
    pub address_type: String,
    /// At most 100 of ours.
    #[serde(deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
    /// On each of them.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
}

/// `discovery/v1.Endpoint`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// One address.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    /// Whether to send it anything.
    pub conditions: EndpointConditions,
    /// Its name in DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Its node's zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<Reference>,
}

/// `discovery/v1.EndpointConditions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Serving and not on its way out (or published regardless).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Ready, whether or not on its way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// On its way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

impl Service {
    /// Whether it has no cluster IP to be reached by: `helper.IsServiceIPSet` turned round.
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip.is_empty() || self.spec.cluster_ip == "None"
    }

    /// Whether our controllers publish who stands behind it.
    pub fn is_ours_to_publish(&self) -> bool {
        self.spec.selector.is_some() && self.spec.kind != "ExternalName"
    }
}
