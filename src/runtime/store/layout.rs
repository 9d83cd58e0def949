//! Where everything lies.
//!
//! ```text
//! <state>/                                0700; /var/lib/consort or $XDG_DATA_HOME/consort
//! ├── version                             layout version, a number
//! ├── images/                             OCI image layout: oci-layout, index.json, blobs/sha256/
//! ├── layers/<chain-id>/                  one unpacked layer each
//! ├── volumes/<name>/                     volume.json, _data/
//! ├── networks/<name>/                    network.json, leases/<container-id>.json
//! ├── names/<container-name>              a link to the folder of the container that has the name
//! ├── projects/<project>/
//! │   ├── journal                         intents and what became of them
//! │   ├── events                          one JSON object a line, bounded
//! │   └── containers/<container-id>/
//! │       ├── record.json                 what was wanted, written once per create or update
//! │       ├── state.json                  what its monitor last said
//! │       ├── log, log.1, …               output, one line a line
//! │       ├── hosts, hostname, resolv.conf    mounted into it, which may write to them
//! │       └── upper/, work/               the container's own changes to its root filesystem
//! ├── damaged/<number>/                   a file that could not be read, and why
//! └── trash/                              renamed here first, removed later
//!
//! <run base>/                             0700; shared by all state directories of one user
//! ├── networks.lock                       held while addresses are chosen and bridges change
//! └── forwarding-<namespace>.json         what was switched on for networks, and what was before
//!
//! <run>/                                  0700, on tmpfs; `run_base()`/<hash>, mostly /run/consort or $XDG_RUNTIME_DIR/consort
//! ├── locks/                              <project>.lock, images.lock, holder.lock
//! ├── names/<network>/<container-id>.json what the name servers answer
//! └── containers/<container-id>/
//!     ├── bundle.json                     all that a monitor needs to start it, secrets included
//!     ├── identity.json                   the user and groups that its program has
//!     ├── lock                            held by its monitor
//!     ├── control                         socket of its monitor
//!     ├── stdin, stdout, stderr           FIFOs
//!     └── files/                          secrets and configs, mounted into it read-only
//! ```

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest as _, Sha256};

use super::{Durability, StoreError, atomic, set_aside};

/// The newest layout of the state directory that this program reads and writes.
pub const LAYOUT_VERSION: u32 = 1;

/// The two directories of one installation, and the paths inside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    state: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// Names the paths below a state directory and the run directory that belongs to it.
    ///
    /// `run_base` is shared by all state directories of one user; each gets a folder of its own in it.
    pub fn new(state: &Path, run_base: &Path) -> Self {
        let hash = Sha256::digest(state.as_os_str().as_encoded_bytes());
        let short: String = hash
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            state: state.to_owned(),
            run: run_base.join(short),
        }
    }

    /// Makes the directories where they are missing, and checks version and owner.
    pub fn prepare(&self) -> Result<(), StoreError> {
        // The folder of all run directories may lie in one that everybody can write to.
        for dir in [&*self.state, self.run_base(), &*self.run] {
            make_private(dir)?;
        }
        let version_file = self.state.join("version");
        match atomic::read_bounded(&version_file, 64) {
            Ok(bytes) => self.check_version(&bytes, &version_file),
            Err(error) if error.is_not_found() => write_version(&version_file),
            Err(error) => Err(error),
        }
    }

    fn check_version(&self, bytes: &[u8], version_file: &Path) -> Result<(), StoreError> {
        let text = std::str::from_utf8(bytes).ok();
        let Some(found) = text.and_then(|text| text.trim().parse::<u32>().ok()) else {
            let error = StoreError::UnknownLayout {
                path: self.state.clone(),
            };
            // Where nothing else of ours is, the file belongs to another program.
            if !self.images().join("oci-layout").exists() {
                return Err(error);
            }
            let _kept = set_aside(&self.damaged(), version_file, &error)?;
            return write_version(version_file);
        };
        if found > LAYOUT_VERSION {
            let path = self.state.clone();
            return Err(StoreError::NewerLayout {
                path,
                found,
                known: LAYOUT_VERSION,
            });
        }
        Ok(())
    }

    /// Returns the state directory itself.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Returns the folder of the run directories of all state directories of one user.
    pub fn run_base(&self) -> &Path {
        self.run.parent().unwrap_or(&self.run)
    }

    /// Returns the run directory itself.
    pub fn run_dir(&self) -> &Path {
        &self.run
    }

    /// Returns the short name of this installation, which is part of every mark in the kernel: several
    /// state directories may live on one machine, and none touches what is another's.
    pub fn installation(&self) -> &str {
        self.run
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// Returns the folder of the image store.
    pub fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// Returns the folder of the unpacked layers.
    pub fn layers(&self) -> PathBuf {
        self.state.join("layers")
    }

    /// Returns the folder of all volumes.
    pub fn volumes(&self) -> PathBuf {
        self.state.join("volumes")
    }

    /// Returns the folder that says which container has which name.
    pub fn container_names(&self) -> PathBuf {
        self.state.join("names")
    }

    /// Returns the folder of all networks.
    pub fn networks(&self) -> PathBuf {
        self.state.join("networks")
    }

    /// Returns the folder of one network.
    pub fn network(&self, name: &str) -> PathBuf {
        self.networks().join(name)
    }

    /// Returns the folder of all projects.
    pub fn projects(&self) -> PathBuf {
        self.state.join("projects")
    }

    /// Returns the folder of one project.
    pub fn project(&self, project: &str) -> PathBuf {
        self.projects().join(project)
    }

    /// Returns the journal of one project.
    pub fn journal(&self, project: &str) -> PathBuf {
        self.project(project).join("journal")
    }

    /// Returns the event file of one project.
    pub fn events(&self, project: &str) -> PathBuf {
        self.project(project).join("events")
    }

    /// Returns the folder of all containers of one project.
    pub fn containers(&self, project: &str) -> PathBuf {
        self.project(project).join("containers")
    }

    /// Returns the folder of one container.
    pub fn container(&self, project: &str, id: &str) -> PathBuf {
        self.containers(project).join(id)
    }

    /// Returns the folder of files that could not be read.
    pub fn damaged(&self) -> PathBuf {
        self.state.join("damaged")
    }

    /// Returns the folder for what is to be removed later.
    pub fn trash(&self) -> PathBuf {
        self.state.join("trash")
    }

    /// Returns the name of a folder for what is not finished; a crash leaves it to be removed later.
    pub fn scratch(&self, kind: &str) -> PathBuf {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("{kind}-{}-{serial}", std::process::id());
        self.trash().join(name)
    }

    /// Returns the lock file of this name.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.run.join("locks").join(format!("{name}.lock"))
    }

    /// Returns the folder of the name records of one network.
    pub fn names(&self, network: &str) -> PathBuf {
        self.run.join("names").join(network)
    }

    /// Returns the run folder of one container.
    pub fn container_run(&self, id: &str) -> PathBuf {
        self.run.join("containers").join(id)
    }
}

fn write_version(path: &Path) -> Result<(), StoreError> {
    let text = format!("{LAYOUT_VERSION}\n");
    atomic::write_atomic(path, text.as_bytes(), Durability::Synced)
}

/// Makes a directory that is ours alone, and refuses one that is not.
fn make_private(dir: &Path) -> Result<(), StoreError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    made.map_err(|source| StoreError::MakeDir {
        path: dir.to_owned(),
        source,
    })?;
    let read = |source: io::Error| StoreError::Read {
        path: dir.to_owned(),
        source,
    };
    let metadata = std::fs::symlink_metadata(dir).map_err(read)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o022 != 0 {
        return Err(StoreError::ForeignDir {
            path: dir.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(dir: &Path) -> Layout {
        Layout::new(&dir.join("state"), &dir.join("run"))
    }

    #[test]
    fn a_newer_layout_is_refused_by_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(dir.path());
        layout.prepare().unwrap();
        layout.prepare().unwrap();
        atomic::write_atomic(
            &dir.path().join("state/version"),
            b"2\n",
            Durability::Cached,
        )
        .unwrap();
        let error = layout.prepare().unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::NewerLayout {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn two_state_directories_never_share_a_run_directory() {
        let base = Path::new("/run/consort");
        let one = Layout::new(Path::new("/a"), base);
        let two = Layout::new(Path::new("/b"), base);
        assert_ne!(one.run_dir(), two.run_dir());
    }
}
