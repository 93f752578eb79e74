//! The generic registry: one implementation of every verb, and what each kind adds to it.

pub mod resource;
pub mod strategy;
