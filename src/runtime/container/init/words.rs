//! A step that failed in the child into words, and into an error that names it.

use rustix::io::Errno;

use super::filesystem::{DeviceStep, MountFrom};
use super::finish::shown;
use super::plan::InitPlan;
use super::report::{Act, Failure};
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::rooted::{Target, TargetKind};

impl InitPlan {
    /// Puts a step of the child into words.
    pub(crate) fn describe(&self, failure: Failure) -> String {
        let step = words(failure.act);
        match self.object(failure) {
            Some(object) => format!("{step} {object}"),
            None => step.to_owned(),
        }
    }

    /// Returns what the step was taken with, where there are several.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other steps are taken once"
    )]
    fn object(&self, failure: Failure) -> Option<String> {
        let index = failure.index;
        let path = |target: &Target| format!("`/{}`", shown(target.path()));
        match failure.act {
            Act::Mount => self.mounts.get(index).map(|step| {
                let obstacle = match (&step.from, failure.errno) {
                    (MountFrom::Tree { .. }, errno) => obstacle(step.target.kind(), errno),
                    (MountFrom::New { .. }, _) => "",
                };
                format!("{}{obstacle}", step.label)
            }),
            Act::Device => {
                let label = |step: &DeviceStep| format!("`{}`", step.label);
                let all = self.usual_devices.iter().chain(&self.devices);
                all.map(label).nth(index)
            }
            Act::Mask => self.masked.get(index).map(path),
            Act::ReadOnly => {
                let all = self.sealed.iter().chain(&self.read_only);
                all.map(path).nth(index)
            }
            Act::Sysctl => {
                let setting = self.sysctls.get(index);
                setting.map(|setting| format!("`{}`", setting.key))
            }
            Act::Joined => Some(if index == 0 { "`/proc`" } else { "`/dev/shm`" }.to_owned()),
            _ => None,
        }
    }
}

/// Says what is in the way of a mount, where the kernel's error tells.
fn obstacle(kind: TargetKind, errno: Errno) -> &'static str {
    match (kind, errno) {
        (TargetKind::Directory, Errno::NOTDIR | Errno::INVAL) => ", where a file is",
        (TargetKind::File, Errno::NOTDIR | Errno::INVAL | Errno::ISDIR) => ", where a folder is",
        (_, Errno::ROFS) => ", which is not there and cannot be made on a read-only filesystem",
        _ => "",
    }
}

fn words(act: Act) -> &'static str {
    match act {
        Act::Begin => "begin",
        Act::EnterCgroup => "enter its cgroup",
        Act::EnterNamespace => "enter another container's namespace",
        Act::CgroupNamespace => "make its cgroup namespace",
        Act::HostName => "set its host name",
        Act::Propagation => "cut its mounts off from the host's",
        Act::AttachRoot => "attach its root filesystem",
        Act::Mount => "mount",
        Act::Joined => "find what belongs to another container's namespace:",
        Act::Device => "make device",
        Act::Links => "make the usual links in `/dev`",
        Act::Terminal => "make its terminal",
        Act::Mask => "mask",
        Act::ReadOnly => "make read-only",
        Act::Sysctl => "set sysctl",
        Act::Pivot => "enter its root filesystem",
        Act::WorkingDirectory => "enter its working directory",
        Act::Rlimit => "set a resource limit",
        Act::OomScore => "set its out-of-memory score",
        Act::AppArmor => "set its AppArmor profile",
        Act::User => "become its user",
        Act::NewPrivileges => "give up gaining privileges",
        Act::Filter => "load its system call filter",
        Act::Capabilities => "narrow its capabilities",
        Act::Stdio => "set up its standard input and output",
        Act::Reaper => "fork its program",
        Act::Program => {
            "make its program's process, which its limit of processes or its system call filter may forbid"
        }
        Act::Late => "begin in time",
        Act::Find | Act::Execute | Act::Interpreter => "run its program",
        Act::Failpoint => "pass a failpoint",
    }
}

/// Puts a step of `exec` into words.
pub(crate) fn describe_exec(failure: Failure) -> String {
    if failure.act == Act::EnterNamespace {
        return "enter its namespaces".to_owned();
    }
    words(failure.act).to_owned()
}

/// Turns a step that failed in the child into an error that names the program or the step.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other steps come before the program is looked for"
)]
pub(crate) fn explain(
    program: &str,
    failure: Failure,
    step: impl FnOnce() -> String,
) -> ContainerError {
    let program = program.to_owned();
    let source = failure.source();
    match failure.act {
        Act::Sysctl if failure.errno == Errno::NOENT => {
            ContainerError::HiddenSysctl { step: step() }
        }
        Act::Find => ContainerError::ProgramNotFound { program, source },
        Act::Execute => ContainerError::ProgramNotExecutable { program, source },
        Act::Interpreter => ContainerError::InterpreterNotFound { program, source },
        _ => ContainerError::Setup {
            step: step(),
            source,
        },
    }
}
