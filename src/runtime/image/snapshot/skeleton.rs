//! The machine's directories once more, empty, as ours: for user namespaces.
//!
//! The kernel cannot copy up what belongs to an id that does not exist in the namespace, so that nothing
//! could be created in the machine's own `/var`, for one. A layer of empty directories of the same names
//! and modes above the machine's makes those directories ours. It is made once per state directory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::host::is_readable;
use super::take_owner;
use crate::runtime::image::ImageError;
use crate::runtime::store;
use crate::value::Digest;

/// Where containers may want to create something although the machine's root owns it.
const WANTED: [&str; 6] = ["etc", "opt", "srv", "usr/local", "var", "home"];
/// Where they may not: large, and nobody's business.
const LEFT_OUT: [&str; 2] = ["var/tmp", "home"];
const DIRS_LIMIT: usize = 5_000;
const DEPTH_LIMIT: usize = 8;

/// Returns the layer for a directory of this machine, and makes it where it is missing.
pub(super) fn make(host: &Path, state: &Path) -> Result<PathBuf, ImageError> {
    let id = Digest::sha256_of(host.as_os_str().as_encoded_bytes());
    let layers = state.join("layers");
    store::make_dir(&layers)?;
    let done = layers.join(format!(".host-{}", id.short()));
    let new = layers.join(format!(".ingest-host-{}", id.short()));
    while !done.is_dir() {
        let fail = |error| ImageError::write(&new, error);
        let Some(_lock) = claim(&new, &done).map_err(fail)? else {
            continue;
        };
        for name in store::names_in(&new)? {
            store::remove_tree(&new.join(name))?;
        }
        let mut budget = DIRS_LIMIT;
        for wanted in WANTED.map(Path::new) {
            mirror_chain(host, &new, wanted, &mut budget).map_err(fail)?;
        }
        fs::rename(&new, &done).map_err(fail)?;
    }
    Ok(done)
}

fn claim(new: &Path, done: &Path) -> io::Result<Option<File>> {
    match fs::DirBuilder::new().mode(0o700).create(new) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let Ok(dir) = File::open(new) else {
        return Ok(None);
    };
    store::lock_file(&dir, FlockOperation::LockExclusive)?;
    let is_ours = store::is_same_file(&dir, new)? && !done.exists();
    Ok(is_ours.then_some(dir))
}

/// Makes the directories that lead to `below`, then all that are in it.
fn mirror_chain(host: &Path, new: &Path, below: &Path, budget: &mut usize) -> io::Result<()> {
    let mut path = PathBuf::new();
    for part in below {
        path.push(part);
        if !make_one(&host.join(&path), &new.join(&path), budget)? {
            return Ok(());
        }
    }
    mirror(host, new, below, budget)
}

fn mirror(host: &Path, new: &Path, below: &Path, budget: &mut usize) -> io::Result<()> {
    let is_left_out = LEFT_OUT.iter().any(|name| below == Path::new(name));
    if is_left_out || below.iter().count() > DEPTH_LIMIT {
        return Ok(());
    }
    let Ok(entries) = fs::read_dir(host.join(below)) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let below = below.join(entry.file_name());
        if make_one(&host.join(&below), &new.join(&below), budget)? {
            mirror(host, new, &below, budget)?;
        }
    }
    Ok(())
}

/// Makes one directory like the host's; `false` if there is none that we could look into.
fn make_one(model: &Path, dir: &Path, budget: &mut usize) -> io::Result<bool> {
    let Ok(metadata) = fs::symlink_metadata(model) else {
        return Ok(false);
    };
    if !metadata.is_dir() || !is_readable(model) || *budget == 0 {
        return Ok(false);
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    *budget -= 1;
    fs::set_permissions(dir, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    take_owner(dir, &metadata);
    Ok(true)
}
