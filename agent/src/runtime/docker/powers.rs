//! What dockerd itself may do: in a container, or on a machine that holds some back, it lacks capabilities, and cannot give them on.

/// The capabilities in the order of their numbers (`linux/capability.h`), without `CAP_`. The three that Linux 5.8 split off `SYS_ADMIN` are left out:
/// Docker 20.10 refuses their names.
const NAMES: [&str; 38] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
];

/// The number of `CAP_SYS_RESOURCE`, which lowering `oom_score_adj` takes.
const SYS_RESOURCE: u32 = 24;

/// A set of capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Powers(u64);

impl Powers {
    /// Those of a process, by its `/proc/PID/status`; none where that tells nothing.
    pub fn read(proc_status: &str) -> Self {
        let effective = proc_status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Self(effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0))
    }

    /// Whether none is missing; or nothing is known, and Docker shall say itself what it lacks.
    pub fn are_full(self) -> bool {
        self.0 == 0 || self.0.trailing_ones() >= 38 // what a kernel before 5.8 has
    }

    /// The least `oom_score_adj` that may be given: below zero a container would not start.
    pub fn least_oom_score_adj(self) -> i64 {
        if self.0 & (1 << SYS_RESOURCE) != 0 { -1000 } else { 0 }
    }

    /// Their names.
    pub fn names(self) -> Vec<String> {
        NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| (*name).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing() {
        for (status, full, least) in [
            ("Name:\tdockerd\nCapEff:\t000001ffffffffff\n", true, -1000),
            ("CapEff:\t0000003fffffffff\n", true, -1000),
            ("CapEff:\t000001fffeffffff\n", false, 0),
            ("CapEff:\t00000000a80425fb\n", false, 0),
            ("", true, 0),
        ] {
            let powers = Powers::read(status);
            assert_eq!((powers.are_full(), powers.least_oom_score_adj()), (full, least), "{status}");
        }
        let few = Powers::read("CapEff:\t0000000001000401\n").names();
        assert_eq!(few, ["CHOWN", "NET_BIND_SERVICE", "SYS_RESOURCE"]);
    }
}
