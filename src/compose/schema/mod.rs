//! What a Compose file may contain: one table that drives the checker, its messages and the
//! JSON Schema for editors.

mod advice;
mod check;
mod deploy;
mod export;
mod pieces;
mod project;
mod service;
mod shape;

pub(crate) use check::check;
pub use export::json_schema;
pub(crate) use project::{INCLUDE, PROJECT};
pub(crate) use service::EXTENDS;
