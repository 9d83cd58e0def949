//! Everything that a container is made from.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use oci_spec::runtime::Spec;

use super::cgroup::Placement;
use super::description::RootAccess;
use super::seccomp::Seccomp;

/// What [`super::create()`] takes.
#[derive(Debug)]
pub struct Bundle {
    /// The OCI `Spec`, with the user as numbers.
    pub spec: Spec,
    /// The root filesystem as a detached mount; see `kernel::overlay`.
    pub rootfs: OwnedFd,
    /// Namespaces of others that the container lives in.
    pub join: JoinedNamespaces,
    /// Files of the host that take the place of files of the image: hosts, resolv.conf, secrets.
    pub files: Vec<FileMount>,
    /// Descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// Which cgroup it belongs in.
    pub placement: Placement,
    /// Which system calls it may make.
    pub seccomp: Seccomp,
    /// What its first process is.
    pub first_process: FirstProcess,
}

/// Namespaces that are entered instead of made; the `Spec` still lists them as the container's own.
#[derive(Debug, Default)]
pub struct JoinedNamespaces {
    /// Links, addresses and ports: prepared by whoever made the network, or another container's.
    pub network: Option<OwnedFd>,
    /// Another container's System V IPC and message queues.
    pub ipc: Option<OwnedFd>,
    /// Another container's processes.
    pub pid: Option<OwnedFd>,
    /// Another container's host name.
    pub uts: Option<OwnedFd>,
}

/// A file or directory of the host that is mounted in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMount {
    /// The path on the host.
    pub source: PathBuf,
    /// The absolute path in the container; links on the way are followed inside it.
    pub target: PathBuf,
    /// Whether the container may write to it.
    pub access: RootAccess,
}

/// Where a program reads from and writes to.
#[derive(Debug)]
pub enum Stdio {
    /// Input, output and errors.
    Files([OwnedFd; 3]),
    /// A terminal in the container; the other end comes back.
    Terminal {
        /// Its height in lines.
        rows: u16,
        /// Its width in characters.
        columns: u16,
    },
}

/// What the first process of a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstProcess {
    /// The program itself.
    Program,
    /// A small init that hands signals on and reaps orphans.
    Reaper,
}
