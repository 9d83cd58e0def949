//! Why something was not copied.

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;

use crate::runtime::kernel::KernelError;

/// Why something was not copied.
#[derive(Debug, Error)]
pub enum CopyError {
    /// There is nothing to copy.
    #[error("find `{path}`")]
    NotFound {
        /// What was named.
        path: PathBuf,
    },
    /// A path is named as that of a folder and is none.
    #[error("take `{path}` for a folder, which it is not")]
    NotAFolder {
        /// What was named.
        path: PathBuf,
    },
    /// The folder that the copy would be in is not there.
    #[error("find the folder `{path}`, where the copy would be")]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A folder would take the place of a file.
    #[error("copy a folder onto `{path}`, which is none")]
    FolderOntoFile {
        /// The file.
        path: PathBuf,
    },
    /// A file would take the place of a folder.
    #[error("copy a file onto the folder `{path}`")]
    FileOntoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A socket cannot be copied.
    #[error("copy `{path}`, which is a socket")]
    Socket {
        /// The socket.
        path: PathBuf,
    },
    /// The kernel refused something.
    #[error("{act} `{path}`")]
    Call {
        /// What was to be done.
        act: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A path could not be reached.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl CopyError {
    /// Says what failed on which path.
    pub(super) fn on(act: &'static str, path: &Path) -> impl Fn(Errno) -> Self {
        let path = path.to_owned();
        move |errno| Self::Call {
            act,
            path: path.clone(),
            source: errno.into(),
        }
    }
}
