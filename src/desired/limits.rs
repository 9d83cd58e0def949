//! What a container may use of the machine.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Limits of a whole container; `None` means no limit of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// How many CPUs' worth of time, in billionths of a CPU.
    pub cpu_nanos: Option<u64>,
    /// The share of CPU time against others; 1024 is usual.
    pub cpu_shares: Option<u64>,
    /// CPU time per period, in microseconds.
    pub cpu_quota_us: Option<i64>,
    /// The period, in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Real-time CPU time per period, in microseconds.
    pub cpu_rt_runtime_us: Option<i64>,
    /// The real-time period, in microseconds.
    pub cpu_rt_period_us: Option<u64>,
    /// The CPUs it may run on, such as `0-2,4`.
    pub cpuset: Option<String>,
    /// Memory at most.
    pub memory_bytes: Option<u64>,
    /// Memory that is kept for it when memory gets scarce.
    pub memory_reservation_bytes: Option<u64>,
    /// Memory and swap together; -1 is no limit.
    pub memory_swap_bytes: Option<i64>,
    /// How eagerly its memory is swapped, from 0 to 100.
    pub memory_swappiness: Option<u8>,
    /// Processes and threads at most; -1 is no limit.
    pub pids: Option<i64>,
    /// Whether it is never killed for want of memory.
    pub oom_kill_disable: bool,
    /// How early it is killed for want of memory, from -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Weights and rates of block devices.
    pub block_io: BlockIo,
}

/// Weights and rates of block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockIo {
    /// The weight against others, from 10 to 1000.
    pub weight: Option<u16>,
    /// The weight on single devices.
    pub weight_devices: Vec<BlockWeight>,
    /// Bytes read per second at most.
    pub read_bps: Vec<BlockRate>,
    /// Bytes written per second at most.
    pub write_bps: Vec<BlockRate>,
    /// Reads per second at most.
    pub read_iops: Vec<BlockRate>,
    /// Writes per second at most.
    pub write_iops: Vec<BlockRate>,
}

/// The weight on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockWeight {
    /// The device's node on the host.
    pub path: PathBuf,
    /// The weight against others, from 10 to 1000.
    pub weight: u16,
}

/// The rate on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRate {
    /// The device's node on the host.
    pub path: PathBuf,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// A resource limit of processes; -1 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// What counts now.
    pub soft: i64,
    /// How far a process may raise it.
    pub hard: i64,
}

/// A device node of the host that appears inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// The node on the host, or the name of a CDI device.
    pub source: String,
    /// The node inside.
    pub target: String,
    /// Which of `r`, `w` and `m` are allowed.
    pub permissions: String,
}
