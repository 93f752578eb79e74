//! Events: what `kubectl describe` shows at the bottom. Repeats are counted, not repeated; floods are thinned out.
//!
//! [`Correlator`] decides as a value what becomes of an event, as client-go's `tools/record/events_cache.go` does; [`Recorder`] is the
//! handle that components call, and one task behind it writes. Events are lost where the server cannot be reached or the queue is
//! full: they are for people, and nothing may wait for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skiff_proto::resource::EVENTS;
use skiff_proto::v1;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::api::Api;
use crate::clock::Clock;

/// Events that wait to be written; more are dropped (client-go keeps 1000).
const WAITING: usize = 1000;
/// Different messages of one object and reason within [`SIMILAR_WINDOW`] before they are told as one.
const SIMILAR: usize = 10;
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);
/// Events of one source about one object: at once, and then one for each [`REFILL`].
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
/// Events remembered for counting; beyond it the oldest are forgotten, and would be created anew.
const REMEMBERED: usize = 4096;

/// `Normal` or `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// Something went as it should.
    Normal,
    /// Something a person may want to look at.
    Warning,
}

impl Type {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// The object that an event is about (`v1.ObjectReference`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// `v1`, `apps/v1`
    pub api_version: String,
    /// `Pod`
    pub kind: String,
    /// Empty for cluster-scoped objects, whose events live in `default`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion; may be empty.
    pub resource_version: String,
    /// `spec.containers{web}` where a part is meant; else empty.
    pub field_path: String,
}

/// Which of the two event APIs a component's events look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    /// core/v1 (`source`, `firstTimestamp`, `count`): the kubelet and the controllers.
    Core,
    /// events.k8s.io/v1 (`reportingComponent`, `eventTime`, `series`): the scheduler.
    New,
}

/// Who reports.
#[derive(Clone, Debug)]
pub struct Source {
    /// `kubelet`, `default-scheduler`, `deployment-controller`
    pub component: String,
    /// The node, for a kubelet.
    pub host: String,
    /// See [`Style`].
    pub style: Style,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Happening {
    /// To what.
    pub about: ObjectRef,
    /// A second object concerned ([`Style::New`] only).
    pub related: Option<ObjectRef>,
    /// Normal or warning.
    pub kind: Type,
    /// `Scheduled`
    pub reason: String,
    /// `Binding` ([`Style::New`] only).
    pub action: String,
    /// The sentence.
    pub message: String,
    /// Set on the event itself.
    pub annotations: BTreeMap<String, String>,
}

/// What is to be done about a happening.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Create this Event.
    Create(Value),
    /// Merge this into the Event of that name.
    Count {
        /// The Event's namespace.
        namespace: String,
        /// The Event's name.
        name: String,
        /// A merge patch.
        patch: Value,
        /// The whole Event, to be created if that one has expired.
        whole: Value,
    },
    /// Too many of them: say nothing.
    Drop,
}

/// Remembers what was told, and decides what becomes of each happening.
pub struct Correlator {
    source: Source,
    told: BTreeMap<String, Told>,
    similar: BTreeMap<String, Similar>,
    spam: BTreeMap<ObjectRef, Bucket>,
    /// The number in the last event's name: events of one moment need names of their own.
    last_number: u128,
}

struct Told {
    event: Value,
    count: u64,
    last: Duration,
}

struct Similar {
    messages: BTreeSet<String>,
    last: Duration,
}

struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Correlator {
    /// Nothing told yet.
    pub fn new(source: Source) -> Self {
        Self { source, told: BTreeMap::new(), similar: BTreeMap::new(), spam: BTreeMap::new(), last_number: 0 }
    }

    /// Decides about one happening at `now` (since the epoch).
    pub fn observe(&mut self, mut happening: Happening, now: Duration) -> Outcome {
        self.combine_similar(&mut happening, now);
        if !self.admit(&happening.about, now) {
            return Outcome::Drop;
        }
        let key = format!(
            "{:?} {} {} {} {}",
            happening.about,
            happening.kind.as_str(),
            happening.reason,
            happening.action,
            if self.source.style == Style::New { "" } else { &happening.message }
        );
        if let Some(told) = self.told.get_mut(&key) {
            told.count += 1;
            told.last = now;
            let patch = counted(&self.source.style, told.count, &happening.message, now);
            merge(&mut told.event, &patch);
            let text = |path: &str| told.event["metadata"][path].as_str().unwrap_or_default().to_owned();
            return Outcome::Count { namespace: text("namespace"), name: text("name"), patch, whole: told.event.clone() };
        }
        // Sources tell of one object in one moment too: each has its own part of the millisecond.
        let own = self.source.component.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))) % 1_000_000;
        self.last_number = (now.as_nanos() + u128::from(own)).max(self.last_number + 1);
        let event = first(&self.source, &happening, now, self.last_number);
        if self.told.len() >= REMEMBERED {
            let oldest = self.told.iter().min_by_key(|(_, told)| told.last).map(|(key, _)| key.clone());
            oldest.map(|key| self.told.remove(&key));
        }
        self.told.insert(key, Told { event: event.clone(), count: 1, last: now });
        Outcome::Create(event)
    }

    /// More than [`SIMILAR`] messages that differ only in their text become one: `(combined from similar events): …`.
    fn combine_similar(&mut self, happening: &mut Happening, now: Duration) {
        if self.source.style == Style::New {
            return;
        }
        self.similar.retain(|_, similar| now.saturating_sub(similar.last) < SIMILAR_WINDOW);
        let key = format!("{:?} {} {}", happening.about, happening.kind.as_str(), happening.reason);
        let similar = self.similar.entry(key).or_insert_with(|| Similar { messages: BTreeSet::new(), last: now });
        similar.last = now;
        if similar.messages.len() < SIMILAR {
            similar.messages.insert(happening.message.clone());
        } else if !similar.messages.contains(&happening.message) {
            happening.message = format!("(combined from similar events): {}", happening.message);
        }
    }

    /// A token bucket an object.
    fn admit(&mut self, about: &ObjectRef, now: Duration) -> bool {
        let refilled = |bucket: &Bucket| {
            let earned = now.saturating_sub(bucket.at).as_secs_f64() / REFILL.as_secs_f64();
            (bucket.tokens + earned).min(BURST)
        };
        if self.spam.len() >= REMEMBERED {
            self.spam.retain(|_, bucket| refilled(bucket) < BURST);
        }
        let about = ObjectRef { resource_version: String::new(), field_path: String::new(), ..about.clone() };
        let bucket = self.spam.entry(about).or_insert(Bucket { tokens: BURST, at: now });
        bucket.tokens = refilled(bucket);
        bucket.at = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}

fn first(source: &Source, happening: &Happening, now: Duration, number: u128) -> Value {
    let about = &happening.about;
    let namespace = if about.namespace.is_empty() { "default" } else { &about.namespace };
    let metadata = json!({"name": format!("{}.{number:x}", about.name), "namespace": namespace});
    let mut event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": reference(about),
        "type": happening.kind.as_str(), "reason": happening.reason, "message": happening.message,
        "reportingComponent": source.component,
        "reportingInstance": source.host,
    });
    if !happening.annotations.is_empty() {
        event["metadata"]["annotations"] = json!(happening.annotations);
    }
    match source.style {
        Style::Core => {
            event["source"] = json!({"component": source.component});
            if !source.host.is_empty() {
                event["source"]["host"] = json!(source.host);
            }
            event["firstTimestamp"] = json!(seconds(now));
            event["lastTimestamp"] = json!(seconds(now));
            event["count"] = json!(1);
        }
        Style::New => {
            event["eventTime"] = json!(micros(now));
            event["action"] = json!(happening.action);
            if let Some(related) = &happening.related {
                event["related"] = reference(related);
            }
        }
    }
    event
}

fn counted(style: &Style, count: u64, message: &str, now: Duration) -> Value {
    match style {
        Style::Core => json!({"count": count, "lastTimestamp": seconds(now), "message": message}),
        Style::New => json!({"series": {"count": count, "lastObservedTime": micros(now)}}),
    }
}

fn reference(about: &ObjectRef) -> Value {
    let fields = [
        ("apiVersion", &about.api_version),
        ("kind", &about.kind),
        ("namespace", &about.namespace),
        ("name", &about.name),
        ("uid", &about.uid),
        ("resourceVersion", &about.resource_version),
        ("fieldPath", &about.field_path),
    ];
    fields.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

fn merge(event: &mut Value, patch: &Value) {
    if let (Value::Object(event), Value::Object(patch)) = (event, patch) {
        event.extend(patch.clone());
    }
}

/// RFC 3339 in UTC, whole seconds, as `metav1.Time`.
pub fn seconds(since_epoch: Duration) -> String {
    let (date, time) = civil(since_epoch.as_secs());
    format!("{date}T{time}Z")
}

/// RFC 3339 in UTC, microseconds, as `metav1.MicroTime`.
pub fn micros(since_epoch: Duration) -> String {
    let (date, time) = civil(since_epoch.as_secs());
    format!("{date}T{time}.{:06}Z", since_epoch.subsec_micros())
}

/// Days since the epoch as a date: Howard Hinnant's `civil_from_days`.
fn civil(seconds: u64) -> (String, String) {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (format!("{year:04}-{month:02}-{day:02}"), format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60))
}

/// The handle that components report with. Never blocks.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Happening>,
}

impl Recorder {
    /// Starts the writing task (it ends when every handle is dropped).
    pub fn new(api: Arc<dyn Api>, source: Source, clock: Clock) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(write(api, Correlator::new(source), receiver, clock));
        Self { sender }
    }

    /// A recorder and what it would write, for tests.
    pub fn channel() -> (Self, mpsc::Receiver<Happening>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender }, receiver)
    }

    /// Reports that something happened to `about`.
    pub fn event(&self, about: &ObjectRef, kind: Type, reason: &str, message: impl Into<String>) {
        self.report(Happening {
            about: about.clone(),
            related: None,
            kind,
            reason: reason.to_owned(),
            action: String::new(),
            message: message.into(),
            annotations: BTreeMap::new(),
        });
    }

    /// Reports a happening with all its details.
    pub fn report(&self, mut happening: Happening) {
        // `message` holds at most 1024 bytes in either API.
        if happening.message.len() > 1024 {
            let cut = (0..=1024).rev().find(|at| happening.message.is_char_boundary(*at)).unwrap_or(0);
            happening.message.truncate(cut);
        }
        if let Err(error) = self.sender.try_send(happening) {
            debug!(%error, "event dropped");
        }
    }
}

async fn write(api: Arc<dyn Api>, mut correlator: Correlator, mut receiver: mpsc::Receiver<Happening>, clock: Clock) {
    while let Some(happening) = receiver.recv().await {
        let result = match correlator.observe(happening, clock.since_epoch()) {
            Outcome::Drop => continue,
            Outcome::Create(event) => create(&*api, &event).await,
            Outcome::Count { namespace, name, patch, whole } => {
                let patch = v1::PatchRequest {
                    resource: EVENTS.to_owned(),
                    namespace,
                    name,
                    r#type: v1::PatchType::Merge.into(),
                    patch: patch.to_string().into(),
                    ..Default::default()
                };
                match api.patch(patch).await {
                    Err(status) if status.is_not_found() => create(&*api, &whole).await,
                    other => other.map(drop),
                }
            }
        };
        if let Err(status) = result {
            // A namespace that is being deleted takes no events; that is no news.
            if status.code == 403 || status.code == 404 { debug!(%status, "event not written") } else { warn!(%status, "event not written") }
        }
    }
}

async fn create(api: &dyn Api, event: &Value) -> Result<(), skiff_proto::status::Status> {
    let request = v1::CreateRequest {
        resource: EVENTS.to_owned(),
        namespace: event["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
        json: event.to_string().into(),
        ..Default::default()
    };
    api.create(request).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(message: &str) -> Happening {
        let about = ObjectRef { api_version: "v1".into(), kind: "Pod".into(), namespace: "ns".into(), name: "p".into(), ..Default::default() };
        Happening {
            about,
            related: None,
            kind: Type::Warning,
            reason: "BackOff".into(),
            action: String::new(),
            message: message.into(),
            annotations: BTreeMap::new(),
        }
    }

    fn correlator(style: Style) -> Correlator {
        Correlator::new(Source { component: "kubelet".into(), host: "node-1".into(), style })
    }

    #[test]
    fn dates() {
        for (at, text) in [(0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_798_761_599, "2026-12-31T23:59:59Z")] {
            assert_eq!(seconds(Duration::from_secs(at)), text);
        }
        assert_eq!(micros(Duration::new(1, 5_000)), "1970-01-01T00:00:01.000005Z");
    }

    #[test]
    fn a_repeat_is_counted() {
        let mut correlator = correlator(Style::Core);
        let Outcome::Create(event) = correlator.observe(happening("again"), Duration::from_secs(1)) else { panic!("the first is created") };
        assert_eq!((&event["count"], &event["source"]["host"]), (&json!(1), &json!("node-1")));
        let Outcome::Count { name, patch, whole, .. } = correlator.observe(happening("again"), Duration::from_secs(9)) else { panic!("the second is counted") };
        assert_eq!(json!(name), event["metadata"]["name"]);
        assert_eq!((&patch["count"], &patch["lastTimestamp"]), (&json!(2), &json!("1970-01-01T00:00:09Z")));
        assert_eq!(whole["firstTimestamp"], json!("1970-01-01T00:00:01Z"));
    }

    #[test]
    fn events_of_one_moment_have_names_of_their_own() {
        let mut correlator = correlator(Style::Core);
        let mut name = |message: &str| match correlator.observe(happening(message), Duration::from_secs(1)) {
            Outcome::Create(event) => event["metadata"]["name"].clone(),
            Outcome::Count { .. } | Outcome::Drop => panic!("each is new"),
        };
        let (one, other, third) = (name("one"), name("other"), name("third"));
        assert!(one != other && other != third && one != third, "{one} {other} {third}");
    }

    #[test]
    fn no_two_sources_give_one_name() {
        let now = Duration::from_secs(1_767_225_600);
        let named = |component: &str| {
            let mut correlator = Correlator::new(Source { component: component.into(), host: String::new(), style: Style::Core });
            match correlator.observe(happening("a"), now) {
                Outcome::Create(event) => event["metadata"]["name"].to_string(),
                Outcome::Count { .. } | Outcome::Drop => panic!("it is new"),
            }
        };
        assert_ne!(named("kubelet"), named("default-scheduler"));
    }

    #[test]
    fn many_messages_become_one() {
        let mut correlator = correlator(Style::Core);
        let created: Vec<String> = (0..13)
            .filter_map(|i| match correlator.observe(happening(&format!("message {i}")), Duration::from_secs(i)) {
                Outcome::Create(event) => event["message"].as_str().map(str::to_owned),
                Outcome::Count { .. } | Outcome::Drop => None,
            })
            .collect();
        assert_eq!(created[9], "message 9");
        assert_eq!(created[10], "(combined from similar events): message 10");
    }

    #[test]
    fn a_flood_is_thinned_out() {
        let mut correlator = correlator(Style::Core);
        let told = |correlator: &mut Correlator, at: u64| correlator.observe(happening("x"), Duration::from_secs(at)) != Outcome::Drop;
        assert_eq!((0..40).filter(|_| told(&mut correlator, 5)).count(), 25);
        assert!(!told(&mut correlator, 200) && told(&mut correlator, 306), "one more after five minutes");
    }

    #[test]
    fn the_new_style_counts_in_a_series() {
        let mut correlator = correlator(Style::New);
        correlator.observe(happening("0/3 nodes"), Duration::from_secs(1));
        let Outcome::Count { patch, .. } = correlator.observe(happening("0/4 nodes"), Duration::from_secs(2)) else { panic!("counted") };
        assert_eq!(patch, json!({"series": {"count": 2, "lastObservedTime": "1970-01-01T00:00:02.000000Z"}}));
    }
}
