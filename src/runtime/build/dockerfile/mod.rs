//! The text of a Dockerfile into typed instructions.
//!
//! Reading order: `lines` joins continued lines, `split` takes an instruction's line apart,
//! `instruction` types it, `words` expands variables.

pub mod ast;
mod flags;
mod healthcheck;
mod heredoc;
mod instruction;
mod lines;
mod mistake;
mod pattern;
mod split;
mod stages;
mod suggest;
mod words;

#[cfg(test)]
mod tests;

pub(super) use heredoc::{chomped as without_leading_tabs, is_heredoc};
pub use mistake::Mistake;
pub(crate) use stages::{parse, parse_trigger};
pub(crate) use suggest::suggestion;
pub(crate) use words::{Expansion, Lexer, Variables};

/// The largest Dockerfile that is read.
pub const DOCKERFILE_LIMIT_BYTES: usize = 4 << 20;
