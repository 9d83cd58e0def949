//! Who acts: one action into a changed machine, and what is there into observed state.
//!
//! [`Engine`] is what a plan is walked on. [`embedded`] acts on this machine's own kernel;
//! [`Memory`] keeps everything in this process, for tests and for trying out plans.
//!
//! **Invariant:** engines never import each other.

mod contract;
mod error;
mod request;
pub mod embedded;
mod memory;

pub use contract::{Engine, Performed, Progress, ProjectLock, Update};
pub use error::{EngineError, LockHolder, PortHolder};
pub use memory::Memory;
pub use request::{
    AttachRequest, ContainerEvent, CopyDirection, CopyRequest, EventKind, EventStream, EventsFrom,
    ExecRequest, Foreground, LockWait, LogLine, LogQuery, LogStream, OutputStream, ProcessRow,
    Stats, Stdio, Tail, TerminalSize,
};
