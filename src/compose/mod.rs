//! Compose files into a [`Project`]: knows YAML and the Compose Specification, knows no engine.
//!
//! A project passes these stages, each a file or folder of its own.

pub mod diagnostic;
pub mod model;
mod options;
pub mod source;
pub mod tree;
mod budget;
mod yaml;
mod env;
mod interpolate;
mod combine;
mod schema;
pub mod shorthand;
mod settle;
mod load;
pub mod render;
pub mod explain;
mod suggest;

pub use diagnostic::{ComposeError, Diagnostic, Report, Severity, Wrong};
pub use env::{Variables, VariablesError, read_variables};
pub use load::{Loaded, load, variables};
pub use model::Project;
pub use options::{LoadOptions, Switches};
pub use schema::json_schema;
