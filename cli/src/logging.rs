//! Logs of a service: one line an event on stderr, filtered by `$SKIFF_LOG` (`info` by default) until somebody changes that at run time.
//!
//! A filter is a list of levels, one for everything and one a module: `info,skiff_agent=debug`. (`Targets`, not `EnvFilter`: the latter
//! compiles regular expressions in every process, for spans' fields that nobody here filters by.)

use std::env;
use std::sync::Arc;

use skiff_client::health::SetLogLevel;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{fmt, reload};

/// The variable that holds the filter at start.
const VARIABLE: &str = "SKIFF_LOG";

/// A filter that is none.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no log filter, as info,skiff_agent=debug is: {why}")]
pub struct BadFilter {
    text: String,
    why: String,
}

/// Starts logging; answers how the level is changed while the process runs.
pub fn start() -> Result<SetLogLevel, BadFilter> {
    let filter = parse(&env::var(VARIABLE).unwrap_or_else(|_| "info".to_owned()))?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(Arc::new(move |text: &str| {
        let filter = parse(text).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    }))
}

fn parse(text: &str) -> Result<Targets, BadFilter> {
    text.parse().map_err(|why: tracing_subscriber::filter::ParseError| BadFilter { text: text.to_owned(), why: why.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_and_modules() {
        for good in ["info", "debug", "warn,skiff_agent=trace", "off", "skiff_apiserver::store=debug"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["skiff_agent=loud", "info,a=b=c"] {
            let error = parse(bad).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(&format!("{bad:?} is no log filter")), "{bad}: {error}");
        }
    }
}
