//! What every watching component is made of: the API as a trait ([`api`]), its two implementations ([`grpc`] over TLS, [`local`] in one
//! process), caches that follow a resource ([`informer`]), the work queue ([`queue`]), the time of day ([`clock`]), event recording ([`events`]) and the small HTTP
//! listener that every service has ([`health`]).

pub mod api;
pub mod backoff;
pub mod clock;
pub mod events;
pub mod grpc;
pub mod health;
pub mod informer;
pub mod local;
pub mod queue;
