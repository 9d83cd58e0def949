//! Which system calls a container may make: a profile → a program for the kernel.
//!
//! ```text
//! default or JSON ─► Profile ─ granted capabilities, architecture ─► Rules ─► Instructions
//! ```
//!
//! Only the machine's own calling convention is open: calls of the 32-bit and x32 conventions, whose
//! arguments a filter cannot judge alike, are answered "no such system call".

mod compile;
mod default;
#[cfg(target_arch = "aarch64")]
#[path = "numbers_aarch64.rs"]
mod numbers;
#[cfg(target_arch = "x86_64")]
#[path = "numbers_x86_64.rs"]
mod numbers;
mod profile;

use std::collections::BTreeSet;

use super::error::ContainerError;
use crate::runtime::kernel::confine::Instruction;

pub use profile::Profile;

/// Which filter a container gets.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Seccomp {
    /// The built-in profile.
    #[default]
    Default,
    /// None at all.
    Unconfined,
    /// The user's own, as the text of a profile in Docker's JSON form.
    Profile(String),
}

impl Seccomp {
    /// Returns the program for a container with these capabilities (`CAP_…`), or none.
    pub fn compile(
        &self,
        capabilities: &BTreeSet<String>,
    ) -> Result<Option<Vec<Instruction>>, ContainerError> {
        match self {
            Self::Unconfined => Ok(None),
            Self::Default => default::profile().compile(capabilities).map(Some),
            Self::Profile(text) => Profile::from_json(text)?.compile(capabilities).map(Some),
        }
    }
}
