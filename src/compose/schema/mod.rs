//! What a Compose file may contain: one table that drives the checker, its messages and the
//! JSON Schema for editors.

mod check;
mod deploy;
mod pieces;
mod project;
mod service;
mod shape;

pub(crate) use check::check;
pub(crate) use project::PROJECT;
