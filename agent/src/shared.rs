//! What the workers of one node share.

use crate::addresses::Addresses;
use crate::config::Config;
use crate::directory::Directory;
use crate::downward::Facts;
use crate::objects::{Recent, ServiceView};
use crate::pod::{self, Kind};
use k8s_openapi::api::core::v1::Pod;
use skiff_client::events::{ObjectRef, Recorder, Type};
use skiff_client::informer::Cache;
use skiff_proto::quantity::Quantity;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
pub struct Shared {
    /// What the agent was told.
    pub config: Config,
    /// Where events go.
    pub recorder: Recorder,
    /// The cluster's Services.
    pub services: Arc<Cache<ServiceView>>,
    /// ConfigMaps and Secrets that were read lately.
    pub recent: Recent,
    /// The pods here, for `server.rs`.
    pub directory: Arc<Directory>,
    /// Which pod has which address.
    pub addresses: Mutex<Addresses>,
    /// `docker`: what container ids in statuses begin with.
    pub scheme: String,
    /// For `httpGet` probes and hooks.
    pub http: reqwest::Client,
}

impl Shared {
    /// A pod's address: what it has, or the next that is free; none with the machine's network or where all are taken.
    pub fn address(&self, pod: &Pod) -> Option<Ipv4Addr> {
        if pod::host_network(pod) {
            return None;
        }
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).assign(&pod::id(pod).uid)
    }

    /// The pod's address as others reach it.
    pub fn reachable(&self, pod: &Pod) -> Option<Ipv4Addr> {
        if pod::host_network(pod) { Some(self.config.node_ip) } else { self.address(pod) }
    }

    /// What the downward API needs.
    pub fn facts(&self, pod: &Pod) -> Facts {
        Facts { node_ip: self.config.node_ip, pod_ip: self.reachable(pod), allocatable: self.config.capacity.clone() }
    }

    /// The node's memory.
    pub fn memory(&self) -> i64 {
        self.config.capacity.get("memory").copied().unwrap_or(Quantity::ZERO).units()
    }

    /// Where a pod's files are.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        crate::volumes::pod_dir(&self.config.data_dir, uid)
    }

    /// An event about a pod.
    pub fn tell(&self, pod: &Pod, kind: Type, reason: &str, message: impl Into<String>) {
        self.recorder.event(&reference(pod, String::new()), kind, reason, message);
    }

    /// An event about one of its containers.
    pub fn tell_container(&self, pod: &Pod, (kind_of, name): (Kind, &str), kind: Type, reason: &str, message: impl Into<String>) {
        self.recorder.event(&reference(pod, format!("spec.{}{{{name}}}", kind_of.field())), kind, reason, message);
    }
}

fn reference(pod: &Pod, field_path: String) -> ObjectRef {
    let id = pod::id(pod);
    ObjectRef {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: id.namespace,
        name: id.name,
        uid: id.uid,
        resource_version: pod.metadata.resource_version.clone().unwrap_or_default(),
        field_path,
    }
}
