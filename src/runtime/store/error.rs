//! What can go wrong with the files of the state directory.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::LockHolder;

/// A failed act on the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A directory could not be made.
    #[error("create directory `{path}`")]
    MakeDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or folder could not be removed.
    #[error("remove `{path}`")]
    Remove {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A record is not what this program writes.
    #[error("understand the record `{path}`")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file is larger than a record can be.
    #[error("read `{path}`: it has more than {limit_bytes} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// A newer program made this state directory.
    #[error(
        "use the state directory `{path}`: its layout is version {found}, this program knows {known}"
    )]
    NewerLayout {
        /// The state directory.
        path: PathBuf,
        /// The version found there.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The `version` file holds something else than a number.
    #[error("use the state directory `{path}`: its file `version` does not hold a number")]
    UnknownLayout {
        /// The state directory.
        path: PathBuf,
    },
    /// A directory of ours belongs to someone else, or others may write to it.
    #[error("use `{path}`: it belongs to another user or is open to others")]
    ForeignDir {
        /// The directory.
        path: PathBuf,
    },
    /// A lock file could not be opened or locked.
    #[error("lock `{path}`")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("lock `{path}`: held by {holder}")]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it.
        holder: LockHolder,
    },
}

impl StoreError {
    /// Reports whether a record is there but is not what was written: a power cut or a failing disk can do that.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Parse { .. } | Self::TooLarge { .. } => true,
            Self::Read { source, .. } => matches!(
                Errno::from_io_error(source),
                Some(Errno::IO | Errno::BADMSG | Errno::UCLEAN | Errno::ISDIR)
            ),
            Self::MakeDir { .. }
            | Self::Write { .. }
            | Self::Remove { .. }
            | Self::NewerLayout { .. }
            | Self::UnknownLayout { .. }
            | Self::ForeignDir { .. }
            | Self::Lock { .. }
            | Self::Held { .. } => false,
        }
    }

    /// Says why it failed, with all causes; what failed where nothing else is known.
    pub fn reason(&self) -> String {
        let first: Option<&dyn std::error::Error> = std::error::Error::source(self);
        let causes = std::iter::successors(first, |error| error.source());
        let texts: Vec<String> = causes.map(ToString::to_string).collect();
        if texts.is_empty() {
            return self.to_string();
        }
        texts.join(": ")
    }

    /// Reports whether the disk, or our share of it, is full.
    pub fn is_want_of_room(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Write { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Reports whether a file was simply not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
