//! What could not be done with a container, and on which part of it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::runtime::kernel::KernelError;

/// A container operation that did not work.
#[derive(Debug, Error)]
pub enum ContainerError {
    /// The kernel refused something.
    #[error("{act}")]
    Kernel {
        /// What was being done to the container.
        act: &'static str,
        /// What the kernel refused.
        #[source]
        source: KernelError,
    },
    /// A step of the container's own set-up failed, inside the new process.
    #[error("set the container up: {step}")]
    Setup {
        /// The step and the thing it was done to.
        step: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The kernel has no such setting where the container is.
    #[error(
        "{step}: this kernel does not have it, or not in a network namespace of an ordinary user"
    )]
    HiddenSysctl {
        /// The step and the setting.
        step: String,
    },
    /// The new process ended without saying why.
    #[error("set the container up: its first process ended before it was ready")]
    EndedEarly,
    /// The process that looks after a program in the container ended before the program.
    #[error("run a program in the container: what started and watched it has ended")]
    ProgramLost,
    /// The program is not in the image, or not on its search path.
    #[error("run `{program}`: no such program in the container")]
    ProgramNotFound {
        /// The first argument.
        program: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The program is there but cannot be run.
    #[error("run `{program}`: it is not executable")]
    ProgramNotExecutable {
        /// The first argument.
        program: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The program is there, but what it says it needs to run is not.
    #[error("run `{program}`: its interpreter or dynamic loader is not in the container")]
    InterpreterNotFound {
        /// The first argument.
        program: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The folder that a program should begin in cannot be entered.
    #[error("run a program in `{path}`, a folder in the container")]
    WorkingDirectory {
        /// The folder.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// There is nothing to run.
    #[error("run a container without a command")]
    NoCommand,
    /// A setting makes no sense, or is not allowed.
    #[error("use `{value}` as {what}: {reason}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What it was set to.
        value: String,
        /// Why that cannot be.
        reason: &'static str,
    },
    /// The container has no cgroup to do it with.
    #[error(
        "{act} the container: this user has no cgroup of its own, so neither has the container"
    )]
    NoCgroup {
        /// What was being done.
        act: &'static str,
    },
    /// A cgroup file could not be read or written, or a directory made.
    #[error("{act} cgroup `{path}`")]
    Cgroup {
        /// What was being done.
        act: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A file on the host that the container needs could not be used.
    #[error("{act} `{path}`")]
    HostFile {
        /// What was being done.
        act: &'static str,
        /// The path on the host.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A seccomp profile is not of the documented form.
    #[error("read seccomp profile: {reason}")]
    SeccompProfile {
        /// What is wrong with it.
        reason: String,
    },
    /// A message between our own processes is not of the agreed form.
    #[error("pass the container's settings to its process")]
    Message {
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl ContainerError {
    /// Returns the exit code that Docker gives for this failure of a command: 126, 127 or 128.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::ProgramNotFound { .. } | Self::InterpreterNotFound { .. } => 127,
            Self::WorkingDirectory { .. } => 127,
            Self::ProgramNotExecutable { .. } => 126,
            Self::Kernel { .. }
            | Self::Setup { .. }
            | Self::HiddenSysctl { .. }
            | Self::EndedEarly
            | Self::ProgramLost
            | Self::NoCommand
            | Self::Setting { .. }
            | Self::NoCgroup { .. }
            | Self::Cgroup { .. }
            | Self::HostFile { .. }
            | Self::SeccompProfile { .. }
            | Self::Message { .. } => 128,
        }
    }

    /// Names what was being done when the kernel refused something.
    pub(super) fn kernel(act: &'static str) -> impl FnOnce(KernelError) -> Self {
        move |source| Self::Kernel { act, source }
    }

    /// Names what was being done when a system call failed.
    pub(super) fn call(act: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Kernel {
            act,
            source: KernelError::call(act)(errno),
        }
    }

    pub(super) fn setting(what: &'static str, value: &str, reason: &'static str) -> Self {
        Self::Setting {
            what,
            value: value.to_owned(),
            reason,
        }
    }
}
