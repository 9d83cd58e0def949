//! Who is in a container's cgroups: listing, ending, freezing.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::{Cgroup, file};
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::pidfd::Pidfd;
use crate::value::Signal;

/// How often killing is tried again where the kernel cannot kill a whole cgroup at once; each try
/// ends all that were there, so only a fork bomb needs more than two.
const MAX_KILL_ROUNDS: usize = 1000;
/// v1 has no event for the end of freezing: how often and how long its state is looked at.
const FREEZE_LOOKS: usize = 500;
const FREEZE_LOOK_NS: i64 = 2_000_000;

impl Cgroup {
    /// Returns the processes in the cgroup, by their numbers in our pid namespace.
    pub fn processes(&self) -> Result<Vec<i32>, ContainerError> {
        let Some(dir) = self.counting_dir() else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        collect(dir, &mut found)?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// v2 where there is one: it also freezes and kills; else any v1 directory.
    fn counting_dir(&self) -> Option<&Path> {
        self.v2
            .as_deref()
            .or_else(|| self.v1_dir("freezer"))
            .or_else(|| self.v1.values().next().map(PathBuf::as_path))
    }

    /// Ends every process in the cgroup and waits until none is left, at most so long.
    ///
    /// Says whether it is empty.
    pub fn kill_all(&self, timeout_ms: u64) -> Result<bool, ContainerError> {
        let at_once = self
            .v2
            .as_deref()
            .map(|dir| file::write(dir, "cgroup.kill", "1"));
        match at_once {
            Some(Ok(())) => {}
            Some(Err(error)) if !file::is_out_of_reach(&error) => return Err(error),
            Some(Err(_)) | None => self.kill_one_by_one()?,
        }
        self.thaw_if_frozen()?;
        self.wait_until_empty(timeout_ms)
    }

    fn kill_one_by_one(&self) -> Result<(), ContainerError> {
        for _ in 0..MAX_KILL_ROUNDS {
            let alive = self.processes()?;
            if alive.is_empty() {
                return Ok(());
            }
            for pid in alive {
                self.kill_member(pid)?;
            }
        }
        Ok(())
    }

    fn kill_member(&self, pid: i32) -> Result<(), ContainerError> {
        let act = "end a process of the container";
        let process = match Pidfd::open(pid) {
            Ok(process) => process,
            Err(KernelError::ProcessGone { .. }) => return Ok(()),
            Err(error) => return Err(ContainerError::kernel(act)(error)),
        };
        // The number may have been used again between listing and opening: only a member is killed.
        if !self.processes()?.contains(&pid) {
            return Ok(());
        }
        match process.signal(Signal::KILL.number()) {
            Ok(()) | Err(KernelError::ProcessGone { .. }) => Ok(()),
            Err(error) => Err(ContainerError::kernel(act)(error)),
        }
    }

    /// Waits until no process is left in the cgroup, at most so long; says whether none is.
    pub fn wait_until_empty(&self, timeout_ms: u64) -> Result<bool, ContainerError> {
        if let Some(dir) = &self.v2 {
            return wait_for_event(dir, "populated 0", timeout_ms);
        }
        for pid in self.processes()? {
            match Pidfd::open(pid) {
                Ok(process) => {
                    process
                        .wait_until_ended(Some(timeout_ms))
                        .map_err(ContainerError::kernel(
                            "wait for a process of the container",
                        ))?;
                }
                Err(KernelError::ProcessGone { .. }) => {}
                Err(error) => {
                    return Err(ContainerError::kernel(
                        "wait for a process of the container",
                    )(error));
                }
            }
        }
        Ok(self.processes()?.is_empty())
    }

    /// Stops every process in the cgroup where it is; waits until all have stopped.
    pub fn pause(&self) -> Result<(), ContainerError> {
        if let Some(dir) = &self.v2 {
            file::write(dir, "cgroup.freeze", "1")?;
            wait_for_event(dir, "frozen 1", FREEZE_TIMEOUT_MS)?;
            return Ok(());
        }
        let Some(dir) = self.v1_dir("freezer") else {
            return Err(ContainerError::NoCgroup { act: "pause" });
        };
        for _ in 0..FREEZE_LOOKS {
            file::write(dir, "freezer.state", "FROZEN")?;
            if file::read(dir, "freezer.state")?.trim() == "FROZEN" {
                return Ok(());
            }
            let pause = Timespec {
                tv_sec: 0,
                tv_nsec: FREEZE_LOOK_NS,
            };
            drop(rustix::thread::nanosleep(&pause));
        }
        file::write(dir, "freezer.state", "THAWED")?;
        Err(ContainerError::call(
            "stop all processes of the container in time",
        )(Errno::TIMEDOUT))
    }

    /// Lets the processes go on.
    pub fn unpause(&self) -> Result<(), ContainerError> {
        match (&self.v2, self.v1_dir("freezer")) {
            (Some(dir), _) => file::write(dir, "cgroup.freeze", "0"),
            (None, Some(dir)) => file::write(dir, "freezer.state", "THAWED"),
            (None, None) => Err(ContainerError::NoCgroup { act: "unpause" }),
        }
    }

    /// Says whether the container is paused.
    pub fn is_paused(&self) -> bool {
        match (&self.v2, self.v1_dir("freezer")) {
            (Some(dir), _) => file::read_number(dir, "cgroup.freeze") == Some(1),
            (None, Some(dir)) => {
                file::read(dir, "freezer.state").is_ok_and(|text| text.trim() != "THAWED")
            }
            (None, None) => false,
        }
    }

    /// A frozen v1 process does not even die before it is thawed.
    fn thaw_if_frozen(&self) -> Result<(), ContainerError> {
        if self.v2.is_none() && self.is_paused() {
            self.unpause()
        } else {
            Ok(())
        }
    }
}

const FREEZE_TIMEOUT_MS: u64 = 10_000;

fn collect(dir: &Path, found: &mut Vec<i32>) -> Result<(), ContainerError> {
    match file::read(dir, "cgroup.procs") {
        Ok(text) => found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(error) if file::is_out_of_reach(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// Waits until `cgroup.events` has this line, at most so long; says whether it has.
fn wait_for_event(dir: &Path, line: &str, timeout_ms: u64) -> Result<bool, ContainerError> {
    let path = dir.join("cgroup.events");
    let file = match File::open(&path) {
        Ok(file) => file,
        // No such cgroup: nobody is in it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(source) => {
            return Err(ContainerError::Cgroup {
                act: "open",
                path,
                source,
            });
        }
    };
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout_ms / 1000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(timeout_ms % 1000).unwrap_or(0) * 1_000_000,
    };
    let mut buffer = [0_u8; 128];
    loop {
        let fail = |errno: Errno| ContainerError::Cgroup {
            act: "read",
            path: path.clone(),
            source: errno.into(),
        };
        let length = match rustix::io::pread(&file, &mut buffer, 0) {
            Err(Errno::NODEV) => return Ok(true),
            read => read.map_err(fail)?,
        };
        let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
        if text.lines().any(|found| found == line) {
            return Ok(true);
        }
        // The kernel says PRI when a value in the file changes.
        match rustix::event::poll(
            &mut [PollFd::new(&file.as_fd(), PollFlags::PRI)],
            Some(&timeout),
        ) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
}
