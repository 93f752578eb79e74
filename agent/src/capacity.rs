//! What a node says it has: what this machine has, unless `--node-capacity` says otherwise.

use std::collections::BTreeMap;

use skiff_proto::quantity::Quantity;

/// Pods a node runs at the most: kubelet's `--max-pods`.
const MAX_PODS: i64 = 110;

/// Amounts by resource name.
pub type Capacity = BTreeMap<String, Quantity>;

/// `cpu=2,memory=2Gi,pods=110`: what is named; the rest is left as the machine has it.
pub fn parse(text: &str) -> Result<Capacity, String> {
    let mut capacity = Capacity::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (name, amount) = part.split_once('=').ok_or_else(|| format!("\"{part}\" is not of the form cpu=2"))?;
        let known = matches!(name, "cpu" | "memory" | "pods" | "ephemeral-storage") || name.contains('/');
        if !known {
            return Err(format!("\"{name}\" is no resource of a node: cpu, memory, pods, ephemeral-storage, or example.com/gpu"));
        }
        let quantity: Quantity = amount.parse().map_err(|error| format!("{name}={amount}: {error}"))?;
        if quantity.nanos() <= 0 {
            return Err(format!("{name}={amount}: must be more than 0"));
        }
        capacity.insert(name.to_owned(), quantity);
    }
    Ok(capacity)
}

/// What this machine has. `data_dir` is on the disk that pods' files are on.
pub fn of_machine(data_dir: &std::path::Path) -> Capacity {
    let cpus = std::thread::available_parallelism().map_or(1, |count| i64::try_from(count.get()).unwrap_or(1));
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text)).unwrap_or(1 << 30);
    let mut capacity = Capacity::from([
        ("cpu".to_owned(), Quantity::from_units(cpus)),
        ("memory".to_owned(), Quantity::from_bytes(memory)),
        ("pods".to_owned(), Quantity::from_units(MAX_PODS)),
    ]);
    if let Some(disk) = disk_size(data_dir) {
        capacity.insert("ephemeral-storage".to_owned(), Quantity::from_bytes(disk));
    }
    capacity
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total_memory(meminfo: &str) -> Option<i64> {
    let kib: i64 = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn disk_size(path: &std::path::Path) -> Option<i64> {
    let existing = path.ancestors().find(|path| path.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    i64::try_from(stat.f_blocks * stat.f_frsize).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_is_named() {
        let capacity = parse("cpu=2,memory=2Gi,pods=110,example.com/gpu=1").unwrap();
        assert_eq!(capacity["cpu"].millis(), 2000);
        assert_eq!(capacity["memory"].to_string(), "2Gi");
        assert!(parse("").unwrap().is_empty());
        for wrong in ["cpu", "cpu=x", "cores=2", "cpu=0", "memory=-1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_meminfo() {
        assert_eq!(total_memory("MemTotal:       1024 kB\nMemFree: 1 kB\n"), Some(1 << 20));
    }
}
