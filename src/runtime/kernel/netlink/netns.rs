//! Network namespaces by descriptor: make one, hold one, do something inside one.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Opens the network namespace of the calling thread.
pub fn own_netns() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(open("/proc/thread-self/ns/net", flags, Mode::empty())?)
}

/// Returns the number of the calling thread's network namespace.
///
/// No other has it until the machine stops; before Linux 5.14, no other that lives at the same time.
pub fn own_netns_id() -> io::Result<u64> {
    let kind = SocketType::DGRAM;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    let mut cookie = 0_u64;
    let mut length = nix::libc::socklen_t::try_from(size_of::<u64>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes to `cookie`, which has as many, and writes to
    // `length`; both live until the call returns.
    let answer = unsafe {
        nix::libc::getsockopt(
            socket.as_raw_fd(),
            nix::libc::SOL_SOCKET,
            nix::libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if answer == 0 {
        return Ok(cookie);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(nix::libc::ENOPROTOOPT) => {
            Ok(rustix::fs::fstat(own_netns()?)?.st_ino)
        }
        error => Err(error),
    }
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
