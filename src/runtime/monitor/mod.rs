//! One small process per container that outlives the command: `consort [monitor]`.
//!
//! It starts the container, keeps its output, sees how it ends, starts it again by its policy,
//! probes its health, answers its name queries and listens on its published ports. It may die: the
//! container does not notice, and the next command starts a monitor that adopts it.

pub mod control;
pub mod events;
pub mod health;
pub mod log;
pub mod restart;
pub mod state;
