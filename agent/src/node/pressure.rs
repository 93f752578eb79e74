//! Whether the machine is short of memory or of disk: what the node's conditions say. Nobody is evicted for it; the scheduler sends no more
//! pods while a condition holds.
//!
//! Memory as kubelet's default `evictionHard` has it. Of the disk kubelet wants a tenth to be free; here several nodes and all else that a
//! laptop is used for share one disk, and what is left has to be really little.

use std::path::Path;

/// `memory.available<100Mi`
const LEAST_MEMORY: u64 = 100 << 20;
/// `nodefs.available<1Gi`
const LEAST_DISK: u64 = 1 << 30;
/// `nodefs.inodesFree`, in thousandths of all.
const LEAST_INODES: u64 = 10;

/// What there is too little of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Of memory.
    pub memory: bool,
    /// Of disk.
    pub disk: bool,
}

/// What is free. `None`: not known, which is no pressure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// Bytes of memory that programs could get.
    pub memory: Option<u64>,
    /// Bytes on the disk of pods' files.
    pub disk: Option<u64>,
    /// Inodes there: free, and all. File systems without a table of inodes say 0 of 0.
    pub inodes: Option<(u64, u64)>,
}

impl Free {
    /// Judges it.
    pub fn pressure(self) -> Pressure {
        let few_inodes = self.inodes.is_some_and(|(free, all)| free.saturating_mul(1000) < all.saturating_mul(LEAST_INODES));
        Pressure { memory: self.memory.is_some_and(|free| free < LEAST_MEMORY), disk: self.disk.is_some_and(|free| free < LEAST_DISK) || few_inodes }
    }

    /// Asks the machine. `data_dir` is on the disk that pods' files are on.
    pub fn read(data_dir: &Path) -> Self {
        let meminfo = std::fs::read_to_string("/proc/meminfo").ok();
        let disk = rustix::fs::statvfs(data_dir).ok();
        Self {
            memory: meminfo.as_deref().and_then(available),
            disk: disk.as_ref().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            inodes: disk.map(|disk| (disk.f_favail, disk.f_files)),
        }
    }
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let kib: u64 = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_pressure_and_unknown_is_none() {
        let free = |memory, disk, inodes| Free { memory, disk, inodes };
        let cases = [
            (Free::default(), (false, false)),
            (free(Some(LEAST_MEMORY), Some(LEAST_DISK), Some((10, 1000))), (false, false)),
            (free(Some(LEAST_MEMORY - 1), None, None), (true, false)),
            (free(None, Some(LEAST_DISK - 1), None), (false, true)),
            (free(None, Some(LEAST_DISK), Some((9, 1000))), (false, true)),
            (free(None, None, Some((0, 0))), (false, false)),
        ];
        for (free, (memory, disk)) in cases {
            assert_eq!(free.pressure(), Pressure { memory, disk }, "{free:?}");
        }
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2 kB\n"), Some(2048));
    }
}
