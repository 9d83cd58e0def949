//! A [`Bundle`] → a container that is set up and waits, and then runs.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::bundle::{Bundle, FirstProcess, JoinedNamespaces, Stdio};
use super::cgroup::{Cgroup, Hierarchies, Unenforced};
use super::error::ContainerError;
use super::handle::Container;
use super::init::{
    self, Failure, InitPlan, MESSAGE_BYTES, Message, Parts, ProcessSettings, StdioPlan, explain,
    own_namespace, target,
};
use super::settings;
use crate::runtime::kernel::channel::{Channel, Received};
use crate::runtime::kernel::clone::{CloneOptions, spawn};
use crate::runtime::kernel::failpoint;
use crate::runtime::kernel::namespace::Namespaces;
use crate::runtime::kernel::pidfd::Pidfd;
use crate::runtime::kernel::rooted::TargetKind;
use crate::runtime::kernel::sys::{self, Territory};
use crate::value::Signal;

/// A container that is set up completely and waits; dropped, it goes away.
#[derive(Debug)]
pub struct Created {
    container: Container,
    channel: Channel,
    plan: InitPlan,
    program: String,
    terminal: Option<OwnedFd>,
    unenforced: Vec<Unenforced>,
}

/// Sets a container up, up to but without running its program.
pub fn create(bundle: Bundle) -> Result<Created, ContainerError> {
    let hierarchies = Hierarchies::detect()?;
    let territory = sys::territory().map_err(ContainerError::kernel("set the container up"))?;
    let process = bundle.spec.process().as_ref();
    let process = process.ok_or(ContainerError::NoCommand)?;
    let (settings, mut unenforced) = settings::of(process, &bundle.seccomp)?;
    let program = settings.args.first().cloned().unwrap_or_default();
    pass("container.cgroup")?;
    let linux = bundle.spec.linux().as_ref();
    let resources = linux
        .and_then(|linux| linux.resources().clone())
        .unwrap_or_default();
    let (cgroup, missing) = Cgroup::create(&bundle.placement, &hierarchies, &resources, territory)?;
    unenforced.extend(missing);
    let surroundings = Surroundings {
        hierarchies,
        territory,
        settings,
    };
    let (plan, channel, process) = match first_process(bundle, &surroundings, &cgroup) {
        Ok(made) => made,
        Err(error) => {
            // Nothing was put in it: what else goes wrong now is less than what already did.
            drop(cgroup.remove());
            return Err(error);
        }
    };
    let container = Container::new(process, cgroup);
    let mut created = Created {
        container,
        channel,
        plan,
        program,
        terminal: None,
        unenforced,
    };
    match created.wait_until_ready() {
        Ok(()) => Ok(created),
        Err(error) => {
            created.abandon();
            Err(error)
        }
    }
}

/// What a bundle meets on this machine.
struct Surroundings {
    hierarchies: Hierarchies,
    territory: Territory,
    settings: ProcessSettings,
}

/// Compiles the plan and makes the process that carries it out.
fn first_process(
    bundle: Bundle,
    surroundings: &Surroundings,
    cgroup: &Cgroup,
) -> Result<(InitPlan, Channel, Pidfd), ContainerError> {
    let Bundle {
        spec,
        rootfs,
        join,
        mounted,
        stdio,
        first_process,
        lifetime,
        ..
    } = bundle;
    let JoinedNamespaces {
        network,
        ipc,
        pid,
        uts,
    } = join;
    let mut join = Vec::new();
    join.extend(network.map(|fd| (fd, Namespaces::NEWNET)));
    let shared_memory = ipc.map(|ipc| {
        join.push((ipc.namespace, Namespaces::NEWIPC));
        ipc.process
    });
    join.extend(uts.map(|fd| (fd, Namespaces::NEWUTS)));
    let mut joined: Namespaces = join.iter().map(|(_, kind)| *kind).collect();
    if pid.is_some() {
        joined |= Namespaces::NEWPID;
    }
    let plan = InitPlan::new(Parts {
        spec: &spec,
        settings: &surroundings.settings,
        rootfs,
        join,
        pid,
        shared_memory,
        mounted,
        tasks: cgroup.open_tasks()?,
        hierarchies: &surroundings.hierarchies,
        stdio: stdio_plan(stdio)?,
        reaper: first_process == FirstProcess::Reaper,
        lifetime,
        territory: surroundings.territory,
    })?;
    let (ours, theirs) = Channel::pair().map_err(ContainerError::call("make a channel"))?;
    let namespaces = new_namespaces(&spec).difference(joined);
    let process = clone(&plan, cgroup, namespaces, (&ours, theirs))?;
    Ok((plan, ours, process))
}

fn pass(name: &'static str) -> Result<(), ContainerError> {
    failpoint::hit(name).map_err(|source| ContainerError::Setup {
        step: format!("pass `{name}`"),
        source,
    })
}

fn new_namespaces(spec: &Spec) -> Namespaces {
    let Some(linux) = spec.linux() else {
        return Namespaces::NEWNS;
    };
    let kinds = [
        (LinuxNamespaceType::Pid, Namespaces::NEWPID),
        (LinuxNamespaceType::Network, Namespaces::NEWNET),
        (LinuxNamespaceType::Ipc, Namespaces::NEWIPC),
        (LinuxNamespaceType::Uts, Namespaces::NEWUTS),
    ];
    let own = kinds
        .into_iter()
        .filter(|(kind, _)| own_namespace(linux, *kind));
    // The cgroup namespace is made by the child, once it is in its cgroup.
    own.map(|(_, flag)| flag)
        .collect::<Namespaces>()
        .union(Namespaces::NEWNS)
}

fn stdio_plan(stdio: Stdio) -> Result<StdioPlan, ContainerError> {
    match stdio {
        Stdio::Terminal { rows, columns } => Ok(StdioPlan::Terminal {
            size: (rows, columns),
            console: target(Path::new("/dev/console"), TargetKind::File)?,
        }),
        Stdio::Files(files) => {
            // Above 2, so that setting one up does not overwrite the source of another.
            let [input, output, errors] = files.map(|file| {
                rustix::io::fcntl_dupfd_cloexec(&file, 3)
                    .map_err(ContainerError::call("copy standard input and output"))
            });
            Ok(StdioPlan::Files([input?, output?, errors?]))
        }
    }
}

/// Makes the first process.
fn clone(
    plan: &InitPlan,
    cgroup: &Cgroup,
    namespaces: Namespaces,
    (ours, theirs): (&Channel, Channel),
) -> Result<Pidfd, ContainerError> {
    let act = "make the container's first process";
    let v2 = cgroup.open_v2()?;
    let cgroup = v2.as_ref().map(|fd| fd.as_fd());
    let mut child = || init::run(plan, &theirs, ours);
    pass("container.clone")?;
    let options = CloneOptions { namespaces, cgroup };
    let made = spawn(&options, &mut child).map_err(ContainerError::call(act))?;
    Ok(Pidfd::from_parts(
        made.pidfd,
        made.pid.as_raw_nonzero().get(),
    ))
}

impl Created {
    /// Returns what of the request cannot be had on this machine.
    pub fn unenforced(&self) -> &[Unenforced] {
        &self.unenforced
    }

    /// Returns the handle, which is also good for remembering the container before it runs.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Takes the monitor's end of the terminal, if the container has one.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Runs the program.
    ///
    /// If it cannot be run, the container is gone when this returns.
    pub fn start(mut self) -> Result<Container, ContainerError> {
        let sent = pass("container.start").and_then(|()| {
            Message::Start
                .send(&self.channel, None)
                .map_err(ContainerError::call("start the container"))
        });
        match sent.and_then(|()| self.wait_until_running()) {
            Ok(()) => Ok(self.container),
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), ContainerError> {
        let mut buffer = [0; MESSAGE_BYTES];
        let received = self.receive(&mut buffer, SETUP_LIMIT_S)?;
        match Message::from_bytes(&buffer[..received.length]) {
            Some(Message::Ready) => {
                self.terminal = received.fd;
                pass("container.ready")
            }
            Some(Message::Failed(failure)) => Err(self.explain(failure)),
            Some(Message::Start | Message::Made(_) | Message::Ended(_) | Message::Leave) | None => {
                Err(ContainerError::EndedEarly)
            }
        }
    }

    /// Waits until the channel ends: `execve` closes its last descriptor.
    ///
    /// Where the program begins among the processes of another container, that container can get hold of
    /// the channel meanwhile, and stop the program's process.
    fn wait_until_running(&mut self) -> Result<(), ContainerError> {
        let mut awaits_process = self.plan.joins_processes();
        let mut buffer = [0; MESSAGE_BYTES];
        loop {
            let received = self.receive(&mut buffer, START_LIMIT_S)?;
            if received.length == 0 {
                break;
            }
            match Message::from_bytes(&buffer[..received.length]) {
                Some(Message::Failed(failure)) => return Err(self.explain(failure)),
                Some(Message::Made(pid)) if awaits_process => {
                    awaits_process = !self.take_over(pid)?;
                }
                Some(
                    Message::Ready
                    | Message::Start
                    | Message::Made(_)
                    | Message::Ended(_)
                    | Message::Leave,
                )
                | None => {}
            }
        }
        if awaits_process {
            return Err(ContainerError::EndedEarly);
        }
        Ok(())
    }

    fn receive(&self, buffer: &mut [u8], limit_s: u16) -> Result<Received, ContainerError> {
        let received = self.channel.receive_within(buffer, limit_s);
        received.map_err(ContainerError::call(
            "wait for the container's first process",
        ))
    }

    /// Takes the program's process over from that which made it, if the number is that of our child.
    fn take_over(&mut self, pid: i32) -> Result<bool, ContainerError> {
        let act = "find the container's first process";
        let Ok(process) = Pidfd::open(pid) else {
            return Ok(false);
        };
        if pid == self.container.process().pid() || !process.is_our_child() {
            return Ok(false);
        }
        let maker = self.container.replace_process(process);
        maker
            .wait_until_ended(Some(ABANDON_TIMEOUT_MS))
            .map_err(ContainerError::kernel(act))?;
        maker.exit(0).map_err(ContainerError::kernel(act))?;
        Ok(true)
    }

    fn explain(&self, failure: Failure) -> ContainerError {
        explain(&self.program, failure, || self.plan.describe(failure))
    }

    /// Ends what there is of the container; the error that led here matters more than any from this.
    fn abandon(self) {
        drop(self.container.process().signal(Signal::KILL.number()));
        drop(self.container.cgroup().kill_all(ABANDON_TIMEOUT_MS));
        drop(
            self.container
                .process()
                .wait_until_ended(Some(ABANDON_TIMEOUT_MS)),
        );
        drop(self.container.process().exit(0));
        drop(self.container.cgroup().remove());
    }
}

/// How long the end of processes that were sent SIGKILL is waited for.
const ABANDON_TIMEOUT_MS: u64 = 5_000;
/// How long setting a container up may take.
const SETUP_LIMIT_S: u16 = 120;
/// How long a program may take to begin once it is told to.
const START_LIMIT_S: u16 = 30;
