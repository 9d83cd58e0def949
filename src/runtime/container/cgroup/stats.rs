//! What a container uses now.

use serde::{Deserialize, Serialize};

use super::{Cgroup, file};

/// Numbers of one moment; `None` where no controller counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Memory in use, without what could be dropped at once (inactive file pages), as Docker shows it.
    pub memory_bytes: Option<u64>,
    /// The most memory; `None` is no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Processor time since the container's start.
    pub cpu_us: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// How many processes the kernel has ended because memory was short.
    pub oom_kills: Option<u64>,
}

/// Above this, a v1 memory limit means none: the kernel rounds "no limit" to its page size.
const V1_NO_LIMIT_BYTES: u64 = 1 << 62;

impl Cgroup {
    /// Reads what the container uses now.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            oom_kills: self.oom_kills(),
            ..Stats::default()
        };
        if let Some(dir) = self.v1_dir("memory") {
            let used = file::read_number(dir, "memory.usage_in_bytes");
            let idle = file::read_keyed(dir, "memory.stat", "total_inactive_file");
            stats.memory_bytes = used.map(|used| used.saturating_sub(idle.unwrap_or(0)));
            stats.memory_limit_bytes = file::read_number(dir, "memory.limit_in_bytes")
                .filter(|limit| *limit < V1_NO_LIMIT_BYTES);
        } else if let Some(dir) = &self.v2 {
            let used = file::read_number(dir, "memory.current");
            let idle = file::read_keyed(dir, "memory.stat", "inactive_file");
            stats.memory_bytes = used.map(|used| used.saturating_sub(idle.unwrap_or(0)));
            stats.memory_limit_bytes = file::read_number(dir, "memory.max");
        }
        let pids_dir = self.v1_dir("pids").or(self.v2.as_deref());
        stats.pids = pids_dir.and_then(|dir| file::read_number(dir, "pids.current"));
        stats.cpu_us = match (&self.v2, self.v1_dir("cpuacct")) {
            // Counted in every v2 cgroup, whichever controllers it has.
            (Some(dir), _) => file::read_keyed(dir, "cpu.stat", "usage_usec"),
            (None, Some(dir)) => file::read_number(dir, "cpuacct.usage").map(|ns| ns / 1000),
            (None, None) => None,
        };
        stats
    }

    /// Returns how many processes the kernel has ended because memory was short.
    pub fn oom_kills(&self) -> Option<u64> {
        match (self.v1_dir("memory"), &self.v2) {
            (Some(dir), _) => file::read_keyed(dir, "memory.oom_control", "oom_kill"),
            (None, Some(dir)) => file::read_keyed(dir, "memory.events", "oom_kill"),
            (None, None) => None,
        }
    }
}
