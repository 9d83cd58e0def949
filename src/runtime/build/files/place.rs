//! What was selected → the mounted draft of a layer, as BuildKit places it there.
//!
//! The destination's links are followed inside the image's root; below it nothing is followed.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};

use super::mode::{DIR_MODE, ModeChange};
use super::owner::Owner;
use super::resolve::resolve;
use super::select::Selection;
use super::tree::{Tree, TreeOwner};
use crate::runtime::build::BuildError;
use crate::runtime::kernel::rooted::{EntryKind, Root, copy_attributes, copy_content};

const SET_GROUP_ID: u32 = 0o2000;

/// How things are placed.
#[derive(Debug)]
pub(in crate::runtime::build) struct Placement<'a> {
    /// The mounted draft.
    pub(in crate::runtime::build) target: &'a Root,
    /// `--chown`
    pub(in crate::runtime::build) owner: Option<Owner>,
    /// `--chmod`
    pub(in crate::runtime::build) mode: Option<&'a ModeChange>,
    /// The time of folders that are made on the way, in seconds since 1970.
    pub(in crate::runtime::build) time: i64,
    /// Whether folders that were there before keep what they are.
    pub(in crate::runtime::build) folders: Folders,
}

/// What becomes of a folder that is there before a folder is copied onto it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::build) enum Folders {
    /// It gets mode, owner and time of the copied one.
    Overwritten,
    /// It stays as it is.
    Kept,
}

/// Makes a folder and those above it where they are missing; returns where it is, without any link.
pub(in crate::runtime::build) fn make_dirs(
    placement: &Placement<'_>,
    path: &Path,
) -> Result<PathBuf, BuildError> {
    let resolved = resolve(placement.target, path)?;
    let mut made = PathBuf::new();
    for part in &resolved {
        made.push(part);
        let act = || format!("make folder `/{}`", made.display());
        let stat = placement.target.stat_link(&made);
        match stat.map_err(BuildError::kernel(act()))? {
            Some(stat) if EntryKind::of(&stat) == EntryKind::Directory => continue,
            Some(_) => return Err(BuildError::refused(act(), "there is something else")),
            None => {}
        }
        let dir = make_dir(placement.target, &made)?;
        // A folder in one with the set-group-id bit has it as well.
        let stat = rustix::fs::fstat(&dir).map_err(BuildError::io(act()))?;
        let inherited = stat.st_mode & SET_GROUP_ID;
        let owner = placement.owner.unwrap_or(Owner::ROOT);
        let mode = placement.mode.map_or(DIR_MODE, ModeChange::of_made_folder);
        give(&dir, owner, mode | inherited).map_err(BuildError::io(act()))?;
        let times = at(placement.time, 0);
        rustix::fs::futimens(&dir, &times).map_err(BuildError::io(act()))?;
    }
    Ok(resolved)
}

fn make_dir(target: &Root, path: &Path) -> Result<OwnedFd, BuildError> {
    let act = || format!("make folder `/{}`", path.display());
    let (dir, name) = target.parent(path).map_err(BuildError::kernel(act()))?;
    rustix::fs::mkdirat(&dir, &name, Mode::RWXU).map_err(BuildError::io(act()))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&dir, &name, flags, Mode::empty()).map_err(BuildError::io(act()))
}

fn give(file: &OwnedFd, owner: Owner, mode: u32) -> Result<(), rustix::io::Errno> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    rustix::fs::fchown(file, Some(uid), Some(gid))?;
    // After the owner, whose change takes the set-id bits away.
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
}

fn at(seconds: i64, nanoseconds: u64) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Places what was selected at `dest`: as it, or in it where that is a folder.
pub(in crate::runtime::build) fn place(
    tree: &Tree,
    selection: &Selection,
    dest: &str,
    placement: &Placement<'_>,
) -> Result<(), BuildError> {
    let (above, last) = dest.rsplit_once('/').unwrap_or(("", dest));
    let ensured = if matches!(last, "" | ".") {
        dest
    } else {
        above
    };
    let _made = make_dirs(placement, Path::new(ensured))?;
    let mut path = resolve(placement.target, Path::new(dest))?;
    let act = || BuildError::kernel(format!("look at `{dest}`"));
    let there = placement.target.stat_link(&path).map_err(act())?;
    let is_dir = there.is_some_and(|stat| EntryKind::of(&stat) == EntryKind::Directory);
    if selection.is_dir() {
        if there.is_none() {
            let _made = make_dirs(placement, &path)?;
        } else if !is_dir {
            let act = format!("copy a folder to `{dest}`");
            return Err(BuildError::refused(act, "there is a file of that name"));
        }
    } else if is_dir {
        path.push(&selection.name);
    }
    let mut placer = Placer {
        tree,
        placement,
        links: BTreeMap::new(),
        made: Vec::new(),
    };
    if !selection.is_dir() {
        return placer.thing(&selection.path, &selection.stat, &path);
    }
    for item in &selection.below {
        let from = selection.path.join(&item.path);
        let to = path.join(&item.path);
        if EntryKind::of(&item.stat) == EntryKind::Directory {
            placer.dir(&from, &item.stat, &to, item.is_meant)?;
        } else {
            placer.thing(&from, &item.stat, &to)?;
        }
    }
    placer.finish()
}

struct Placer<'a> {
    tree: &'a Tree,
    placement: &'a Placement<'a>,
    /// Files with more than one name, by their numbers in the source.
    links: BTreeMap<(u64, u64), PathBuf>,
    /// Folders that get their times at the end.
    made: Vec<(PathBuf, Stat)>,
}

impl Placer<'_> {
    fn dir(
        &mut self,
        from: &Path,
        stat: &Stat,
        to: &Path,
        is_meant: bool,
    ) -> Result<(), BuildError> {
        let act = || format!("copy a folder to `/{}`", to.display());
        let target = self.placement.target;
        let there = target.stat_link(to).map_err(BuildError::kernel(act()))?;
        let dir = match there {
            None => make_dir(target, to)?,
            Some(there) if EntryKind::of(&there) == EntryKind::Directory => {
                if !is_meant || self.placement.folders == Folders::Kept {
                    return Ok(());
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                target
                    .open_at(to, flags)
                    .map_err(BuildError::kernel(act()))?
            }
            Some(_) => {
                return Err(BuildError::refused(
                    act(),
                    "there is something else of that name",
                ));
            }
        };
        give(&dir, self.owner(stat), self.mode(stat)).map_err(BuildError::io(act()))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let source = self.tree.root.open_at(from, flags);
        let source = source.map_err(BuildError::kernel(act()))?;
        copy_attributes(source.as_fd(), dir.as_fd()).map_err(BuildError::io(act()))?;
        self.made.push((to.to_owned(), *stat));
        Ok(())
    }

    fn owner(&self, stat: &Stat) -> Owner {
        match (self.placement.owner, self.tree.owner) {
            (Some(owner), _) => owner,
            (None, TreeOwner::Root) => Owner::ROOT,
            (None, TreeOwner::Kept) => Owner {
                uid: stat.st_uid,
                gid: stat.st_gid,
            },
        }
    }

    fn mode(&self, stat: &Stat) -> u32 {
        let mode = stat.st_mode & 0o7777;
        let is_dir = EntryKind::of(stat) == EntryKind::Directory;
        self.placement
            .mode
            .map_or(mode, |change| change.apply(mode, is_dir))
    }

    /// Copies what is no folder; a file that has the name already is replaced.
    fn thing(&mut self, from: &Path, stat: &Stat, to: &Path) -> Result<(), BuildError> {
        let act = || format!("copy to `/{}`", to.display());
        let target = self.placement.target;
        let there = target.stat_link(to).map_err(BuildError::kernel(act()))?;
        if let Some(there) = there {
            if EntryKind::of(&there) == EntryKind::Directory {
                return Err(BuildError::refused(act(), "there is a folder of that name"));
            }
            target.unlink(to).map_err(BuildError::kernel(act()))?;
        }
        let (dir, name) = target.parent(to).map_err(BuildError::kernel(act()))?;
        let number = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&number) {
                let (other, first) = target.parent(first).map_err(BuildError::kernel(act()))?;
                return rustix::fs::linkat(&other, &first, &dir, &name, AtFlags::empty())
                    .map_err(BuildError::io(act()));
            }
            drop(self.links.insert(number, to.to_owned()));
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(from, (&dir, &name)),
            FileType::Symlink => {
                let text = self.tree.root.read_link(from);
                let text = text.map_err(BuildError::kernel(act()))?;
                rustix::fs::symlinkat(&text, &dir, &name).map_err(BuildError::io(act()))?;
                self.by_name(stat, (&dir, &name))
                    .map_err(BuildError::io(act()))
            }
            kind @ (FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice) => {
                let mode = Mode::RUSR | Mode::WUSR;
                rustix::fs::mknodat(&dir, &name, kind, mode, stat.st_rdev)
                    .map_err(BuildError::io(act()))?;
                let mode = Mode::from_raw_mode(self.mode(stat));
                let done = self.by_name(stat, (&dir, &name)).and_then(|()| {
                    // It was made a moment ago where no other process writes: it is no link.
                    rustix::fs::chmodat(&dir, &name, mode, AtFlags::empty())
                });
                done.map_err(BuildError::io(act()))
            }
            // A socket is the end of a conversation that has no copy.
            FileType::Socket | FileType::Directory | FileType::Unknown => Ok(()),
        }
    }

    fn file(&self, from: &Path, (dir, name): (&OwnedFd, &CString)) -> Result<(), BuildError> {
        let act = || format!("copy `/{}`", from.display());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let source = self.tree.root.open_at(from, flags);
        let source = source.map_err(BuildError::kernel(act()))?;
        let copy = || {
            // What was opened counts, not what was seen before.
            let stat = rustix::fs::fstat(&source)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let mode = Mode::RUSR | Mode::WUSR;
            let file = rustix::fs::openat(dir, name, flags | OFlags::CLOEXEC, mode)?;
            copy_content(&source, &file)?;
            give(&file, self.owner(&stat), self.mode(&stat))?;
            copy_attributes(source.as_fd(), file.as_fd())?;
            rustix::fs::futimens(&file, &at(stat.st_mtime, stat.st_mtime_nsec))
        };
        copy().map_err(BuildError::io(act()))
    }

    fn by_name(
        &self,
        stat: &Stat,
        (dir, name): (&OwnedFd, &CString),
    ) -> Result<(), rustix::io::Errno> {
        let owner = self.owner(stat);
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(dir, name, Some(uid), Some(gid), no_follow)?;
        rustix::fs::utimensat(dir, name, &at(stat.st_mtime, stat.st_mtime_nsec), no_follow)
    }

    /// Sets the times of folders, now that nothing is made in them any more.
    fn finish(self) -> Result<(), BuildError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        for (path, stat) in self.made.iter().rev() {
            let act = || format!("set the time of `/{}`", path.display());
            let dir = self.placement.target.open_at(path, flags);
            let dir = dir.map_err(BuildError::kernel(act()))?;
            let times = at(stat.st_mtime, stat.st_mtime_nsec);
            rustix::fs::futimens(&dir, &times).map_err(BuildError::io(act()))?;
        }
        Ok(())
    }
}
