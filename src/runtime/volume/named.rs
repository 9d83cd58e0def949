//! Named directories that outlive containers.
//!
//! ```text
//! <state>/volumes/
//! ├── <name>/volume.json            who made it and how it is mounted
//! ├── <name>/_data/                 the data
//! ├── <name>/spec.json              how the engine that made it wanted it
//! ├── <name>/seeded                 whether the image's files are in it; see `seed`
//! ├── .new-<name>/                  being made; locked by who does it
//! └── .dead-<number>/               being removed
//! ```
//!
//! **Invariant:** `<name>` appears and disappears by one rename.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::VolumeError;
use super::recipe::{self, Recipe};
use super::seed::{self, Seeded};
use crate::runtime::kernel::mount::{self, Depth, Restrictions};
use crate::runtime::kernel::rooted::Root;
use crate::runtime::kernel::{KernelError, failpoint};
use crate::runtime::store::{self, Durability, StoreError};

const LOCAL: &str = "local";
const NAME_LIMIT: usize = 200;

/// A volume as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeRecord {
    /// Its name on this machine.
    pub name: String,
    /// Its driver; only `local` exists.
    pub driver: String,
    /// The driver's options: `type`, `o` and `device`.
    pub options: BTreeMap<String, String>,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// The container that it belongs to, if nobody gave it a name.
    pub owner: Option<String>,
    /// When it was made, as RFC 3339.
    pub created: Option<String>,
}

/// A volume by its name, with its record or why that cannot be read.
pub type Listed = (String, Result<VolumeRecord, StoreError>);

/// All volumes of one state directory.
#[derive(Debug, Clone)]
pub struct VolumeStore {
    dir: PathBuf,
}

/// Whether a volume was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was.
    New,
    /// It was there already, with the same driver and options.
    Existing,
}

/// Returns a name for a volume without one: 64 random hex digits.
pub fn anonymous_name() -> Result<String, VolumeError> {
    let mut bytes = [0_u8; 32];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match filled {
        Ok(count) if count == bytes.len() => {
            Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        Ok(_) => Err(VolumeError::Random {
            source: io::ErrorKind::UnexpectedEof.into(),
        }),
        Err(errno) => Err(VolumeError::Random {
            source: errno.into(),
        }),
    }
}

impl VolumeStore {
    /// Opens the folder of all volumes, and makes it where it is missing.
    pub fn open(dir: &Path) -> Result<Self, VolumeError> {
        store::make_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Makes a volume; one of the same name, driver and options is left as it is.
    pub fn create(&self, record: &VolumeRecord) -> Result<Created, VolumeError> {
        check_name(&record.name)?;
        check_driver(record)?;
        Recipe::of(&record.name, &record.options)?;
        self.collect()?;
        loop {
            if let Some(existing) = self.find(&record.name)? {
                let is_same =
                    existing.driver == record.driver && existing.options == record.options;
                if is_same {
                    return Ok(Created::Existing);
                }
                return Err(VolumeError::Different {
                    name: record.name.clone(),
                });
            }
            let folder = self.folder(&record.name);
            if self.data_dir(&record.name).is_dir() && self.find(&record.name)?.is_none() {
                // It lost its record and kept its data.
                self.rewrite(record)?;
                return Ok(Created::Existing);
            }
            let made = self.make(record, &folder);
            if made.map_err(VolumeError::write(&folder))? {
                return Ok(Created::New);
            }
        }
    }

    /// Makes the folder aside and renames it; `false` if somebody else was faster.
    fn make(&self, record: &VolumeRecord, folder: &Path) -> io::Result<bool> {
        failpoint::hit("volume.create")?;
        let new = self.dir.join(format!(".new-{}", record.name));
        match fs::DirBuilder::new().mode(0o700).create(&new) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let Ok(lock) = File::open(&new) else {
            return Ok(false);
        };
        store::lock_file(&lock, FlockOperation::LockExclusive)?;
        if !store::is_same_file(&lock, &new)? {
            return Ok(false);
        }
        let data = new.join("_data");
        match fs::create_dir(&data) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Reached through its mount alone: the folder above is closed to others.
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755))?;
        let written = store::write_json(&new.join("volume.json"), record, Durability::Synced);
        written.map_err(io::Error::other)?;
        failpoint::hit("volume.create.rename")?;
        if folder.exists() {
            return Ok(false);
        }
        fs::rename(&new, folder)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(true)
    }

    /// Returns a volume by its name.
    pub fn find(&self, name: &str) -> Result<Option<VolumeRecord>, VolumeError> {
        check_name(name)?;
        Ok(store::read_json(&self.record_file(name))?)
    }

    /// Lists all volumes by name, each with its record or why that cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, VolumeError> {
        let mut found = Vec::new();
        for name in store::names_in(&self.dir)? {
            if name.starts_with('.') {
                continue;
            }
            match store::read_json(&self.record_file(&name)) {
                Ok(None) => {}
                Ok(Some(record)) => found.push((name, Ok(record))),
                Err(error) if error.is_damage() => found.push((name, Err(error))),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// Writes the record of a volume again that is there with its data.
    pub fn rewrite(&self, record: &VolumeRecord) -> Result<(), VolumeError> {
        check_name(&record.name)?;
        let path = self.record_file(&record.name);
        Ok(store::write_json(&path, record, Durability::Synced)?)
    }

    /// Returns where the record of a volume is.
    pub fn record_file(&self, name: &str) -> PathBuf {
        self.folder(name).join("volume.json")
    }

    /// Lists the volumes that belong to a container; one whose record cannot be read is nobody's.
    pub fn owned_by(&self, container: &str) -> Result<Vec<VolumeRecord>, VolumeError> {
        let names = store::names_in(&self.dir)?;
        let records = names
            .iter()
            .filter_map(|name| self.find(name).ok().flatten());
        Ok(records
            .filter(|record| record.owner.as_deref() == Some(container))
            .collect())
    }

    /// Removes a volume and its data; says whether it was there.
    ///
    /// `users` are the containers that mount it: with any of them it stays.
    pub fn remove(&self, name: &str, users: &[String]) -> Result<bool, VolumeError> {
        check_name(name)?;
        if !users.is_empty() {
            return Err(VolumeError::InUse {
                name: name.to_owned(),
                containers: users.to_vec(),
            });
        }
        self.collect()?;
        let folder = self.folder(name);
        let removed = self.bury(&folder);
        match removed.map_err(VolumeError::write(&folder))? {
            None => Ok(false),
            Some(dead) => {
                store::remove_tree(&dead)?;
                Ok(true)
            }
        }
    }

    /// Renames a folder to a name under which nobody looks for it.
    fn bury(&self, folder: &Path) -> io::Result<Option<PathBuf>> {
        failpoint::hit("volume.remove")?;
        let serial = anonymous_name().map_err(io::Error::other)?;
        let dead = self.dir.join(format!(".dead-{serial}"));
        match fs::rename(folder, &dead) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            renamed => renamed?,
        }
        File::open(&self.dir)?.sync_all()?;
        failpoint::hit("volume.remove.renamed")?;
        Ok(Some(dead))
    }

    /// Removes what a killed process left half-made or half-removed.
    pub fn collect(&self) -> Result<(), VolumeError> {
        for name in store::names_in(&self.dir)? {
            if name.starts_with(".new-") || name.starts_with(".dead-") {
                store::remove_abandoned(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns the directory of a volume's data on this machine.
    pub fn data_dir(&self, name: &str) -> PathBuf {
        self.folder(name).join("_data")
    }

    /// Returns a volume, or a directory or file inside it, as a detached mount.
    pub fn mount(&self, name: &str, subpath: Option<&Path>) -> Result<OwnedFd, VolumeError> {
        let record = self.find(name)?;
        let Some(record) = record else {
            let name = name.to_owned();
            return Err(VolumeError::NotFound { name });
        };
        check_driver(&record)?;
        let recipe = Recipe::of(name, &record.options)?;
        let data = self.data_dir(name);
        match (subpath, &recipe) {
            (None, _) => recipe.mount(name, &data),
            (Some(subpath), Recipe::Data) => {
                mount_below(name, &data, subpath, Restrictions::empty())
            }
            (
                Some(subpath),
                Recipe::Bind {
                    device,
                    restrictions,
                    ..
                },
            ) => mount_below(name, device, subpath, *restrictions),
            (Some(subpath), Recipe::Filesystem { .. }) => {
                let whole = Root::from_fd(recipe.mount(name, &data)?);
                clone_below(name, &whole, subpath)
            }
        }
    }

    /// Fills a volume that was never used with what an image has at `path`.
    ///
    /// `data` is the volume as it is mounted, `image` the root filesystem of the container.
    pub fn seed(
        &self,
        name: &str,
        data: &Root,
        image: &Root,
        path: &Path,
    ) -> Result<Seeded, VolumeError> {
        check_name(name)?;
        seed::seed(name, &self.folder(name), data, (image, path))
    }

    /// Notes that a volume is in use without having been filled from an image.
    pub fn mark_used(&self, name: &str) -> Result<(), VolumeError> {
        check_name(name)?;
        seed::mark_used(&self.folder(name))
    }
}

fn mount_below(
    name: &str,
    dir: &Path,
    subpath: &Path,
    restrictions: Restrictions,
) -> Result<OwnedFd, VolumeError> {
    let failed = |source| VolumeError::Mount {
        name: name.to_owned(),
        source,
    };
    let root = Root::open(dir).map_err(failed)?;
    let mounted = clone_below(name, &root, subpath)?;
    if !restrictions.is_empty() {
        let none = Restrictions::empty();
        let restricted = mount::restrict(&mounted, restrictions, none, Depth::One);
        restricted.map_err(|errno| failed(KernelError::call("restrict a mount")(errno)))?;
    }
    Ok(mounted)
}

/// Returns what is at a path that must not lead out of a volume; containers may have put links there.
fn clone_below(name: &str, root: &Root, subpath: &Path) -> Result<OwnedFd, VolumeError> {
    let failed = |source| VolumeError::Subpath {
        name: name.to_owned(),
        subpath: subpath.to_owned(),
        source,
    };
    let is_plain = subpath
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    if !is_plain {
        return Err(failed(KernelError::call(
            "take it as a path below the volume",
        )(Errno::INVAL)));
    }
    let place = root.open_at(subpath, OFlags::PATH).map_err(failed)?;
    let cloned = mount::clone_tree(&place, c"", Depth::One);
    cloned.map_err(|errno| failed(KernelError::call("mount it")(errno)))
}

fn check_name(name: &str) -> Result<(), VolumeError> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = name.bytes().next();
    let is_good = first.is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.len() <= NAME_LIMIT
        && name.bytes().all(is_known);
    if is_good {
        return Ok(());
    }
    Err(VolumeError::BadName {
        name: name.chars().take(NAME_LIMIT).collect(),
    })
}

fn check_driver(record: &VolumeRecord) -> Result<(), VolumeError> {
    if record.driver == LOCAL {
        return Ok(());
    }
    Err(VolumeError::UnknownDriver {
        name: record.name.clone(),
        driver: record.driver.clone(),
    })
}

/// Says what to do about a path of this machine that is to be mounted and is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Make a directory of it, as the short form of a bind mount asks for.
    Create,
    /// Fail.
    Refuse,
}

/// Makes sure that a path of this machine can be mounted.
pub fn prepare_bind(path: &Path, missing: Missing) -> Result<Created, VolumeError> {
    match fs::metadata(path) {
        Ok(_) => return Ok(Created::Existing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(VolumeError::write(path)(error)),
    }
    // No folder can be made where a link is, and none is made at its other end: it may be meant for later.
    if let Ok(leads_to) = fs::read_link(path) {
        return Err(VolumeError::LinkDangles {
            path: path.to_owned(),
            leads_to,
        });
    }
    // A folder in the place of a socket would be in the way of the program that makes it.
    if path.extension().is_some_and(|it| it == "sock") {
        return Err(VolumeError::SocketMissing {
            path: path.to_owned(),
        });
    }
    if missing == Missing::Refuse {
        return Err(VolumeError::SourceMissing {
            path: path.to_owned(),
        });
    }
    let hit = failpoint::hit("volume.bind.create");
    hit.map_err(VolumeError::write(path))?;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path);
    made.map_err(VolumeError::write(path))?;
    Ok(Created::New)
}

/// Returns a path of this machine as a detached mount.
pub fn mount_bind(
    path: &Path,
    depth: Depth,
    restrictions: Restrictions,
) -> Result<OwnedFd, VolumeError> {
    let mounted = recipe::clone(path, depth, restrictions);
    mounted.map_err(|source| VolumeError::Mount {
        name: path.display().to_string(),
        source,
    })
}
