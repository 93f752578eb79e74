//! The API server: the only door to the store. HTTPS (Kubernetes REST) and gRPC on one port, one registry behind both.
//!
//! Follow a request: [`http`] or [`grpc`] → [`dispatch`] → [`registry`] (with [`schema`], [`patch`], [`kinds`], [`admission`]) → [`store`].

pub mod admission;
pub mod advertise;
pub mod auth;
pub mod bootstrap;
pub mod config;
pub mod dispatch;
pub mod error;
pub mod grpc;
pub mod http;
pub mod kinds;
pub mod metrics;
pub mod patch;
pub mod pki;
pub mod registry;
pub mod run;
pub mod schema;
pub mod store;
pub mod tls;

pub use run::{RunError, run};
