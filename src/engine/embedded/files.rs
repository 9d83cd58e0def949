//! Files of containers, running or not: copied in and out, packed and unpacked.
//!
//! **Invariant:** a container is entered through a descriptor of its root alone, so that no link in it leads outside.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use super::inner::Inner;
use super::record::ContainerRecord;
use crate::desired::MountKind;
use crate::engine::{CopyDirection, CopyRequest, EngineError};
use crate::runtime::copy::{self, Links, Location};
use crate::runtime::image::snapshot::{self, Writable};
use crate::runtime::image::{pack_files, pack_path, unpack_archive};
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::rooted::{EntryKind, Mounts, Root};
use crate::value::ContainerName;

impl Inner {
    /// Copies files between a container and the host; returns how many were written.
    pub(super) fn copy_files(
        &self,
        name: &ContainerName,
        request: &CopyRequest,
    ) -> Result<u64, EngineError> {
        let record = self.get(name)?;
        let act = || {
            let (inside, outside) = (request.inside.display(), request.outside.display());
            match request.direction {
                CopyDirection::In => {
                    format!("copy `{outside}` to `{inside}` in container `{name}`")
                }
                CopyDirection::Out => {
                    format!("copy `{inside}` in container `{name}` to `{outside}`")
                }
            }
        };
        let host = Root::open(Path::new("/")).map_err(|error| EngineError::act(act(), error))?;
        let (root, path) = self.root_at(&record, &request.inside)?;
        let inside = Location { root: &root, path };
        let outside = Location {
            root: &host,
            path: request.outside.clone(),
        };
        let copied = match request.direction {
            CopyDirection::In => copy::copy(&outside, &inside, request.options),
            CopyDirection::Out => copy::copy(&inside, &outside, request.options),
        };
        copied.map_err(|error| EngineError::act(act(), error))
    }

    /// Writes the files of a container as an archive, without what is mounted into it.
    pub(super) fn export(&self, name: &ContainerName, to: OwnedFd) -> Result<(), EngineError> {
        let act = || format!("export container `{name}`");
        let record = self.get(name)?;
        let root = self.root_of(&record)?;
        let to = io::BufWriter::new(File::from(to));
        pack_files(&root, Mounts::Skipped, to).map_err(|error| EngineError::act(act(), error))
    }

    /// Unpacks an archive into a folder of a container.
    pub(super) fn unpack(
        &self,
        name: &ContainerName,
        archive: OwnedFd,
        into: &Path,
    ) -> Result<(), EngineError> {
        let act = || {
            let into = into.display();
            format!("unpack the archive into `{into}` in container `{name}`")
        };
        let record = self.get(name)?;
        let (root, path) = self.root_at(&record, into)?;
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        let folder = root
            .open_at(&path, flags)
            .map_err(|error| EngineError::act(act(), error))?;
        unpack_archive(&File::from(archive), Root::from_fd(folder), None)
            .map_err(|error| EngineError::act(act(), error))
    }

    /// Writes a file or folder of a container as an archive.
    pub(super) fn pack(
        &self,
        name: &ContainerName,
        (path, links): (&Path, Links),
        to: OwnedFd,
    ) -> Result<(), EngineError> {
        let act = || format!("pack `{}` in container `{name}`", path.display());
        let record = self.get(name)?;
        let (root, path) = self.root_at(&record, path)?;
        let to = io::BufWriter::new(File::from(to));
        let packed = if path.file_name().is_none() {
            pack_files(&root, Mounts::Skipped, to)
        } else {
            let path = match links {
                Links::Keep => path,
                Links::Follow => {
                    followed(&root, path).map_err(|error| EngineError::act(act(), error))?
                }
            };
            pack_path(&root, &path, to)
        };
        packed.map_err(|error| EngineError::act(act(), error))
    }

    /// Opens what is `/` for a container: as its processes see it, or as its next run will.
    fn root_of(&self, record: &ContainerRecord) -> Result<Root, EngineError> {
        let act = || format!("open the files of container `{}`", record.name);
        if let Ok(container) = self.running(record) {
            let process = container.process();
            let path = PathBuf::from(format!("/proc/{}/root", process.pid()));
            let root = Root::open(&path).map_err(|error| EngineError::act(act(), error))?;
            // If it is the same process still, what was opened by its number is its own.
            match process.has_ended() {
                Ok(false) => return Ok(root),
                Ok(true) => {}
                Err(error) => return Err(EngineError::act(act(), error)),
            }
        }
        let folder = self.folder(record);
        let (upper, work) = (folder.join("upper"), folder.join("work"));
        let writable = Writable {
            upper: &upper,
            work: &work,
            state: self.layout.state_dir(),
        };
        let mounted =
            snapshot::prepare(&record.root, &writable).and_then(|snapshot| snapshot.mount());
        let mounted = mounted.map_err(|error| EngineError::act(act(), error))?;
        Ok(Root::from_fd(mounted))
    }

    /// Does the same for a path of it; what the path leads into while the container does not run is a volume or a
    /// folder of the host, where the path is one below its mount.
    fn root_at(
        &self,
        record: &ContainerRecord,
        path: &Path,
    ) -> Result<(Root, PathBuf), EngineError> {
        let is_running = self.running(record).is_ok();
        if !is_running && let Some((root, rest)) = self.mounted_at(record, path)? {
            return Ok((root, rest));
        }
        Ok((self.root_of(record)?, path.to_owned()))
    }

    fn mounted_at(
        &self,
        record: &ContainerRecord,
        path: &Path,
    ) -> Result<Option<(Root, PathBuf)>, EngineError> {
        let act = || format!("open the volumes of container `{}`", record.name);
        let wanted = normal(path);
        let volumes = record
            .volumes
            .iter()
            .map(|volume| normal(Path::new(&volume.target)));
        let mounts = &record.spec.mounts;
        let binds = mounts.iter().map(|mount| normal(Path::new(&mount.target)));
        let deepest = volumes
            .chain(binds)
            .filter(|target| wanted.starts_with(target))
            .max_by_key(|target| target.components().count());
        let Some(target) = deepest else {
            return Ok(None);
        };
        let rest = match wanted.strip_prefix(&target) {
            Ok(rest) => with_end_of(path, rest),
            Err(_) => return Ok(None),
        };
        let is_target = |text: &str| normal(Path::new(text)) == target;
        if let Some(volume) = record
            .volumes
            .iter()
            .find(|volume| is_target(&volume.target))
        {
            let mounted = self.volumes.mount(volume.name.as_str(), None);
            let mounted = mounted.map_err(|error| EngineError::act(act(), error))?;
            return Ok(Some((Root::from_fd(mounted), rest)));
        }
        let bind = mounts.iter().find_map(|mount| match &mount.kind {
            MountKind::Bind(bind) if is_target(&mount.target) && bind.source.is_dir() => {
                Some(&bind.source)
            }
            MountKind::Bind(_)
            | MountKind::Volume(_)
            | MountKind::Tmpfs(_)
            | MountKind::Image(_) => None,
        });
        let root = bind.map(|source| Root::open(source)).transpose();
        let root = root.map_err(|error| EngineError::act(act(), error))?;
        Ok(root.map(|root| (root, rest)))
    }
}

/// Returns what a path that may be a link leads to in the end, inside the root.
fn followed(root: &Root, path: PathBuf) -> Result<PathBuf, KernelError> {
    let mut path = path;
    for _ in 0..LINK_LIMIT {
        if root.look(&path)?.kind() != EntryKind::Symlink {
            break;
        }
        let text = root.read_link(&path)?;
        let above = path.parent().unwrap_or(Path::new("/"));
        path = above.join(std::ffi::OsStr::from_bytes(text.as_bytes()));
    }
    Ok(path)
}

/// How many links may lead to each other, as for the kernel.
const LINK_LIMIT: usize = 40;

/// Returns a path of a container without `.` and `..`, as it means where no link is on the way.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    normal
}

/// Gives a path the `/` or `/.` that another one has at its end.
fn with_end_of(typed: &Path, rest: &Path) -> PathBuf {
    let text = typed.to_string_lossy();
    let end = ["/.", "/"].into_iter().find(|end| text.ends_with(end));
    PathBuf::from(format!("/{}{}", rest.display(), end.unwrap_or_default()))
}
