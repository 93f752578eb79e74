//! End-to-end tests: the real binary, the real `kubectl`, real Docker. Each test has a cluster of its own.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod docker_restart;
mod faults;
mod first_steps;
mod full_disk;
mod heals;
mod honest;
mod other_clients;
mod side_by_side;
mod silence;
mod without_kubectl;
