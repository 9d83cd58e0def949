//! What runs in the container's first process, from `clone` to `execve`.
//!
//! The parent turns a bundle into an [`InitPlan`]: every string made, every host path opened, every
//! choice taken. The child walks it with system calls only and answers with fixed-size messages.
//!
//! ```text
//! parent (monitor)                         child (new namespaces)
//!   compile ─► InitPlan ── clone ─────────► setup: cgroup, namespaces, mounts, masks, pivot
//!   Ready (and the terminal) ◄───────────── ready
//!   Start ────────────────────────────────► finish: filter, capabilities, execve
//!   end of channel (it runs) or Failure ◄──
//! ```
//!
//! **Invariant:** from `clone` to `execve` nothing is allocated and no lock is taken.
//! **Invariant:** no path of the container is resolved but inside its root, on descriptors.

mod filesystem;
mod finish;
mod joined;
mod options;
mod plan;
mod program;
mod reaper;
mod report;
mod setup;
mod sysctl;
mod terminal;
mod words;

pub(super) use finish::{FinishPlan, ProcessSettings, RESOURCES, resource_number};
pub(super) use plan::{InitPlan, Parts, StdioPlan, own_namespace, target};
pub(super) use program::make as make_program;
pub(super) use report::{Act, Failure, MESSAGE_BYTES, Message};
pub(super) use setup::{ABANDONED, become_unseen, pass, report, run};
pub(super) use terminal::{make as make_terminal, use_files};
pub(super) use words::{describe_exec, explain};
