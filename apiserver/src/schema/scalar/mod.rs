//! Values that Go reads from a string and prints in one canonical form.

pub mod quantity;
pub mod time;

pub use skiff_proto::quote::quote;
