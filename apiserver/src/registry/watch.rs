//! `watch`: from the store's events to what a client that selects sees of them.
//!
//! See `apiserver/pkg/storage/cacher/cache_watcher.go`: an object that begins to match is ADDED, one that ceases to is DELETED
//! (its last selected state, with the revision of the change).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use skiff_proto::status::Status;
use tokio::time::{Instant, sleep_until};

use super::body;
use super::call::{Call, Shape};
use super::options::revision;
use super::read::{expired, matches};
use super::selector::Selection;
use crate::dispatch::{Answer, ApiResponse, WatchEvent};
use crate::store::{Event, EventKind, Lagged, Revision, Scope, Version, Watcher};

/// How often a client that allows it is told how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Events handed over at once.
const BATCH: usize = 512;

impl Call<'_> {
    /// `GET` of a collection with `watch=true`.
    pub fn watch(&self) -> Result<ApiResponse, Status> {
        let options = &self.request.options;
        options.validate_watch()?;
        let selection = self.selection()?;
        let asked = revision(&options.resource_version)?.unwrap_or(0);
        let initial = options.send_initial_events.unwrap_or(asked == 0);
        let scope = self.scope(&selection);
        let store = &self.server.store;
        let mut ready = VecDeque::new();
        let mut started = store.revision();
        let watcher = if initial {
            let (listing, watcher) = store.list_and_watch(scope);
            started = listing.revision;
            let items: Vec<WatchEvent> = listing.items.iter().filter(|one| matches(&selection, one)).map(|one| WatchEvent::Added(self.item(one))).collect();
            ready.extend(items);
            if options.send_initial_events == Some(true) && options.allow_watch_bookmarks {
                ready.push_back(self.shape().bookmark(started, true));
            }
            watcher
        } else {
            let from = if asked == 0 { started } else { asked };
            match store.watch(scope, from) {
                Ok(watcher) => watcher,
                Err(_) => return Ok(self.stream(stream::iter([vec![too_old(asked, store.oldest())]]).boxed())),
            }
        };
        let minimum = 1800 + self.server.environment.random() as u64 % 1800;
        let now = Instant::now();
        let following = Following {
            watcher,
            selection: Arc::new(selection),
            shape: self.shape(),
            ready,
            bookmarks: options.allow_watch_bookmarks.then_some(now + BOOKMARK_EVERY),
            deadline: now + Duration::from_secs(options.timeout_seconds.filter(|seconds| *seconds > 0).unwrap_or(minimum)),
            said: started,
            over: false,
        };
        Ok(self.stream(stream::unfold(following, Following::step).boxed()))
    }

    /// The narrowest scope that holds everything selected.
    fn scope(&self, selection: &Selection) -> Scope {
        let mut scope = Scope::all(&self.resource.storage_key());
        scope.namespace = self.scope_namespace(selection).map(str::to_owned);
        scope.name = selection.exact("metadata.name").map(str::to_owned);
        if self.resource.plural == "pods" && self.resource.group.is_empty() && scope.name.is_none() {
            scope.node = selection.exact("spec.nodeName").filter(|node| !node.is_empty()).map(str::to_owned);
        }
        scope
    }

    fn stream(&self, events: BoxStream<'static, Vec<WatchEvent>>) -> ApiResponse {
        let answer = Answer::Watch { resource: self.resource.clone(), gvk: self.resource.gvk(self.version()), events };
        ApiResponse { warnings: Vec::new(), answer }
    }
}

/// A watch from a revision that is forgotten: one event says so.
fn too_old(asked: Revision, oldest: Revision) -> WatchEvent {
    WatchEvent::Error(expired(format!("too old resource version: {asked} ({oldest})")))
}

/// An open watch.
struct Following {
    watcher: Watcher,
    selection: Arc<Selection>,
    shape: Shape,
    ready: VecDeque<WatchEvent>,
    /// When the next bookmark is due.
    bookmarks: Option<Instant>,
    deadline: Instant,
    /// The newest revision that the client knows of.
    said: Revision,
    over: bool,
}

impl Following {
    /// The next batch, and the watch after it; none at its end.
    async fn step(mut self) -> Option<(Vec<WatchEvent>, Self)> {
        loop {
            if !self.ready.is_empty() {
                let batch = self.ready.drain(..).collect();
                return Some((batch, self));
            }
            if self.over {
                return None;
            }
            let bookmark = self.bookmarks.unwrap_or(self.deadline);
            tokio::select! {
                biased;
                batch = self.watcher.next_batch(BATCH) => match batch {
                    Some(Ok(events)) => self.take(&events),
                    Some(Err(Lagged)) => {
                        // As the watch cache does: the stream just ends, and the client begins again from what it has seen.
                        self.over = true;
                    }
                    None => return None,
                },
                () = sleep_until(self.deadline) => return None,
                () = sleep_until(bookmark), if self.bookmarks.is_some() => {
                    self.bookmarks = Some(Instant::now() + BOOKMARK_EVERY);
                    self.said = self.said.max(self.watcher.progress());
                    self.ready.push_back(self.shape.bookmark(self.said, false));
                }
            }
        }
    }

    fn take(&mut self, events: &[Arc<Event>]) {
        for event in events {
            self.said = event.revision();
            if let Some(seen) = self.see(event) {
                self.ready.push_back(seen);
            }
        }
    }

    /// What the client sees of an event.
    fn see(&self, event: &Event) -> Option<WatchEvent> {
        let now = event.kind == EventKind::Put && self.selects(&event.version);
        let before = match (&event.previous, event.kind) {
            (Some(previous), _) => self.selects(previous),
            (None, EventKind::Put) => false,
            (None, EventKind::Delete) => self.selects(&event.version),
        };
        match (before, now) {
            (false, false) => None,
            (false, true) => Some(WatchEvent::Added(self.shape.item(&event.version))),
            (true, true) => Some(WatchEvent::Modified(self.shape.item(&event.version))),
            (true, false) if event.kind == EventKind::Delete => Some(WatchEvent::Deleted(self.shape.item(&event.version))),
            (true, false) => {
                let previous = event.previous.as_ref()?;
                let mut item = self.shape.item(previous);
                item.json = body::at_revision(&item.json, previous.revision, event.revision());
                item.revision = event.revision();
                item.version = None;
                Some(WatchEvent::Deleted(item))
            }
        }
    }

    fn selects(&self, version: &Version) -> bool {
        matches(&self.selection, version)
    }
}

/// `{"kind":…,"apiVersion":…,"metadata":{"resourceVersion":"7",…}}`
pub fn bookmark_json(api_version: &str, kind: &str, at: Revision, initial_events_end: bool) -> Bytes {
    let annotations = if initial_events_end { ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" } else { "" };
    Bytes::from(format!("{{\"apiVersion\":\"{api_version}\",\"kind\":\"{kind}\",\"metadata\":{{\"resourceVersion\":\"{at}\"{annotations}}}}}"))
}
