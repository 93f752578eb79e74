//! A cluster on this machine: where its files are ([`files`]), what was asked of it ([`spec`]), its processes ([`process`]), and the commands
//! that start and stop them ([`up`], [`down`], [`status`], [`node`]).

pub mod down;
pub mod files;
pub mod node;
pub mod process;
pub mod services;
pub mod spec;
pub mod status;
pub mod up;
pub mod wait;
