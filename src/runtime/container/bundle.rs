//! Everything that a container is made from.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use oci_spec::runtime::Spec;

use super::cgroup::Placement;
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
    /// What is bound at these targets is mounted already, and detached: volumes. It takes the place
    /// of the source that the `Spec` names, which a kernel before Linux 6.15 could not copy.
    pub mounted: BTreeMap<PathBuf, OwnedFd>,
    /// Descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// Which cgroup it belongs in.
    pub placement: Placement,
    /// Which system calls it may make.
    pub seccomp: Seccomp,
    /// What its first process is.
    pub first_process: FirstProcess,
    /// Whether it outlives the thread that makes it.
    pub lifetime: Lifetime,
}

/// Whether a container outlives the thread that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// It does: a monitor may be killed and replaced.
    Own,
    /// The kernel ends it with that thread, as a step of a build that is killed.
    Maker,
}

/// Namespaces that are entered instead of made; the `Spec` still lists them as the container's own.
#[derive(Debug, Default)]
pub struct JoinedNamespaces {
    /// Links, addresses and ports: prepared by whoever made the network, or another container's.
    pub network: Option<OwnedFd>,
    /// Another container's System V IPC, message queues and /dev/shm.
    pub ipc: Option<JoinedNamespace>,
    /// Another container's processes.
    pub pid: Option<JoinedNamespace>,
    /// Another container's host name.
    pub uts: Option<OwnedFd>,
}

/// A namespace of another container to which a mount belongs.
#[derive(Debug)]
pub struct JoinedNamespace {
    /// The namespace.
    pub namespace: OwnedFd,
    /// The first process of that container, which has the mount.
    pub process: OwnedFd,
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
