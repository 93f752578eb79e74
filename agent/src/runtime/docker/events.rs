//! Following Docker's events: each touches the cache and tells the agent which pod to look at.
//!
//! What waits to be told is a set of pods, not a list of events, so it is bounded by the number of pods. When the connection breaks
//! (dockerd restarts, say) the agent hears [`RuntimeEvent::Down`], and [`RuntimeEvent::Resync`] once Docker answers again.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::sync::Notify;

use super::super::{ContainerState, RuntimeEvent, SandboxState};
use super::cache::Cache;
use super::labels::{Owner, Told};
use super::observe::Thing;
use super::{error, network};

/// The first and the longest pause between two attempts to reach Docker.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the agent has yet to hear.
#[derive(Debug, Default)]
pub struct Pending {
    news: Mutex<News>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct News {
    down: Option<String>,
    resync: bool,
    pods: BTreeSet<String>,
}

impl Pending {
    /// Tells the agent to look at this pod.
    pub fn pod(&self, uid: &str) {
        self.change(|news| {
            news.pods.insert(uid.to_owned());
        });
    }

    fn down(&self, why: String) {
        self.change(|news| {
            news.resync = false;
            news.down = Some(why);
        });
    }

    fn resync(&self) {
        self.change(|news| {
            news.pods.clear(); // part of everything
            news.resync = true;
        });
    }

    fn change(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    fn take(&self) -> Option<RuntimeEvent> {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = news.down.take() {
            return Some(RuntimeEvent::Down(why));
        }
        if std::mem::take(&mut news.resync) {
            return Some(RuntimeEvent::Resync);
        }
        news.pods.pop_first().map(RuntimeEvent::Pod)
    }

    /// What comes, for ever.
    pub fn stream(self: Arc<Self>) -> BoxStream<'static, RuntimeEvent> {
        let next = async |pending: Arc<Self>| loop {
            if let Some(event) = pending.take() {
                return Some((event, pending));
            }
            pending.wake.notified().await;
        };
        stream::unfold(self, next).boxed()
    }
}

/// Follows Docker's events from `since` on, for ever.
pub async fn follow(docker: Docker, owner: Owner, address: Option<Ipv4Addr>, cache: Arc<Mutex<Cache>>, pending: Arc<Pending>, mut since: SystemTime) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut events = std::pin::pin!(docker.events(Some(options(&owner, since))));
        let mut why = "Docker closed the connection".to_owned();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    pause = FIRST_PAUSE;
                    if let Some(uid) = happened(&mut cache.lock().unwrap_or_else(PoisonError::into_inner), &owner, &event) {
                        pending.pod(&uid);
                    }
                }
                Err(fault) => {
                    why = error::message(&fault);
                    break;
                }
            }
        }
        tracing::warn!(error = %why, "lost Docker's events");
        cache.lock().unwrap_or_else(PoisonError::into_inner).lost();
        pending.down(why);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            since = SystemTime::now();
            if docker.ping().await.is_ok() {
                break;
            }
        }
        if let Some(address) = address
            && let Err(fault) = network::resettle(&docker, &owner.cluster, address).await
        {
            tracing::warn!(%fault, %address, "the node's address may be gone"); // pods run all the same
        }
        pending.resync();
    }
}

fn options(owner: &Owner, since: SystemTime) -> EventsOptions {
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut filters = owner.filter();
    filters.insert("type".to_owned(), list(&["container"]));
    filters.insert("event".to_owned(), list(&["create", "start", "oom", "die", "destroy"]));
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
    EventsOptions { since: Some(format!("{}.{:09}", since.as_secs(), since.subsec_nanos())), filters: Some(filters), ..EventsOptions::default() }
}

/// Notes an event; the pod to look at, where the event says more than our own calls did.
fn happened(cache: &mut Cache, owner: &Owner, event: &EventMessage) -> Option<String> {
    let actor = event.actor.as_ref()?;
    let (id, labels): (&str, &HashMap<String, String>) = (actor.id.as_deref()?, actor.attributes.as_ref()?);
    if !owner.owns(labels) {
        return None;
    }
    let pod = Told::read(labels)?.pod;
    let news = match event.action.as_deref()? {
        // Not ours, or made by our own hand before it was killed.
        "create" => cache.pod_of(id).is_none() && !labels.get("name").is_some_and(|name| cache.is_busy(name)),
        "start" => !is_running(cache, id) && !cache.is_busy(id),
        "oom" => {
            cache.heard_oom(id);
            cache.pod_of(id).is_some()
        }
        "die" => cache.pod_of(id).is_some(),
        "destroy" => return cache.forget(id).then_some(pod.uid),
        _ => false, // Docker sends no other: the filter says so
    };
    news.then(|| {
        cache.touch(id, &pod);
        pod.uid
    })
}

fn is_running(cache: &Cache, id: &str) -> bool {
    cache.get(id).is_some_and(|seen| match &seen.thing {
        Thing::Sandbox(sandbox, _) => sandbox.state == SandboxState::Ready,
        Thing::Container(container) => matches!(container.state, ContainerState::Running { .. }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{ContainerSpec, PodId};
    use bollard::models::EventActor;

    fn event(owner: &Owner, action: &str) -> EventMessage {
        let spec = ContainerSpec { pod: PodId { uid: "u".into(), namespace: "ns".into(), name: "p".into() }, name: "app".into(), ..ContainerSpec::default() };
        let mut attributes = owner.container_labels("sb", &spec);
        attributes.insert("name".to_owned(), "k8s_app".to_owned());
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(EventActor { id: Some("a".into()), attributes: Some(attributes) }),
            ..EventMessage::default()
        }
    }

    #[test]
    fn news_of_ours_only() {
        let (ours, theirs) = (Owner { cluster: "c".into(), node: "n".into() }, Owner { cluster: "d".into(), node: "n".into() });
        let mut cache = Cache::default();
        let mut hear = |owner: &Owner, action: &str| happened(&mut cache, &ours, &event(owner, action));
        assert_eq!(hear(&theirs, "create"), None);
        assert_eq!(hear(&ours, "die"), None, "of a container that is removed already");
        assert_eq!(hear(&ours, "create"), Some("u".to_owned()));
        assert_eq!(hear(&ours, "create"), None, "known");
        for action in ["start", "oom", "die", "destroy"] {
            assert_eq!(hear(&ours, action), Some("u".to_owned()), "{action}");
        }
        assert_eq!(hear(&ours, "destroy"), None);
        assert_eq!(cache.pod("u"), None);
    }

    #[test]
    fn our_own_doing_is_no_news() {
        let ours = Owner { cluster: "c".into(), node: "n".into() };
        let mut cache = Cache::default();
        cache.busy("k8s_app");
        assert_eq!(happened(&mut cache, &ours, &event(&ours, "create")), None);
        cache.idle("k8s_app");
        assert_eq!(happened(&mut cache, &ours, &event(&ours, "create")), Some("u".to_owned()));
        cache.busy("a");
        assert_eq!(happened(&mut cache, &ours, &event(&ours, "start")), None);
        assert_eq!(happened(&mut cache, &ours, &event(&ours, "die")), Some("u".to_owned()));
    }

    #[tokio::test]
    async fn what_waits_is_told_once() {
        let pending = Arc::new(Pending::default());
        pending.pod("u");
        pending.pod("u");
        pending.down("gone".into());
        let mut events = Arc::clone(&pending).stream();
        assert_eq!(events.next().await, Some(RuntimeEvent::Down("gone".into())));
        assert_eq!(events.next().await, Some(RuntimeEvent::Pod("u".into())));
        pending.pod("v");
        pending.resync();
        assert_eq!(events.next().await, Some(RuntimeEvent::Resync));
        pending.pod("w");
        assert_eq!(events.next().await, Some(RuntimeEvent::Pod("w".into())));
    }
}
