//! What the machine uses now, from `/proc`.

/// Nanoseconds in one of `/proc/stat`'s ticks: `USER_HZ` is 100 on every Linux that Rust runs on.
const TICK: u64 = 10_000_000;

/// The machine's usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all cores since the machine's start, idling left out.
    pub cpu_nanos: u64,
    /// Memory that programs could not get.
    pub memory_bytes: u64,
}

/// Reads it; zero where there is no `/proc`.
pub async fn node() -> Usage {
    let stat = tokio::fs::read_to_string("/proc/stat").await.unwrap_or_default();
    let meminfo = tokio::fs::read_to_string("/proc/meminfo").await.unwrap_or_default();
    Usage { cpu_nanos: cpu(&stat), memory_bytes: memory(&meminfo) }
}

/// `cpu user nice system idle iowait irq softirq steal …`, of which idle and iowait are no work, and the guests' times are in the first two.
fn cpu(stat: &str) -> u64 {
    let ticks: Vec<u64> =
        stat.lines().find_map(|line| line.strip_prefix("cpu ")).into_iter().flat_map(str::split_whitespace).filter_map(|word| word.parse().ok()).collect();
    ticks.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, ticks)| ticks * TICK).sum()
}

fn memory(meminfo: &str) -> u64 {
    let bytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    bytes("MemTotal:").unwrap_or(0).saturating_sub(bytes("MemAvailable:").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc() {
        assert_eq!(cpu("cpu  1 2 3 1000 1000 4 5 6 7 8\ncpu0 1 2 3 4\n"), 21 * TICK);
        assert_eq!(memory("MemTotal:       100 kB\nMemFree:  1 kB\nMemAvailable:    40 kB\n"), 60 * 1024);
        assert_eq!((cpu(""), memory("")), (0, 0));
    }
}
