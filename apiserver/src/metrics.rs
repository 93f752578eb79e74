//! How many requests there were and how long they took, in Prometheus' text format and under Kubernetes' names.
//!
//! See `apiserver/pkg/endpoints/metrics/metrics.go`. Series are bounded: verbs and codes are few, and resources are those that are served.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::store::MetricsSnapshot;

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// One series: verb, group-resource, subresource.
type Series = (&'static str, String, u16);

#[derive(Default)]
struct Counts {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// Counters of one server.
#[derive(Default)]
pub struct Metrics {
    series: RwLock<BTreeMap<Series, Counts>>,
    open: AtomicU64,
}

impl Metrics {
    /// A request of `verb` on `resource` was answered with `code` after `took`.
    pub fn observe(&self, verb: &'static str, resource: &str, code: u16, took: Duration) {
        let key = (verb, resource.to_owned(), code);
        // a poisoned lock holds whole counters all the same: nothing here panics half-way
        let known = self.series.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(counts) = known.get(&key) {
            return counts.add(took);
        }
        drop(known);
        self.series.write().unwrap_or_else(std::sync::PoisonError::into_inner).entry(key).or_default().add(took);
    }

    /// A connection was opened (`true`) or closed.
    pub fn connection(&self, opened: bool) {
        if opened {
            self.open.fetch_add(1, Ordering::Relaxed);
        } else {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        let mut out = String::from(
            "# HELP apiserver_request_total Counter of apiserver requests broken out for each verb, resource and code.\n# TYPE apiserver_request_total counter\n",
        );
        let series = self.series.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        // writing to a String cannot fail
        for ((verb, resource, code), counts) in series.iter() {
            let total: u64 = counts.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum();
            let _ = writeln!(out, "apiserver_request_total{{code=\"{code}\",resource=\"{resource}\",verb=\"{verb}\"}} {total}");
        }
        out.push_str("# HELP apiserver_request_duration_seconds Response latency.\n# TYPE apiserver_request_duration_seconds histogram\n");
        for ((verb, resource, code), counts) in series.iter() {
            let labels = format!("code=\"{code}\",resource=\"{resource}\",verb=\"{verb}\"");
            let mut total = 0;
            for (bound, bucket) in BOUNDS.iter().zip(&counts.buckets) {
                total += bucket.load(Ordering::Relaxed);
                let _ = writeln!(out, "apiserver_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {total}");
            }
            total += counts.buckets[BOUNDS.len()].load(Ordering::Relaxed);
            let _ = writeln!(out, "apiserver_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {total}");
            #[allow(clippy::cast_precision_loss)] // a sum of latencies: microseconds do not matter
            let sum = counts.micros.load(Ordering::Relaxed) as f64 / 1e6;
            let _ = writeln!(out, "apiserver_request_duration_seconds_sum{{{labels}}} {sum}\napiserver_request_duration_seconds_count{{{labels}}} {total}");
        }
        let _ = writeln!(out, "# HELP skiff_open_connections Connections that are open now.\n# TYPE skiff_open_connections gauge");
        let _ = writeln!(out, "skiff_open_connections {}", self.open.load(Ordering::Relaxed));
        out
    }
}

/// The store's counters, behind those of requests.
pub fn store(counts: &MetricsSnapshot, out: &mut String) {
    let counters = [
        ("skiff_store_commits_total", "Commits that were acknowledged.", counts.commits),
        ("skiff_store_refused_total", "Commits whose expectations did not hold.", counts.refused),
        ("skiff_store_writes_total", "Writes of all commits.", counts.writes),
        ("skiff_store_groups_total", "Groups of commits that were made durable together.", counts.groups),
        ("skiff_store_delivered_total", "Events handed to watchers.", counts.delivered),
        ("skiff_store_lagged_total", "Watchers closed because they fell behind.", counts.lagged),
        ("skiff_store_failures_total", "Syncs that failed.", counts.failures),
    ];
    let gauges = [
        ("skiff_store_revision", "The newest revision.", counts.revision),
        ("skiff_store_compacted_revision", "The revision before which nothing is kept.", counts.oldest),
        ("skiff_store_watchers", "Watchers that are open now.", counts.watchers),
    ];
    let kinds = counters.into_iter().map(|one| (one, "counter")).chain(gauges.into_iter().map(|one| (one, "gauge")));
    // writing to a String cannot fail
    for ((name, help, value), kind) in kinds {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    #[allow(clippy::cast_precision_loss)] // a sum of latencies: nanoseconds do not matter
    let seconds = counts.sync_nanos as f64 / 1e9;
    let _ = writeln!(out, "# HELP skiff_store_sync_seconds_total Time spent making commits durable.\n# TYPE skiff_store_sync_seconds_total counter");
    let _ = writeln!(out, "skiff_store_sync_seconds_total {seconds}");
}

impl Counts {
    fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_verb_resource_and_code() {
        let metrics = Metrics::default();
        for millis in [1, 2, 2000] {
            metrics.observe("get", "pods", 200, Duration::from_millis(millis));
        }
        metrics.observe("get", "pods", 404, Duration::from_millis(1));
        let text = metrics.text();
        for line in [
            "apiserver_request_total{code=\"200\",resource=\"pods\",verb=\"get\"} 3",
            "apiserver_request_total{code=\"404\",resource=\"pods\",verb=\"get\"} 1",
            "apiserver_request_duration_seconds_bucket{code=\"200\",resource=\"pods\",verb=\"get\",le=\"0.005\"} 2",
            "apiserver_request_duration_seconds_bucket{code=\"200\",resource=\"pods\",verb=\"get\",le=\"+Inf\"} 3",
            "apiserver_request_duration_seconds_sum{code=\"200\",resource=\"pods\",verb=\"get\"} 2.003",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
    }
}
