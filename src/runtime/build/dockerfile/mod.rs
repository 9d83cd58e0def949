//! The text of a Dockerfile into typed instructions.

pub mod ast;
