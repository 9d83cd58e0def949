//! Another program in a running container, confined as the container's own.
//!
//! ```text
//! caller (command or monitor)      consort [exec]                    the program's process
//!   settings in memory ──────────► one thread, not to be looked at
//!                                  enters the namespaces ─ clone ──► enters cgroup, confines itself
//!   pidfd ◄─────────────────────── made; ends
//!   Ready (and the terminal) ◄────────────────────────────────────── ready
//!   end of channel, or Failure ◄──────────────────────────────────── execve
//! ```
//!
//! A process of its own, since a process of several threads cannot enter a mount namespace, and
//! since nobody in the container may ever look into the caller (CVE-2016-9962). The program's process
//! is made a child of the caller, who thereby learns its exit code.

mod join;
mod request;

pub use join::main;
pub use request::{ExecRequest, Executed, exec};

/// The name of the process between the caller and the program.
pub const PROCESS_NAME: &std::ffi::CStr = c"consort [exec]";
