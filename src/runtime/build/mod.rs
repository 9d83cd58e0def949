//! A Dockerfile and its contexts into an image; knows nothing of Compose.
//!
//! Reading order: [`request`] is what the caller wants, [`dockerfile`] reads the text, [`resolve`]
//! makes a [`graph`] of it, the build with nothing left to decide; [`document`] is the configuration
//! that an image carries.

pub mod request;
pub mod dockerfile;
pub mod resolve;
pub mod graph;
pub mod document;
mod error;

pub use error::BuildError;
