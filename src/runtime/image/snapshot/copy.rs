//! Layers into one plain directory, where there is no overlay to do it.
//!
//! The copy is made once; a marker in the container's work directory says that it is complete.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags};

use super::{assemble, kernel};
use crate::runtime::image::ImageError;
use crate::runtime::image::layer::Privilege;
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::rooted::{Entry, EntryKind, Root};
use crate::runtime::store::{self, Durability};

const MARKER: &str = "copied";

/// Says whether the copy of a container is complete.
pub(super) fn is_made(work: &Path) -> bool {
    work.join(MARKER).exists()
}

/// Copies all layers into `root`, the lowest first.
pub(super) fn make(lowers: &[PathBuf], root: &Path, work: &Path) -> Result<(), ImageError> {
    if lowers.iter().any(|lower| root.starts_with(lower)) {
        let reason = "this machine has no overlays, and a copy of all of it would contain itself";
        return Err(assemble("copy the root")(std::io::Error::other(reason)));
    }
    let act = "copy the layers";
    clear(root)?;
    let to = Root::open(root).map_err(kernel(act))?;
    for lower in lowers.iter().rev() {
        let from = Root::open(lower).map_err(kernel(act))?;
        apply(&from, &to, lower, root).map_err(kernel(act))?;
    }
    rustix::fs::syncfs(&to).map_err(|errno| assemble(act)(errno.into()))?;
    Ok(store::write_atomic(
        &work.join(MARKER),
        b"",
        Durability::Synced,
    )?)
}

/// Removes what a killed process copied.
fn clear(root: &Path) -> Result<(), ImageError> {
    let entries = fs::read_dir(root).map_err(|error| ImageError::read(root, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| ImageError::read(root, error))?;
        store::remove_tree(&entry.path())?;
    }
    Ok(())
}

fn apply(from: &Root, to: &Root, lower: &Path, root: &Path) -> Result<(), KernelError> {
    let mut dirs = Vec::new();
    for entry in from.walk(Path::new(""))? {
        let entry = entry?;
        let there = to.stat_link(&entry.path)?;
        let is_dir = entry.kind() == EntryKind::Directory;
        let stays = is_dir
            && there.is_some_and(|stat| EntryKind::of(&stat) == EntryKind::Directory)
            && !is_opaque(from, &entry)?;
        if there.is_some() && !stays {
            remove(&root.join(&entry.path))?;
        }
        if !is_whiteout(&entry) && !stays {
            let above = entry.path.parent().unwrap_or(Path::new(""));
            let above = to.open_at(above, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
            entry.copy_into(above.as_fd())?;
        }
        if is_dir {
            dirs.push(entry.path);
        }
    }
    // Times last: copying into a directory changes its own.
    for path in dirs.iter().rev() {
        copy_times(lower, to, path)?;
    }
    Ok(())
}

fn copy_times(lower: &Path, to: &Root, path: &Path) -> Result<(), KernelError> {
    let from = Root::open(lower)?;
    let Some(stat) = from.stat_link(path)? else {
        return Ok(());
    };
    let dir = to.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
    let time = rustix::fs::Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::futimens(&dir, &times).map_err(KernelError::call("set the time of a directory"))
}

/// The destination is a directory of ours that nobody else has ever written to.
fn remove(path: &Path) -> Result<(), KernelError> {
    store::remove_tree(path).map_err(|error| KernelError::CallOn {
        act: "remove",
        thing: path.display().to_string(),
        source: std::io::Error::other(error),
    })
}

fn is_whiteout(entry: &Entry) -> bool {
    let kind = FileType::from_raw_mode(entry.stat.st_mode);
    kind == FileType::CharacterDevice && entry.stat.st_rdev == 0
}

fn is_opaque(from: &Root, entry: &Entry) -> Result<bool, KernelError> {
    let dir = from.open_at(
        &entry.path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW,
    )?;
    let attribute = Privilege::own().opaque_attribute();
    let mut value = [0; 1];
    Ok(matches!(rustix::fs::fgetxattr(&dir, attribute, &mut value), Ok(1) if value == *b"y"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use rustix::fs::{Mode, XattrFlags};

    use super::*;

    fn file(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        store::write_atomic(&path, text.as_bytes(), Durability::Cached).unwrap();
    }

    fn names(dir: &Path) -> Vec<String> {
        store::names_in(dir).unwrap()
    }

    #[test]
    fn a_copy_shows_what_an_overlay_would() {
        let dir = tempfile::tempdir().unwrap();
        let [low, top, root, work] =
            ["low", "top", "root", "work"].map(|name| dir.path().join(name));
        for path in [&low, &top, &root, &work] {
            fs::create_dir(path).unwrap();
        }
        file(&low, "gone", "x");
        file(&low, "kept/file", "low");
        file(&low, "hidden/old", "x");
        file(&low, "both/low", "x");
        symlink("/etc/passwd", low.join("link")).unwrap();
        fs::set_permissions(low.join("kept"), fs::Permissions::from_mode(0o1750)).unwrap();
        let above = Root::open(&top).unwrap();
        let made = rustix::fs::mknodat(&above, "gone", FileType::CharacterDevice, Mode::empty(), 0);
        made.unwrap();
        file(&top, "hidden/new", "y");
        file(&top, "both/top", "y");
        let hidden = above.open_at(Path::new("hidden"), OFlags::RDONLY).unwrap();
        let attribute = Privilege::own().opaque_attribute();
        rustix::fs::fsetxattr(&hidden, attribute, b"y", XattrFlags::empty()).unwrap();
        file(&root, "left by a killed copy", "x");
        make(&[top, low], &root, &work).unwrap();
        assert!(is_made(&work));
        assert_eq!(names(&root), ["both", "hidden", "kept", "link"]);
        assert_eq!(names(&root.join("hidden")), ["new"]);
        assert_eq!(names(&root.join("both")), ["low", "top"]);
        assert_eq!(
            fs::read_link(root.join("link")).unwrap(),
            Path::new("/etc/passwd")
        );
        let mode = fs::metadata(root.join("kept"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o1750);
    }

    #[test]
    fn a_directory_is_not_copied_into_itself() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        assert!(make(&[dir.path().to_owned()], &root, dir.path()).is_err());
    }
}
