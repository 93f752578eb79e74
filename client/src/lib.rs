//! What every watching component is made of: the API as a trait ([`api`]), its two implementations ([`grpc`] over TLS, [`local`] in one
//! process), caches that follow a resource ([`informer`]), the work queue ([`queue`]), event recording ([`events`]) and leases ([`lease`]).

pub mod api;
