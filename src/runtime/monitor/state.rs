//! What a monitor says of its container: one small record, replaced whole at each change.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::runtime::container::ContainerRecord;
use crate::runtime::store::{Durability, StoreError, read_json, write_json};

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Recorded; no process has run yet.
    Created,
    /// Its first process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It exited and will be started again after a pause.
    Restarting,
    /// Its first process is gone.
    Exited,
}

/// What the probes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No probe has succeeded yet, and it is not too late.
    Starting,
    /// The last probe succeeded.
    Healthy,
    /// As many probes in a row failed as may.
    Unhealthy,
}

/// A published port as it is bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BoundPort {
    /// Address on the host.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: u16,
    /// Port of the container.
    pub target: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// The last thing that a probe said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// When it ended, RFC 3339.
    pub finished_at: String,
    /// Its exit code; -1 for a probe that ran out of time.
    pub exit_code: i32,
    /// The first bytes that it printed.
    pub output: String,
}

/// The kernel's numbers of the namespaces that a process is in. One that is in use keeps its number to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceNumbers {
    /// Interfaces, addresses and ports.
    pub network: u64,
    /// Shared memory and message queues.
    pub ipc: u64,
    /// Process numbers.
    pub pid: u64,
}

/// How a container that runs is being stopped.
///
/// The monitor brings this to its end, whatever becomes of the command that asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    /// The signal that it was sent.
    pub signal: i32,
    /// When it is killed, RFC 3339; `None` for never.
    pub kill_at: Option<String>,
}

/// The record itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Where the container is in its life.
    pub status: Status,
    /// What its probes say; `None` without a health check.
    pub health: Option<Health>,
    /// Its first process and cgroups, as long as any of it may be there.
    pub container: Option<ContainerRecord>,
    /// The namespaces that its first process is in, while it runs.
    #[serde(default)]
    pub namespaces: Option<NamespaceNumbers>,
    /// The exit code of its last run; `None` while it runs or when nobody saw it.
    pub exit_code: Option<i32>,
    /// Whether the kernel killed its last run for want of memory.
    pub oom_killed: bool,
    /// Why the last start failed.
    pub error: Option<String>,
    /// When it was last started, RFC 3339.
    pub started_at: Option<String>,
    /// When it last ended, RFC 3339.
    pub finished_at: Option<String>,
    /// How often its restart policy started it again.
    pub restart_count: u32,
    /// How many probes in a row failed.
    pub failing_streak: u32,
    /// The last probe.
    pub last_probe: Option<ProbeResult>,
    /// Its published ports as they are bound.
    pub ports: Vec<BoundPort>,
    /// Its address by network name.
    pub addresses: BTreeMap<String, IpAddr>,
    /// Limits that this machine could not enforce.
    pub unenforced: Vec<String>,
    /// Whether somebody asked for it to be stopped.
    pub stop_wanted: bool,
    /// How it is being stopped, until it has ended.
    pub stopping: Option<StopOrder>,
    /// The boot that all this is true of.
    pub boot_id: String,
}

impl ContainerState {
    /// Returns the state of a container that has never run.
    pub fn created(boot_id: &str) -> Self {
        Self {
            status: Status::Created,
            health: None,
            container: None,
            namespaces: None,
            exit_code: None,
            oom_killed: false,
            error: None,
            started_at: None,
            finished_at: None,
            restart_count: 0,
            failing_streak: 0,
            last_probe: None,
            ports: Vec::new(),
            addresses: BTreeMap::new(),
            unenforced: Vec::new(),
            stop_wanted: false,
            stopping: None,
            boot_id: boot_id.to_owned(),
        }
    }

    /// Reads the record of the container whose folder this is; `None` where there is none.
    pub fn read(container_dir: &Path) -> Result<Option<Self>, StoreError> {
        read_json(&path_in(container_dir))
    }

    /// Replaces the record of the container whose folder this is.
    pub fn write(&self, container_dir: &Path, durability: Durability) -> Result<(), StoreError> {
        write_json(&path_in(container_dir), self, durability)
    }

    /// Returns what is true of this container now, in the boot `boot_id`.
    ///
    /// What a boot ended, no monitor could record: such a container exited, nobody knows how.
    #[must_use]
    pub fn as_of_boot(mut self, boot_id: &str) -> Self {
        let runs = matches!(
            self.status,
            Status::Running | Status::Paused | Status::Restarting
        );
        if self.boot_id != boot_id && runs {
            self.forget_process();
        }
        self
    }

    /// Reports whether a monitor should be watching it: it runs, or will run again.
    pub fn has_process_or_pause(&self) -> bool {
        matches!(
            self.status,
            Status::Running | Status::Paused | Status::Restarting
        )
    }

    /// Records that the process is gone and that nobody saw how it ended.
    pub fn forget_process(&mut self) {
        self.status = Status::Exited;
        self.health = None;
        self.stopping = None;
        self.exit_code = None;
        self.ports.clear();
    }
}

fn path_in(container_dir: &Path) -> PathBuf {
    container_dir.join("state.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_before_a_reboot_has_exited_and_nobody_knows_how() {
        let mut state = ContainerState::created("one");
        state.status = Status::Running;
        assert_eq!(state.clone().as_of_boot("one").status, Status::Running);
        let after = state.as_of_boot("two");
        assert_eq!((after.status, after.exit_code), (Status::Exited, None));
    }
}
