//! A Dockerfile and its contexts into an image; knows nothing of Compose.
//!
//! Reading order: [`order`] is what the caller wants, [`prepare()`] makes [`request`]s of it, [`dockerfile`] reads the text, [`resolve`]
//! makes a [`graph`] of it, the build with nothing left to decide; [`document`] is the configuration
//! that an image carries. [`execute()`] does it, with the store and the networks of a [`Workshop`].

pub mod order;
pub mod request;
mod prepare;
pub mod dockerfile;
pub mod resolve;
pub mod graph;
pub mod document;
mod error;
mod event;
mod workshop;
mod key;
mod archive;
mod files;
mod execute;
mod export;

pub use archive::{is_context_archive, unpack_context};
pub use error::BuildError;
pub use event::{BuildEvent, Events};
pub use execute::{Built, execute};
pub use export::Archive;
pub use prepare::{Prepared, prepare};
pub use workshop::{Bases, MakeNetwork, Reach, StepNetwork, Workshop};
