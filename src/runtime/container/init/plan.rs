//! A `Spec` and what goes with it → an [`InitPlan`]: every choice taken, every host path opened.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType, LinuxNamespaceType, Mount, Spec};
use rustix::fs::{FileType, Gid, Mode, Uid};

use super::filesystem::{DeviceHow, DeviceStep, Keep, MountFrom, MountStep};
use super::finish::{FinishPlan, ProcessSettings, RESOURCES, shown};
use super::options::{self, MountOptions};
use super::report::{Act, Failure};
use super::sysctl::{self, OwnNamespaces, Sysctl};
use crate::runtime::container::cgroup::Hierarchies;
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::mount::{self, Depth, Propagation, Restrictions};
use crate::runtime::kernel::namespace::Namespaces;
use crate::runtime::kernel::rooted::{Target, TargetKind};
use crate::runtime::kernel::sys::Territory;

/// What the plan is made from, beside the `Spec`.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) settings: &'a ProcessSettings,
    pub(crate) rootfs: OwnedFd,
    /// Namespaces of others to enter in the child.
    pub(crate) join: Vec<(OwnedFd, Namespaces)>,
    /// What is mounted already, detached, by its target.
    pub(crate) mounted: BTreeMap<PathBuf, OwnedFd>,
    /// The v1 `tasks` files to enter.
    pub(crate) tasks: Vec<OwnedFd>,
    pub(crate) hierarchies: &'a Hierarchies,
    pub(crate) stdio: StdioPlan,
    pub(crate) reaper: bool,
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
        let mut compiled = Mounts {
            mounted: parts.mounted,
            ..Mounts::default()
        };
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
            finish: FinishPlan::new(settings)?,
        })
    }

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
pub(crate) fn describe_finish(act: Act) -> &'static str {
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

#[derive(Debug, Default)]
struct Mounts {
    mounted: BTreeMap<PathBuf, OwnedFd>,
    steps: Vec<MountStep>,
    dev_after: Option<usize>,
    sealed: Vec<Target>,
}

impl Mounts {
    fn add(&mut self, mount: &Mount, hierarchies: &Hierarchies) -> Result<(), ContainerError> {
        let options = options::parse(mount.options().as_deref().unwrap_or_default())?;
        let destination = mount.destination();
        let kind = mount.typ().as_deref().unwrap_or("none");
        if options.bind.is_some() || kind == "bind" {
            return self.add_bind(mount, &options);
        }
        refuse_over_proc(destination, kind)?;
        match kind {
            "cgroup" | "cgroup2" => self.add_cgroups(destination, options.add, hierarchies),
            _ => {
                if destination == Path::new("/dev") {
                    self.dev_after = Some(self.steps.len());
                }
                let keep = match kind {
                    "proc" if destination == Path::new("/proc") => Keep::Proc,
                    "devpts" if destination == Path::new("/dev/pts") => Keep::Terminals,
                    _ => Keep::Nothing,
                };
                self.add_new(destination, kind, options, keep)
            }
        }
    }

    fn add_new(
        &mut self,
        destination: &Path,
        kind: &str,
        options: MountOptions,
        keep: Keep,
    ) -> Result<(), ContainerError> {
        let label = format!("`{}` ({kind})", destination.display());
        let kind = CString::new(kind).map_err(|_| {
            ContainerError::setting("a filesystem", &label, "its name holds a NUL byte")
        })?;
        let MountOptions {
            add,
            propagation,
            data,
            ..
        } = options;
        self.steps.push(MountStep {
            label,
            from: MountFrom::New {
                kind,
                options: data,
                restrictions: add,
            },
            target: target(destination, TargetKind::Directory)?,
            propagation,
            keep,
        });
        Ok(())
    }

    fn add_bind(&mut self, mount: &Mount, options: &MountOptions) -> Result<(), ContainerError> {
        let destination = mount.destination();
        let source = mount.source().clone().unwrap_or_default();
        let is_proc = destination == Path::new("/proc") && source == Path::new("/proc");
        if !is_proc {
            refuse_over_proc(destination, "bind")?;
        }
        if let Some((key, _)) = options.data.first() {
            let reason = "a bind mount has no such option";
            return Err(ContainerError::setting(
                "a mount option",
                &shown(key),
                reason,
            ));
        }
        let depth = options.bind.unwrap_or(Depth::Tree);
        let tree = match self.mounted.remove(destination) {
            Some(mounted) => mounted,
            None => open_source(&source, depth)?,
        };
        let kind = if is_directory(&tree)? {
            TargetKind::Directory
        } else {
            TargetKind::File
        };
        // What the container mounts later must not show on the host, unless that is asked for.
        let propagation = options
            .propagation
            .unwrap_or((Propagation::Private, Depth::Tree));
        self.steps.push(MountStep {
            label: format!("`{}` at `{}`", source.display(), destination.display()),
            from: MountFrom::Tree {
                tree,
                add: options.add,
                remove: options.remove,
                depth: options.depth,
            },
            target: target(destination, kind)?,
            propagation: Some(propagation),
            keep: if is_proc { Keep::Proc } else { Keep::Nothing },
        });
        Ok(())
    }

    /// On v2 one filesystem; on v1 one per controller on a small tmpfs, which is then sealed.
    fn add_cgroups(
        &mut self,
        destination: &Path,
        restrictions: Restrictions,
        hierarchies: &Hierarchies,
    ) -> Result<(), ContainerError> {
        let plain = |add| MountOptions {
            add,
            remove: Restrictions::empty(),
            depth: Depth::One,
            bind: None,
            propagation: None,
            data: Vec::new(),
        };
        let controllers = hierarchies.v1_mounts();
        if controllers.len() == 0 {
            return if hierarchies.has_v2() {
                self.add_new(destination, "cgroup2", plain(restrictions), Keep::Nothing)
            } else {
                Ok(())
            };
        }
        let read_only = Restrictions::MOUNT_ATTR_RDONLY;
        let mut base = plain(restrictions.difference(read_only));
        base.data
            .push((c"mode".to_owned(), Some(c"755".to_owned())));
        self.add_new(destination, "tmpfs", base, Keep::Nothing)?;
        for controller in controllers {
            let mut each = plain(restrictions);
            for word in controller.split(',') {
                each.data
                    .extend(CString::new(word).ok().map(|word| (word, None)));
            }
            self.add_new(&destination.join(controller), "cgroup", each, Keep::Nothing)?;
        }
        if restrictions.contains(read_only) {
            self.sealed
                .push(target(destination, TargetKind::Directory)?);
        }
        Ok(())
    }
}

/// What stands in /proc decides what writing there means, so nothing may be put over it or into it,
/// but for the files by which some tell a container how large it is (CVE-2019-16884 and its kin).
fn refuse_over_proc(destination: &Path, kind: &str) -> Result<(), ContainerError> {
    const HARMLESS: [&str; 8] = [
        "cpuinfo",
        "diskstats",
        "meminfo",
        "stat",
        "swaps",
        "uptime",
        "loadavg",
        "slabinfo",
    ];
    let plain: PathBuf = destination.components().collect();
    let Ok(below) = plain.strip_prefix("/proc") else {
        return Ok(());
    };
    let is_root = below.as_os_str().is_empty();
    let harmless = HARMLESS.iter().any(|name| below == Path::new(name));
    if (is_root && kind == "proc") || harmless {
        return Ok(());
    }
    let shown = destination.display().to_string();
    Err(ContainerError::setting(
        "a mount's target",
        &shown,
        "nothing can be mounted over /proc",
    ))
}

/// Opens a path of the host that the user chose.
fn open_source(source: &Path, depth: Depth) -> Result<OwnedFd, ContainerError> {
    let fail = |errno: rustix::io::Errno| ContainerError::HostFile {
        act: "mount",
        path: source.to_owned(),
        source: errno.into(),
    };
    let path =
        CString::new(source.as_os_str().as_bytes()).map_err(|_| fail(rustix::io::Errno::INVAL))?;
    mount::clone_path(&path, depth).map_err(fail)
}

fn is_directory(tree: &OwnedFd) -> Result<bool, ContainerError> {
    let stat = rustix::fs::fstat(tree).map_err(ContainerError::call("look at what is mounted"))?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// The devices that every program expects.
const USUAL_DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

fn usual_devices(territory: Territory) -> Result<Vec<DeviceStep>, ContainerError> {
    let steps = USUAL_DEVICES.iter().map(|(name, major, minor)| {
        let how = if territory == Territory::UserNamespace {
            bind_device(&Path::new("/dev").join(name))?
        } else {
            DeviceHow::Node {
                kind: FileType::CharacterDevice,
                mode: Mode::from_raw_mode(0o666),
                number: rustix::fs::makedev(*major, *minor),
                owner: (Uid::ROOT, Gid::ROOT),
            }
        };
        device_step(&Path::new("/dev").join(name), how)
    });
    steps.collect()
}

fn devices(linux: &Linux, territory: Territory) -> Result<Vec<DeviceStep>, ContainerError> {
    let steps = linux.devices().iter().flatten().map(|device| {
        let how = if territory == Territory::UserNamespace {
            bind_device(device.path())?
        } else {
            node(device)?
        };
        device_step(device.path(), how)
    });
    steps.collect()
}

fn node(device: &LinuxDevice) -> Result<DeviceHow, ContainerError> {
    let shown = device.path().display().to_string();
    let refuse = |reason| ContainerError::setting("a device", &shown, reason);
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(refuse("its kind is not said")),
    };
    let part = |number: i64| u32::try_from(number).map_err(|_| refuse("its number is negative"));
    let (major, minor) = (part(device.major())?, part(device.minor())?);
    Ok(DeviceHow::Node {
        kind,
        mode: Mode::from_raw_mode(device.file_mode().unwrap_or(0o666) & 0o7777),
        number: rustix::fs::makedev(major, minor),
        owner: (
            Uid::from_raw(device.uid().unwrap_or(0)),
            Gid::from_raw(device.gid().unwrap_or(0)),
        ),
    })
}

fn bind_device(path: &Path) -> Result<DeviceHow, ContainerError> {
    Ok(DeviceHow::Bind {
        tree: open_source(path, Depth::One)?,
        target: target(path, TargetKind::File)?,
    })
}

fn device_step(path: &Path, how: DeviceHow) -> Result<DeviceStep, ContainerError> {
    let label = path.display().to_string();
    let refuse = |reason| ContainerError::setting("a device", &label, reason);
    let name = path
        .file_name()
        .ok_or_else(|| refuse("its path has no last name"))?;
    let name = CString::new(name.as_bytes()).map_err(|_| refuse("its path holds a NUL byte"))?;
    let dir = target(
        path.parent().unwrap_or(Path::new("/")),
        TargetKind::Directory,
    )?;
    Ok(DeviceStep {
        label,
        dir,
        name,
        how,
    })
}

/// Returns the number of a resource limit by its OCI name.
pub(crate) fn resource_number(kind: oci_spec::runtime::PosixRlimitType) -> usize {
    // Both lists are in the same order.
    let number = kind as usize;
    number.min(RESOURCES.len() - 1)
}
