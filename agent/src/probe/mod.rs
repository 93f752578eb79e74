//! Startup, readiness and liveness probes: when they run and what they decide ([`Runs::step`], pure), and running them ([`prober`], [`check`]).

pub mod check;
pub mod prober;

use k8s_openapi::api::core::v1::Probe;
use std::time::Duration;

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Until it succeeds, the others do not run.
    Startup,
    /// Whether the container takes traffic.
    Readiness,
    /// Whether it must be killed.
    Liveness,
}

impl ProbeKind {
    /// As events begin: `Liveness probe failed: …`.
    pub fn title(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Readiness => "Readiness",
            ProbeKind::Liveness => "Liveness",
        }
    }
}

/// A probe's numbers, with the API's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// After the container's start.
    pub initial_delay: Duration,
    /// Between two runs.
    pub period: Duration,
    /// A run that takes longer has failed.
    pub timeout: Duration,
    /// Successes in a row that make it succeed.
    pub success: u32,
    /// Failures in a row that make it fail.
    pub failure: u32,
}

impl Settings {
    /// Of a probe.
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64| Duration::from_secs(value.and_then(|value| value.try_into().ok()).unwrap_or(default));
        let times = |value: Option<i32>, default: u32| value.and_then(|value| value.try_into().ok()).unwrap_or(default).max(1);
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10).max(Duration::from_secs(1)),
            timeout: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1)),
            success: times(probe.success_threshold, 1),
            failure: times(probe.failure_threshold, 3),
        }
    }
}

/// A probe's memory: how the last runs ended, and what it has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Runs {
    last: Option<bool>,
    count: u32,
    /// None until enough runs agreed.
    pub decided: Option<bool>,
}

impl Runs {
    /// After one more run (`worker.doProbe`): a decision changes when enough runs in a row agree.
    pub fn step(self, settings: &Settings, success: bool) -> Self {
        let count = if self.last == Some(success) { self.count.saturating_add(1) } else { 1 };
        let needed = if success { settings.success } else { settings.failure };
        let decided = if count >= needed { Some(success) } else { self.decided };
        Self { last: Some(success), count, decided }
    }

    /// Whether the probe is over: a startup probe that decided, a liveness probe whose failure kills the container.
    pub fn over(self, kind: ProbeKind) -> bool {
        match kind {
            ProbeKind::Startup => self.decided.is_some(),
            ProbeKind::Liveness => self.decided == Some(false),
            ProbeKind::Readiness => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_runs_in_a_row_decide() {
        let settings = Settings { initial_delay: Duration::ZERO, period: Duration::from_secs(1), timeout: Duration::from_secs(1), success: 2, failure: 3 };
        // Runs (t, f) and what is decided after each (- not yet).
        let cases = [("tt", "-t"), ("tft", "---"), ("fff", "--f"), ("ttff", "-ttt"), ("ttfff", "-tttf"), ("ttffft", "-tttff"), ("ttffftt", "-tttfft")];
        for (runs, expected) in cases {
            let mut state = Runs::default();
            let seen: String = runs
                .chars()
                .map(|run| {
                    state = state.step(&settings, run == 't');
                    match state.decided {
                        None => '-',
                        Some(true) => 't',
                        Some(false) => 'f',
                    }
                })
                .collect();
            assert_eq!(seen, expected, "{runs}");
        }
    }

    #[test]
    fn over_when_nothing_more_can_be_learnt() {
        let of = |decided| Runs { decided, ..Runs::default() };
        assert!(of(Some(true)).over(ProbeKind::Startup) && of(Some(false)).over(ProbeKind::Startup) && !of(None).over(ProbeKind::Startup));
        assert!(of(Some(false)).over(ProbeKind::Liveness) && !of(Some(true)).over(ProbeKind::Liveness));
        assert!(!of(Some(false)).over(ProbeKind::Readiness));
    }
}
