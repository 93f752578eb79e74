//! Nothing is silently ignored: whoever makes an object that skiff does not act on is told so by an event on the object.
//!
//! [`table`] is the whole decision: every served kind, and what to say of an object of it. A view carries its sentence from the moment it is
//! read; this file only sees to it that the sentence is told once. The event's name follows from the object's uid and the sentence, so that
//! neither a restart nor a later change of the object repeats it.

#[cfg(test)]
mod fields;
pub mod partly;
pub mod table;

use std::sync::Arc;

use serde_json::{Value, json};
use skiff_client::clock::Clock;
use skiff_client::informer::Change;
use skiff_client::queue::Queue;
use skiff_proto::resource::EVENTS;
use skiff_proto::status::Status;
use tracing::warn;

use crate::execute::{Writer, is_namespace_terminating};
use crate::hash::fnv1a_64;
use crate::kinds::Kind;
use crate::routes::sides;
use crate::view::meta::rfc3339;
use crate::view::{Meta, Object};

/// The reason of every such event.
pub const REASON: &str = "NotImplemented";
/// Who reports.
const COMPONENT: &str = "skiff-controller";
/// The longest name of an object.
const NAME_BYTES: usize = 253;

/// An object, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    kind: &'static str,
    api_version: &'static str,
    namespace: String,
    name: String,
    uid: String,
    sentence: String,
}

/// Tells what informers bring: one event a sentence and object.
pub struct Teller {
    writer: Writer,
    queue: Queue<Remark>,
    clock: Clock,
}

impl Teller {
    /// Has told nothing yet.
    pub fn new(writer: Writer, clock: Clock) -> Self {
        Self { writer, queue: Queue::default(), clock }
    }

    /// Follows one change of any kind.
    pub fn take<T: Object>(&self, kind: &'static Kind, change: &Change<T>) {
        let (before, after) = sides(change);
        if let Some(remark) = remark(kind, before.map(|view| &**view), after.map(|view| &**view)) {
            self.queue.add(remark);
        }
    }

    /// Ends [`Teller::work`].
    pub fn close(&self) {
        self.queue.close();
    }

    /// Works until closed.
    pub async fn work(self: Arc<Self>) {
        while let Some(remark) = self.queue.get().await {
            match self.tell(&remark).await {
                Ok(()) => self.queue.forget(&remark),
                Err(status) => {
                    warn!(%status, kind = remark.kind, name = remark.name, "not told yet that this is not acted on: trying again");
                    self.queue.add_rate_limited(remark.clone());
                }
            }
            self.queue.done(&remark);
        }
    }

    async fn tell(&self, remark: &Remark) -> Result<(), Status> {
        let event = event(remark, &rfc3339(self.clock.now()));
        let namespace = event["metadata"]["namespace"].as_str().unwrap_or_default();
        match self.writer.create(EVENTS, namespace, &event).await {
            Ok(_) => Ok(()),
            // It was told before, or nobody is left to be told.
            Err(status) if status.is_already_exists() || status.is_not_found() || is_namespace_terminating(&status) => Ok(()),
            Err(status) => Err(status),
        }
    }
}

/// What a change gives to say: the sentence of what is new or became another.
fn remark<T: Object>(kind: &'static Kind, before: Option<&T>, after: Option<&T>) -> Option<Remark> {
    let after = after?;
    let sentence = after.not_implemented()?;
    let Meta { namespace, name, uid, .. } = after.meta();
    let said = before.is_some_and(|before| before.meta().uid == *uid && before.not_implemented() == Some(sentence));
    let remark = Remark {
        kind: kind.kind,
        api_version: kind.api_version,
        namespace: namespace.clone(),
        name: name.clone(),
        uid: uid.clone(),
        sentence: sentence.to_owned(),
    };
    (!said).then_some(remark)
}

/// The event, as client-go's recorder would write it, but under a name that is the same each time.
fn event(remark: &Remark, now: &str) -> Value {
    let Remark { kind, api_version, namespace, name, uid, sentence } = remark;
    let suffix = format!(".{:016x}", fnv1a_64(&[uid.as_bytes(), b" ", sentence.as_bytes()]));
    let prefix: String = name.chars().take(NAME_BYTES - suffix.len()).collect();
    let mut about = json!({ "apiVersion": api_version, "kind": kind, "name": name, "uid": uid });
    if !namespace.is_empty() {
        about["namespace"] = json!(namespace);
    }
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {
            "name": format!("{}{suffix}", prefix.trim_end_matches(['.', '-'])),
            // Events of what lives in no namespace are in `default`: `record.makeEvent`.
            "namespace": if namespace.is_empty() { "default" } else { namespace },
        },
        "involvedObject": about, "type": "Warning", "reason": REASON, "message": sentence,
        "source": { "component": COMPONENT }, "reportingComponent": COMPONENT, "reportingInstance": "",
        "firstTimestamp": now, "lastTimestamp": now, "count": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gc::Bare;
    use crate::kinds;

    fn bare(uid: &str, sentence: Option<&str>) -> Bare {
        let metadata = Meta { namespace: "ns".to_owned(), name: "a".to_owned(), uid: uid.to_owned(), ..Meta::default() };
        Bare { metadata, not_implemented: sentence.map(Into::into) }
    }

    #[test]
    fn a_sentence_is_told_when_it_becomes_true() {
        let kind = kinds::find("apps/v1", "StatefulSet").unwrap();
        let (silent, one, other, namesake) = (bare("1", None), bare("1", Some("x")), bare("1", Some("y")), bare("2", Some("x")));
        let cases: [(Option<&Bare>, Option<&Bare>, Option<&str>); 8] = [
            (None, Some(&silent), None),
            (None, Some(&one), Some("x")),
            (Some(&one), Some(&one), None),
            (Some(&silent), Some(&one), Some("x")),
            (Some(&one), Some(&other), Some("y")),
            (Some(&one), Some(&namesake), Some("x")),
            (Some(&one), Some(&silent), None),
            (Some(&one), None, None),
        ];
        for (before, after, expected) in cases {
            assert_eq!(remark(kind, before, after).map(|remark| remark.sentence).as_deref(), expected);
        }
    }

    #[test]
    fn an_event_has_one_name_and_a_place() {
        let told = |namespace: &str, name: &str, uid: &str, sentence: &str| {
            let (kind, api_version) = ("StorageClass", "storage.k8s.io/v1");
            let remark = Remark { kind, api_version, namespace: namespace.into(), name: name.into(), uid: uid.into(), sentence: sentence.into() };
            event(&remark, "2026-01-01T00:00:00Z")
        };
        let first = told("", "fast", "1", "x");
        assert_eq!(first["metadata"]["namespace"], "default");
        assert!(first["involvedObject"]["namespace"].is_null());
        assert_eq!(told("", "fast", "1", "x")["metadata"]["name"], first["metadata"]["name"]);
        for other in [told("", "fast", "2", "x"), told("", "fast", "1", "y")] {
            assert_ne!(other["metadata"]["name"], first["metadata"]["name"]);
        }
        assert_eq!(told("ns", "fast", "1", "x")["metadata"]["namespace"], "ns");
        let long = told("ns", &format!("{}.{}", "a".repeat(235), "b".repeat(17)), "1", "x");
        let name = long["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= NAME_BYTES && !name.contains(".."), "{name}");
    }
}
