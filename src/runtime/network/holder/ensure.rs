//! A command's side: finds the holder or starts one, and enters its namespaces.

use std::ffi::CString;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::runtime::kernel::namespace::{Namespaces, enter};
use crate::runtime::kernel::reexec::{OwnProgram, Session, Start, start};
use crate::runtime::network::NetworkError;
use crate::runtime::network::publish::HostSockets;
use crate::runtime::store::make_dir;

use super::lock::lock_alone;
use super::process::{ARG0, StartReport};
use super::{Files, HolderClient, HolderState, Lease};

/// Where the programs of a system are: the holder itself gets no other environment.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A holder that lives, and stays as long as the lease does.
#[derive(Debug)]
pub struct HolderHandle {
    /// The user namespace.
    pub userns: OwnedFd,
    /// The network namespace, which belongs to the user namespace.
    pub netns: OwnedFd,
    /// What the namespaces have and lack.
    pub state: HolderState,
    /// Keeps the holder; every monitor needs a copy.
    pub lease: Lease,
    /// The way to ask it.
    pub client: HolderClient,
}

impl HolderHandle {
    /// Returns where sockets of the host come from for a process that has joined.
    pub fn host_sockets(&self) -> HostSockets {
        HostSockets::Holder(self.client.clone())
    }
}

/// Finds the holder that belongs to `folder`, or starts one.
pub fn ensure(folder: &Path) -> Result<HolderHandle, NetworkError> {
    make_dir(folder).map_err(|source| NetworkError::Record {
        container: folder.display().to_string(),
        source,
    })?;
    let files = Files::new(folder);
    let failed = |act| move |source| NetworkError::Holder { act, source };
    let lease = Lease::take(&files.users_lock).map_err(failed(
        "take a share in the holder of this user's namespaces",
    ))?;
    let starting = lock_alone(&files.start_lock)
        .map_err(failed("wait for the holder of this user's namespaces"))?;
    let client = HolderClient::new(&files.socket);
    if client.user_namespace().is_err() {
        start_holder(folder)?;
    }
    drop(starting);
    let ask = failed("ask the holder for this user's namespaces");
    let (userns, state) = client.user_namespace().map_err(ask)?;
    let (netns, _) = client.network_namespace().map_err(ask)?;
    Ok(HolderHandle {
        userns,
        netns,
        state,
        lease,
        client,
    })
}

/// Moves this process into the holder's namespaces; it must not have started a thread yet.
///
/// From here on this user is root, over what belongs to these namespaces.
pub fn join(handle: &HolderHandle) -> Result<(), NetworkError> {
    let failed = |source| NetworkError::Holder {
        act: "enter this user's namespaces",
        source: std::io::Error::other(source),
    };
    enter(&handle.userns, Namespaces::NEWUSER).map_err(failed)?;
    enter(&handle.netns, Namespaces::NEWNET).map_err(failed)
}

fn start_holder(folder: &Path) -> Result<(), NetworkError> {
    let act = "start the holder of this user's namespaces";
    let failed = |source| NetworkError::Holder { act, source };
    let (report, reporter) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let null = || open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let null = || null().map_err(|error| failed(error.into()));
    let folder = CString::new(folder.as_os_str().as_bytes());
    let folder = folder.map_err(|error| failed(error.into()))?;
    let path = CString::new(PATH).map_err(|error| failed(error.into()))?;
    let program = OwnProgram::open().map_err(|error| failed(std::io::Error::other(error)))?;
    let holder = Start {
        args: vec![ARG0.to_owned(), folder],
        env: vec![path],
        stdio: [null()?, reporter, null()?],
        fds: Vec::new(),
        session: Session::New,
    };
    start(&program, holder).map_err(|error| failed(std::io::Error::other(error)))?;
    let mut text = String::new();
    std::fs::File::from(report)
        .read_to_string(&mut text)
        .map_err(failed)?;
    match serde_json::from_str(&text) {
        Ok(StartReport::Ready) => Ok(()),
        Ok(StartReport::Failed { reason }) => Err(failed(std::io::Error::other(reason))),
        Err(_) => Err(failed(std::io::Error::other("it ended without a word"))),
    }
}
