//! The scheduler: finds a node for each pod that has none, by filtering and scoring, and says why where there is none.
//!
//! Read [`cycle`] for a decision, [`plugins`] for its rules, [`scheduler`] for what happens around it, and [`run`] for the I/O.

pub mod bind;
pub mod cache;
pub mod cycle;
pub mod explain;
pub mod framework;
pub mod plugins;
pub mod preempt;
pub mod queue;
pub mod resources;
pub mod scheduler;
pub mod view;

#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use skiff_client::api::Api;
use skiff_client::clock::Clock;
use skiff_client::informer::{Cached, Change, Informer};
use skiff_proto::resource::{NAMESPACES, NODES, PERSISTENTVOLUMECLAIMS, PODS};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use bind::Hands;
use scheduler::{Event, Scheduler};

/// Pods that are placed before the next events are looked at: bounds how stale a decision can be.
const BATCH: usize = 256;

/// What a scheduler needs to run.
pub struct Config {
    /// The way to the API server, as `system:kube-scheduler`.
    pub api: Arc<dyn Api>,
    /// Breaks ties between equally good nodes.
    pub seed: u64,
    /// What conditions and events are stamped with.
    pub clock: Clock,
}

/// Schedules until `stop`.
pub async fn run(config: Config, stop: CancellationToken) {
    // Holds at most one event for each change of an object that exists: it is drained whole before each batch.
    let (sender, mut events) = mpsc::unbounded_channel();
    follow(&config.api, PODS, Event::Pod, &sender, &stop);
    follow(&config.api, NODES, Event::Node, &sender, &stop);
    follow(&config.api, NAMESPACES, Event::Namespace, &sender, &stop);
    follow(&config.api, PERSISTENTVOLUMECLAIMS, Event::Claim, &sender, &stop);
    let hands = Hands::new(config.api, config.clock, sender);
    let mut scheduler = Scheduler::new(config.seed);
    let began = Instant::now();
    loop {
        let due = scheduler.next_due().map(|due| began + due);
        let first = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
            () = tokio::time::sleep_until(due.unwrap_or_else(far_away)), if due.is_some() => None,
        };
        let was_synced = scheduler.is_synced();
        if let Some(event) = first {
            scheduler.take(event, began.elapsed());
        }
        loop {
            while let Ok(event) = events.try_recv() {
                scheduler.take(event, began.elapsed());
            }
            let effects = scheduler.run(BATCH, began.elapsed());
            if effects.is_empty() {
                break;
            }
            debug!(count = effects.len(), "decided");
            hands.perform(effects);
            tokio::task::yield_now().await;
        }
        if !was_synced && scheduler.is_synced() {
            info!(nodes = scheduler.cache().nodes().len(), "every pod and node is known");
        }
    }
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// Follows a resource; each change becomes an event.
fn follow<T: Cached>(api: &Arc<dyn Api>, resource: &str, wrap: fn(Change<T>) -> Event, sender: &mpsc::UnboundedSender<Event>, stop: &CancellationToken) {
    let (informer, sender) = (Informer::<T>::all(api.clone(), resource), sender.clone());
    let told = move |change| {
        // Fails only when the scheduler has stopped, and then nobody wants to know.
        sender.send(wrap(change)).ok();
    };
    tokio::spawn(informer.run(stop.clone(), told));
}
