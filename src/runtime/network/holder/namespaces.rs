//! The two namespaces: made anew, or found again through a process that lives in them.

use std::fs::read_dir;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::fstat;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use crate::runtime::kernel::clone::{CloneOptions, spawn};
use crate::runtime::kernel::namespace::{self, open_of};
use crate::runtime::kernel::pidfd::Pidfd;
use crate::runtime::kernel::process::close_copy;
use crate::runtime::network::NetworkError;
use crate::runtime::network::endpoint::loopback_up;
use crate::runtime::store::read_bounded;

use super::ids::{current_ids, map_ids};
use super::protocol::IdMapping;

/// How the namespaces are known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NamespaceRecord {
    user: u64,
    net: u64,
}

#[derive(Debug)]
pub(super) struct Namespaces {
    pub(super) user: OwnedFd,
    pub(super) net: OwnedFd,
    pub(super) ids: IdMapping,
    /// A process in both: another program that enters them can name them by it, but not by our
    /// descriptors, which it may no longer look at from inside.
    pub(super) resident: i32,
    first: Option<First>,
}

/// The process that the namespaces were made with; it waits for the end of a pipe, and ends.
#[derive(Debug)]
struct First {
    process: Pidfd,
    going: Option<OwnedFd>,
}

impl First {
    fn tell(&self) -> Result<usize, rustix::io::Errno> {
        match &self.going {
            Some(going) => rustix::io::write(going, &[1]),
            None => Ok(0),
        }
    }
}

impl Drop for First {
    fn drop(&mut self) {
        drop(self.going.take());
        // It has nothing to do but to end; reaping it cannot fail in a way that matters.
        drop(self.process.wait_until_ended(None));
        drop(self.process.exit(0));
    }
}

impl Namespaces {
    /// Makes both, with this user as root and, where they have subordinate ids, others.
    pub(super) fn make() -> Result<Self, NetworkError> {
        let failed = |act| move |source: io::Error| NetworkError::Holder { act, source };
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from);
        let (go, going) = pipe().map_err(failed("make a pipe"))?;
        let (done, doing) = pipe().map_err(failed("make a pipe"))?;
        let options = CloneOptions {
            namespaces: namespace::Namespaces::NEWUSER | namespace::Namespaces::NEWNET,
            cgroup: None,
        };
        // This process has one thread, so the copy may do whatever it could do itself.
        let mut first_inside = || {
            let mut word = [0];
            // Its own copies of the other ends would keep both pipes from ever ending.
            let alone = close_copy(&going).and_then(|()| close_copy(&done));
            let told = rustix::io::read(&go, &mut word);
            let ready = alone.is_ok() && told == Ok(1) && first_steps().is_ok();
            let said = rustix::io::write(&doing, &[u8::from(ready)]);
            // Stays until the descriptors are held, which the end of the pipe says.
            let _ended = rustix::io::read(&go, &mut word);
            i32::from(said.is_err())
        };
        let child = spawn(&options, &mut first_inside)
            .map_err(|error| failed("make a user namespace")(error.into()))?;
        // Only the child may hold these ends, or nobody would ever see their end.
        drop((go, doing));
        let pid = child.pid.as_raw_nonzero().get();
        let process = Pidfd::from_parts(child.pidfd, pid);
        let first = First {
            process,
            going: Some(going),
        };
        let user = open_of(pid, "user").and_then(|user| Ok((user, open_of(pid, "net")?)));
        let (user, net) =
            user.map_err(|error| failed("hold the new namespaces")(io::Error::other(error)))?;
        let ids = map_ids(pid)?;
        let told = first.tell().map_err(io::Error::from);
        told.map_err(failed("enter the new namespaces"))?;
        let mut ready = [0];
        let read = rustix::io::read(&done, &mut ready).map_err(io::Error::from);
        read.map_err(failed("enter the new namespaces"))?;
        if ready != [1] {
            let source = io::ErrorKind::PermissionDenied.into();
            return Err(failed(
                "set up the loopback interface of the new namespaces",
            )(source));
        }
        Ok(Self {
            user,
            net,
            ids,
            resident: pid,
            first: Some(first),
        })
    }

    /// Lets the first process go: from here on, descriptors alone hold the namespaces.
    pub(super) fn let_first_go(&mut self) {
        drop(self.first.take());
    }

    /// Looks for a process of this user that lives in the recorded namespaces.
    pub(super) fn find(record: &NamespaceRecord) -> Option<Self> {
        for entry in read_dir("/proc").ok()?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let (Ok(user), Ok(net)) = (open_of(pid, "user"), open_of(pid, "net")) else {
                continue;
            };
            // Compared on the descriptors: the process may have ended or changed meanwhile.
            let found = Self {
                user,
                net,
                ids: current_ids(pid),
                resident: pid,
                first: None,
            };
            if found.record().ok().as_ref() == Some(record) {
                return Some(found);
            }
        }
        None
    }

    /// Returns a process that lives in the recorded user namespace, programs for the way out left out.
    pub(super) fn resident(record: &NamespaceRecord) -> Option<Pidfd> {
        for entry in read_dir("/proc").ok()?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let Ok(process) = Pidfd::open(pid) else {
                continue;
            };
            let inode = open_of(pid, "user")
                .ok()
                .and_then(|user| fstat(user.as_fd()).ok());
            let lives_there = inode.is_some_and(|stat| stat.st_ino == record.user);
            let command = read_bounded(&entry.path().join("comm"), 64).unwrap_or_default();
            let is_way = ["pasta", "passt", "slirp4netns"]
                .iter()
                .any(|name| command.starts_with(name.as_bytes()));
            if lives_there && !is_way && process.has_ended().is_ok_and(|ended| !ended) {
                return Some(process);
            }
        }
        None
    }

    pub(super) fn record(&self) -> Result<NamespaceRecord, NetworkError> {
        let inode = |fd: &OwnedFd| fstat(fd.as_fd()).map(|stat| stat.st_ino);
        let record = inode(&self.user).and_then(|user| {
            Ok(NamespaceRecord {
                user,
                net: inode(&self.net)?,
            })
        });
        let act = "look at the new namespaces";
        record.map_err(|error| NetworkError::Holder {
            act,
            source: error.into(),
        })
    }
}

/// What only a process inside can do.
fn first_steps() -> Result<(), NetworkError> {
    let act = "look at the new namespaces";
    let netns = crate::runtime::kernel::netlink::own_netns();
    loopback_up(netns.map_err(|source| NetworkError::Holder { act, source })?)
}
