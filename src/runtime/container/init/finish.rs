//! The last steps of a process before it runs the user's program; the same for `start` and `exec`.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use super::report::{Act, Failure};
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::confine::{self, Capabilities, Instruction};
use crate::runtime::kernel::process::{self, CStringArray};
use crate::runtime::kernel::rooted::{Target, TargetKind};

/// How a program runs, in a form that can be sent to another process of ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProcessSettings {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// `None` where the user namespace forbids `setgroups`.
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) umask: Option<u32>,
    /// Bounding, effective, permitted, inheritable, ambient.
    pub(crate) capabilities: [u64; 5],
    pub(crate) no_new_privileges: bool,
    pub(crate) apparmor: Option<String>,
    pub(crate) oom_score_adj: Option<i32>,
    /// Number of the limit, soft, hard.
    pub(crate) rlimits: Vec<(usize, u64, u64)>,
    /// Code, jumps and operand of each instruction.
    pub(crate) filter: Option<Vec<(u16, u8, u8, u32)>>,
    pub(crate) terminal: bool,
}

/// The resource limits by the kernel's numbers.
pub(crate) const RESOURCES: [Resource; 16] = [
    Resource::Cpu,
    Resource::Fsize,
    Resource::Data,
    Resource::Stack,
    Resource::Core,
    Resource::Rss,
    Resource::Nproc,
    Resource::Nofile,
    Resource::Memlock,
    Resource::As,
    Resource::Locks,
    Resource::Sigpending,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Rtprio,
    Resource::Rttime,
];

/// Returns the number of a resource limit by its OCI name.
pub(crate) fn resource_number(kind: oci_spec::runtime::PosixRlimitType) -> usize {
    // Both lists are in the same order.
    let number = kind as usize;
    number.min(RESOURCES.len() - 1)
}

/// The same with every string and list made.
#[derive(Debug)]
pub(crate) struct FinishPlan {
    args: CStringArray,
    env: CStringArray,
    /// Where the program may be, in the order of the search path.
    candidates: Vec<CString>,
    cwd: Target,
    uid: Uid,
    gid: Gid,
    groups: Option<Vec<Gid>>,
    umask: Mode,
    own_bounding: CapabilitySet,
    capabilities: Capabilities,
    no_new_privileges: bool,
    apparmor: Option<Vec<u8>>,
    oom_score_adj: Option<Vec<u8>>,
    rlimits: Vec<(Resource, Rlimit)>,
    filter: Option<Vec<Instruction>>,
    terminal: bool,
}

impl FinishPlan {
    /// Prepares everything that needs memory.
    pub(crate) fn new(settings: &ProcessSettings) -> Result<Self, ContainerError> {
        let [bounding, effective, permitted, inheritable, ambient] =
            settings.capabilities.map(CapabilitySet::from_bits_retain);
        let own_bounding = confine::own_bounding();
        // Nobody can hand on what he does not have.
        let bounding = bounding.intersection(own_bounding);
        let cwd = if settings.cwd.as_os_str().is_empty() {
            "/".into()
        } else {
            settings.cwd.clone()
        };
        Ok(Self {
            candidates: candidates(settings)?,
            args: CStringArray::new(c_strings("an argument", &settings.args)?),
            env: CStringArray::new(c_strings("an environment variable", &settings.env)?),
            cwd: Target::new(&cwd, TargetKind::Directory)
                .map_err(ContainerError::kernel("use the working directory"))?,
            uid: Uid::from_raw(settings.uid),
            gid: Gid::from_raw(settings.gid),
            groups: settings
                .groups
                .as_ref()
                .map(|groups| groups.iter().map(|gid| Gid::from_raw(*gid)).collect()),
            umask: Mode::from_raw_mode(settings.umask.unwrap_or(0o022)),
            own_bounding,
            capabilities: Capabilities {
                bounding,
                effective: effective.intersection(bounding),
                permitted: permitted.intersection(bounding),
                inheritable: inheritable.intersection(bounding),
                ambient: ambient.intersection(bounding),
            },
            no_new_privileges: settings.no_new_privileges,
            apparmor: settings
                .apparmor
                .as_ref()
                .map(|name| format!("exec {name}").into_bytes()),
            oom_score_adj: settings
                .oom_score_adj
                .map(|score| score.to_string().into_bytes()),
            rlimits: rlimits(&settings.rlimits),
            filter: settings
                .filter
                .as_ref()
                .map(|filter| filter.iter().copied().map(instruction).collect()),
            terminal: settings.terminal,
        })
    }

    /// Begins a session, with the terminal if there is one.
    pub(crate) fn take_session(&self) -> Result<(), Errno> {
        rustix::process::setsid()?;
        if self.terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        Ok(())
    }

    /// Returns the owner of the terminal.
    pub(crate) fn uid(&self) -> Uid {
        self.uid
    }

    /// Makes the working directory inside `root`, as whoever sets the container up.
    pub(crate) fn make_working_directory(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
        self.cwd
            .ensure(root)
            .map_err(Failure::of(Act::WorkingDirectory, 0))
    }

    /// Opens the working directory inside `root`, which must be there already.
    pub(crate) fn find_working_directory(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
        self.cwd
            .find(root)
            .map_err(Failure::of(Act::WorkingDirectory, 0))
    }

    /// Sets what needs the host's rights: limits, scores, profile, working directory.
    ///
    /// `proc` is a procfs of the host's: what is written there must go to the kernel.
    pub(crate) fn prepare(&self, proc: &OwnedFd, cwd: &OwnedFd) -> Result<(), Failure> {
        rustix::process::fchdir(cwd).map_err(Failure::of(Act::WorkingDirectory, 0))?;
        rustix::process::umask(self.umask);
        if let Some(score) = &self.oom_score_adj {
            write_own(proc, c"self/oom_score_adj", score).map_err(Failure::of(Act::OomScore, 0))?;
        }
        if let Some(profile) = &self.apparmor {
            write_own(proc, c"thread-self/attr/apparmor/exec", profile)
                .or_else(|_| write_own(proc, c"thread-self/attr/exec", profile))
                .map_err(Failure::of(Act::AppArmor, 0))?;
        }
        // Last: what is open here may be more than the program may have, and nothing is opened after it.
        for (index, (resource, limit)) in self.rlimits.iter().enumerate() {
            rustix::process::setrlimit(*resource, *limit)
                .map_err(Failure::of(Act::Rlimit, index))?;
        }
        Ok(())
    }

    /// Becomes the user and gives up everything that the program shall not have.
    pub(crate) fn confine(&self) -> Result<(), Failure> {
        confine::limit_bounding(self.own_bounding, self.capabilities.bounding)
            .map_err(Failure::of(Act::Capabilities, 0))?;
        confine::become_user(self.uid, self.gid, self.groups.as_deref())
            .map_err(Failure::of(Act::User, 0))?;
        if self.no_new_privileges {
            confine::forbid_new_privileges().map_err(Failure::of(Act::NewPrivileges, 0))?;
        }
        // Before the capabilities go: without `no_new_privs` a filter needs one of them.
        if let Some(filter) = &self.filter {
            confine::load_filter(filter).map_err(Failure::of(Act::Filter, 0))?;
        }
        confine::set_capabilities(&self.capabilities).map_err(Failure::of(Act::Capabilities, 0))
    }

    /// Becomes the program; returns only why not.
    pub(crate) fn execute(&self) -> Failure {
        let mut worst = Failure {
            act: Act::Find,
            index: 0,
            errno: Errno::NOENT,
        };
        for candidate in &self.candidates {
            match process::execve(candidate, &self.args, &self.env) {
                Errno::NOENT | Errno::NOTDIR => {
                    if rustix::fs::access(candidate, rustix::fs::Access::EXISTS).is_ok() {
                        return Failure {
                            act: Act::Interpreter,
                            index: 0,
                            errno: Errno::NOENT,
                        };
                    }
                }
                // A later directory of the search path may hold one that can be run.
                Errno::ACCESS => {
                    worst = Failure {
                        act: Act::Execute,
                        index: 0,
                        errno: Errno::ACCESS,
                    };
                }
                errno => {
                    return Failure {
                        act: Act::Execute,
                        index: 0,
                        errno,
                    };
                }
            }
        }
        worst
    }
}

/// Writes a file about this process.
fn write_own(proc: &OwnedFd, path: &std::ffi::CStr, bytes: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, path, flags, Mode::empty())?;
    rustix::io::write(&file, bytes)?;
    Ok(())
}

fn instruction((code, jump_true, jump_false, operand): (u16, u8, u8, u32)) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        operand,
    }
}

/// Returns the limits to set: those of the list, and for descriptors what we hand on to others.
fn rlimits(list: &[(usize, u64, u64)]) -> Vec<(Resource, Rlimit)> {
    let handed_on = process::handed_on_descriptors();
    let handed_on = handed_on.map(|limit| (Resource::Nofile, limit));
    let value = |value: u64| (value != u64::MAX).then_some(value);
    let known = list.iter().filter_map(|(number, soft, hard)| {
        let resource = *RESOURCES.get(*number)?;
        Some((
            resource,
            Rlimit {
                current: value(*soft),
                maximum: value(*hard),
            },
        ))
    });
    // Where the list has one too, that comes later and is what counts.
    handed_on.into_iter().chain(known).collect()
}

fn c_strings(what: &'static str, texts: &[String]) -> Result<Vec<CString>, ContainerError> {
    let make = |text: &String| {
        CString::new(text.as_str()).map_err(|_| {
            ContainerError::setting(
                what,
                &text.escape_debug().to_string(),
                "it holds a NUL byte",
            )
        })
    };
    texts.iter().map(make).collect()
}

/// Returns the paths to try, as a shell would: a name with a slash is a path.
fn candidates(settings: &ProcessSettings) -> Result<Vec<CString>, ContainerError> {
    let program = settings.args.first().ok_or(ContainerError::NoCommand)?;
    if program.is_empty() {
        return Err(ContainerError::NoCommand);
    }
    let texts = if program.contains('/') {
        vec![program.clone()]
    } else {
        let path = settings
            .env
            .iter()
            .rev()
            .find_map(|entry| entry.strip_prefix("PATH="));
        let directories = path
            .unwrap_or_default()
            .split(':')
            .filter(|dir| !dir.is_empty());
        directories.map(|dir| format!("{dir}/{program}")).collect()
    };
    c_strings("an argument", &texts)
}

/// Returns the text of a path for a message.
pub(super) fn shown(path: &std::ffi::CStr) -> String {
    std::path::Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()))
        .display()
        .to_string()
}
