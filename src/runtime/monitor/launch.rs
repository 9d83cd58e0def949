//! A bundle into a running container, and a running container found again.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Process;

use super::MonitorError;
use super::bundle::{self, Bundle, Init, Seeding};
use super::console::{Console, Keyboard, Shown};
use super::network::Network;
use super::pipes::{self, Stdin};
use super::state::{ContainerState, NamespaceNumbers};
use super::waits::{Source, Wake, Watched};
use crate::runtime::container::cgroup::{Hierarchies, Placement, Unenforced};
use crate::runtime::container::description::{Privilege, Terminal};
use crate::runtime::container::exec::{self, ExecRequest, Executed};
use crate::runtime::container::spec::{self, Machine};
use crate::runtime::container::users::{self, Identity};
use crate::runtime::container::{
    self, Container, ContainerError, ContainerRecord, Created, FirstProcess, JoinedNamespace,
    JoinedNamespaces, Lifetime, Stdio,
};
use crate::runtime::image::snapshot::{self, Writable};
use crate::runtime::kernel::pidfd::{Exit, Pidfd};
use crate::runtime::kernel::reexec::OwnProgram;
use crate::runtime::kernel::rooted::Root;
use crate::runtime::kernel::{namespace, sys};
use crate::runtime::volume::VolumeStore;

/// How long the end of processes that were sent SIGKILL is waited for.
const KILL_TIMEOUT_MS: u64 = 5_000;
/// How long the kernel may take to say how a process ended that somebody else reaps.
const EXIT_PATIENCE_MS: u64 = 2_000;
/// How far the folder of all run directories is above the run folder of a container.
const RUN_BASE_DEPTH: usize = 3;
/// The size of a terminal before anybody says how large it is.
const TERMINAL_SIZE: (u16, u16) = (24, 80);

/// A container whose first process runs, or has just ended.
#[derive(Debug)]
pub(super) struct Running {
    container: Container,
    first: Process,
    console: Option<Console>,
    unenforced: Vec<String>,
}

/// What a container without a terminal reads.
#[derive(Debug)]
pub(super) enum Input {
    /// What its bundle says: what commands write to it, for as long as it runs, or nothing.
    Kept,
    /// A pipe of the command that runs it in the foreground, which ends with that command; or nothing.
    Caller(Option<OwnedFd>),
}

/// Starts the container of a bundle.
pub(super) fn start(
    bundle: &Bundle,
    network: &mut Network,
    input: Input,
) -> Result<Running, MonitorError> {
    let (mut created, first) = create(bundle, network, input)?;
    // Names and ports are served before the program runs, so that its first look-up is answered.
    network.serve(bundle)?;
    let console = created.take_terminal().map(Console::new).transpose();
    let console = console.map_err(|source| MonitorError::Keep {
        act: "take the container's terminal over",
        source,
    })?;
    let unenforced = created.unenforced().iter().map(shown).collect();
    let container = created.start()?;
    Ok(Running {
        container,
        first,
        console,
        unenforced,
    })
}

fn create(
    bundle: &Bundle,
    network: &Network,
    input: Input,
) -> Result<(Created, Process), MonitorError> {
    let rootfs = mount_root(bundle)?;
    let description = &bundle.container;
    let root = Root::from_fd(rootfs);
    let mounted = mount_volumes(bundle, &root)?;
    let identity = users::resolve(&root, &description.user, &description.groups)?;
    let in_user_namespace =
        sys::in_user_namespace().map_err(MonitorError::kernel("look at the user namespace"))?;
    let mut spec = spec::build(description, &identity, Machine { in_user_namespace })?;
    if let Some(run_base) = bundle.run_dir.ancestors().nth(RUN_BASE_DEPTH) {
        spec::hide(&mut spec, run_base);
    }
    bundle::write_identity(&bundle.run_dir, &identity)?;
    give_files(bundle, &identity)?;
    let first = spec.process().clone().ok_or(ContainerError::NoCommand)?;
    let created = container::create(container::Bundle {
        spec,
        rootfs: root.into_fd(),
        join: namespaces(bundle, network)?,
        mounted,
        stdio: stdio(bundle, &identity, input)?,
        placement: Placement {
            parent: bundle.cgroup_parent.clone(),
            name: bundle.cgroup_name.clone(),
        },
        seccomp: bundle.seccomp.clone(),
        first_process: match bundle.init {
            Init::No => FirstProcess::Program,
            Init::Yes => FirstProcess::Reaper,
        },
        lifetime: Lifetime::Own,
    })?;
    Ok((created, first))
}

/// Gives the files that belong to who the container runs as to that user.
fn give_files(bundle: &Bundle, identity: &Identity) -> Result<(), MonitorError> {
    for file in &bundle.user_files {
        let (uid, gid) = (
            file.uid.unwrap_or(identity.uid),
            file.gid.unwrap_or(identity.gid),
        );
        let given = std::os::unix::fs::chown(&file.path, Some(uid), Some(gid));
        given.map_err(|source| MonitorError::Output {
            path: file.path.clone(),
            source,
        })?;
    }
    Ok(())
}

fn mount_root(bundle: &Bundle) -> Result<OwnedFd, MonitorError> {
    let (upper, work) = (
        bundle.container_dir.join("upper"),
        bundle.container_dir.join("work"),
    );
    let writable = Writable {
        upper: &upper,
        work: &work,
        state: &bundle.state_dir,
    };
    let snapshot = snapshot::prepare(&bundle.root, &writable).map_err(MonitorError::Root)?;
    let targets = bundle.container.mounts.iter().map(|mount| &*mount.target);
    let made = targets.chain([bundle.container.cwd.as_path()]);
    snapshot.make_room(made).map_err(MonitorError::Root)?;
    snapshot.mount().map_err(MonitorError::Root)
}

/// Mounts each volume and fills those that are new; returns them by their targets.
fn mount_volumes(bundle: &Bundle, root: &Root) -> Result<BTreeMap<PathBuf, OwnedFd>, MonitorError> {
    let mut mounted = BTreeMap::new();
    if bundle.volumes.is_empty() {
        return Ok(mounted);
    }
    let store =
        VolumeStore::open(&bundle.state_dir.join("volumes")).map_err(MonitorError::Volume)?;
    for volume in &bundle.volumes {
        let fd = store
            .mount(&volume.name, volume.subpath.as_deref())
            .map_err(MonitorError::Volume)?;
        match volume.seeding {
            Seeding::Never => store
                .mark_used(&volume.name)
                .map_err(MonitorError::Volume)?,
            Seeding::FirstUse => {
                let data = Root::from_fd(rustix::io::fcntl_dupfd_cloexec(&fd, 3).map_err(keep)?);
                let seeded = store.seed(&volume.name, &data, root, &volume.target);
                let _how = seeded.map_err(MonitorError::Volume)?;
            }
        }
        mounted.insert(volume.target.clone(), fd);
    }
    Ok(mounted)
}

fn keep(error: rustix::io::Errno) -> MonitorError {
    MonitorError::Keep {
        act: "keep a descriptor",
        source: error.into(),
    }
}

fn namespaces(bundle: &Bundle, network: &Network) -> Result<JoinedNamespaces, MonitorError> {
    let shared = &bundle.shared;
    let own = network.namespace();
    let own = own
        .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 3))
        .transpose()
        .map_err(keep)?;
    let of = |dir: &Option<PathBuf>, kind: &str| {
        let opened = dir.as_deref().map(|dir| namespace_of(dir, kind));
        opened.transpose()
    };
    Ok(JoinedNamespaces {
        network: match own {
            Some(own) => Some(own),
            None => of(&shared.network, "net")?.map(|joined| joined.namespace),
        },
        ipc: of(&shared.ipc, "ipc")?,
        pid: of(&shared.pid, "pid")?,
        uts: None,
    })
}

/// Opens a namespace of another container, which must run.
fn namespace_of(dir: &Path, kind: &str) -> Result<JoinedNamespace, MonitorError> {
    let not_running = || MonitorError::SharedNotRunning {
        path: dir.to_owned(),
    };
    let state = ContainerState::read(dir)?.ok_or_else(not_running)?;
    let other = state.container.ok_or_else(not_running)?;
    let process = Pidfd::open_verified(other.process).map_err(|_| not_running())?;
    let opened = namespace::open_of(process.pid(), kind);
    let opened = opened.map_err(MonitorError::kernel("open another container's namespace"))?;
    // Still the same process, so what was opened by its number is its own.
    match process.has_ended() {
        Ok(false) => Ok(JoinedNamespace {
            namespace: opened,
            process: process.into_fd(),
        }),
        Ok(true) | Err(_) => Err(not_running()),
    }
}

fn stdio(bundle: &Bundle, identity: &Identity, input: Input) -> Result<Stdio, MonitorError> {
    if bundle.container.terminal == Terminal::Yes {
        let (rows, columns) = TERMINAL_SIZE;
        return Ok(Stdio::Terminal { rows, columns });
    }
    let stdin = match input {
        Input::Caller(Some(pipe)) => Stdin::Pipe(pipe),
        Input::Kept if bundle.keep_stdin => Stdin::Fifo,
        Input::Caller(None) | Input::Kept => Stdin::Null,
    };
    let ends = pipes::open_container_ends(&bundle.run_dir, identity.uid, stdin);
    let ends = ends.map_err(|source| MonitorError::Output {
        path: bundle.run_dir.clone(),
        source,
    })?;
    Ok(Stdio::Files([ends.stdin, ends.stdout, ends.stderr]))
}

/// Returns what the first process of a container that runs was made from; `None` where that was not noted.
pub fn first_process(
    bundle: &Bundle,
    container: &Container,
) -> Result<Option<Process>, MonitorError> {
    let identity = match bundle::read_identity(&bundle.run_dir) {
        Err(error) if error.is_damage() => Some(identity_again(bundle, container)?),
        read => read?,
    };
    let process = identity.map(|identity| spec::process(&bundle.container, &identity));
    Ok(process.transpose()?)
}

/// Finds the container of a state record again; `None` if it has ended.
pub(super) fn adopt(
    bundle: &Bundle,
    state: &ContainerState,
) -> Result<Option<Running>, MonitorError> {
    let found = state.container.as_ref().map(Container::adopt).transpose()?;
    let Some(container) = found.flatten() else {
        return Ok(None);
    };
    let Some(first) = first_process(bundle, &container)? else {
        return Ok(None);
    };
    Ok(Some(Running {
        container,
        first,
        console: None,
        unenforced: state.unenforced.clone(),
    }))
}

/// Finds out again as whom a container runs, from its own root filesystem, and notes it.
fn identity_again(bundle: &Bundle, container: &Container) -> Result<Identity, MonitorError> {
    let root = format!("/proc/{}/root", container.process().pid());
    let root = Root::open(Path::new(&root))
        .map_err(MonitorError::kernel("open the container's root directory"))?;
    let description = &bundle.container;
    let identity = users::resolve(&root, &description.user, &description.groups)?;
    bundle::write_identity(&bundle.run_dir, &identity)?;
    Ok(identity)
}

fn shown(missing: &Unenforced) -> String {
    format!("{} ({})", missing.what, missing.why)
}

impl Running {
    /// Returns what to remember of it.
    pub(super) fn record(&self) -> Result<ContainerRecord, MonitorError> {
        Ok(self.container.record()?)
    }

    /// Returns the namespaces of its first process; nothing where it has ended already.
    pub(super) fn namespaces(&self) -> Option<NamespaceNumbers> {
        let pid = self.container.process().pid();
        let number = |kind| namespace::number_of(pid, kind).ok();
        let found = NamespaceNumbers {
            network: number("net")?,
            ipc: number("ipc")?,
            pid: number("pid")?,
        };
        // Another process may have its number by now.
        self.has_ended().is_ok_and(|ended| !ended).then_some(found)
    }

    /// Returns the limits that this machine could not enforce.
    pub(super) fn unenforced(&self) -> &[String] {
        &self.unenforced
    }

    /// Returns what to wait for.
    pub(super) fn sources(&self) -> Vec<Watched<'_>> {
        let console = self.console.as_ref();
        let console = console.map(Console::source);
        let process = Watched {
            source: Source::Process,
            fd: self.container.process().as_fd(),
            wake: Wake::Readable,
        };
        console.into_iter().chain([process]).collect()
    }

    /// Sends a signal to the first process; one that is gone is fine.
    pub(super) fn signal(&self, signal: i32) -> Result<(), MonitorError> {
        let _signalled = self.container.signal(signal)?;
        Ok(())
    }

    /// Freezes all processes.
    pub(super) fn pause(&self) -> Result<(), MonitorError> {
        Ok(self.container.pause()?)
    }

    /// Thaws all processes.
    pub(super) fn unpause(&self) -> Result<(), MonitorError> {
        Ok(self.container.unpause()?)
    }

    /// Ends all processes.
    pub(super) fn kill_all(&self) -> Result<(), MonitorError> {
        let _none_is_left = self.container.kill_all(KILL_TIMEOUT_MS)?;
        Ok(())
    }

    /// Reports whether the first process has ended.
    pub(super) fn has_ended(&self) -> Result<bool, MonitorError> {
        let ended = self.container.process().has_ended();
        ended.map_err(MonitorError::kernel(
            "look at the container's first process",
        ))
    }

    /// Returns how the first process ended, once it has.
    pub(super) fn exit(&self) -> Result<Option<Exit>, MonitorError> {
        Ok(self.container.exit(EXIT_PATIENCE_MS)?)
    }

    /// Reports whether the kernel ended a process for want of memory.
    pub(super) fn was_oom_killed(&self) -> bool {
        self.container
            .stats()
            .oom_kills
            .is_some_and(|count| count > 0)
    }

    /// Removes what the kernel keeps of a container that has ended.
    pub(super) fn clean_up(&self) {
        // What stays is found by its mark when the container is removed.
        drop(self.container.cgroup().remove());
    }

    /// Changes the limits; returns those that this machine cannot enforce.
    pub(super) fn update(&mut self, new: &Bundle) -> Result<Vec<String>, MonitorError> {
        let hierarchies = Hierarchies::detect()?;
        let resources = spec::resources(&new.container.limits)?;
        let missing = self
            .container
            .cgroup_mut()
            .update(&hierarchies, &resources)?;
        self.unenforced = missing.iter().map(shown).collect();
        Ok(self.unenforced.clone())
    }

    /// Sets the size of the terminal.
    pub(super) fn resize(&self, rows: u16, columns: u16) -> Result<(), MonitorError> {
        let Some(console) = &self.console else {
            return Err(MonitorError::NoTerminal);
        };
        let size = rustix::termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(console.file(), size).map_err(keep)
    }

    /// Reports whether it has a terminal that we hold.
    pub(super) fn has_console(&self) -> bool {
        self.console.is_some()
    }

    /// Reads what the terminal shows, at most one chunk.
    pub(super) fn read_console(&mut self) -> Vec<u8> {
        let Some(console) = &mut self.console else {
            return Vec::new();
        };
        console.press();
        match console.read() {
            Shown::Bytes(bytes) => bytes,
            Shown::End => {
                self.console = None;
                Vec::new()
            }
        }
    }

    /// Types keys into the terminal.
    pub(super) fn write_console(&mut self, keys: &[u8]) {
        if let Some(console) = &mut self.console {
            console.type_keys(keys);
        }
    }

    /// Reports whether its terminal takes keys.
    pub(super) fn keyboard(&self) -> Keyboard {
        self.console
            .as_ref()
            .map_or(Keyboard::Ready, Console::keyboard)
    }

    /// Begins a probe's command inside, with its output to `output`.
    pub(super) fn exec_probe(
        &self,
        bundle: &Bundle,
        command: &[String],
        output: OwnedFd,
    ) -> Result<Executed, MonitorError> {
        let null = File::open("/dev/null").map_err(|source| MonitorError::Keep {
            act: "open the null device",
            source,
        })?;
        let errors = rustix::io::fcntl_dupfd_cloexec(&output, 3).map_err(keep)?;
        let own_program = OwnProgram::open().map_err(MonitorError::kernel("start a probe"))?;
        let started = exec::begin(ExecRequest {
            own_program: &own_program,
            container: &self.container,
            first: &self.first,
            seccomp: &bundle.seccomp,
            args: command.to_vec(),
            env: Vec::new(),
            user: None,
            cwd: None,
            privilege: Privilege::Confined,
            stdio: Stdio::Files([null.into(), output, errors]),
        });
        Ok(started?)
    }
}
