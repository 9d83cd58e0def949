//! Files and folders from one root to another, such as between a container and the host, as `cp` copies them.
//!
//! Both sides are reached by descriptors alone: a link in a container leads nowhere outside it.
//! **Invariant:** a file that is there already is replaced in one step, so that no program reads half of it; only
//! where it is mounted by itself it is written in place.

mod error;

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

pub use error::CopyError;

use crate::runtime::kernel::rooted::{self, Entry, EntryKind, Root};

/// A path in one root.
#[derive(Debug)]
pub struct Location<'a> {
    /// What `/` is.
    pub root: &'a Root,
    /// The path below it, as it was typed: a `/` or `/.` at its end has a meaning.
    pub path: PathBuf,
}

/// What becomes of symbolic links that are named as what is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// They are copied as links.
    Keep,
    /// What they lead to is copied.
    Follow,
}

/// Whose the copies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// As what they are copies of, by number.
    Kept,
    /// This process's user.
    Own,
}

/// How things are copied.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// What becomes of links that are named.
    pub links: Links,
    /// Whose the copies are.
    pub owners: Owners,
}

/// Copies a file, a folder or, with `/.` at its end, what is in a folder; returns how many files were written.
pub fn copy(
    from: &Location<'_>,
    to: &Location<'_>,
    options: CopyOptions,
) -> Result<u64, CopyError> {
    let source = Source::find(from, options.links)?;
    let target = target(&source, to)?;
    let mut copier = Copier { options, count: 0 };
    if source.is_dir() {
        copier.folder(&source, to.root, &target)?;
    } else {
        copier.file(&source, to.root, &target)?;
    }
    Ok(copier.count)
}

/// What is copied.
struct Source<'a> {
    root: &'a Root,
    /// Where it is, without a `/` or `/.` at its end.
    path: PathBuf,
    stat: Stat,
    /// The name that it has in a folder; nothing for the content of a folder.
    name: Option<CString>,
}

impl<'a> Source<'a> {
    fn find(from: &Location<'a>, links: Links) -> Result<Self, CopyError> {
        let path = from.path.as_path();
        let follows = links == Links::Follow || is_named_as_folder(path);
        let stat = if follows {
            from.root.stat(path)?
        } else {
            from.root.stat_link(path)?
        };
        let Some(stat) = stat else {
            return Err(CopyError::NotFound {
                path: path.to_owned(),
            });
        };
        let is_dir = FileType::from_raw_mode(stat.st_mode).is_dir();
        if is_named_as_folder(path) && !is_dir {
            return Err(CopyError::NotAFolder {
                path: path.to_owned(),
            });
        }
        let name = if is_named_as_content(path) {
            None
        } else {
            path.file_name()
                .map(|name| rooted_name(name, path))
                .transpose()?
        };
        Ok(Self {
            root: from.root,
            path: path.components().collect(),
            stat,
            name,
        })
    }

    fn is_dir(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode).is_dir()
    }
}

/// Returns where the copy goes: into a folder that is there, or under the name itself.
fn target(source: &Source<'_>, to: &Location<'_>) -> Result<PathBuf, CopyError> {
    let plain: PathBuf = to.path.components().collect();
    let there = to.root.stat(&to.path)?;
    let is_dir = there
        .as_ref()
        .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
    if is_dir {
        return Ok(match &source.name {
            Some(name) => plain.join(std::ffi::OsStr::from_bytes(name.as_bytes())),
            None => plain,
        });
    }
    if there.is_some() && source.is_dir() {
        return Err(CopyError::FolderOntoFile { path: plain });
    }
    if is_named_as_folder(&to.path) && !source.is_dir() {
        return Err(CopyError::NotAFolder {
            path: to.path.clone(),
        });
    }
    let parent = plain.parent().unwrap_or(Path::new(""));
    let above = to.root.stat(parent)?;
    if above.is_none_or(|stat| !FileType::from_raw_mode(stat.st_mode).is_dir()) {
        return Err(CopyError::NoFolder {
            path: parent.to_owned(),
        });
    }
    Ok(plain)
}

/// Whether a path ends with `/` or `/.`, and so can only be that of a folder.
fn is_named_as_folder(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/") || is_named_as_content(path)
}

/// Whether a path ends with `/.`, and so means what is in a folder.
fn is_named_as_content(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/.")
        || bytes == b"."
        || path.components().next_back() == Some(Component::RootDir)
}

fn rooted_name(name: &std::ffi::OsStr, path: &Path) -> Result<CString, CopyError> {
    CString::new(name.as_bytes()).map_err(|_| CopyError::NotFound {
        path: path.to_owned(),
    })
}

/// What is to be put somewhere.
enum Content {
    File(OwnedFd),
    Link(CString),
    /// A pipe or device; its kind and number are in what is known of it.
    Node,
}

impl Content {
    /// Opens what a source is; `None` for a socket, which has no copy.
    fn of_source(source: &Source<'_>) -> Result<Option<Self>, CopyError> {
        Ok(match EntryKind::of(&source.stat) {
            EntryKind::Regular => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK;
                Some(Self::File(source.root.open_at(&source.path, flags)?))
            }
            EntryKind::Symlink => Some(Self::Link(source.root.read_link(&source.path)?)),
            EntryKind::Special | EntryKind::Directory => Self::node(&source.stat),
        })
    }

    /// Opens what a walk came by.
    fn of_entry(entry: &Entry) -> Result<Option<Self>, CopyError> {
        Ok(match entry.kind() {
            EntryKind::Regular => Some(Self::File(entry.open()?)),
            EntryKind::Symlink => {
                let text = rustix::fs::readlinkat(entry.dir(), &entry.name, Vec::new());
                let text = text.map_err(CopyError::on("read link", &entry.path))?;
                Some(Self::Link(text))
            }
            EntryKind::Special | EntryKind::Directory => Self::node(&entry.stat),
        })
    }

    fn node(stat: &Stat) -> Option<Self> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        (!kind.is_socket()).then_some(Self::Node)
    }
}

struct Copier {
    options: CopyOptions,
    count: u64,
}

impl Copier {
    /// Copies a folder and everything in it; what is in the target already stays beside it.
    fn folder(&mut self, source: &Source<'_>, root: &Root, target: &Path) -> Result<(), CopyError> {
        let mut made = vec![(target.to_owned(), source.stat)];
        make_folder(root, target)?;
        for entry in source.root.walk(&source.path)? {
            let entry = entry?;
            let path = target.join(&entry.path);
            if FileType::from_raw_mode(entry.stat.st_mode).is_dir() {
                make_folder(root, &path)?;
                made.push((path, entry.stat));
            } else if let Some(content) = Content::of_entry(&entry)? {
                self.put(root, &path, &entry.stat, content)?;
            }
        }
        // Last, from the inside out: what is put into a folder changes its times, and may need its mode.
        for (path, stat) in made.into_iter().rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let folder = root.open_at(&path, flags)?;
            self.finish(&folder, &stat)
                .map_err(CopyError::on("set mode and owner of", &path))?;
        }
        Ok(())
    }

    fn file(&mut self, source: &Source<'_>, root: &Root, target: &Path) -> Result<(), CopyError> {
        match Content::of_source(source)? {
            Some(content) => self.put(root, target, &source.stat, content),
            None => Err(CopyError::Socket {
                path: source.path.clone(),
            }),
        }
    }

    /// Puts one thing that is no folder under a name, in the place of what has that name.
    fn put(
        &mut self,
        root: &Root,
        target: &Path,
        stat: &Stat,
        content: Content,
    ) -> Result<(), CopyError> {
        let (dir, name) = root.parent(target)?;
        let act = CopyError::on("write", target);
        let new = self.make_beside(&dir, stat, &content).map_err(&act)?;
        let renamed = match rustix::fs::renameat(&dir, &new, &dir, &name) {
            // Something is mounted there.
            Err(Errno::BUSY | Errno::XDEV) => {
                let written = write_in_place(root, target, content);
                discard(&dir, &new);
                written
            }
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                discard(&dir, &new);
                return Err(CopyError::FileOntoFolder {
                    path: target.to_owned(),
                });
            }
            other => other,
        };
        if renamed.is_err() {
            discard(&dir, &new);
        }
        renamed.map_err(act)?;
        self.count += 1;
        Ok(())
    }

    /// Makes the thing under a name of its own in `dir`, complete; returns the name.
    fn make_beside(&self, dir: &OwnedFd, stat: &Stat, content: &Content) -> Result<CString, Errno> {
        let name = free_name()?;
        let made = match content {
            Content::File(from) => self.make_file((dir, &name), stat, from),
            Content::Link(text) => rustix::fs::symlinkat(text, dir, &name)
                .and_then(|()| self.finish_by_name(dir, &name, stat)),
            Content::Node => {
                let kind = FileType::from_raw_mode(stat.st_mode);
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                rustix::fs::mknodat(dir, &name, kind, mode, stat.st_rdev)
                    .and_then(|()| self.finish_by_name(dir, &name, stat))
            }
        };
        if made.is_err() {
            discard(dir, &name);
        }
        made.map(|()| name)
    }

    fn make_file(
        &self,
        (dir, name): (&OwnedFd, &CString),
        stat: &Stat,
        from: &OwnedFd,
    ) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let to = rustix::fs::openat(dir, name, flags | OFlags::CLOEXEC, mode)?;
        rooted::copy_content(from, &to)?;
        rooted::copy_attributes(from.as_fd(), to.as_fd())?;
        self.finish(&to, stat)
    }

    /// Gives an open file or folder owner, mode and times.
    fn finish(&self, made: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
        if let Some((uid, gid)) = self.owner(stat) {
            rooted::tolerate(rustix::fs::fchown(made, Some(uid), Some(gid)))?;
        }
        rustix::fs::fchmod(made, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        rustix::fs::futimens(made, &rooted::times(stat))
    }

    fn finish_by_name(&self, dir: &OwnedFd, name: &CString, stat: &Stat) -> Result<(), Errno> {
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((uid, gid)) = self.owner(stat) {
            rooted::tolerate(rustix::fs::chownat(
                dir,
                name,
                Some(uid),
                Some(gid),
                no_follow,
            ))?;
        }
        rustix::fs::utimensat(dir, name, &rooted::times(stat), no_follow)
    }

    fn owner(&self, stat: &Stat) -> Option<(Uid, Gid)> {
        match self.options.owners {
            Owners::Kept => Some((Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))),
            Owners::Own => None,
        }
    }
}

/// Makes a folder, unless it is there; a link to one is taken as the folder.
fn make_folder(root: &Root, path: &Path) -> Result<(), CopyError> {
    if path.as_os_str().is_empty() || path == Path::new("/") {
        return Ok(());
    }
    let (dir, name) = root.parent(path)?;
    match rustix::fs::mkdirat(&dir, &name, Mode::RWXU) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => match root.stat(path)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => Ok(()),
            Some(_) | None => Err(CopyError::FolderOntoFile {
                path: path.to_owned(),
            }),
        },
        Err(errno) => Err(CopyError::on("make folder", path)(errno)),
    }
}

/// Removes what was made under a name of its own; what is not there needs no removal.
fn discard(dir: &OwnedFd, name: &CString) {
    rustix::fs::unlinkat(dir, name, AtFlags::empty()).ok();
}

/// Writes into a file that is mounted by itself and so cannot be replaced.
fn write_in_place(root: &Root, target: &Path, content: Content) -> Result<(), Errno> {
    let Content::File(from) = content else {
        return Err(Errno::BUSY);
    };
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NONBLOCK;
    let to = root
        .open_at(target, flags)
        .map_err(|error| error.errno().unwrap_or(Errno::IO))?;
    rustix::fs::seek(&from, rustix::fs::SeekFrom::Start(0))?;
    rooted::copy_content(&from, &to)
}

/// Returns a name that no file has.
fn free_name() -> Result<CString, Errno> {
    let mut random = [0_u8; 8];
    let flags = rustix::rand::GetRandomFlags::empty();
    let _count = rustix::rand::getrandom(&mut random, flags)?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    CString::new(format!(".consort-{digits}")).map_err(|_| Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// Copies between two paths of one folder that is the root of both sides.
    fn copied(folder: &Path, from: &str, to: &str) -> Result<u64, CopyError> {
        let root = Root::open(folder).unwrap();
        let at = |path: &str| Location {
            root: &root,
            path: path.into(),
        };
        let options = CopyOptions {
            links: Links::Keep,
            owners: Owners::Kept,
        };
        copy(&at(from), &at(to), options)
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("dir/sub")).unwrap();
        fs::write(folder.path().join("dir/a"), "a").unwrap();
        fs::write(folder.path().join("dir/sub/b"), "b").unwrap();
        symlink("a", folder.path().join("dir/link")).unwrap();
        fs::set_permissions(
            folder.path().join("dir/a"),
            fs::Permissions::from_mode(0o640),
        )
        .unwrap();
        folder
    }

    #[test]
    fn a_folder_becomes_a_new_one_goes_into_one_or_gives_its_content() {
        let folder = folder();
        copied(folder.path(), "/dir", "/new").unwrap();
        copied(folder.path(), "/dir", "/new").unwrap();
        copied(folder.path(), "/dir/.", "/flat").unwrap();
        copied(folder.path(), "/dir/", "/slash").unwrap();
        for path in ["new/sub/b", "new/dir/sub/b", "flat/sub/b", "slash/a"] {
            assert!(folder.path().join(path).is_file(), "{path}");
        }
        let mode = fs::metadata(folder.path().join("new/a"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o640);
        let link = fs::read_link(folder.path().join("new/link")).unwrap();
        assert_eq!(link, Path::new("a"));
    }

    #[test]
    fn a_link_leads_nowhere_outside_its_root() {
        let folder = folder();
        let outside = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "content").unwrap();
        symlink(outside.path(), folder.path().join("out")).unwrap();
        // The link's text means a path inside the root, which is not there.
        copied(folder.path(), "/file", "/out/file").unwrap_err();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_changes_nothing() {
        let folder = folder();
        fs::write(folder.path().join("file"), "content").unwrap();
        let refused = |from, to| copied(folder.path(), from, to).unwrap_err();
        assert!(matches!(
            refused("/nosuch", "/x"),
            CopyError::NotFound { .. }
        ));
        assert!(matches!(
            refused("/dir", "/file"),
            CopyError::FolderOntoFile { .. }
        ));
        assert!(matches!(
            refused("/file", "/no/such"),
            CopyError::NoFolder { .. }
        ));
        assert!(matches!(
            refused("/file", "/new/"),
            CopyError::NotAFolder { .. }
        ));
        assert!(matches!(
            refused("/file/", "/new"),
            CopyError::NotAFolder { .. } | CopyError::NotFound { .. }
        ));
        assert_eq!(
            fs::read_to_string(folder.path().join("file")).unwrap(),
            "content"
        );
    }
}
