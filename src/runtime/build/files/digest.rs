//! What was selected → its part of a cache key: names, kinds, modes, owners and content, never times.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{FileType, OFlags, Stat};

use super::select::Selection;
use super::tree::{Tree, TreeOwner};
use crate::runtime::build::BuildError;
use crate::runtime::build::key::KeyHasher;

const READ_BYTES: usize = 128 << 10;

/// Adds a selection to a key.
pub(in crate::runtime::build) fn of_selection(
    tree: &Tree,
    selection: &Selection,
    hasher: &mut KeyHasher,
) -> Result<(), BuildError> {
    hasher.text("name", &selection.name.to_string_lossy());
    if !selection.is_dir() {
        return thing(tree, &selection.path, &selection.stat, hasher);
    }
    hasher.text("folder", "");
    for item in &selection.below {
        hasher.text("path", &item.path.to_string_lossy());
        hasher.number(u64::from(item.is_meant));
        thing(tree, &selection.path.join(&item.path), &item.stat, hasher)?;
    }
    Ok(())
}

fn thing(tree: &Tree, path: &Path, stat: &Stat, hasher: &mut KeyHasher) -> Result<(), BuildError> {
    hasher.number(u64::from(stat.st_mode));
    if tree.owner == TreeOwner::Kept {
        hasher.number(u64::from(stat.st_uid));
        hasher.number(u64::from(stat.st_gid));
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => content(tree, path, hasher),
        FileType::Symlink => {
            let act = format!("read link `/{}`", path.display());
            let text = tree.root.read_link(path).map_err(BuildError::kernel(act))?;
            hasher.bytes(text.as_bytes());
            Ok(())
        }
        FileType::CharacterDevice | FileType::BlockDevice => {
            hasher.number(stat.st_rdev);
            Ok(())
        }
        FileType::Directory | FileType::Fifo | FileType::Socket | FileType::Unknown => Ok(()),
    }
}

fn content(tree: &Tree, path: &Path, hasher: &mut KeyHasher) -> Result<(), BuildError> {
    let act = || format!("read `/{}`", path.display());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = tree.root.open_at(path, flags);
    let mut file = File::from(file.map_err(BuildError::kernel(act()))?);
    let mut inner = crate::value::Hasher::new(crate::value::Algorithm::Sha256);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = file.read(&mut buffer).map_err(BuildError::io(act()))?;
        if count == 0 {
            break;
        }
        inner.update(&buffer[..count]);
    }
    let mut capability = [0; 64];
    if let Ok(length) = rustix::fs::fgetxattr(&file, c"security.capability", &mut capability) {
        hasher.bytes(&capability[..length]);
    }
    hasher.text("content", inner.finish().hex());
    Ok(())
}
