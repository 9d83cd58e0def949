//! What the kernel refused, and on which thing.

use std::fmt;
use std::io;

use rustix::io::Errno;
use thiserror::Error;

/// A kernel operation that did not work.
#[derive(Debug, Error)]
pub enum KernelError {
    /// A system call failed; there is no particular thing to name.
    #[error("{act}")]
    Call {
        /// What was being done, as an imperative fragment.
        act: &'static str,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A system call failed on one named thing.
    #[error("{act} `{thing}`")]
    CallOn {
        /// What was being done, as an imperative fragment.
        act: &'static str,
        /// The path, name or id it was done to.
        thing: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A file inside an untrusted root is not what it must be.
    #[error("use `{path}`: it is a {found}, not a {expected}")]
    WrongKind {
        /// The path inside the root.
        path: String,
        /// What is there.
        found: &'static str,
        /// What was needed.
        expected: &'static str,
    },
    /// A file inside an untrusted root is larger than anything legitimate.
    #[error("read `{path}`: it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The path inside the root.
        path: String,
        /// The largest size that is read.
        limit_bytes: u64,
    },
    /// The process is not the one that was remembered: its number was used again, or it is gone.
    #[error("find process {pid}: it has ended")]
    ProcessGone {
        /// The remembered number.
        pid: i32,
    },
    /// Text that the kernel needs as a C string holds a NUL byte.
    #[error("pass `{text}` to the kernel: it holds a NUL byte")]
    NulByte {
        /// The text, escaped.
        text: String,
    },
}

impl KernelError {
    /// Names the act that failed.
    pub fn call(act: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Call {
            act,
            source: errno.into(),
        }
    }

    /// Names the act that failed and the thing it was done to.
    pub fn call_on(
        act: &'static str,
        thing: &(impl fmt::Display + ?Sized),
    ) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::CallOn {
            act,
            thing: thing.to_string(),
            source: errno.into(),
        }
    }

    /// Returns the kernel's error number, where the kernel gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { source, .. } | Self::CallOn { source, .. } => {
                source.raw_os_error().map(Errno::from_raw_os_error)
            }
            Self::WrongKind { .. }
            | Self::TooLarge { .. }
            | Self::ProcessGone { .. }
            | Self::NulByte { .. } => None,
        }
    }
}
