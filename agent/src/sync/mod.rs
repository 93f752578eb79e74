//! What must be done about one pod, and doing it.
//!
//! [`plan`] decides, as a function of values; [`worker`] is the task a pod has: it observes, plans, acts, tells, and waits. [`spec`]
//! resolves what containers are made of; [`start`] and [`stop`] carry out the two long actions.

pub mod inbox;
pub mod memory;
pub mod plan;
pub mod rules;
pub mod spec;
pub mod start;
pub mod stop;
pub mod worker;
