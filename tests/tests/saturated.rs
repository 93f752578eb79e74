//! Both cores are busy for five minutes, and `--timings fast` gives a node only seconds: no pod is evicted. A target of its own, so that it
//! runs when nothing else does: what it does to the machine would be a fault to every other test.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use skiff_tests::{Cluster, repository};

const LONG: Duration = Duration::from_secs(300);

/// Threads at normal priority that compute and never wait. Dropped, they end.
struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<u64>>,
}

impl Busy {
    fn start(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |stop: Arc<AtomicBool>| {
            move || (1u64..).take_while(|_| !stop.load(Ordering::Relaxed)).fold(1, |sum, one| std::hint::black_box(sum ^ one).wrapping_mul(31))
        };
        let threads = (0..count).map(|_| std::thread::spawn(work(stop.clone()))).collect();
        Self { stop, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            std::hint::black_box(thread.join().unwrap());
        }
    }
}

#[test]
fn five_busy_minutes_cost_no_pod() {
    let cluster = Cluster::up(&["--nodes", "3", "--timings", "fast"]);
    cluster.kubectl(&["apply", "-f", repository().join("examples/web.yaml").to_str().unwrap()]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();
    let pods = || cluster.get("pods -A", "{range .items[*]}{.metadata.uid} {.spec.nodeName} {.metadata.deletionTimestamp}{\"\\n\"}{end}");
    let before = pods();
    assert_eq!(before.lines().count(), 6);
    let busy = Busy::start(2 * std::thread::available_parallelism().unwrap().get());
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(10));
        assert_eq!(pods(), before);
    }
    drop(busy);
    assert_eq!(pods(), before);
    assert_eq!(cluster.get("events -A --field-selector reason=TaintManagerEviction", "{.items[*].message}"), "");
    let restarts = cluster.get("pods", "{.items[*].status.containerStatuses[*].restartCount}");
    assert_eq!(restarts, "0 0 0 0 0 0", "nor does a probe fail for want of a processor");
}
