//! End-to-end tests: the real binary, the real `kubectl`, real Docker. Each test has a cluster of its own.

#![allow(clippy::unwrap_used)]

mod arrows;
mod bad_input;
mod faults;
mod first_steps;
mod heals;
mod silence;
