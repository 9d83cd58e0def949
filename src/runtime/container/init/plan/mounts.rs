//! The mounts of a `Spec` into the steps that the child takes for them.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;
use rustix::fs::FileType;

use super::target;
use crate::runtime::container::cgroup::Hierarchies;
use crate::runtime::container::error::ContainerError;
use crate::runtime::container::init::filesystem::{Keep, MountFrom, MountStep};
use crate::runtime::container::init::finish::shown;
use crate::runtime::container::init::options::{self, MountOptions};
use crate::runtime::kernel::mount::{self, Depth, Propagation, Restrictions};
use crate::runtime::kernel::rooted::{Target, TargetKind};

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// What is mounted already, detached, by its target.
    mounted: BTreeMap<PathBuf, OwnedFd>,
    pub(super) steps: Vec<MountStep>,
    /// The step after which /dev is the container's own.
    pub(super) dev_after: Option<usize>,
    /// What is made read-only when all is mounted.
    pub(super) sealed: Vec<Target>,
}

impl Mounts {
    /// Begins with what is mounted already.
    pub(super) fn new(mounted: BTreeMap<PathBuf, OwnedFd>) -> Self {
        Self {
            mounted,
            ..Self::default()
        }
    }

    /// Takes the steps for one mount.
    pub(super) fn add(
        &mut self,
        mount: &Mount,
        hierarchies: &Hierarchies,
    ) -> Result<(), ContainerError> {
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
                    "tmpfs" if is_usual_shm(mount) => Keep::SharedMemory,
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
            label: format!(
                "the {} `{}` at `{}`",
                match kind {
                    TargetKind::Directory => "folder",
                    TargetKind::File => "file",
                },
                source.display(),
                destination.display()
            ),
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

/// Says whether this is the /dev/shm that every container gets, and not one that the user asked for.
fn is_usual_shm(mount: &Mount) -> bool {
    mount.destination() == Path::new("/dev/shm")
        && mount.source().as_deref() == Some(Path::new("shm"))
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
pub(super) fn open_source(source: &Path, depth: Depth) -> Result<OwnedFd, ContainerError> {
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
