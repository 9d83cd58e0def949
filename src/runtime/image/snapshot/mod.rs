//! An image and a container's own directories into a mounted root filesystem.
//!
//! [`prepare`] makes the directories and says how the root is put together, as data that a monitor can
//! be handed; [`Snapshot::mount`] does it. The result is a detached mount: it goes away with the last
//! descriptor or namespace that holds it.
//!
//! | what there is | how the root is put together |
//! |---|---|
//! | layers | one overlay over them |
//! | a host directory | one overlay over it |
//! | a host directory with mounts below, in a user namespace | an overlay for each directory without |
//! | no overlay on this machine | a copy |
//!
//! **Invariant:** the state directory itself is never visible in a container.

mod copy;
mod host;
mod parents;
mod skeleton;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::layer::Privilege;
use super::{ImageError, RootSource};
use crate::runtime::kernel::mount::{self, Depth};
use crate::runtime::kernel::overlay::{self, Overlay, OverlayUpper};
use crate::runtime::kernel::{KernelError, failpoint};
use crate::runtime::store;

/// Where a container keeps its changes; both are on one filesystem and belong to it alone.
#[derive(Debug, Clone, Copy)]
pub struct Writable<'a> {
    /// What differs from the image.
    pub upper: &'a Path,
    /// The kernel's scratch directory beside it.
    pub work: &'a Path,
    /// The state directory, which must stay out of sight.
    pub state: &'a Path,
}

/// How a root filesystem is put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Snapshot {
    /// One overlay.
    Overlay {
        /// Read-only directories, topmost first.
        lowers: Vec<PathBuf>,
        /// What differs from them.
        upper: PathBuf,
        /// The kernel's scratch directory.
        work: PathBuf,
    },
    /// A plain directory with an overlay on each of its parts.
    Parts {
        /// The directory: links, empty directories, places to mount on.
        skeleton: PathBuf,
        /// What is mounted on it, parents first.
        parts: Vec<Part>,
    },
    /// A plain directory that has everything.
    Plain {
        /// The directory.
        root: PathBuf,
    },
}

/// One overlay of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Where it is, below the root.
    pub path: PathBuf,
    /// The host's directory, and perhaps one of ours above it.
    pub lowers: Vec<PathBuf>,
    /// What differs from it.
    pub upper: PathBuf,
    /// The kernel's scratch directory.
    pub work: PathBuf,
}

/// Makes the directories of a container and says how its root filesystem is put together.
///
/// Done before each start: what is there already, changes included, is kept.
pub fn prepare(root: &RootSource, writable: &Writable<'_>) -> Result<Snapshot, ImageError> {
    let hit = failpoint::hit("image.snapshot.prepare");
    hit.map_err(|error| ImageError::write(writable.upper, error))?;
    store::make_dir(writable.work)?;
    if copy::is_made(writable.work) {
        return Ok(Snapshot::Plain {
            root: writable.upper.to_owned(),
        });
    }
    match root {
        RootSource::Layers(lowers) => {
            let Some(top) = lowers.first() else {
                make_like(writable.upper, Path::new("/"))?;
                return Ok(Snapshot::Plain {
                    root: writable.upper.to_owned(),
                });
            };
            make_like(writable.upper, top)?;
            Ok(overlay(lowers.clone(), writable))
        }
        RootSource::HostDir(dir) => host::prepare(dir, writable, Privilege::own()),
    }
}

fn overlay(lowers: Vec<PathBuf>, writable: &Writable<'_>) -> Snapshot {
    Snapshot::Overlay {
        lowers,
        upper: writable.upper.to_owned(),
        work: writable.work.to_owned(),
    }
}

impl Snapshot {
    /// Puts the root filesystem together; the result is a detached mount.
    ///
    /// Must run in a mount namespace of its own: parts are put together on its table for a moment.
    pub fn mount(&self) -> Result<OwnedFd, ImageError> {
        let hit = failpoint::hit("image.snapshot.mount");
        hit.map_err(assemble("mount it"))?;
        match self {
            Self::Overlay {
                lowers,
                upper,
                work,
            } => match mount_overlay(lowers, upper, work) {
                Err(error) if is_unsupported(&error) => {
                    copy::make(lowers, upper, work)?;
                    mount_plain(upper)
                }
                mounted => Ok(mounted.map_err(kernel("mount an overlay"))?),
            },
            Self::Parts { skeleton, parts } => host::mount(skeleton, parts),
            Self::Plain { root } => mount_plain(root),
        }
    }
}

impl Snapshot {
    /// Lets something be made at each of `paths`, though their directories may belong to ids that this
    /// user namespace does not have. Done before it is mounted.
    pub fn make_room(
        &self,
        paths: impl Iterator<Item = impl AsRef<Path>>,
    ) -> Result<(), ImageError> {
        match self {
            Self::Overlay { lowers, upper, .. } if Privilege::own() == Privilege::Limited => {
                match &**lowers {
                    [lower] => parents::take_over(lower, upper, paths),
                    // Layers were unpacked by us.
                    _ => Ok(()),
                }
            }
            Self::Overlay { .. } | Self::Parts { .. } | Self::Plain { .. } => Ok(()),
        }
    }
}

fn mount_overlay(lowers: &[PathBuf], upper: &Path, work: &Path) -> Result<OwnedFd, KernelError> {
    overlay::mount(&Overlay {
        lowers: lowers.to_vec(),
        upper: Some(OverlayUpper {
            upper: upper.to_owned(),
            work: work.to_owned(),
        }),
        in_user_namespace: Privilege::own() == Privilege::Limited,
        volatile: false,
    })
}

/// Says whether this machine, or the filesystem of the state directory, cannot do overlays.
fn is_unsupported(error: &KernelError) -> bool {
    let refusals = [
        Errno::NODEV,
        Errno::INVAL,
        Errno::PERM,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
    ];
    error.errno().is_some_and(|errno| refusals.contains(&errno))
}

fn mount_plain(root: &Path) -> Result<OwnedFd, ImageError> {
    let path = CString::new(root.as_os_str().as_bytes());
    let path = path.map_err(|_| assemble("mount it")(io::ErrorKind::InvalidInput.into()))?;
    let mounted = mount::clone_path(&path, Depth::One);
    mounted.map_err(|errno| assemble("mount a plain directory")(errno.into()))
}

fn assemble(act: &str) -> impl FnOnce(io::Error) -> ImageError {
    let act = act.to_owned();
    move |source| ImageError::Assemble { act, source }
}

fn kernel(act: &str) -> impl FnOnce(KernelError) -> ImageError {
    let act = act.to_owned();
    move |error| ImageError::Assemble {
        act,
        source: io::Error::other(error),
    }
}

/// Makes a directory that looks like `model`, once: what a container changes of it later stays.
///
/// The mode and owner of an upper directory are those that the container sees.
fn make_like(dir: &Path, model: &Path) -> Result<(), ImageError> {
    if dir.is_dir() {
        return Ok(());
    }
    let fail = |error| ImageError::write(dir, error);
    let metadata = fs::metadata(model).map_err(|error| ImageError::read(model, error))?;
    if let Some(parent) = dir.parent() {
        store::make_dir(parent)?;
    }
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = dir.with_file_name(name);
    store::remove_tree(&new)?;
    store::make_dir(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(metadata.mode() & 0o7777))
        .map_err(fail)?;
    take_owner(&new, &metadata);
    fs::rename(&new, dir).map_err(fail)
}

/// Gives a directory of ours the owner of another; one that has no id here leaves it to us.
fn take_owner(dir: &Path, model: &fs::Metadata) {
    drop(std::os::unix::fs::chown(
        dir,
        Some(model.uid()),
        Some(model.gid()),
    ));
}
