//! Node lifecycle: a node whose agent is silent is said to be unknown, tainted, and its pods are told and driven away. Read [`health`]
//! (since when is it silent), [`plan`] (what follows), [`taints`] and [`evict`]; this file watches the clock and writes.

pub mod evict;
pub mod health;
pub mod plan;
pub mod taints;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use skiff_client::events::{ObjectRef, Recorder, Type};
use skiff_client::informer::Key;
use skiff_client::queue::Queue;
use skiff_proto::resource::{LEASES, NODES, PODS};
use skiff_proto::status::Status;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::evict::{Evictions, Verdict};
use self::health::{Health, Life};
use self::plan::{Action, Memory, Seen};
use crate::config::Timings;
use crate::connection::Connection;
use crate::execute::{DeleteOptions, Propagation, Writer, unless_gone};
use crate::reconciler::Reconciler;
use crate::view::meta::rfc3339;
use crate::view::node::Taint;
use crate::view::{Lease, Object, Pod};
use crate::world::World;

/// Namespace of the agents' leases.
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// A server that takes longer than this to tell of one lease is not to be relied on, and neither is what it did not tell.
const ANSWERS: Duration = Duration::from_secs(1);
/// How long to wait before a server that did not answer is asked again.
const RETRY: Duration = Duration::from_millis(250);
/// A pass that comes later than this was kept from running: what it did not see is no evidence.
const LATE: Duration = Duration::from_secs(2);

/// Watches over the nodes.
pub struct Monitor {
    /// What is.
    pub world: Arc<World>,
    /// How to write.
    pub writer: Writer,
    /// Whether the server can be reached.
    pub connection: Arc<Connection>,
    /// Events of `node-controller`.
    pub recorder: Recorder,
    /// How patient to be.
    pub timings: Timings,
    /// Rung when a node changes.
    pub changed: Arc<Notify>,
}

impl Monitor {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let start = Instant::now();
        let (mut health, mut memory, mut cut_off) = (Health::default(), Memory::default(), false);
        let mut wait = Duration::ZERO;
        loop {
            let due = Instant::now() + wait;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
                () = self.changed.notified() => {}
            }
            if Instant::now().saturating_duration_since(due) > LATE {
                info!("node lifecycle was kept from running: silence of nodes is counted from now");
                health.restart(start.elapsed());
            }
            cut_off = !self.is_connected(&mut health, cut_off, start).await;
            wait = if cut_off { RETRY } else { self.pass(&mut health, &mut memory, start).await };
        }
    }

    /// Whether the server answers, asked only when a node is silent for half of what it may be: a server that hangs looks just as if
    /// every agent had died, and its watches do not break. While it does not answer, and when it does again, all silence begins anew.
    async fn is_connected(&self, health: &mut Health, was_cut_off: bool, start: Instant) -> bool {
        let seen = self.look(health, start);
        let grace = self.timings.grace_period(seen.len());
        let quietest = seen.iter().filter(|seen| seen.node.is_ready()).max_by_key(|seen| seen.silent);
        let Some(quietest) = quietest.filter(|quietest| was_cut_off || quietest.silent > grace / 2) else { return true };
        let key = Key::new(LEASE_NAMESPACE, &quietest.node.metadata.name);
        let answer = tokio::time::timeout(ANSWERS, self.writer.get(LEASES, &key)).await;
        let answers = match answer {
            Ok(Ok(_)) => true,
            Ok(Err(status)) => !status.is_retryable(),
            Err(_too_late) => false,
        };
        if was_cut_off || !answers {
            health.restart(start.elapsed());
        }
        if answers == was_cut_off {
            info!(answers, "the API server answers, or does not: silence of nodes is counted from now");
        }
        answers
    }

    /// One look at every node; answers how long to wait for the next.
    async fn pass(&self, health: &mut Health, memory: &mut Memory, start: Instant) -> Duration {
        if let Some(broken) = self.connection.last_broken() {
            health.restart(broken.saturating_duration_since(start));
        }
        let seen = self.look(health, start);
        let pass = plan::plan(&seen, memory, &self.timings, start.elapsed(), self.world.now());
        if pass.restart_silence {
            info!("some nodes are ready again: silence of the others is counted from now");
            health.restart(start.elapsed());
            return Duration::from_millis(1);
        }
        for action in pass.actions {
            if let Err(status) = self.execute(&action, &seen, health, start).await {
                debug!(%status, ?action, "trying again");
                if status.is_retryable() {
                    // We are cut off: nothing more can be done, and nothing that we see is evidence.
                    health.restart(start.elapsed());
                    break;
                }
            }
        }
        plan::next_check(&seen, &self.timings)
    }

    fn look(&self, health: &mut Health, start: Instant) -> Vec<Seen> {
        let nodes = self.world.nodes.list();
        health.keep_only(|name| self.world.nodes.get("", name).is_some());
        let now = start.elapsed();
        let look = |node: Arc<crate::view::Node>| {
            let name = &node.metadata.name;
            health.observe(name, Life::of(&node, self.world.leases.get(LEASE_NAMESPACE, name).as_deref()), now);
            Seen { silent: health.silence(name, now), node }
        };
        nodes.into_iter().map(look).collect()
    }

    async fn execute(&self, action: &Action, seen: &[Seen], health: &mut Health, start: Instant) -> Result<(), Status> {
        match action {
            Action::Unknown { node, patch } => {
                if self.is_alive_after_all(node, health, start).await? {
                    return Ok(());
                }
                warn!(node, "the agent is silent");
                unless_gone(self.writer.strategic(NODES, &Key::new("", node), "status", patch).await)?;
            }
            Action::Taint { node, patch, evicts } => {
                if *evicts {
                    info!(node, "pods that do not tolerate it are evicted");
                }
                unless_gone(self.writer.merge(NODES, &Key::new("", node), patch).await)?;
            }
            Action::Registered(node) => {
                self.say(node, &uid_of(seen, node), "RegisteredNode", format!("Node {node} event: Registered Node {node} in Controller"));
            }
            Action::Removed(node, uid) => {
                self.say(node, uid, "RemovingNode", format!("Node {node} event: Removing Node {node} from Controller"));
            }
            Action::NotReady(node) => self.say(node, &uid_of(seen, node), "NodeNotReady", format!("Node {node} status is now: NodeNotReady")),
            Action::MarkPods(node) => self.mark_pods(node).await?,
        }
        Ok(())
    }

    /// Asks the server itself: our watch may be behind where the machine is busy.
    async fn is_alive_after_all(&self, node: &str, health: &mut Health, start: Instant) -> Result<bool, Status> {
        let key = Key::new(LEASE_NAMESPACE, node);
        let Ok(answer) = tokio::time::timeout(ANSWERS, self.writer.get(LEASES, &key)).await else {
            return Err(Status::failure(503, "ServiceUnavailable", "the API server does not answer"));
        };
        let Some(lease) = unless_gone(answer)? else { return Ok(false) };
        let (Ok(lease), Some(known)) = (serde_json::from_slice::<Lease>(&lease.json), self.world.nodes.get("", node)) else { return Ok(false) };
        health.observe(node, Life::of(&known, Some(&lease)), start.elapsed());
        Ok(health.silence(node, start.elapsed()) < self.timings.node_monitor_grace_period / 2)
    }

    /// `MarkPodsNotReady`.
    async fn mark_pods(&self, node: &str) -> Result<(), Status> {
        for pod in self.world.pods_by_node.find(node, &self.world.pods) {
            if !pod.is_ready() {
                continue;
            }
            let now = rfc3339(self.world.now());
            let patch = json!({
                "metadata": { "uid": pod.metadata.uid },
                "status": { "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": now }] },
            });
            if unless_gone(self.writer.strategic(PODS, &pod.key(), "status", &patch).await)?.is_some() {
                self.recorder.event(&reference(&pod), Type::Warning, "NodeNotReady", "Node is not ready");
            }
        }
        Ok(())
    }

    fn say(&self, node: &str, uid: &str, reason: &str, message: String) {
        let about = ObjectRef { api_version: "v1".to_owned(), kind: "Node".to_owned(), name: node.to_owned(), uid: uid.to_owned(), ..Default::default() };
        self.recorder.event(&about, Type::Normal, reason, message);
    }
}

fn uid_of(seen: &[Seen], node: &str) -> String {
    seen.iter().find(|seen| seen.node.metadata.name == node).map(|seen| seen.node.metadata.uid.clone()).unwrap_or_default()
}

fn reference(pod: &Pod) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        ..Default::default()
    }
}

/// Drives pods away from tainted nodes. Keys are pods.
pub struct Evictor {
    world: Arc<World>,
    writer: Writer,
    recorder: Recorder,
    evictions: Mutex<Evictions>,
    start: Instant,
}

impl Evictor {
    /// Nobody is to go yet. `recorder` is that of `taint-eviction-controller`.
    pub fn new(world: Arc<World>, writer: Writer, recorder: Recorder) -> Self {
        Self { world, writer, recorder, evictions: Mutex::default(), start: Instant::now() }
    }

    fn say(&self, key: &Key, message: String) {
        // Without the uid, as Kubernetes has it.
        let about = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            ..Default::default()
        };
        self.recorder.event(&about, Type::Normal, "TaintManagerEviction", message);
    }

    /// `addConditionAndDeletePod`.
    async fn evict(&self, key: &Key, pod: &Pod) -> Result<(), Status> {
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": rfc3339(self.world.now()), "observedGeneration": pod.metadata.generation,
        });
        let patch = json!({ "metadata": { "uid": pod.metadata.uid }, "status": { "conditions": [condition] } });
        if unless_gone(self.writer.strategic(PODS, key, "status", &patch).await)?.is_some() {
            let options = DeleteOptions { uid: pod.metadata.uid.clone(), ..Default::default() };
            unless_gone(self.writer.delete(PODS, key, Propagation::Default, options).await)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Reconciler for Evictor {
    fn name(&self) -> &'static str {
        "taint-eviction-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        let pod = self.world.pods.by_key(key);
        let node = pod.as_ref().and_then(|pod| self.world.nodes.get("", &pod.spec.node_name));
        let taints: Vec<Taint> = node.iter().flat_map(|node| &node.spec.taints).filter(|taint| taint.effect == taints::NO_EXECUTE).cloned().collect();
        let verdict = {
            let mut evictions = self.evictions.lock().unwrap_or_else(PoisonError::into_inner);
            evictions.consider(key, pod.as_deref(), &taints, self.start.elapsed())
        };
        match (verdict, pod) {
            (Verdict::Later(left), _) => return Ok(Some(left)),
            (Verdict::Cancelled, _) => self.say(key, format!("Cancelling deletion of Pod {key}")),
            (Verdict::Evict, Some(pod)) => {
                self.say(key, format!("Marking for deletion Pod {key}"));
                if let Err(status) = self.evict(key, &pod).await {
                    self.evictions.lock().unwrap_or_else(PoisonError::into_inner).failed(key);
                    return Err(status);
                }
            }
            (Verdict::Evict | Verdict::Nothing, _) => {}
        }
        Ok(None)
    }
}

/// The pods of a node whose evicting taints changed are to be looked at.
pub fn pods_of_tainted_node(world: &World, change: &skiff_client::informer::Change<crate::view::Node>, queue: &Queue<Key>) {
    let (before, after) = crate::routes::sides(change);
    let evicting = |node: Option<&Arc<crate::view::Node>>| -> Vec<Taint> {
        node.into_iter().flat_map(|node| node.spec.taints.clone()).filter(|taint| taint.effect == taints::NO_EXECUTE).collect()
    };
    if let Some(node) = after.or(before)
        && evicting(before) != evicting(after)
    {
        world.pods_by_node.find(&node.metadata.name, &world.pods).iter().for_each(|pod| queue.add(pod.key()));
    }
}
