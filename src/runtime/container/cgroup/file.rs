//! Reading and writing the small files of a cgroup.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::runtime::container::error::ContainerError;

fn fail(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ContainerError {
    let path = path.to_owned();
    move |source| ContainerError::Cgroup { act, path, source }
}

/// Writes one value. Never creates the file: a controller that is not there is an error.
pub(super) fn write(dir: &Path, name: &str, value: &str) -> Result<(), ContainerError> {
    let path = dir.join(name);
    let open = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let mut file = File::from(open.map_err(|errno| fail("open", &path)(errno.into()))?);
    file.write_all(value.as_bytes())
        .map_err(fail("write", &path))
}

/// Reads a whole file.
pub(super) fn read(dir: &Path, name: &str) -> Result<String, ContainerError> {
    let path = dir.join(name);
    let mut text = String::new();
    let mut file = File::open(&path).map_err(fail("open", &path))?;
    file.read_to_string(&mut text)
        .map_err(fail("read", &path))?;
    Ok(text)
}

/// Reads a number; `None` if the file is not there or says `max`.
pub(super) fn read_number(dir: &Path, name: &str) -> Option<u64> {
    read(dir, name).ok()?.trim().parse().ok()
}

/// Reads the number after `key` in a file of `key number` lines.
pub(super) fn read_keyed(dir: &Path, name: &str, key: &str) -> Option<u64> {
    let text = read(dir, name).ok()?;
    text.lines().find_map(|line| {
        line.strip_prefix(key)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}

/// Says whether the file or directory is not there, or not ours to write.
pub(super) fn is_out_of_reach(error: &ContainerError) -> bool {
    let ContainerError::Cgroup { source, .. } = error else {
        return false;
    };
    matches!(
        source.kind(),
        std::io::ErrorKind::NotFound
            | std::io::ErrorKind::PermissionDenied
            | std::io::ErrorKind::ReadOnlyFilesystem
            | std::io::ErrorKind::Unsupported
    )
}

/// Says whether the cgroup went away: its path is gone, or what was open of it.
pub(super) fn is_gone(error: &ContainerError) -> bool {
    let ContainerError::Cgroup { source, .. } = error else {
        return false;
    };
    source.kind() == std::io::ErrorKind::NotFound
        || source.raw_os_error() == Some(nix::libc::ENODEV)
}

/// Makes a directory; says whether it was not there before.
pub(super) fn make_dir(path: &Path) -> Result<bool, ContainerError> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST) => Ok(false),
        Err(errno) => Err(fail("make", path)(errno.into())),
    }
}

/// Removes an empty directory; one that is not there is removed already.
pub(super) fn remove_dir(path: &Path) -> Result<(), ContainerError> {
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(fail("remove", path)(errno.into())),
    }
}
