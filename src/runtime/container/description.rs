//! What a container should be, in plain words; [`super::spec::build`] turns it into an OCI `Spec`.
//!
//! Nothing here is decided yet that needs the mounted image or this machine: the user is still a
//! name, a device still a path.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A container to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `NAME=value`, later ones win.
    pub env: Vec<String>,
    /// Where the program begins; made if missing.
    pub cwd: PathBuf,
    /// Who runs it, as in Docker's `--user`: a name or number, and a group after a colon.
    pub user: String,
    /// Further groups, by name or number.
    pub groups: Vec<String>,
    /// Whether descriptors 0, 1 and 2 are a terminal.
    pub terminal: Terminal,
    /// The host name; needs its own UTS namespace.
    pub hostname: Option<String>,
    /// The domain name; likewise.
    pub domainname: Option<String>,
    /// Which namespaces are the container's own.
    pub namespaces: NamespaceSharing,
    /// How far it is kept apart from the machine.
    pub confinement: Confinement,
    /// Volumes, bind mounts and tmpfs, beside what every container gets.
    pub mounts: Vec<MountRequest>,
    /// Devices of the host.
    pub devices: Vec<DeviceRequest>,
    /// Further rules such as `c 1:3 rwm`.
    pub device_rules: Vec<String>,
    /// Whether the image can be written to.
    pub root: RootAccess,
    /// The size of `/dev/shm`; 64 MiB if not said.
    pub shm_size_bytes: Option<u64>,
    /// Kernel settings of the container's own namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of each process, by name without `RLIMIT_`, in lower case.
    pub rlimits: BTreeMap<String, Rlimit>,
    /// Resource limits of the container as a whole.
    pub limits: Limits,
    /// How eagerly the kernel ends it when memory is short.
    pub oom_score_adj: Option<i32>,
    /// Copied into the OCI `Spec`.
    pub annotations: BTreeMap<String, String>,
}

/// Whether a program talks to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Terminal {
    /// Three plain files.
    No,
    /// One terminal.
    Yes,
}

/// Whether the root filesystem can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootAccess {
    /// Changes go to the container's own layer.
    ReadWrite,
    /// No changes outside of volumes and tmpfs.
    ReadOnly,
}

/// Whose namespace a container lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// Its own, new or handed over by descriptor.
    Own,
    /// That of whoever starts it.
    Host,
}

/// Which namespaces are the container's own; mounts always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceSharing {
    /// Process numbers.
    pub pid: Sharing,
    /// Links, addresses and ports.
    pub network: Sharing,
    /// Shared memory and message queues.
    pub ipc: Sharing,
    /// Host name.
    pub uts: Sharing,
    /// The visible cgroup root.
    pub cgroup: Sharing,
}

/// How far a container is kept apart from the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// All capabilities, all devices, nothing masked.
    pub privilege: Privilege,
    /// Capabilities beyond the default, with or without `CAP_`, or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities less than the default, likewise.
    pub cap_drop: Vec<String>,
    /// Whether setuid programs still work.
    pub new_privileges: NewPrivileges,
    /// The `AppArmor` profile, where the machine has it.
    pub apparmor: Option<String>,
    /// Whether the usual paths in /proc and /sys are masked.
    pub masks: Masks,
}

/// Whether a container is confined at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privilege {
    /// As Docker confines by default.
    Confined,
    /// As Docker's `--privileged`.
    Privileged,
}

/// Whether `execve` can give a program more rights than its caller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewPrivileges {
    /// Setuid programs and file capabilities work.
    Allowed,
    /// They do not.
    Forbidden,
}

/// Whether the usual paths in /proc and /sys are masked or read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Masks {
    /// They are.
    Default,
    /// `security_opt: systempaths=unconfined`.
    None,
}

/// A file or directory to be mounted in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRequest {
    /// What is mounted.
    pub source: MountSource,
    /// Where, as an absolute path in the container.
    pub target: PathBuf,
    /// Whether it can be written to.
    pub access: RootAccess,
    /// Further options in the words of `mount(8)`: `nosuid`, `rslave`, `noexec`, …
    pub options: Vec<String>,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A path of the host with everything mounted below it, which is read-only if the mount is.
    Bind(PathBuf),
    /// A path of the host with everything mounted below it, which stays as it is.
    BindAround(PathBuf),
    /// A path of the host without what is mounted below it.
    BindShallow(PathBuf),
    /// Memory.
    Tmpfs {
        /// The most it holds.
        size_bytes: Option<u64>,
        /// The mode of its root directory.
        mode: Option<u32>,
    },
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// Its path on the host; a directory stands for the devices in it.
    pub source: PathBuf,
    /// Its path in the container.
    pub target: PathBuf,
    /// Some of `r`, `w` and `m`.
    pub permissions: String,
}

/// A soft and a hard limit; `u64::MAX` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// What is in force.
    pub soft: u64,
    /// What the process may raise it to.
    pub hard: u64,
}

/// Limits of a container as a whole; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// The most memory.
    pub memory_bytes: Option<i64>,
    /// What it keeps when memory is short.
    pub memory_reservation_bytes: Option<i64>,
    /// The most memory and swap together; -1 is no limit.
    pub memory_and_swap_bytes: Option<i64>,
    /// How readily its memory is swapped out, 0 to 100.
    pub swappiness: Option<u64>,
    /// It waits instead of being ended when memory is short.
    pub oom_kill_disable: bool,
    /// Its share of processor time when others want some too; 1024 is usual.
    pub cpu_shares: Option<u64>,
    /// Microseconds of processor time in each period.
    pub cpu_quota_us: Option<i64>,
    /// The length of a period.
    pub cpu_period_us: Option<u64>,
    /// Microseconds of real-time priority in each real-time period.
    pub cpu_realtime_runtime_us: Option<i64>,
    /// The length of a real-time period.
    pub cpu_realtime_period_us: Option<u64>,
    /// Which processors, such as `0-3,7`.
    pub cpuset_cpus: Option<String>,
    /// Which memory nodes.
    pub cpuset_mems: Option<String>,
    /// The most processes and threads; -1 is no limit.
    pub pids: Option<i64>,
    /// Its share of disk time, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// The same by device.
    pub blkio_weight_device: Vec<DeviceWeight>,
    /// Bytes read per second, by device.
    pub blkio_read_bps: Vec<DeviceRate>,
    /// Bytes written per second, by device.
    pub blkio_write_bps: Vec<DeviceRate>,
    /// Reads per second, by device.
    pub blkio_read_iops: Vec<DeviceRate>,
    /// Writes per second, by device.
    pub blkio_write_iops: Vec<DeviceRate>,
}

/// A share of one device's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// The device's path on the host.
    pub path: PathBuf,
    /// 10 to 1000.
    pub weight: u16,
}

/// A rate on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// The device's path on the host.
    pub path: PathBuf,
    /// Bytes or operations per second.
    pub rate: u64,
}
