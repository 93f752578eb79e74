//! The controllers: loops that make the cluster what its objects say it should be.
//!
//! Read one folder at a time: each kind has a `plan` (a pure function from what is to what to do) and a `mod.rs` that carries it out.
//! [`manager`] starts everything; [`world`] is what the plans read; [`execute`] is how they write; [`routes`] tells which object a change
//! concerns. A good first one is [`replicaset`], then [`deployment`].
//!
//! What this crate has no path to, on purpose: the store, and the nodes' agents. It sees the cluster through `client` only.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
pub mod connection;
pub mod daemon_set;
pub mod deployment;
pub mod endpoint_slice;
pub mod endpoints;
pub mod execute;
pub mod gc;
pub mod hash;
pub mod index;
pub mod job;
pub mod kinds;
pub mod manager;
pub mod metrics;
pub mod namespace;
pub mod node_lifecycle;
pub mod not_implemented;
pub mod ownership;
pub mod pod_gc;
pub mod reconciler;
pub mod replicaset;
pub mod root_ca;
pub mod routes;
pub mod service_account;
pub mod view;
pub mod world;

pub use config::{Config, Timings};

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whether the caches are complete: `Err` says which is not.
pub type Readiness = watch::Receiver<Result<(), String>>;

/// Every controller of a cluster, about to run.
pub struct Controllers {
    config: Config,
    ready: watch::Sender<Result<(), String>>,
    metrics: Arc<metrics::Metrics>,
}

impl Controllers {
    /// Of this configuration.
    pub fn new(config: Config) -> Self {
        Self { config, ready: watch::Sender::new(Err("not started".to_owned())), metrics: Arc::default() }
    }

    /// For `/readyz`.
    pub fn readiness(&self) -> Readiness {
        self.ready.subscribe()
    }

    /// For `/metrics`.
    pub fn metrics(&self) -> Arc<metrics::Metrics> {
        self.metrics.clone()
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        manager::run(self.config, stop, self.ready, self.metrics).await;
    }
}

/// Runs every controller until `stop`.
pub async fn run(config: Config, stop: CancellationToken) {
    Controllers::new(config).run(stop).await;
}
