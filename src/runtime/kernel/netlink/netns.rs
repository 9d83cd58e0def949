//! Network namespaces by descriptor: make one, hold one, do something inside one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Opens the network namespace of the calling thread.
pub fn own_netns() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(open("/proc/thread-self/ns/net", flags, Mode::empty())?)
}

/// Makes a network namespace that lives as long as the descriptor, and runs `act` inside it.
///
/// The calling thread is back in its own namespace afterwards, whatever `act` returned.
pub fn new_netns<T>(act: impl FnOnce() -> io::Result<T>) -> io::Result<(OwnedFd, T)> {
    let home = own_netns()?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    let made = own_netns().and_then(|netns| Ok((netns, act()?)));
    move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))?;
    made
}

/// Runs `act` with the calling thread inside `netns`, and comes back.
pub fn inside<T, E: From<io::Error>>(
    netns: impl AsFd,
    act: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let home = own_netns()?;
    let network = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(netns.as_fd(), network).map_err(io::Error::from)?;
    let result = act();
    move_into_link_name_space(home.as_fd(), network).map_err(io::Error::from)?;
    result
}
