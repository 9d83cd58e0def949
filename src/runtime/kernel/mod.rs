//! The kernel's edge: the only room with `unsafe`, and with system calls that others would repeat.
//!
//! Everything here is a plain function on descriptors that returns what the kernel said, with the act
//! and the thing named. Nothing here knows what a container is. Functions that return a bare
//! [`rustix::io::Errno`] allocate nothing and may run in the child between `clone` and `execve`.
//!
//! **Invariant:** every descriptor made here is close-on-exec.
//! **Invariant:** nothing joins paths below an untrusted root except [`rooted`].

#![expect(
    unsafe_code,
    reason = "the one room that speaks to the kernel directly"
)]

pub mod failpoint;
pub mod sys;
pub mod pidfd;
pub mod family;
pub mod namespace;
pub mod mount;
pub mod overlay;
pub mod rooted;
pub mod process;
pub mod clone;
pub mod program;
pub mod confine;
pub mod bpf;
pub mod reexec;
pub mod channel;
pub mod netlink;
pub mod heap;
pub mod thread;
mod error;

pub use error::KernelError;
