//! A tree that a build copies from: a context, the files of a stage or an image, or nothing.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, Timespec, Timestamps};

use super::view::View;
use crate::runtime::build::BuildError;
use crate::runtime::kernel::mount::{FsContext, Restrictions};
use crate::runtime::kernel::overlay::{self, Overlay};
use crate::runtime::kernel::rooted::Root;
use crate::runtime::kernel::sys;

/// Whose the files are when they are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::build) enum TreeOwner {
    /// Root's, whatever the owner in the tree.
    Root,
    /// As in the tree.
    Kept,
}

/// A tree and what of it can be seen.
#[derive(Debug)]
pub(in crate::runtime::build) struct Tree {
    pub(in crate::runtime::build) root: Root,
    pub(in crate::runtime::build) view: View,
    pub(in crate::runtime::build) owner: TreeOwner,
}

impl Tree {
    /// Opens a folder of this machine.
    pub(in crate::runtime::build) fn of_folder(
        folder: &Path,
        view: View,
        owner: TreeOwner,
    ) -> Result<Self, BuildError> {
        let act = format!("open the context `{}`", folder.display());
        let root = Root::open(folder).map_err(BuildError::kernel(act))?;
        Ok(Self { root, view, owner })
    }

    /// Opens unpacked layers, the topmost first.
    pub(in crate::runtime::build) fn of_layers(trees: &[PathBuf]) -> Result<Self, BuildError> {
        let root = match trees {
            [] => Root::from_fd(empty_root()?),
            [only] => Root::open(only).map_err(BuildError::kernel("open the files of an image"))?,
            several => {
                let in_user_namespace = sys::in_user_namespace();
                let mounted = overlay::mount(&Overlay {
                    lowers: several.to_vec(),
                    upper: None,
                    in_user_namespace: in_user_namespace
                        .map_err(BuildError::kernel("look at the user namespace"))?,
                    volatile: false,
                });
                Root::from_fd(mounted.map_err(BuildError::kernel("mount the files of an image"))?)
            }
        };
        Ok(Self {
            root,
            view: View::everything(),
            owner: TreeOwner::Kept,
        })
    }

    /// Makes a tree in memory that has one file; `time` is in seconds since 1970.
    pub(in crate::runtime::build) fn of_file(
        name: &str,
        mode: u32,
        content: &[u8],
        time: i64,
    ) -> Result<Self, BuildError> {
        let act = || format!("keep the file `{name}`");
        let root = empty_root()?;
        let plain = name.rsplit('/').next().unwrap_or(name);
        let plain =
            CString::new(plain).map_err(|_| BuildError::refused(act(), "its name contains NUL"))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&root, &plain, flags, Mode::RUSR | Mode::WUSR);
        let file = file.map_err(BuildError::io(act()))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(BuildError::io(act()))?;
        let mut rest = content;
        while !rest.is_empty() {
            let count = rustix::io::write(&file, rest).map_err(BuildError::io(act()))?;
            rest = &rest[count..];
        }
        let time = Timespec {
            tv_sec: time,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::futimens(&file, &times).map_err(BuildError::io(act()))?;
        Ok(Self {
            root: Root::from_fd(root),
            view: View::everything(),
            owner: TreeOwner::Root,
        })
    }
}

/// Mounts memory that no other process sees; gone with its last descriptor.
pub(in crate::runtime::build) fn empty_root() -> Result<OwnedFd, BuildError> {
    let act = "make a folder in memory";
    let context = FsContext::new(c"tmpfs").map_err(BuildError::io(act))?;
    let _ = context
        .string(c"mode", c"0755")
        .map_err(BuildError::io(act))?;
    context
        .mount(Restrictions::empty())
        .map_err(BuildError::io(act))
}
