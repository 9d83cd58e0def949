//! A container that runs, or did: what to remember of it, and what can be done to it.

use serde::{Deserialize, Serialize};

use super::cgroup::{Cgroup, Stats};
use super::error::ContainerError;
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::pidfd::{Exit, Pidfd, ProcessIdentity};
use crate::value::Signal;

/// A container by its first process and its cgroups.
#[derive(Debug)]
pub struct Container {
    process: Pidfd,
    cgroup: Cgroup,
}

/// What to remember of a container, so that another process can take it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Its first process.
    pub process: ProcessIdentity,
    /// Its cgroups.
    pub cgroup: Cgroup,
}

impl Container {
    pub(super) fn new(process: Pidfd, cgroup: Cgroup) -> Self {
        Self { process, cgroup }
    }

    /// Returns what to remember.
    pub fn record(&self) -> Result<ContainerRecord, ContainerError> {
        let process = self
            .process
            .identity()
            .map_err(ContainerError::kernel("remember the container"))?;
        Ok(ContainerRecord {
            process,
            cgroup: self.cgroup.clone(),
        })
    }

    /// Finds a remembered container; `None` if its first process has ended.
    pub fn adopt(record: &ContainerRecord) -> Result<Option<Self>, ContainerError> {
        match Pidfd::open_verified(record.process) {
            Ok(process) => Ok(Some(Self {
                process,
                cgroup: record.cgroup.clone(),
            })),
            Err(KernelError::ProcessGone { .. }) => Ok(None),
            Err(error) => Err(ContainerError::kernel("find the container")(error)),
        }
    }

    /// Takes another process for its first one: that which has made it is gone. Returns the latter.
    pub(super) fn replace_process(&mut self, process: Pidfd) -> Pidfd {
        std::mem::replace(&mut self.process, process)
    }

    /// Returns its first process: to poll, to signal, to ask for its exit.
    pub fn process(&self) -> &Pidfd {
        &self.process
    }

    /// Returns its cgroups.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Returns its cgroups, to change its limits.
    pub fn cgroup_mut(&mut self) -> &mut Cgroup {
        &mut self.cgroup
    }

    /// Sends a signal to its first process; says whether there is one.
    pub fn signal(&self, signal: i32) -> Result<Signalled, ContainerError> {
        match self.process.signal(signal) {
            Ok(()) => Ok(Signalled::Sent),
            Err(KernelError::ProcessGone { .. }) => Ok(Signalled::Gone),
            Err(error) => Err(ContainerError::kernel("signal the container")(error)),
        }
    }

    /// Returns how its first process ended, or `None` while it runs; see [`Pidfd::exit`].
    pub fn exit(&self, patience_ms: u64) -> Result<Option<Exit>, ContainerError> {
        self.process
            .exit(patience_ms)
            .map_err(ContainerError::kernel("wait for the container"))
    }

    /// Stops all its processes where they are.
    pub fn pause(&self) -> Result<(), ContainerError> {
        self.cgroup.pause()
    }

    /// Lets them go on.
    pub fn unpause(&self) -> Result<(), ContainerError> {
        self.cgroup.unpause()
    }

    /// Returns all its processes, by their numbers in our pid namespace.
    ///
    /// Without a cgroup these are the processes of its pid namespace.
    pub fn processes(&self) -> Result<Vec<i32>, ContainerError> {
        if self.cgroup.is_empty() {
            Ok(processes_of_namespace(self.process.pid()))
        } else {
            self.cgroup.processes()
        }
    }

    /// Returns what it uses now.
    pub fn stats(&self) -> Stats {
        self.cgroup.stats()
    }

    /// Ends all its processes and waits until none is left, at most so long; says whether none is.
    pub fn kill_all(&self, timeout_ms: u64) -> Result<bool, ContainerError> {
        // The first process of a pid namespace takes all others with it.
        self.signal(Signal::KILL.number())?;
        let empty = self.cgroup.is_empty() || self.cgroup.kill_all(timeout_ms)?;
        let ended = self
            .process
            .wait_until_ended(Some(timeout_ms))
            .map_err(ContainerError::kernel("wait for the container"))?;
        Ok(empty && ended)
    }
}

/// Whether there was anybody to signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    /// The signal was sent.
    Sent,
    /// The process has ended.
    Gone,
}

/// Returns the processes that live in the same pid namespace as this one and not in ours.
fn processes_of_namespace(first: i32) -> Vec<i32> {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = namespace(&first.to_string());
    if wanted.is_none() || wanted == namespace("self") {
        return vec![first];
    }
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return vec![first];
    };
    let mut found: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| namespace(&pid.to_string()) == wanted)
        .collect();
    found.sort_unstable();
    found
}
