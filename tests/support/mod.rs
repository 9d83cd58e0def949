//! What the scenarios stand on: a sandbox per test, the built binary in it, and ways to look.
//!
//! **Invariant:** nothing here calls consort's own code. What a scenario sees is what a user sees.

pub(crate) mod artifact;
pub(crate) mod checks;
pub(crate) mod git;
pub(crate) mod machine;
pub(crate) mod registry;
pub(crate) mod run;
pub(crate) mod sandbox;

pub(crate) use checks::{http_get, until};
pub(crate) use sandbox::Sandbox;
