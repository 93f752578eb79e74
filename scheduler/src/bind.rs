//! Performs what was decided: bindings in batches, conditions, evictions and events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use skiff_client::api::Api;
use skiff_client::clock::Clock;
use skiff_client::events::{Happening, ObjectRef, Recorder, Source, Style, Type};
use skiff_proto::resource::PODS;
use skiff_proto::status::Status;
use skiff_proto::v1;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, warn};

use crate::preempt::Plan;
use crate::scheduler::{Effect, Event, NAME};
use crate::view::PodView;

/// Batches of bindings that are on their way at once; what is decided meanwhile goes together in the next.
const IN_FLIGHT: usize = 2;

type Decided = (Arc<PodView>, String);

/// What performs effects. Never blocks: everything happens in tasks.
#[derive(Clone)]
pub struct Hands {
    api: Arc<dyn Api>,
    events: UnboundedSender<Event>,
    recorder: Recorder,
    bindings: Arc<Mutex<Bindings>>,
    clock: Clock,
}

#[derive(Default)]
struct Bindings {
    waiting: Vec<Decided>,
    in_flight: usize,
}

impl Hands {
    /// `events` gets to know how bindings went.
    pub fn new(api: Arc<dyn Api>, clock: Clock, events: UnboundedSender<Event>) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_default();
        let source = Source { component: NAME.to_owned(), host: format!("{NAME}-{host}").trim_end_matches('-').to_owned(), style: Style::New };
        Self { recorder: Recorder::new(api.clone(), source, clock.clone()), api, events, bindings: Arc::default(), clock }
    }

    /// Starts to perform these.
    pub fn perform(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Bind { pod, node } => self.lock().waiting.push((pod, node)),
                Effect::Refuse { pod, message, nominate } => {
                    self.recorder.report(happening(&pod, Type::Warning, "FailedScheduling", "Scheduling", message.clone()));
                    if pod.told != message || nominate.is_some() {
                        let hands = self.clone();
                        tokio::spawn(async move { hands.tell(&pod, &message, nominate).await });
                    }
                }
                Effect::Displace { pod, plan } => {
                    let hands = self.clone();
                    tokio::spawn(async move { hands.displace(&pod, &plan).await });
                }
            }
        }
        self.start_binding();
    }

    fn start_binding(&self) {
        let batch = {
            let mut bindings = self.lock();
            if bindings.waiting.is_empty() || bindings.in_flight >= IN_FLIGHT {
                return;
            }
            bindings.in_flight += 1;
            std::mem::take(&mut bindings.waiting)
        };
        let hands = self.clone();
        tokio::spawn(async move {
            hands.bind(batch).await;
            hands.lock().in_flight -= 1;
            hands.start_binding();
        });
    }

    async fn bind(&self, batch: Vec<Decided>) {
        let binding = |(pod, node): &Decided| v1::Binding {
            namespace: pod.key.namespace.to_string(),
            name: pod.key.name.to_string(),
            uid: pod.uid.clone(),
            node: node.clone(),
        };
        let results = self.api.bind_batch(batch.iter().map(binding).collect()).await;
        let refusals: Vec<Option<String>> = match results {
            Ok(results) => results.iter().map(refusal).collect(),
            Err(status) => vec![Some(status.message); batch.len()],
        };
        for ((pod, node), refused) in batch.into_iter().zip(refusals) {
            match &refused {
                None => {
                    let message = format!("Successfully assigned {}/{} to {node}", pod.key.namespace, pod.key.name);
                    self.recorder.report(happening(&pod, Type::Normal, "Scheduled", "Binding", message));
                }
                Some(why) => debug!(pod = %pod.key, node, why, "binding refused"),
            }
            // Fails only when the scheduler has stopped.
            self.events.send(Event::Bound { pod, refused }).ok();
        }
    }

    async fn tell(&self, pod: &PodView, message: &str, nominate: Option<String>) {
        let mut status = json!({"conditions": [self.condition("PodScheduled", "False", "Unschedulable", message)]});
        if let Some(node) = nominate {
            status["nominatedNodeName"] = if node.is_empty() { Value::Null } else { json!(node) };
        }
        if let Err(status) = self.patch_status(pod, status).await
            && !status.is_not_found()
        {
            warn!(pod = %pod.key, %status, "the pod's condition could not be written");
        }
    }

    /// Victims get a condition that says why, an event, and are deleted.
    async fn displace(&self, pod: &PodView, plan: &Plan) {
        for victim in &plan.victims {
            let message = format!("{NAME}: preempting to accommodate a higher priority pod");
            let status = json!({"conditions": [self.condition("DisruptionTarget", "True", "PreemptionByScheduler", &message)]});
            let delete = v1::DeleteRequest {
                resource: PODS.to_owned(),
                namespace: victim.key.namespace.to_string(),
                name: victim.key.name.to_string(),
                uid: victim.uid.clone(),
                ..Default::default()
            };
            let outcome = match self.patch_status(victim, status).await {
                Ok(()) => self.api.delete(delete).await.map(drop),
                Err(status) => Err(status),
            };
            match outcome {
                Ok(()) => {
                    let message = format!("Preempted by pod {} on node {}", pod.uid, plan.node);
                    let mut told = happening(victim, Type::Normal, "Preempted", "Preempting", message);
                    told.related = Some(reference(pod));
                    self.recorder.report(told);
                }
                Err(status) if status.is_not_found() => {}
                Err(status) => warn!(pod = %victim.key, %status, "the pod could not be preempted"),
            }
        }
    }

    async fn patch_status(&self, pod: &PodView, status: Value) -> Result<(), Status> {
        let patch = v1::PatchRequest {
            resource: PODS.to_owned(),
            namespace: pod.key.namespace.to_string(),
            name: pod.key.name.to_string(),
            subresource: "status".to_owned(),
            r#type: v1::PatchType::Strategic.into(),
            patch: json!({"metadata": {"uid": pod.uid}, "status": status}).to_string().into(),
            ..Default::default()
        };
        self.api.patch(patch).await.map(drop)
    }

    fn condition(&self, kind: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastProbeTime": null, "lastTransitionTime": skiff_client::events::seconds(self.clock.since_epoch()),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Bindings> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(result: &v1::BindResult) -> Option<String> {
    let told = || serde_json::from_slice::<Status>(&result.status).map_or_else(|_| format!("code {}", result.code), |status| status.message);
    (result.code != 0).then(told)
}

fn reference(pod: &PodView) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: pod.key.namespace.to_string(),
        name: pod.key.name.to_string(),
        uid: pod.uid.clone(),
        resource_version: pod.revision.to_string(),
        field_path: String::new(),
    }
}

fn happening(pod: &PodView, kind: Type, reason: &str, action: &str, message: String) -> Happening {
    Happening { about: reference(pod), related: None, kind, reason: reason.to_owned(), action: action.to_owned(), message, annotations: BTreeMap::new() }
}
