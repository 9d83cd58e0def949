//! The program that carries packets between the holder's network namespace and the world.
//!
//! `pasta` is tried first, since it is faster and knows IPv6; then `slirp4netns`. Both need
//! `/dev/net/tun`. Neither lets containers reach services on the host's loopback addresses.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open as open_file};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::runtime::network::NetworkError;
use crate::runtime::network::address::has_default_route;
use crate::value::Signal;

use super::namespaces::Namespaces;
use super::programs::{self, Program};
use super::protocol::Outside;

/// The device that both programs make an interface of.
const TUN: &str = "/dev/net/tun";
/// The interface in the holder's namespace.
const INTERFACE: &str = "outside0";
/// How long a program may take until it says that it is ready.
const READY_TIMEOUT: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// A program under way; it ends when this is dropped, and when this process is killed.
#[derive(Debug)]
pub(super) struct Way {
    program: Program,
    /// The end of its standard input, which `slirp4netns` watches.
    _alive: OwnedFd,
}

impl Drop for Way {
    fn drop(&mut self) {
        // One that ended by itself is only reaped.
        drop(self.program.process.signal(Signal::KILL.number()));
        drop(self.program.process.wait_until_ended(None));
        drop(self.program.process.exit(0));
    }
}

/// Opens a way out, or says why there is none.
pub(super) fn open(namespaces: &Namespaces) -> (Outside, Option<Way>) {
    let mut failures = Vec::new();
    let ways = [
        ("pasta", pasta_arguments(namespaces)),
        ("slirp4netns", slirp4netns_arguments(namespaces)),
    ];
    for (name, arguments) in ways {
        match begin(name, &arguments) {
            Ok(way) => {
                return (
                    Outside::Program {
                        name: name.to_owned(),
                    },
                    Some(way),
                );
            }
            Err(error) => failures.push((name, error)),
        }
    }
    let reason = reason(&failures);
    (Outside::None { reason }, None)
}

/// Says on one line what is missing, and how it can be had: programs are asked only for what is not known here.
fn reason(failures: &[(&str, NetworkError)]) -> String {
    let installed = failures
        .iter()
        .find(|(name, _)| programs::is_installed(name));
    let Some((name, error)) = installed else {
        return "neither `pasta` nor `slirp4netns` is installed; install one of them".to_owned();
    };
    match open_file(TUN, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => {}
        Err(Errno::ACCESS | Errno::PERM) => {
            return format!("this user may not open `{TUN}`; `chmod 0666 {TUN}` as root allows it");
        }
        Err(_) => return format!("this machine has no `{TUN}`; `modprobe tun` as root makes it"),
    }
    if has_default_route().is_ok_and(|has| !has) {
        return "this machine has no default route itself".to_owned();
    }
    if let NetworkError::Program { said, .. } = error {
        return format!("`{name}` failed: {said}");
    }
    error.to_string()
}

/// Paths by which another program finds the namespaces, also from inside the first of them.
fn paths(namespaces: &Namespaces) -> (String, String) {
    let path = |name: &str| format!("/proc/{}/ns/{name}", namespaces.resident);
    (path("user"), path("net"))
}

/// Ready once it has written its number into what it takes for a file.
fn pasta_arguments(namespaces: &Namespaces) -> Vec<String> {
    let (user, net) = paths(namespaces);
    split(&format!(
        "--foreground --quiet --config-net --no-map-gw --no-netns-quit -t none -u none -T none -U none \
         --ns-ifname {INTERFACE} --pid /proc/self/fd/1 --userns {user} --netns {net}"
    ))
}

fn slirp4netns_arguments(namespaces: &Namespaces) -> Vec<String> {
    let (user, net) = paths(namespaces);
    split(&format!(
        "--configure --mtu=65520 --disable-host-loopback --exit-fd=0 --ready-fd=1 \
         --userns-path={user} --netns-type=path {net} {INTERFACE}"
    ))
}

fn split(words: &str) -> Vec<String> {
    words.split_ascii_whitespace().map(str::to_owned).collect()
}

fn begin(name: &'static str, arguments: &[String]) -> Result<Way, NetworkError> {
    let failed = |error: Errno| NetworkError::Program {
        program: name,
        said: error.to_string(),
    };
    let (input, alive) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let (ready, output) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let program = programs::start(name, arguments, [input, output])?;
    let way = Way {
        program,
        _alive: alive,
    };
    let mut waiting = [PollFd::new(&ready, PollFlags::IN)];
    if poll(&mut waiting, Some(&READY_TIMEOUT)).map_err(failed)? == 0 {
        let said = "it was not ready in time".to_owned();
        return Err(NetworkError::Program {
            program: name,
            said,
        });
    }
    let mut word = [0_u8; 32];
    match rustix::io::read(&ready, &mut word).map_err(failed)? {
        0 => Err(way.program.complaint()),
        _ => Ok(way),
    }
}
