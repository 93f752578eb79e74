//! What the controllers count, as Prometheus text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use skiff_client::informer::Key;
use skiff_client::queue::Queue;

/// The counters of every controller.
#[derive(Default)]
pub struct Metrics {
    controllers: Mutex<BTreeMap<&'static str, Arc<Counters>>>,
}

/// The counters of one controller.
pub struct Counters {
    /// Attempts.
    pub reconciles: AtomicU64,
    /// Attempts that failed and are tried again.
    pub failures: AtomicU64,
    queue: Queue<Key>,
}

impl Metrics {
    /// The counters of the controller of that name, which works on `queue`.
    pub fn of(&self, name: &'static str, queue: &Queue<Key>) -> Arc<Counters> {
        let mut controllers = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Counters { reconciles: AtomicU64::new(0), failures: AtomicU64::new(0), queue: queue.clone() });
        controllers.entry(name).or_insert_with(made).clone()
    }

    /// All of them.
    pub fn text(&self) -> String {
        let controllers = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
        type Read = fn(&Counters) -> u64;
        let families: [(&str, &str, &str, Read); 3] = [
            ("skiff_controller_reconciles_total", "counter", "Attempts to bring an object nearer to what it should be.", |of| {
                of.reconciles.load(Ordering::Relaxed)
            }),
            ("skiff_controller_failures_total", "counter", "Attempts that failed and are tried again.", |of| of.failures.load(Ordering::Relaxed)),
            ("workqueue_depth", "gauge", "Keys that wait for a worker.", |of| u64::try_from(of.queue.len()).unwrap_or(u64::MAX)),
        ];
        let mut text = String::new();
        for (name, kind, help, read) in families {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (controller, counters) in controllers.iter() {
                let _ = writeln!(text, "{name}{{name={controller:?}}} {}", read(counters));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_was_counted() {
        let (metrics, queue) = (Metrics::default(), Queue::default());
        let counters = metrics.of("deployment-controller", &queue);
        counters.reconciles.fetch_add(2, Ordering::Relaxed);
        queue.add(Key::new("ns", "a"));
        let text = metrics.text();
        assert!(text.contains("skiff_controller_reconciles_total{name=\"deployment-controller\"} 2\n"), "{text}");
        assert!(text.contains("workqueue_depth{name=\"deployment-controller\"} 1\n"), "{text}");
    }
}
