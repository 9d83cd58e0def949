//! Another program in a running container, confined as the container's own.
//!
//! ```text
//! caller                  consort [exec]: watcher      joining process         program's process
//!   settings in memory ──► host's namespaces ─ clone ──► container's cgroup
//!                                                        and namespaces
//!   Ready (terminal) ◄──── ◄──────────────────────────── ready
//!                                                        confines itself ─ clone ──► execve
//!                          ◄──────────────────────────── made; ends
//!                          ◄──────────────────────────────────────────── end of channel, or Failure
//!   Ended ◄─────────────── reaps ◄─────────────────────────────────────────────────────── end
//! ```
//!
//! Only the program's process is in the container's pid namespace: what the container can see of ours
//! has nothing that the program will not have, so that there is nothing to gain from looking into it
//! or from stopping it (CVE-2016-9962).
//!
//! **Invariant:** no caller waits for the container: the watcher does, and it has limits.

mod join;
mod request;
mod watch;

pub use request::{ExecRequest, Executed, begin};
pub use watch::main;

/// The name of the process between the caller and the program.
pub const PROCESS_NAME: &std::ffi::CStr = c"consort [exec]";
