//! Tar entries into a directory tree, each at its own place and nowhere else.
//!
//! A layer is unpacked into an empty directory of its own, so that no other layer's links exist in it.
//! Parents are opened by [`Root`], which follows links inside the root only; the last name is created
//! anew each time and never followed.
//!
//! **Invariant:** nothing outside the root is opened, changed or named, whatever the entries say.

use std::ffi::{CStr, CString};
use std::io::{self, BufRead};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;

use super::metadata::{self, Losses, Privilege};
use super::name::{Meaning, Place};
use super::tar::{Archive, Entry, Kind, TarError};
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::rooted::Root;

/// The most entries of one layer.
const ENTRIES_LIMIT: u64 = 2_000_000;
/// The most bytes of names that are remembered to set the times of directories at the end.
const REMEMBERED_LIMIT_BYTES: usize = 64 << 20;
/// How much is written between two looks at the free space.
const CHECK_SPACE_EVERY_BYTES: u64 = 64 << 20;
/// What must stay free on the disk.
const RESERVE_BYTES: u64 = 64 << 20;
/// What an entry without content is taken to need on the disk.
const ENTRY_COST_BYTES: u64 = 4 << 10;

/// Why an entry is not unpacked.
#[derive(Debug)]
pub(super) enum Problem {
    Refused(&'static str),
    Io(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Problem {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::LOOP => Self::Refused("its name leads through a loop of links"),
            Errno::NAMETOOLONG => Self::Refused("its name is too long"),
            _ => Self::Io(errno.into()),
        }
    }
}

impl From<KernelError> for Problem {
    fn from(error: KernelError) -> Self {
        match error.errno() {
            Some(errno) => errno.into(),
            None => Self::Refused("its name cannot be given to the kernel"),
        }
    }
}

impl From<TarError> for Problem {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => Self::Io(error),
            TarError::Refused(reason) => Self::Refused(reason),
        }
    }
}

/// An entry that could not be unpacked.
#[derive(Debug)]
pub(super) struct EntryError {
    pub(super) number: u64,
    pub(super) name: Vec<u8>,
    pub(super) problem: Problem,
}

/// What came out of a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::runtime::image) struct Unpacked {
    pub(in crate::runtime::image) entries: u64,
    pub(in crate::runtime::image) content_bytes: u64,
    pub(in crate::runtime::image) losses: Losses,
}

/// Whether there are layers below the one being unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::image) enum Below {
    /// There are, and whiteouts hide parts of them.
    Layers,
    /// There is nothing that could be hidden.
    Nothing,
    /// Files of the very tree that is unpacked into: a whiteout removes them.
    Files,
}

/// A layer on its way into a directory.
#[derive(Debug)]
pub(super) struct Extractor {
    root: Root,
    privilege: Privilege,
    below: Below,
    /// Who gets everything, whatever the archive says.
    owner: Option<(u32, u32)>,
    /// The directory of the last entry: the next one is mostly in it as well.
    last_parent: Option<(PathBuf, OwnedFd)>,
    /// Directories whose time is set when nothing is created in them any more.
    dirs: Vec<(PathBuf, (i64, u32))>,
    remembered_bytes: usize,
    unchecked_bytes: u64,
    unpacked: Unpacked,
}

impl Extractor {
    pub(super) fn new(root: Root, privilege: Privilege, below: Below) -> Self {
        Self {
            root,
            privilege,
            below,
            owner: None,
            last_parent: None,
            dirs: Vec::new(),
            remembered_bytes: 0,
            unchecked_bytes: 0,
            unpacked: Unpacked::default(),
        }
    }

    /// Gives everything to one owner.
    pub(super) fn owned_by(mut self, owner: Option<(u32, u32)>) -> Self {
        self.owner = owner;
        self
    }

    /// Unpacks all entries of an archive.
    pub(super) fn run<R: BufRead>(
        mut self,
        archive: &mut Archive<R>,
    ) -> Result<Unpacked, EntryError> {
        loop {
            let number = self.unpacked.entries + 1;
            let failed = |name: Vec<u8>, problem| EntryError {
                number,
                name,
                problem,
            };
            let next = archive.next_entry();
            let Some(mut entry) = next.map_err(|error| failed(Vec::new(), error.into()))? else {
                break;
            };
            if let Some((uid, gid)) = self.owner {
                (entry.uid, entry.gid) = (uid, gid);
            }
            let done = self.entry(&entry, archive);
            done.map_err(|problem| failed(entry.name.clone(), problem))?;
            self.unpacked.entries = number;
        }
        let number = self.unpacked.entries;
        self.finish().map_err(|problem| EntryError {
            number,
            name: Vec::new(),
            problem,
        })
    }

    fn entry<R: BufRead>(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), Problem> {
        if self.unpacked.entries >= ENTRIES_LIMIT {
            return Err(Problem::Refused(
                "the layer has more than 2,000,000 entries",
            ));
        }
        self.reserve(entry.size_bytes.saturating_add(ENTRY_COST_BYTES))?;
        match Meaning::of(&entry.name).map_err(Problem::Refused)? {
            Meaning::Ignored => refuse_content(entry),
            Meaning::Root => self.root_dir(entry),
            Meaning::Thing(place) => self.thing(entry, &place, archive),
            Meaning::Whiteout(place) => {
                refuse_content(entry)?;
                self.whiteout(&place)
            }
            Meaning::Opaque(dir) => {
                refuse_content(entry)?;
                self.opaque(&dir)
            }
        }
    }

    /// Makes sure, now and then, that writing on leaves some room on the disk.
    fn reserve(&mut self, size_bytes: u64) -> Result<(), Problem> {
        self.unchecked_bytes = self.unchecked_bytes.saturating_add(size_bytes);
        if self.unchecked_bytes < CHECK_SPACE_EVERY_BYTES {
            return Ok(());
        }
        let disk = rustix::fs::fstatvfs(&self.root)?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free_bytes < size_bytes.saturating_add(RESERVE_BYTES) {
            return Err(Problem::Io(io::ErrorKind::StorageFull.into()));
        }
        self.unchecked_bytes = 0;
        Ok(())
    }

    fn root_dir(&mut self, entry: &Entry) -> Result<(), Problem> {
        if entry.kind != Kind::Dir {
            return Err(Problem::Refused("the root is not a directory in it"));
        }
        let root = self.root.as_fd();
        metadata::apply(root, entry, self.privilege, &mut self.unpacked.losses)?;
        self.remember(Path::new(""), entry.mtime)
    }

    fn thing<R: BufRead>(
        &mut self,
        entry: &Entry,
        place: &Place,
        archive: &mut Archive<R>,
    ) -> Result<(), Problem> {
        let name = c_name(place)?;
        self.open_parent(place.parent())?;
        match entry.kind {
            Kind::Dir => return self.dir(entry, place, &name),
            Kind::HardLink => return self.hard_link(entry, place, &name),
            Kind::File | Kind::Symlink | Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {}
        }
        self.clear(place, &name)?;
        let dir = self.parent_fd();
        let mut losses = self.unpacked.losses;
        match entry.kind {
            Kind::File => {
                let file = new_file(dir, &name)?;
                let count = archive.copy_content(&file)?;
                metadata::apply(file.as_fd(), entry, self.privilege, &mut losses)?;
                self.unpacked.content_bytes += count;
            }
            Kind::Symlink => {
                let text = CString::new(&*entry.link);
                let text = text.map_err(|_| Problem::Refused("its link contains NUL"))?;
                rustix::fs::symlinkat(&text, dir, &name)?;
                metadata::apply_by_name((dir, &name), entry, self.privilege, &mut losses)?;
            }
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {
                node((dir, &name), entry, self.privilege, &mut losses)?;
            }
            Kind::Dir | Kind::HardLink => {}
        }
        self.unpacked.losses = losses;
        Ok(())
    }

    fn dir(&mut self, entry: &Entry, place: &Place, name: &CStr) -> Result<(), Problem> {
        let found = look(self.parent_fd(), name)?;
        let is_there = found.is_some_and(|stat| is_dir(&stat));
        if !is_there {
            self.clear(place, name)?;
            rustix::fs::mkdirat(self.parent_fd(), name, Mode::RWXU)?;
        }
        let dir = open_dir(self.parent_fd(), name)?;
        if found.is_some_and(|stat| is_whiteout(&stat)) {
            self.set_opaque(dir.as_fd())?;
        }
        let mut losses = self.unpacked.losses;
        metadata::apply(dir.as_fd(), entry, self.privilege, &mut losses)?;
        self.unpacked.losses = losses;
        self.remember(place.path(), entry.mtime)
    }

    fn hard_link(&mut self, entry: &Entry, place: &Place, name: &CStr) -> Result<(), Problem> {
        const MISSING: Problem =
            Problem::Refused("the target of its hard link is not in this layer");
        let target = Place::parse(&entry.link).map_err(Problem::Refused)?;
        let Some(target) = target.filter(|target| target.path() != place.path()) else {
            return Err(MISSING);
        };
        let found = self.root.parent(target.path());
        let (target_dir, target_name) = found.map_err(|error| match error.errno() {
            Some(Errno::NOENT | Errno::NOTDIR) => MISSING,
            _ => error.into(),
        })?;
        match look(target_dir.as_fd(), &target_name)? {
            Some(stat) if !is_dir(&stat) && !is_whiteout(&stat) => {}
            Some(_) | None => return Err(MISSING),
        }
        self.clear(place, name)?;
        let dir = self.parent_fd();
        // Without SYMLINK_FOLLOW: a link to a link is that link.
        rustix::fs::linkat(&target_dir, &target_name, dir, name, AtFlags::empty())?;
        Ok(())
    }

    fn whiteout(&mut self, place: &Place) -> Result<(), Problem> {
        if self.below == Below::Nothing {
            return Ok(());
        }
        let name = c_name(place)?;
        self.open_parent(place.parent())?;
        if self.below == Below::Files {
            return self.clear(place, &name);
        }
        match look(self.parent_fd(), &name)? {
            // What this layer itself has there stays; only what is below goes.
            Some(stat) if is_dir(&stat) => {
                let dir = open_dir(self.parent_fd(), &name)?;
                self.set_opaque(dir.as_fd())
            }
            Some(_) => Ok(()),
            None => {
                let dir = self.parent_fd();
                let mode = Mode::empty();
                rustix::fs::mknodat(dir, &name, FileType::CharacterDevice, mode, 0)?;
                Ok(())
            }
        }
    }

    fn opaque(&mut self, path: &Path) -> Result<(), Problem> {
        if self.below == Below::Nothing {
            return Ok(());
        }
        self.open_parent(path)?;
        if self.below == Below::Files {
            return remove_tree(&self.root, path);
        }
        let dir = self
            .root
            .open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        self.set_opaque(dir.as_fd())
    }

    fn set_opaque(&self, dir: BorrowedFd<'_>) -> Result<(), Problem> {
        let attribute = self.privilege.opaque_attribute();
        rustix::fs::fsetxattr(dir, attribute, b"y", XattrFlags::empty())?;
        Ok(())
    }

    /// Opens the directory of an entry, and makes it where the archive forgot to.
    fn open_parent(&mut self, path: &Path) -> Result<(), Problem> {
        if self
            .last_parent
            .as_ref()
            .is_some_and(|(last, _)| last == path)
        {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = match self.root.open_at(path, flags) {
            Ok(fd) => fd,
            Err(error) if error.errno() == Some(Errno::NOENT) => self.make_parents(path)?,
            Err(error) if error.errno() == Some(Errno::NOTDIR) => {
                return Err(Problem::Refused("a directory in its name is none"));
            }
            Err(error) => return Err(error.into()),
        };
        self.last_parent = Some((path.to_owned(), fd));
        Ok(())
    }

    fn make_parents(&self, path: &Path) -> Result<OwnedFd, Problem> {
        let made = self.root.mkdir_all(path);
        made.map_err(|error| match error.errno() {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::EXIST) => {
                Problem::Refused("a directory in its name is a link to nothing")
            }
            _ => error.into(),
        })
    }

    fn parent_fd(&self) -> BorrowedFd<'_> {
        match &self.last_parent {
            Some((_, fd)) => fd.as_fd(),
            None => self.root.as_fd(),
        }
    }

    /// Removes what an earlier entry left at this place.
    fn clear(&mut self, place: &Place, name: &CStr) -> Result<(), Problem> {
        let dir = self.parent_fd();
        let Some(stat) = look(dir, name)? else {
            return Ok(());
        };
        if is_dir(&stat) {
            remove_tree(&self.root, place.path())?;
            rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?;
        } else {
            rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
        }
        Ok(())
    }

    fn remember(&mut self, path: &Path, mtime: (i64, u32)) -> Result<(), Problem> {
        self.remembered_bytes += path.as_os_str().len() + 64;
        if self.remembered_bytes > REMEMBERED_LIMIT_BYTES {
            return Err(Problem::Refused(
                "the names of its directories have more than 64 MiB",
            ));
        }
        self.dirs.push((path.to_owned(), mtime));
        Ok(())
    }

    /// Sets the times of all directories that are still there.
    fn finish(self) -> Result<Unpacked, Problem> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        for (path, mtime) in self.dirs.iter().rev() {
            if let Ok(dir) = self.root.open_at(path, flags) {
                rustix::fs::futimens(&dir, &metadata::times(*mtime))?;
            }
        }
        Ok(self.unpacked)
    }
}

fn refuse_content(entry: &Entry) -> Result<(), Problem> {
    if entry.kind == Kind::File && entry.size_bytes == 0 || entry.kind == Kind::Dir {
        return Ok(());
    }
    Err(Problem::Refused("it is a whiteout with content"))
}

fn c_name(place: &Place) -> Result<CString, Problem> {
    let name = CString::new(place.name().as_bytes());
    name.map_err(|_| Problem::Refused("its name contains NUL"))
}

/// Looks at a name without following it.
fn look(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<Stat>, Problem> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Says whether it is the device 0/0, which an overlay takes for "nothing here".
fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn new_file(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Problem> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(
        dir,
        name,
        flags,
        Mode::RUSR | Mode::WUSR,
    )?)
}

fn open_dir(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Problem> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

/// Makes a pipe or a device; without the privilege a device is left out and counted.
fn node(
    (dir, name): (BorrowedFd<'_>, &CStr),
    entry: &Entry,
    privilege: Privilege,
    losses: &mut Losses,
) -> Result<(), Problem> {
    let (major, minor) = entry.device;
    let device = rustix::fs::makedev(major, minor);
    let (kind, device) = match entry.kind {
        Kind::BlockDevice => (FileType::BlockDevice, device),
        Kind::CharDevice if entry.device == (0, 0) => {
            return Err(Problem::Refused(
                "it is the device that hides what is below it",
            ));
        }
        Kind::CharDevice => (FileType::CharacterDevice, device),
        Kind::Fifo | Kind::File | Kind::HardLink | Kind::Symlink | Kind::Dir => (FileType::Fifo, 0),
    };
    if kind != FileType::Fifo && privilege == Privilege::Limited {
        losses.devices += 1;
        return Ok(());
    }
    rustix::fs::mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device)?;
    metadata::apply_by_name((dir, name), entry, privilege, losses)?;
    // It was made a moment ago in a directory that nobody else reaches: it is no link.
    rustix::fs::chmodat(dir, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
    Ok(())
}

/// Empties a directory; links in it are removed, not followed.
fn remove_tree(root: &Root, path: &Path) -> Result<(), Problem> {
    let mut dirs = Vec::new();
    for entry in root.walk(path)? {
        let entry = entry?;
        if is_dir(&entry.stat) {
            dirs.push(entry);
        } else {
            rustix::fs::unlinkat(entry.dir(), &entry.name, AtFlags::empty())?;
        }
    }
    for entry in dirs.into_iter().rev() {
        rustix::fs::unlinkat(entry.dir(), &entry.name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}
