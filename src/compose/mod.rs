//! Compose files into a [`Project`]: knows YAML and the Compose Specification, knows no engine.
//!
//! A project passes these stages, each a file or folder of its own.

pub mod diagnostic;
pub mod model;
mod options;
pub mod source;
pub mod tree;
mod interpolate;
mod suggest;
mod yaml;

pub use diagnostic::{ComposeError, Diagnostic, Report, Severity};
pub use model::Project;
pub use options::{LoadOptions, Switches};
