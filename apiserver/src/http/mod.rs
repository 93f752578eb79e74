//! Everything between the socket and [`dispatch`](crate::dispatch): what a request is about ([`request_info`], [`query`]).

pub mod query;
pub mod request_info;
