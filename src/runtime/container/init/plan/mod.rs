//! A `Spec` and what goes with it → an [`InitPlan`]: every choice taken, every host path opened.

mod mounts;
mod devices;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};

use super::filesystem::{DeviceStep, MountStep};
use super::finish::{FinishPlan, ProcessSettings};
use super::sysctl::{self, OwnNamespaces, Sysctl};
use crate::runtime::container::bundle::{JoinedNamespace, Lifetime};
use crate::runtime::container::cgroup::Hierarchies;
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::mount::Propagation;
use crate::runtime::kernel::namespace::Namespaces;
use crate::runtime::kernel::rooted::{Target, TargetKind};
use crate::runtime::kernel::sys::Territory;
use devices::{devices, usual_devices};
use mounts::Mounts;

/// What the plan is made from, beside the `Spec`.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) settings: &'a ProcessSettings,
    pub(crate) rootfs: OwnedFd,
    /// Namespaces of others to enter in the child.
    pub(crate) join: Vec<(OwnedFd, Namespaces)>,
    /// The pid namespace of another container, in which the program begins.
    pub(crate) pid: Option<JoinedNamespace>,
    /// A process of the container whose /dev/shm it shares.
    pub(crate) shared_memory: Option<OwnedFd>,
    /// What is mounted already, detached, by its target.
    pub(crate) mounted: BTreeMap<PathBuf, OwnedFd>,
    /// The v1 `tasks` files to enter.
    pub(crate) tasks: Vec<OwnedFd>,
    pub(crate) hierarchies: &'a Hierarchies,
    pub(crate) stdio: StdioPlan,
    pub(crate) reaper: bool,
    /// Whether it outlives the thread that makes it.
    pub(crate) lifetime: Lifetime,
    pub(crate) territory: Territory,
}

/// Descriptors 0, 1 and 2.
#[derive(Debug)]
pub(crate) enum StdioPlan {
    /// Three files, none of them numbered below 3.
    Files([OwnedFd; 3]),
    /// A terminal to be made in the container, with rows and columns.
    Terminal { size: (u16, u16), console: Target },
}

/// All that the child does.
#[derive(Debug)]
pub(crate) struct InitPlan {
    pub(super) tasks: Vec<OwnedFd>,
    pub(super) own_cgroup_namespace: bool,
    pub(super) join: Vec<(OwnedFd, Namespaces)>,
    pub(super) pid: Option<JoinedNamespace>,
    pub(super) shared_memory: Option<OwnedFd>,
    /// The host's procfs, through which the child reaches its own files.
    pub(super) own_proc: OwnedFd,
    pub(super) hostname: Option<Vec<u8>>,
    pub(super) domainname: Option<Vec<u8>>,
    pub(super) rootfs: OwnedFd,
    pub(super) root_propagation: Propagation,
    pub(super) root_read_only: bool,
    pub(super) mounts: Vec<MountStep>,
    /// The mount after which /dev is the container's own.
    pub(super) dev_after: Option<usize>,
    pub(super) dev: Target,
    pub(super) null: Target,
    pub(super) usual_devices: Vec<DeviceStep>,
    pub(super) devices: Vec<DeviceStep>,
    pub(super) sealed: Vec<Target>,
    pub(super) sysctls: Vec<Sysctl>,
    pub(super) read_only: Vec<Target>,
    pub(super) masked: Vec<Target>,
    pub(super) stdio: StdioPlan,
    pub(super) reaper: bool,
    /// Whether the container outlives the thread that makes it.
    pub(super) lifetime: Lifetime,
    pub(super) finish: FinishPlan,
}

impl InitPlan {
    /// Takes every choice and opens everything of the host that the container will show.
    pub(crate) fn new(parts: Parts<'_>) -> Result<Self, ContainerError> {
        let Parts {
            spec,
            settings,
            territory,
            ..
        } = parts;
        let linux = spec.linux().clone().unwrap_or_default();
        let own = |kind| own_namespace(&linux, kind);
        let mut compiled = Mounts::new(parts.mounted);
        for mount in spec.mounts().iter().flatten() {
            compiled.add(mount, parts.hierarchies)?;
        }
        let own_namespaces = OwnNamespaces {
            network: own(LinuxNamespaceType::Network),
            ipc: own(LinuxNamespaceType::Ipc),
            uts: own(LinuxNamespaceType::Uts),
        };
        let mut sysctls = Vec::new();
        for (key, value) in linux.sysctl().iter().flatten() {
            sysctls.push(sysctl::check(key, value, own_namespaces)?);
        }
        sysctls.sort_by(|one, other| one.path.cmp(&other.path));
        let root = spec.root().as_ref();
        Ok(Self {
            tasks: parts.tasks,
            own_cgroup_namespace: own(LinuxNamespaceType::Cgroup),
            join: parts.join,
            pid: parts.pid,
            shared_memory: parts.shared_memory,
            own_proc: open_own_proc()?,
            hostname: spec
                .hostname()
                .as_ref()
                .map(|name| name.clone().into_bytes()),
            domainname: spec
                .domainname()
                .as_ref()
                .map(|name| name.clone().into_bytes()),
            rootfs: parts.rootfs,
            root_propagation: root_propagation(linux.rootfs_propagation().as_deref())?,
            root_read_only: root.is_some_and(|root| root.readonly().unwrap_or(false)),
            mounts: compiled.steps,
            dev_after: compiled.dev_after,
            dev: target(Path::new("/dev"), TargetKind::Directory)?,
            null: target(Path::new("/dev/null"), TargetKind::File)?,
            usual_devices: usual_devices(territory)?,
            devices: devices(&linux, territory)?,
            sealed: compiled.sealed,
            sysctls,
            read_only: targets(linux.readonly_paths().as_deref())?,
            masked: targets(linux.masked_paths().as_deref())?,
            stdio: parts.stdio,
            reaper: parts.reaper,
            lifetime: parts.lifetime,
            finish: FinishPlan::new(settings)?,
        })
    }
}

fn open_own_proc() -> Result<OwnedFd, ContainerError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(c"/proc", flags, Mode::empty()).map_err(ContainerError::call("open `/proc`"))
}

impl InitPlan {
    /// Says whether the program begins among the processes of another container.
    pub(crate) fn joins_processes(&self) -> bool {
        self.pid.is_some()
    }
}

/// Says whether the container has a namespace of this kind that is not the host's.
pub(crate) fn own_namespace(linux: &Linux, kind: LinuxNamespaceType) -> bool {
    linux
        .namespaces()
        .iter()
        .flatten()
        .any(|namespace| namespace.typ() == kind)
}

fn root_propagation(text: Option<&str>) -> Result<Propagation, ContainerError> {
    Ok(
        match text.map(|text| text.strip_prefix('r').unwrap_or(text)) {
            None | Some("" | "private") => Propagation::Private,
            Some("slave") => Propagation::Slave,
            Some("shared") => Propagation::Shared,
            Some("unbindable") => Propagation::Unbindable,
            Some(other) => {
                let reason = "private, slave, shared or unbindable is expected";
                return Err(ContainerError::setting(
                    "the root's propagation",
                    other,
                    reason,
                ));
            }
        },
    )
}

pub(crate) fn target(path: &Path, kind: TargetKind) -> Result<Target, ContainerError> {
    Target::new(path, kind).map_err(ContainerError::kernel("use a path of the container"))
}

fn targets(paths: Option<&[String]>) -> Result<Vec<Target>, ContainerError> {
    paths
        .unwrap_or_default()
        .iter()
        .map(|path| target(Path::new(path), TargetKind::File))
        .collect()
}
