//! What can go wrong in a build.

use std::io;
use std::path::PathBuf;

use super::dockerfile::Mistake;
use super::dockerfile::ast::Lines;
use crate::runtime::container::ContainerError;
use crate::runtime::git::GitError;
use crate::runtime::image::ImageError;
use crate::runtime::kernel::KernelError;
use crate::runtime::store::StoreError;
use crate::value::{Digest, IgnoreError};

/// Why an image was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile has a mistake.
    #[error("{}", .0.message)]
    Dockerfile(Box<Mistake>),
    /// There is no Dockerfile.
    #[error("read the Dockerfile `{}`: there is no such file", .name.display())]
    NoDockerfile {
        /// The name that was looked for.
        name: PathBuf,
    },
    /// A context is not a folder.
    #[error("read the build context `{}`: it is not a folder", .path.display())]
    NotAFolder {
        /// Its place.
        path: PathBuf,
    },
    /// A named context cannot be used.
    #[error("read the build context `{name}`")]
    NamedContext {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// An ignore file has a mistake.
    #[error("read `{}`", .file.display())]
    Ignore {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: IgnoreError,
    },
    /// A repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Files of ours.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image could not be found or pulled.
    #[error("resolve image `{name}`")]
    ResolveImage {
        /// Its name as written.
        name: String,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// A step could not be done.
    #[error("do step `{text}`")]
    Step {
        /// The first line of its instruction.
        line: usize,
        /// The instruction.
        text: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// A command of a `RUN` ended with another code than 0.
    #[error("run `{command}`: exit code {code}")]
    RunFailed {
        /// The command.
        command: String,
        /// The code, 128 and the signal's number where one ended it.
        code: i32,
        /// The last lines of its output.
        output: String,
    },
    /// A source is not where it should be.
    #[error(
        "copy `{path}`: there is no such file or folder{}",
        ignored_by(*excluded)
    )]
    NoSource {
        /// The path as written.
        path: String,
        /// Whether the ignore file takes it out of the context.
        excluded: bool,
    },
    /// What was asked for cannot be done.
    #[error("{act}: {reason}")]
    Refused {
        /// What was to be done.
        act: String,
        /// Why it cannot be.
        reason: String,
    },
    /// A downloaded file is not what the Dockerfile says.
    #[error("accept `{url}`: its digest is `{got}`, expected `{expected}`")]
    WrongChecksum {
        /// Where it came from.
        url: String,
        /// What it must be.
        expected: Digest,
        /// What it is.
        got: Digest,
    },
    /// A file could not be downloaded.
    #[error("download `{url}`")]
    Download {
        /// Where it should come from.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be read or written.
    #[error("{act}")]
    Io {
        /// What was being done.
        act: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel refused something.
    #[error("{act}")]
    Kernel {
        /// What was being done.
        act: String,
        /// Why.
        #[source]
        source: KernelError,
    },
    /// The image store failed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The container of a `RUN` could not be made.
    #[error("run a container")]
    Container(#[from] ContainerError),
    /// Another step failed meanwhile.
    #[error("go on: another step has failed")]
    Cancelled,
}

fn ignored_by(excluded: bool) -> &'static str {
    if excluded {
        ": the ignore file takes it out of the context"
    } else {
        ""
    }
}

impl BuildError {
    /// Returns what is wrong with the Dockerfile, or which of its instructions failed.
    pub fn mistake(&self) -> Option<Mistake> {
        if let Self::Dockerfile(mistake) = self {
            return Some(mistake.as_ref().clone());
        }
        let Self::Step { line, source, .. } = self else {
            return None;
        };
        let lines = Lines {
            first: *line,
            last: *line,
        };
        Some(Mistake::new(source.to_string()).at(lines))
    }

    /// Returns what makes an input or output error one of a build.
    pub(super) fn io<E: Into<io::Error>>(act: impl Into<String>) -> impl FnOnce(E) -> Self {
        let act = act.into();
        move |source| Self::Io {
            act,
            source: source.into(),
        }
    }

    /// Returns what makes an error of the kernel one of a build.
    pub(super) fn kernel(act: impl Into<String>) -> impl FnOnce(KernelError) -> Self {
        let act = act.into();
        move |source| Self::Kernel { act, source }
    }

    /// Returns a refusal.
    pub(super) fn refused(act: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused {
            act: act.into(),
            reason: reason.into(),
        }
    }
}

impl From<Mistake> for BuildError {
    fn from(mistake: Mistake) -> Self {
        Self::Dockerfile(Box::new(mistake))
    }
}
