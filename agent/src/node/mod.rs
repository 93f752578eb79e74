//! The node itself: its Node object and its Lease (`kubelet_node_status.go`, `nodelease`). [`status`] makes what is written; this file
//! writes it.

pub mod pressure;
pub mod status;

use crate::config::Config;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use skiff_client::backoff::Backoff;
use skiff_client::events::{ObjectRef, Recorder, Type};
use skiff_proto::status::Status;
use skiff_proto::{resource, v1};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Where Leases of nodes live.
const LEASES: &str = "kube-node-lease";

/// What the node tells of itself, and may change while it runs.
#[derive(Default)]
pub struct Health {
    /// Why the container runtime cannot be used; none: it can.
    trouble: Mutex<Option<String>>,
    node: Mutex<Option<Arc<Node>>>,
    changed: Notify,
}

impl Health {
    /// The runtime cannot be used, or can again.
    pub fn runtime(&self, trouble: Option<String>) {
        let mut now = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != trouble {
            *now = trouble;
            self.changed.notify_one();
        }
    }

    /// The Node object as it was read last.
    pub fn node(&self) -> Option<Arc<Node>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the Node object anew; where it cannot be read, the one known stays.
    pub async fn reread(&self, config: &Config) {
        let request = v1::GetRequest { resource: resource::NODES.into(), name: config.node_name.clone(), ..Default::default() };
        match config.api.get(request).await {
            Ok(object) => keep(self, &object),
            Err(error) => tracing::info!(node = %config.node_name, %error, "the Node object cannot be read"),
        }
    }

    /// Whether the node lifecycle controller says that nothing is known of this node: it could not hear us for a while.
    fn is_given_up(&self) -> bool {
        let node = self.node();
        let conditions = node.as_ref().and_then(|node| node.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "Unknown"))
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read(&self, node: Arc<Node>) {
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(node);
    }
}

/// Registers the node, then keeps its status true and its Lease fresh until `stop`.
pub async fn run(config: Config, port: Option<u16>, health: Arc<Health>, recorder: Recorder, stop: CancellationToken) {
    let facts = status::Facts::read(&config, port).await;
    let work = async {
        register(&config, &facts, &health).await;
        let about =
            ObjectRef { api_version: "v1".into(), kind: "Node".into(), name: config.node_name.clone(), uid: config.node_name.clone(), ..ObjectRef::default() };
        recorder.event(&about, Type::Normal, "Starting", "Starting kubelet.");
        recorder.event(&about, Type::Normal, "RegisteredNode", format!("Node {} registered with the API server", config.node_name));
        tokio::join!(keep_status(&config, &facts, &health), keep_lease(&config, &health));
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Creates the Node, or brings the labels of the one that is there up to date (`tryRegisterWithAPIServer`).
async fn register(config: &Config, facts: &status::Facts, health: &Health) {
    let mut failures = 0;
    loop {
        match try_register(config, facts, health).await {
            Ok(()) => return,
            Err(error) => {
                failures += 1;
                tracing::info!(node = %config.node_name, %error, "not registered yet");
                tokio::time::sleep(Backoff::RECONNECT.delay(failures)).await;
            }
        }
    }
}

fn trouble(config: &Config, health: &Health) -> status::Trouble {
    status::Trouble { runtime: health.trouble(), pressure: pressure::Free::read(&config.data_dir).pressure() }
}

async fn try_register(config: &Config, facts: &status::Facts, health: &Health) -> Result<(), Status> {
    let node = status::node(config, facts, &trouble(config, health), config.clock.now());
    let request = v1::CreateRequest { resource: resource::NODES.into(), json: node.to_string().into(), ..Default::default() };
    match config.api.create(request).await {
        Ok(object) => {
            keep(health, &object);
            return Ok(());
        }
        Err(status) if status.is_already_exists() => {}
        Err(status) => return Err(status),
    }
    // An object of a former life: its labels may have been changed by hand; only kubelet's own are set again.
    let mut patch = json!({"metadata": {"labels": node["metadata"]["labels"], "annotations": node["metadata"]["annotations"]}});
    if node["spec"].is_object() {
        patch["spec"] = json!({"podCIDR": node["spec"]["podCIDR"], "podCIDRs": node["spec"]["podCIDRs"]});
    }
    if let Err(error) = merge(config, "", &patch).await {
        // A podCIDR cannot be changed once it is set; the labels still can.
        tracing::debug!(%error, "the Node's spec is not ours to set");
        merge(config, "", &json!({"metadata": patch["metadata"]})).await?;
    }
    let object = merge_status(config, &node["status"]).await?;
    keep(health, &object);
    Ok(())
}

fn keep(health: &Health, object: &v1::Object) {
    match serde_json::from_slice::<Node>(&object.json) {
        Ok(node) => health.read(Arc::new(node)),
        Err(error) => tracing::warn!(%error, "the Node object cannot be read"),
    }
}

async fn merge(config: &Config, subresource: &str, patch: &Value) -> Result<v1::Object, Status> {
    let request = v1::PatchRequest {
        resource: resource::NODES.into(),
        name: config.node_name.clone(),
        subresource: subresource.into(),
        r#type: v1::PatchType::Strategic.into(),
        patch: patch.to_string().into(),
        ..Default::default()
    };
    config.api.patch(request).await
}

/// Conditions and addresses are merged by their type, so that those of others stay.
async fn merge_status(config: &Config, status: &Value) -> Result<v1::Object, Status> {
    merge(config, "status", &json!({"status": status})).await
}

/// Writes the status when something changed, and now and then all the same.
async fn keep_status(config: &Config, facts: &status::Facts, health: &Health) {
    let timings = config.timings;
    let mut written: Option<Value> = None;
    let mut at = config.clock.now();
    loop {
        let now = config.clock.now();
        let images = config.runtime.images().await.unwrap_or_default();
        let status = status::of(config, facts, &images, &trouble(config, health), health.node().as_deref(), now);
        let due = crate::clock::between(at, now) >= timings.node_status;
        if due || health.is_given_up() || written.as_ref().is_none_or(|before| status::essence(before) != status::essence(&status)) {
            match merge_status(config, &status).await {
                Ok(object) => {
                    keep(health, &object);
                    written = Some(status);
                    at = now;
                }
                Err(error) if error.is_not_found() => {
                    register(config, facts, health).await;
                    continue;
                }
                Err(error) => tracing::info!(node = %config.node_name, %error, "node status not written"),
            }
        }
        let pause = if written.is_some() { timings.node_check } else { std::time::Duration::from_secs(1) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = health.changed.notified() => {}
        }
    }
}

/// Renews the Lease; its age is how others know that this node lives.
async fn keep_lease(config: &Config, health: &Health) {
    let mut there = false;
    let mut ticks = tokio::time::interval(config.timings.lease_renewal);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match renew(config, health, &mut there).await {
            Ok(()) => {
                // Whoever can renew is alive: where the Node says otherwise, its status is written at once.
                health.reread(config).await;
                if health.is_given_up() {
                    health.changed.notify_one();
                }
            }
            Err(error) => {
                there = false;
                tracing::info!(node = %config.node_name, %error, "lease not renewed");
            }
        }
    }
}

async fn renew(config: &Config, health: &Health, there: &mut bool) -> Result<(), Status> {
    let time = status::micro_time(config.clock.now());
    let patch = json!({"spec": {"renewTime": time, "holderIdentity": config.node_name, "leaseDurationSeconds": config.timings.lease_duration.as_secs()}});
    let renewal = v1::PatchRequest {
        resource: resource::LEASES.into(),
        namespace: LEASES.into(),
        name: config.node_name.clone(),
        r#type: v1::PatchType::Merge.into(),
        patch: patch.to_string().into(),
        ..Default::default()
    };
    match config.api.patch(renewal).await {
        Ok(_) => {
            *there = true;
            return Ok(());
        }
        Err(status) if status.is_not_found() => {}
        Err(status) => return Err(status),
    }
    let owner = health.node().and_then(|node| node.metadata.uid.clone());
    let owners = owner.map(|uid| json!([{"apiVersion": "v1", "kind": "Node", "name": config.node_name, "uid": uid}]));
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": config.node_name, "namespace": LEASES, "ownerReferences": owners.unwrap_or_else(|| json!([]))},
        "spec": patch["spec"],
    });
    let request = v1::CreateRequest { resource: resource::LEASES.into(), namespace: LEASES.into(), json: lease.to_string().into(), ..Default::default() };
    config.api.create(request).await.map(drop)
}
