//! The node: skiff's kubelet.
//!
//! Pods assigned to this node come in through [`source`]; for each, [`sync::plan`] decides (a pure function) what must be done and
//! [`sync::worker`] does it through a [`runtime::Runtime`]; [`status`] says what came of it, in kubelet's words, and [`writer`] writes it.
//! [`agent`] puts a node together; [`run`] is where to begin reading.

pub mod addresses;
pub mod admit;
pub mod agent;
pub mod capacity;
pub mod config;
pub mod directory;
pub mod downward;
pub mod env;
pub mod evict;
pub mod expand;
pub mod files;
pub mod hooks;
pub mod images;
pub mod net;
pub mod node;
pub mod objects;
pub mod pod;
pub mod probe;
pub mod runtime;
pub mod server;
pub mod shared;
pub mod source;
pub mod status;
pub mod sync;
pub mod termination;
pub mod tokens;
pub mod turns;
pub mod unsupported;
pub mod volumes;
pub mod writer;

pub use agent::{Error, run};
pub use skiff_client::clock;

pub use config::{Config, Timings};
