//! A step that failed in the child into words, and into an error that names it.

use super::filesystem::DeviceStep;
use super::finish::shown;
use super::plan::InitPlan;
use super::report::{Act, Failure};
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::rooted::Target;

impl InitPlan {
    /// Puts a step of the child into words.
    pub(crate) fn describe(&self, failure: Failure) -> String {
        let index = failure.index;
        let path = |targets: &[Target]| {
            targets.get(index).map_or_else(String::new, |target| {
                format!(" `/{}`", shown(target.path()))
            })
        };
        let device =
            |steps: &[DeviceStep], index: usize| steps.get(index).map(|step| step.label.clone());
        match failure.act {
            Act::Begin => "begin".to_owned(),
            Act::EnterCgroup => "enter its cgroup".to_owned(),
            Act::EnterNamespace => "enter another container's namespace".to_owned(),
            Act::CgroupNamespace => "make its cgroup namespace".to_owned(),
            Act::HostName => "set its host name".to_owned(),
            Act::Propagation => "cut its mounts off from the host's".to_owned(),
            Act::AttachRoot => "attach its root filesystem".to_owned(),
            Act::Mount => {
                let label = self
                    .mounts
                    .get(index)
                    .map_or("", |step| step.label.as_str());
                format!("mount {label}")
            }
            Act::Device => {
                let usual = self.usual_devices.len();
                let label = device(&self.usual_devices, index)
                    .or_else(|| device(&self.devices, index.saturating_sub(usual)));
                format!("make device `{}`", label.unwrap_or_default())
            }
            Act::Links => "make the usual links in `/dev`".to_owned(),
            Act::Terminal => "make its terminal".to_owned(),
            Act::Mask => format!("mask{}", path(&self.masked)),
            Act::ReadOnly => {
                let all = [self.sealed.as_slice(), self.read_only.as_slice()].concat();
                format!("make read-only{}", path(&all))
            }
            Act::Sysctl => {
                let key = self
                    .sysctls
                    .get(index)
                    .map_or("", |setting| setting.key.as_str());
                format!("set sysctl `{key}`")
            }
            Act::Pivot => "enter its root filesystem".to_owned(),
            Act::WorkingDirectory
            | Act::Rlimit
            | Act::OomScore
            | Act::AppArmor
            | Act::User
            | Act::NewPrivileges
            | Act::Filter
            | Act::Capabilities
            | Act::Stdio
            | Act::Reaper
            | Act::Find
            | Act::Execute
            | Act::Interpreter
            | Act::Failpoint => describe_finish(failure.act).to_owned(),
        }
    }
}

/// Puts a step that `start` and `exec` have in common into words.
fn describe_finish(act: Act) -> &'static str {
    match act {
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
        Act::Failpoint => "pass a failpoint",
        Act::EnterCgroup => "enter its cgroup",
        Act::EnterNamespace => "enter its namespaces",
        Act::Terminal => "make its terminal",
        Act::Begin
        | Act::CgroupNamespace
        | Act::HostName
        | Act::Propagation
        | Act::AttachRoot
        | Act::Mount
        | Act::Device
        | Act::Links
        | Act::Mask
        | Act::ReadOnly
        | Act::Sysctl
        | Act::Pivot => "begin",
        Act::Find | Act::Execute | Act::Interpreter => "run its program",
    }
}

/// Puts a step of `exec` into words.
pub(crate) fn describe_exec(failure: Failure) -> String {
    describe_finish(failure.act).to_owned()
}

/// Turns a step that failed in the child into an error that names the program or the step.
pub(crate) fn explain(
    program: &str,
    failure: Failure,
    step: impl FnOnce() -> String,
) -> ContainerError {
    let program = program.to_owned();
    let source = failure.source();
    match failure.act {
        Act::Find => ContainerError::ProgramNotFound { program, source },
        Act::Execute => ContainerError::ProgramNotExecutable { program, source },
        Act::Interpreter => ContainerError::InterpreterNotFound { program, source },
        Act::Begin
        | Act::EnterCgroup
        | Act::EnterNamespace
        | Act::CgroupNamespace
        | Act::HostName
        | Act::Propagation
        | Act::AttachRoot
        | Act::Mount
        | Act::Device
        | Act::Links
        | Act::Terminal
        | Act::Mask
        | Act::ReadOnly
        | Act::Sysctl
        | Act::Pivot
        | Act::WorkingDirectory
        | Act::Rlimit
        | Act::OomScore
        | Act::AppArmor
        | Act::User
        | Act::NewPrivileges
        | Act::Filter
        | Act::Capabilities
        | Act::Stdio
        | Act::Reaper
        | Act::Failpoint => ContainerError::Setup {
            step: step(),
            source,
        },
    }
}
