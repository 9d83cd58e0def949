//! What can go wrong with volumes and bind sources.

use std::io;
use std::path::PathBuf;

use crate::runtime::kernel::KernelError;
use crate::runtime::store::StoreError;

/// A failed act on a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// A name could not be the name of a folder.
    #[error(
        "use the volume name `{name}`: expected letters, digits, `_`, `.` and `-`, a letter or digit first"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// There is no such volume.
    #[error("find volume `{name}`")]
    NotFound {
        /// The volume.
        name: String,
    },
    /// A volume of that name is of another kind.
    #[error("create volume `{name}`: it is there with another driver or other options")]
    Different {
        /// The volume.
        name: String,
    },
    /// Containers use it.
    #[error("remove volume `{name}`: used by {}", containers.join(", "))]
    InUse {
        /// The volume.
        name: String,
        /// The containers.
        containers: Vec<String>,
    },
    /// Only the local driver is there.
    #[error("use volume `{name}`: its driver `{driver}` is not there, only `local` is")]
    UnknownDriver {
        /// The volume.
        name: String,
        /// The driver.
        driver: String,
    },
    /// The driver's options make no sense.
    #[error("use the options of volume `{name}`: {reason}")]
    BadOptions {
        /// The volume.
        name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A path of this machine that should be mounted is not there.
    #[error("mount `{path}`: there is no such file or directory")]
    SourceMissing {
        /// The path.
        path: PathBuf,
    },
    /// A path of this machine that should be mounted is a link to nothing.
    #[error("mount `{path}`: it is a link to `{leads_to}`, and nothing is there")]
    LinkDangles {
        /// The link.
        path: PathBuf,
        /// What it leads to.
        leads_to: PathBuf,
    },
    /// A socket of this machine that should be mounted is not there.
    #[error("mount `{path}`: no program listens there, and no folder is made in place of a socket")]
    SocketMissing {
        /// The path.
        path: PathBuf,
    },
    /// A path inside a volume is not there, or leads nowhere inside it.
    #[error("open `{subpath}` in volume `{name}`")]
    Subpath {
        /// The volume.
        name: String,
        /// The path.
        subpath: PathBuf,
        /// Why.
        #[source]
        source: KernelError,
    },
    /// The data could not be made ready to be mounted.
    #[error("mount volume `{name}`")]
    Mount {
        /// The volume.
        name: String,
        /// Why.
        #[source]
        source: KernelError,
    },
    /// The image's files could not be copied into a new volume.
    #[error("copy `{path}` of the image into volume `{name}`")]
    Seed {
        /// The volume.
        name: String,
        /// The path in the image.
        path: PathBuf,
        /// Why.
        #[source]
        source: KernelError,
    },
    /// A file or directory could not be written.
    #[error("write `{path}`")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Random names need random numbers.
    #[error("make a name for a volume")]
    Random {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Files of the state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VolumeError {
    pub(super) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}
