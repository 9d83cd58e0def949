//! Parts of git repositories onto this disk, by the installed `git`.
//!
//! **Invariant:** nothing of a repository is run or obeyed: no hook, no configuration, no submodule.
//! The user's own configuration is obeyed, as it says how to reach private repositories.

mod checkout;
mod command;
mod error;
mod reference;

pub use command::Git;
pub use error::GitError;
