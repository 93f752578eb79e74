//! The time of day, as a value that whoever starts a component chooses: the machine's, or one that goes with a paused runtime.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's.
    pub fn system() -> Self {
        Self(Arc::new(machine))
    }

    /// Starts at `start` and goes with tokio's time, which a test can pause.
    pub fn from(start: Timestamp) -> Self {
        let origin = tokio::time::Instant::now();
        Self(Arc::new(move || after(start, origin.elapsed())))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The time since 1970.
    pub fn since_epoch(&self) -> Duration {
        between(Timestamp::UNIX_EPOCH, self.now())
    }
}

/// The machine's time of day.
pub fn machine() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    after(Timestamp::UNIX_EPOCH, since)
}

/// `time` + `delay`, or the end of time.
pub fn after(time: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    time.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

/// How long it is from `from` to `to`; zero where `to` is earlier.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
