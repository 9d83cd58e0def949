//! A directory tree, such as the upper directory of an overlay, into a layer's tar stream.
//!
//! What an overlay keeps as marks becomes what an image keeps as names: a deleted file is `.wh.NAME`, a
//! directory that hides those below it has `.wh..wh..opq`. Names are in order, times in whole seconds,
//! and no user's name is in it, so that the same tree always gives the same bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::metadata::{self, Privilege};
use super::tar::{Entry, Kind, TarWriter};
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::rooted::{self, EntryKind, Mounts, Root};

/// The most bytes of the names, and of one value, of a file's attributes; Linux allows no more.
const ATTRIBUTE_LIMIT_BYTES: usize = 64 << 10;

/// What a tree is, which says how its marks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::image) enum Tree {
    /// The changes that an overlay has kept.
    Changes(Privilege),
    /// All there is: nothing in it is a mark.
    Whole,
}

/// How a tree is packed.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime::image) struct Packing {
    pub(in crate::runtime::image) tree: Tree,
    /// What becomes of what is mounted in it.
    pub(in crate::runtime::image) mounts: Mounts,
    /// Which times are written as others.
    pub(in crate::runtime::image) times: Times,
    /// The root is written only where it differs from this.
    pub(in crate::runtime::image) root_like: RootLike,
}

/// Which times are written as others, for images that are the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// None.
    Kept,
    /// Those of directories that are later than this, in seconds since 1970.
    FoldersUntil(i64),
}

impl Times {
    fn of(self, stat: &Stat) -> i64 {
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        match self {
            Self::FoldersUntil(latest) if is_dir => stat.st_mtime.min(latest),
            Self::Kept | Self::FoldersUntil(_) => stat.st_mtime,
        }
    }
}

/// Mode and owner of a root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::image) struct RootLike {
    pub(in crate::runtime::image) mode: u32,
    pub(in crate::runtime::image) uid: u32,
    pub(in crate::runtime::image) gid: u32,
}

impl RootLike {
    /// What an empty image begins with.
    pub(in crate::runtime::image) const PLAIN: Self = Self {
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
}

/// What went into a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::runtime::image) struct Packed {
    pub(in crate::runtime::image) entries: u64,
    pub(in crate::runtime::image) content_bytes: u64,
}

/// Writes all files of a root filesystem as an archive.
pub fn pack_files(root: &Root, mounts: Mounts, sink: impl Write) -> io::Result<()> {
    let packing = Packing {
        tree: Tree::Whole,
        times: Times::Kept,
        mounts,
        root_like: RootLike::PLAIN,
    };
    let (mut sink, _) = pack(root, &packing, sink)?;
    sink.flush()
}

/// Writes one file, or a folder with everything in it, as an archive in which it has its own name.
pub fn pack_path(root: &Root, path: &Path, sink: impl Write) -> io::Result<()> {
    let mut packer = Packer::new(sink, Tree::Whole, Times::Kept);
    let mut found = root.look(path).map_err(failed)?;
    let name = PathBuf::from(OsStr::from_bytes(found.name.as_bytes()));
    found.path.clone_from(&name);
    packer.add(&found)?;
    if found.kind() == EntryKind::Directory {
        for entry in root.walk(path).map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            entry.path = name.join(&entry.path);
            packer.add(&entry)?;
        }
    }
    packer.writer.finish()?.flush()
}

/// Writes everything below a root as an archive.
pub(in crate::runtime::image) fn pack<W: Write>(
    root: &Root,
    packing: &Packing,
    sink: W,
) -> io::Result<(W, Packed)> {
    let mut packer = Packer::new(sink, packing.tree, packing.times);
    packer.root(root, packing.root_like)?;
    let walk = root.walk_with(Path::new(""), packing.mounts);
    for entry in walk.map_err(failed)? {
        packer.add(&entry.map_err(failed)?)?;
    }
    Ok((packer.writer.finish()?, packer.packed))
}

fn failed(error: KernelError) -> io::Error {
    match error.errno() {
        Some(errno) => io::Error::new(io::Error::from(errno).kind(), error),
        None => io::Error::other(error),
    }
}

struct Packer<W> {
    writer: TarWriter<W>,
    tree: Tree,
    times: Times,
    /// Files with more than one name, by their numbers.
    links: BTreeMap<(u64, u64), Vec<u8>>,
    packed: Packed,
}

impl<W: Write> Packer<W> {
    fn new(sink: W, tree: Tree, times: Times) -> Self {
        Self {
            writer: TarWriter::new(sink),
            tree,
            times,
            links: BTreeMap::new(),
            packed: Packed::default(),
        }
    }

    fn root(&mut self, root: &Root, like: RootLike) -> io::Result<()> {
        let stat = rustix::fs::fstat(root)?;
        let own = RootLike {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
        };
        if own == like {
            return Ok(());
        }
        let entry = self.entry(b"./", Kind::Dir, &stat);
        self.write(&entry)
    }

    fn add(&mut self, found: &rooted::Entry) -> io::Result<()> {
        let name = found.path.as_os_str().as_bytes();
        let stat = &found.stat;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::CharacterDevice if stat.st_rdev == 0 => {
                if matches!(self.tree, Tree::Changes(_)) {
                    return self.mark(whiteout_name(&found.path));
                }
                // Outside of an overlay it is a device that no layer can hold.
                return Ok(());
            }
            FileType::CharacterDevice => Kind::CharDevice,
            // A socket is the end of a conversation that is over.
            FileType::Socket | FileType::Unknown => return Ok(()),
        };
        let mut entry = self.entry(name, kind, stat);
        if kind != Kind::Dir && stat.st_nlink > 1 && self.is_known(&mut entry, stat) {
            return self.write(&entry);
        }
        match kind {
            Kind::File => self.file(entry, found),
            Kind::Dir => self.dir(entry, found),
            Kind::Symlink => {
                let text = rustix::fs::readlinkat(found.dir(), &found.name, Vec::new())?;
                entry.link = text.into_bytes();
                self.write(&entry)
            }
            Kind::CharDevice | Kind::BlockDevice => {
                let device = stat.st_rdev;
                entry.device = (rustix::fs::major(device), rustix::fs::minor(device));
                self.write(&entry)
            }
            Kind::Fifo | Kind::HardLink => self.write(&entry),
        }
    }

    fn entry(&self, name: &[u8], kind: Kind, stat: &Stat) -> Entry {
        Entry {
            name: name.to_vec(),
            kind,
            size_bytes: 0,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (self.times.of(stat), 0),
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
        }
    }

    /// Turns an entry into a link to an earlier one, if it is another name of the same file.
    fn is_known(&mut self, entry: &mut Entry, stat: &Stat) -> bool {
        let number = (stat.st_dev, stat.st_ino);
        match self.links.get(&number) {
            Some(first) => {
                entry.kind = Kind::HardLink;
                entry.link.clone_from(first);
                true
            }
            None => {
                drop(self.links.insert(number, entry.name.clone()));
                false
            }
        }
    }

    fn file(&mut self, mut entry: Entry, found: &rooted::Entry) -> io::Result<()> {
        let file = found.open().map_err(failed)?;
        entry.xattrs = attributes(file.as_fd())?;
        // What is opened counts, not what was seen a moment before.
        let stat = rustix::fs::fstat(&file)?;
        entry.size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
        self.packed.entries += 1;
        self.packed.content_bytes += entry.size_bytes;
        self.writer.file(&entry, &mut File::from(file))
    }

    fn dir(&mut self, mut entry: Entry, found: &rooted::Entry) -> io::Result<()> {
        let dir = found.open().map_err(failed)?;
        entry.name.push(b'/');
        entry.xattrs = attributes(dir.as_fd())?;
        self.write(&entry)?;
        match self.tree {
            Tree::Changes(privilege) if is_opaque(&dir, privilege) => {
                entry.name.extend(b".wh..wh..opq");
                self.mark(entry.name)
            }
            Tree::Changes(_) | Tree::Whole => Ok(()),
        }
    }

    /// Writes an empty file whose name means something.
    fn mark(&mut self, name: Vec<u8>) -> io::Result<()> {
        self.write(&Entry {
            name,
            kind: Kind::File,
            size_bytes: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
        })
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        self.packed.entries += 1;
        self.writer.entry(entry)
    }
}

fn whiteout_name(path: &Path) -> Vec<u8> {
    let mut name = path
        .parent()
        .unwrap_or(Path::new(""))
        .as_os_str()
        .as_bytes()
        .to_vec();
    if !name.is_empty() {
        name.push(b'/');
    }
    name.extend(b".wh.");
    name.extend(path.file_name().unwrap_or_default().as_bytes());
    name
}

fn is_opaque(dir: &OwnedFd, privilege: Privilege) -> bool {
    let mut value = [0; 1];
    let read = rustix::fs::fgetxattr(dir, privilege.opaque_attribute(), &mut value);
    matches!(read, Ok(1) if value == *b"y")
}

/// Returns the attributes that belong into an image, by name.
fn attributes(file: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let length = match rustix::fs::flistxattr(file, &mut [0_u8; 0]) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Ok(length) => length,
        Err(errno) => return Err(errno.into()),
    };
    let mut names = vec![0; length.min(ATTRIBUTE_LIMIT_BYTES)];
    let length = rustix::fs::flistxattr(file, &mut names)?;
    let mut kept = Vec::new();
    let mut value = vec![0; ATTRIBUTE_LIMIT_BYTES];
    for name in names[..length].split(|&byte| byte == 0) {
        if name.is_empty() {
            continue;
        }
        let length = match rustix::fs::fgetxattr(file, name, &mut value) {
            Ok(length) => length,
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => continue,
            Err(errno) => return Err(errno.into()),
        };
        if metadata::is_kept(name, &value[..length]) {
            kept.push((name.to_vec(), value[..length].to_vec()));
        }
    }
    kept.sort();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;
    use std::os::unix::fs::symlink;

    use rustix::fs::{Mode, OFlags, XattrFlags};

    use super::super::tar::Archive;
    use super::*;

    fn packed(dir: &Path, tree: Tree, times: Times) -> Vec<(String, Kind, String, i64)> {
        let root = Root::open(dir).unwrap();
        let packing = Packing {
            tree,
            mounts: Mounts::Entered,
            times,
            root_like: RootLike {
                mode: 0o755,
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
            },
        };
        let (bytes, _) = pack(&root, &packing, Vec::new()).unwrap();
        let mut archive = Archive::new(BufReader::new(&bytes[..]));
        let mut entries = Vec::new();
        while let Some(entry) = archive.next_entry().unwrap() {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            entries.push((
                text(entry.name),
                entry.kind,
                text(entry.link),
                entry.mtime.0,
            ));
        }
        entries
    }

    #[test]
    fn marks_of_an_overlay_become_names_of_a_layer() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::set_permissions(
            dir.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        std::fs::create_dir(path("hidden")).unwrap();
        std::fs::write(path("hidden/new"), b"x").unwrap();
        std::fs::hard_link(path("hidden/new"), path("same")).unwrap();
        symlink("hidden", path("link")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let mode = Mode::empty();
        rustix::fs::mknodat(&root, "gone", FileType::CharacterDevice, mode, 0).unwrap();
        let privilege = Privilege::own();
        let hidden = root.open_at(Path::new("hidden"), OFlags::RDONLY).unwrap();
        let attribute = privilege.opaque_attribute();
        rustix::fs::fsetxattr(&hidden, attribute, b"y", XattrFlags::empty()).unwrap();
        let names = |tree| -> Vec<(String, Kind, String)> {
            let entries = packed(dir.path(), tree, Times::Kept).into_iter();
            entries
                .map(|(name, kind, link, _)| (name, kind, link))
                .collect()
        };
        let entry = |name: &str, kind, link: &str| (name.to_owned(), kind, link.to_owned());
        assert_eq!(
            names(Tree::Changes(privilege)),
            [
                entry(".wh.gone", Kind::File, ""),
                entry("hidden/", Kind::Dir, ""),
                entry("hidden/.wh..wh..opq", Kind::File, ""),
                entry("hidden/new", Kind::File, ""),
                entry("link", Kind::Symlink, "hidden"),
                entry("same", Kind::HardLink, "hidden/new"),
            ]
        );
        let whole = names(Tree::Whole);
        assert!(
            whole.iter().all(|(name, _, _)| !name.contains(".wh.")),
            "{whole:?}"
        );
    }

    #[test]
    fn only_folders_take_the_source_date() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        std::fs::write(dir.path().join("folder/file"), b"x").unwrap();
        let entries = packed(dir.path(), Tree::Whole, Times::FoldersUntil(7));
        let time = |wanted: &str| {
            let mut found = entries.iter().filter(|(name, ..)| name == wanted);
            found.next().unwrap().3
        };
        assert_eq!(time("folder/"), 7);
        assert!(time("folder/file") > 7);
    }
}
