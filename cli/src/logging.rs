//! Logs of a service: one line an event on stderr, filtered by `$SKIFF_LOG` (`info` by default) until somebody changes that at run time.

use std::sync::Arc;

use skiff_client::health::SetLogLevel;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, reload};

/// Starts logging; answers how the level is changed while the process runs.
pub fn start() -> SetLogLevel {
    let filter = EnvFilter::try_from_env("SKIFF_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Arc::new(move |text: &str| {
        let filter: EnvFilter = text.parse().map_err(|error| format!("{text:?} is no log filter: {error}"))?;
        handle.reload(filter).map_err(|error| error.to_string())
    })
}
