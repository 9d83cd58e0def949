//! The tree that every stage works on: YAML values that know where they were written.
//!
//! **Invariant:** a node keeps its place from the parser to the last error; a stage that makes a
//! node gives it the place of the node it was made from.

mod history;
mod node;
mod path;

pub(crate) use history::{Extended, History, Removed};
pub use node::{Entry, Map, Node, Shadow, Span, Trace, Value, VariableOrigin, VariableUse};
pub(crate) use path::LIST;
pub use path::Path;
