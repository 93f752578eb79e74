//! What is checked and filled in because of other objects: the plugins of `kube-apiserver` that every cluster has on.
//!
//! A strategy ([`crate::registry::strategy`]) looks at one object; a plugin may look into the store. Order, as in
//! `pkg/kubeapiserver/options/plugins.go`: [`lifecycle`] (namespaces), [`node`] (a node writes only its own), [`pod`] (priority, default
//! tolerations, runtime class, taints of a new node), [`service_account`] (a pod's account, token and secrets), [`storage`] (protection while in use, default class); [`service`] allocates addresses and ports while an object is being written.

pub mod lifecycle;
pub mod node;
pub mod pod;
pub mod service;
pub mod service_account;
pub mod storage;

use serde_json::Value;
use skiff_proto::status::Status;

use crate::registry::call::Call;
use crate::store::Store;
pub use service::Claim;

/// The plugins and what they remember.
pub struct Admission {
    /// `DefaultTolerationSeconds`: how long pods stay on a node that is not ready or unreachable.
    pub toleration_seconds: i64,
    /// Whether `ServiceAccount` is on: see [`service_account`].
    pub service_accounts: bool,
    services: service::Allocator,
}

impl Admission {
    /// With the addresses and ports that are in use in the store.
    pub fn new(store: &Store, toleration_seconds: i64, service_accounts: bool) -> Self {
        Self { toleration_seconds, service_accounts, services: service::Allocator::of(store) }
    }

    /// Before a creation is looked at: until what other components make for it is there, or too much time has passed.
    pub async fn wait(&self, call: &Call<'_>, object: &Value) {
        if self.service_accounts {
            service_account::wait(call, object).await;
        }
    }

    /// Before a creation is prepared and validated: may refuse it, and fills in.
    pub fn mutate_create(&self, call: &Call<'_>, object: &mut Value, _warnings: &mut Vec<String>) -> Result<(), Status> {
        lifecycle::create(call, object)?;
        node::create(call, object)?;
        match call.resource.storage_key().as_str() {
            "pods" => {
                if self.service_accounts {
                    service_account::create(call, object)?;
                }
                pod::create(self, call, object)
            }
            "nodes" => {
                pod::taint_new_node(object);
                Ok(())
            }
            "persistentvolumeclaims" => {
                storage::protect(object, "kubernetes.io/pvc-protection");
                storage::default_class(&call.server.store, object);
                Ok(())
            }
            "persistentvolumes" => {
                storage::protect(object, "kubernetes.io/pv-protection");
                Ok(())
            }
            "volumeattributesclasses.storage.k8s.io" => {
                storage::protect(object, "kubernetes.io/vac-protection");
                Ok(())
            }
            _ => Ok(()), // nothing to fill in
        }
    }

    /// Before a change is prepared and validated.
    pub fn mutate_update(&self, call: &Call<'_>, object: &mut Value, old: &Value, _warnings: &mut Vec<String>) -> Result<(), Status> {
        node::update(call, object, old)?;
        if call.resource.storage_key() == "pods" && call.request.info.subresource.is_empty() {
            pod::update(self, object, old);
        }
        if self.service_accounts && call.resource.storage_key() == "pods" {
            service_account::update(call, object)?;
        }
        Ok(())
    }

    /// Once everything is filled in: the last word on a creation.
    pub fn validate_create(&self, call: &Call<'_>, object: &Value, _warnings: &mut Vec<String>) -> Result<(), Status> {
        pod::validate_priority_class(call, object)
    }

    /// The last word on a change.
    pub fn validate_update(&self, call: &Call<'_>, object: &Value, _old: &Value, _warnings: &mut Vec<String>) -> Result<(), Status> {
        pod::validate_priority_class(call, object)
    }

    /// Before a deletion.
    pub fn validate_delete(&self, call: &Call<'_>, object: &Value) -> Result<(), Status> {
        lifecycle::delete(call)?;
        node::delete(call, object)
    }

    /// Addresses and ports for a Service that is being written.
    pub fn allocate(&self, call: &Call<'_>, object: &mut Value, old: Option<&Value>) -> Result<Claim, Status> {
        if call.resource.storage_key() != "services" || !call.request.info.subresource.is_empty() {
            return Ok(Claim::nothing());
        }
        self.services.allocate(object, old, call.request.options.is_dry_run())
    }

    /// An object is gone: what was allocated to it is free again.
    pub fn deleted(&self, call: &Call<'_>, object: &Value) {
        if call.resource.storage_key() == "services" {
            self.services.release(object);
        }
    }
}
