//! Exponential back-off, as a value: the delay to wait now is a function of how often it failed.

use std::time::Duration;

/// Doubles from `first` up to `most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// No delay is longer.
    pub most: Duration,
}

impl Backoff {
    /// For reconnecting to a server of the same machine: 20 ms up to 2 s.
    pub const RECONNECT: Self = Self { first: Duration::from_millis(20), most: Duration::from_secs(2) };
    /// For reconciling a key again: 5 ms up to 1000 s, as client-go's `DefaultControllerRateLimiter`.
    pub const RECONCILE: Self = Self { first: Duration::from_millis(5), most: Duration::from_secs(1000) };

    /// The delay after this many failures (1 is the first).
    pub fn delay(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(40);
        self.first.saturating_mul(2u32.saturating_pow(doublings.min(31))).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_most() {
        let backoff = Backoff { first: Duration::from_secs(10), most: Duration::from_secs(300) };
        let delays: Vec<u64> = (1..=7).map(|failures| backoff.delay(failures).as_secs()).collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.delay(u32::MAX).as_secs(), 300);
    }
}
