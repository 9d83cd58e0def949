//! What `--mount` puts into the container of a `RUN`: files of others, caches, memory, secrets, agents.
//!
//! Small files are in memory that is mounted nowhere: they are gone with the last descriptor, however the
//! build ends. What is written to a bind mount is thrown away.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Uid};

use super::job::Job;
use super::sources;
use crate::runtime::build::BuildError;
use crate::runtime::build::files::{
    Folders, Placement, Tree, View, empty_root, of_selection, place, select,
};
use crate::runtime::build::graph::{Mount, Run, Sharing, Source};
use crate::runtime::build::key::KeyHasher;
use crate::runtime::build::request::SshSource;
use crate::runtime::container::description::{MountRequest, MountSource, RootAccess};
use crate::runtime::image::Draft;
use crate::runtime::kernel::mount::{Depth, clone_tree};
use crate::runtime::kernel::rooted::Root;
use crate::runtime::store;
use crate::value::Digest;

/// The most copies of a private cache that are tried.
const PRIVATE_LIMIT: u32 = 1_000;

/// What is mounted for one command; dropped when it has ended.
#[derive(Debug)]
pub(super) struct Mounted<'a> {
    job: &'a Job,
    requests: Vec<MountRequest>,
    mounts: BTreeMap<PathBuf, OwnedFd>,
    /// Memory for small files.
    memory: Root,
    files: u32,
    drafts: Vec<Draft>,
    locks: Vec<File>,
}

impl<'a> Mounted<'a> {
    pub(super) fn new(job: &'a Job) -> Result<Self, BuildError> {
        Ok(Self {
            job,
            requests: Vec::new(),
            mounts: BTreeMap::new(),
            memory: Root::from_fd(empty_root()?),
            files: 0,
            drafts: Vec::new(),
            locks: Vec::new(),
        })
    }

    pub(super) fn requests(&self) -> &[MountRequest] {
        &self.requests
    }

    pub(super) fn take_mounts(&mut self) -> BTreeMap<PathBuf, OwnedFd> {
        std::mem::take(&mut self.mounts)
    }

    /// Mounts a small file that only this command sees.
    pub(super) fn file(
        &mut self,
        target: &str,
        content: &[u8],
        mode: u32,
    ) -> Result<(), BuildError> {
        self.owned_file(target, content, (mode, 0, 0), RootAccess::ReadWrite)
    }

    fn owned_file(
        &mut self,
        target: &str,
        content: &[u8],
        (mode, uid, gid): (u32, u32, u32),
        access: RootAccess,
    ) -> Result<(), BuildError> {
        let act = || format!("make the file `{target}`");
        self.files += 1;
        let name = CString::new(self.files.to_string()).unwrap_or_default();
        let write = || -> io::Result<OwnedFd> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let owner_only = Mode::RUSR | Mode::WUSR;
            let file = rustix::fs::openat(&self.memory, &name, flags, owner_only)?;
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            io::Write::write_all(&mut File::from(file), content)?;
            Ok(clone_tree(&self.memory, &name, Depth::One)?)
        };
        let mounted = write().map_err(BuildError::io(act()))?;
        self.add(target, mounted, access);
        Ok(())
    }

    fn add(&mut self, target: &str, mounted: OwnedFd, access: RootAccess) {
        let target = PathBuf::from(target);
        drop(self.mounts.insert(target.clone(), mounted));
        self.requests.retain(|request| request.target != target);
        self.requests.push(MountRequest {
            source: MountSource::BindShallow(PathBuf::from("build")),
            target,
            access,
            options: Vec::new(),
        });
    }
}

/// Adds what mounts show to the key of a step: content where it decides something, never a secret's.
pub(super) fn add_to_key(
    job: &Job,
    mounts: &[Mount],
    key: &mut KeyHasher,
) -> Result<(), BuildError> {
    for mount in mounts {
        match mount {
            Mount::Bind {
                from,
                source,
                target,
                writable,
            } => {
                key.text("bind", target);
                key.number(u64::from(*writable));
                let tree = sources::open(job, from)?;
                for selection in select(&tree, &escaped(source), &View::everything())? {
                    of_selection(&tree, &selection, key)?;
                }
            }
            Mount::Cache { id, target, .. } => {
                key.text("cache", target);
                key.text("id", id);
            }
            Mount::Tmpfs { target, .. } => key.text("tmpfs", target),
            Mount::Secret {
                id, target, env, ..
            } => {
                key.text("secret", id);
                key.text("target", target.as_deref().unwrap_or_default());
                key.text("env", env.as_deref().unwrap_or_default());
            }
            Mount::Ssh { id, target, .. } => {
                key.text("ssh", id);
                key.text("target", target);
            }
        }
    }
    Ok(())
}

/// Makes a path mean itself where it could be read as a pattern.
fn escaped(path: &str) -> String {
    let mut text = String::new();
    for letter in path.chars() {
        if matches!(letter, '*' | '?' | '[') {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

/// Mounts all that a `RUN` asks for; variables that come with it are added to `env`.
pub(super) fn mount(
    mounted: &mut Mounted<'_>,
    run: &Run,
    env: &mut Vec<String>,
) -> Result<(), BuildError> {
    for mount in &run.mounts {
        match mount {
            Mount::Bind {
                from,
                source,
                target,
                writable,
            } => mounted.bind(from, source, target, *writable)?,
            Mount::Cache { .. } => mounted.cache(mount)?,
            Mount::Tmpfs { target, size_bytes } => mounted.requests.push(MountRequest {
                source: MountSource::Tmpfs {
                    size_bytes: *size_bytes,
                    mode: None,
                },
                target: PathBuf::from(target),
                access: RootAccess::ReadWrite,
                options: Vec::new(),
            }),
            Mount::Secret { .. } => mounted.secret(mount, env)?,
            Mount::Ssh { .. } => mounted.ssh(mount, env)?,
        }
    }
    Ok(())
}

impl Mounted<'_> {
    /// Mounts files of others on a draft of their own, so that they keep what they are.
    fn bind(
        &mut self,
        from: &Source,
        source: &str,
        target: &str,
        writable: bool,
    ) -> Result<(), BuildError> {
        let act = || format!("mount `{source}` at `{target}`");
        let below = match from {
            Source::Stage(id) => Some(self.job.stage(id.0)?.diff_ids),
            Source::Image(image) => Some(image.document.rootfs.diff_ids.clone()),
            Source::Empty | Source::Context | Source::Named(_) => None,
        };
        let store = &self.job.workshop.store;
        let draft = store.draft(below.as_deref().unwrap_or_default(), &self.job.unique())?;
        let root = Root::from_fd(draft.mount()?);
        if below.is_none() {
            let tree = sources::open(self.job, from)?;
            copy_whole(&tree, source, &root)?;
        }
        let path = crate::runtime::build::files::resolve(&root, Path::new(source))?;
        let found = root.find(&path, OFlags::PATH | OFlags::NOFOLLOW);
        let found = found.map_err(BuildError::kernel(act()))?;
        let Some(found) = found else {
            return Err(BuildError::NoSource {
                path: source.to_owned(),
                excluded: false,
            });
        };
        let mounted = clone_tree(&found, c"", Depth::One).map_err(BuildError::io(act()))?;
        let access = if writable {
            RootAccess::ReadWrite
        } else {
            RootAccess::ReadOnly
        };
        self.add(target, mounted, access);
        self.drafts.push(draft);
        Ok(())
    }

    fn secret(&mut self, mount: &Mount, env: &mut Vec<String>) -> Result<(), BuildError> {
        let Mount::Secret {
            id,
            target,
            env: variable,
            required,
            mode,
            uid,
            gid,
        } = mount
        else {
            return Ok(());
        };
        let value = sources::secret(self.job, id)?;
        if value.is_none() && *required {
            let act = format!("use the secret `{id}`");
            return Err(BuildError::refused(
                act,
                "the caller has given none of that name",
            ));
        }
        if let Some(variable) = variable {
            let text = value.as_deref().unwrap_or_default();
            let text = std::str::from_utf8(text).map_err(|_| {
                let act = format!("put the secret `{id}` into `{variable}`");
                BuildError::refused(act, "it is not UTF-8")
            })?;
            env.push(format!("{variable}={text}"));
        }
        if let (Some(target), Some(value)) = (target, &value) {
            self.owned_file(target, value, (*mode, *uid, *gid), RootAccess::ReadOnly)?;
        }
        Ok(())
    }

    fn ssh(&mut self, mount: &Mount, env: &mut Vec<String>) -> Result<(), BuildError> {
        let Mount::Ssh {
            id,
            target,
            required,
            ..
        } = mount
        else {
            return Ok(());
        };
        env.push(format!("SSH_AUTH_SOCK={target}"));
        let act = || format!("use the agent `{id}`");
        match self.job.request.run.ssh.get(id) {
            None if *required => Err(BuildError::refused(
                act(),
                "the caller has given none of that name",
            )),
            None => Ok(()),
            Some(SshSource::Agent(socket)) => {
                let path = CString::new(socket.as_os_str().as_bytes())
                    .map_err(|_| BuildError::refused(act(), "its path contains NUL"))?;
                let mounted = clone_tree(rustix::fs::CWD, &path, Depth::One);
                let mounted = mounted.map_err(BuildError::io(act()))?;
                self.add(target, mounted, RootAccess::ReadOnly);
                Ok(())
            }
            Some(SshSource::Keys(_)) => Err(BuildError::refused(
                act(),
                "keys from files are not supported: add them to an agent with `ssh-add`",
            )),
        }
    }

    /// Mounts a folder that survives between builds.
    fn cache(&mut self, mount: &Mount) -> Result<(), BuildError> {
        let Mount::Cache {
            id,
            target,
            sharing,
            read_only,
            ..
        } = mount
        else {
            return Ok(());
        };
        let act = || format!("use the cache `{id}`");
        let name = Digest::sha256_of(id.as_bytes()).hex().to_owned();
        let caches = self.job.workshop.state_dir.join("images/caches");
        let (dir, lock) = claim(&caches, &name, *sharing).map_err(BuildError::io(act()))?;
        let data = dir.join("data");
        if !data.is_dir() {
            self.new_cache(mount, &dir, &data)?;
        }
        let root = Root::open(&data).map_err(BuildError::kernel(act()))?;
        let mounted = clone_tree(root.as_fd(), c"", Depth::One).map_err(BuildError::io(act()))?;
        let access = if *read_only {
            RootAccess::ReadOnly
        } else {
            RootAccess::ReadWrite
        };
        self.add(target, mounted, access);
        self.locks.push(lock);
        Ok(())
    }

    fn new_cache(&self, mount: &Mount, dir: &Path, data: &Path) -> Result<(), BuildError> {
        let Mount::Cache {
            id,
            from,
            source,
            mode,
            uid,
            gid,
            ..
        } = mount
        else {
            return Ok(());
        };
        let act = || format!("make the cache `{id}`");
        let new = dir.join(format!("data.new-{}", self.job.unique()));
        fs::create_dir(&new).map_err(BuildError::io(act()))?;
        let root = Root::open(&new).map_err(BuildError::kernel(act()))?;
        if let Some(source) = source {
            let tree = sources::open(self.job, from)?;
            copy_inside(&tree, source, &root)?;
        }
        std::os::unix::fs::chown(&new, Some(*uid), Some(*gid)).map_err(BuildError::io(act()))?;
        fs::set_permissions(&new, fs::Permissions::from_mode(*mode))
            .map_err(BuildError::io(act()))?;
        match fs::rename(&new, data) {
            // Another build was faster.
            Err(_) if data.is_dir() => {
                drop(store::remove_tree(&new));
                Ok(())
            }
            other => other.map_err(BuildError::io(act())),
        }
    }
}

/// Copies a path of a tree to the same path of a root.
fn copy_whole(tree: &Tree, source: &str, root: &Root) -> Result<(), BuildError> {
    let placement = plain(root);
    for selection in select(tree, &escaped(source), &View::everything())? {
        let dest = format!("/{}", selection.path.display());
        place(tree, &selection, &dest, &placement)?;
    }
    Ok(())
}

/// Copies what is in a folder of a tree into a root.
fn copy_inside(tree: &Tree, source: &str, root: &Root) -> Result<(), BuildError> {
    let placement = plain(root);
    for selection in select(tree, &escaped(source), &View::everything())? {
        place(tree, &selection, "/", &placement)?;
    }
    Ok(())
}

fn plain(root: &Root) -> Placement<'_> {
    Placement {
        target: root,
        owner: None,
        mode: None,
        time: 0,
        folders: Folders::Overwritten,
    }
}

/// Finds the folder of a cache and locks it as its sharing asks.
fn claim(caches: &Path, name: &str, sharing: Sharing) -> io::Result<(PathBuf, File)> {
    let open = |dir: &Path| -> io::Result<File> {
        store::make_dir(dir).map_err(io::Error::other)?;
        File::open(dir)
    };
    match sharing {
        Sharing::Shared => {
            let dir = caches.join(name);
            let lock = open(&dir)?;
            store::lock_file(&lock, FlockOperation::LockShared)?;
            Ok((dir, lock))
        }
        Sharing::Locked => {
            let dir = caches.join(name);
            let lock = open(&dir)?;
            store::lock_file(&lock, FlockOperation::LockExclusive)?;
            Ok((dir, lock))
        }
        Sharing::Private => {
            for number in 0..PRIVATE_LIMIT {
                let dir = caches.join(format!("{name}-{number}"));
                let lock = open(&dir)?;
                if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    return Ok((dir, lock));
                }
            }
            Err(io::Error::other("too many builds use it at the same time"))
        }
    }
}
