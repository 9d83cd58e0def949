//! What can go wrong in a build.

use super::dockerfile::Mistake;

/// Why an image was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile has a mistake.
    #[error("{}", .0.message)]
    Dockerfile(Box<Mistake>),
    /// An image could not be found or pulled.
    #[error("resolve image `{name}`")]
    ResolveImage {
        /// Its name as written.
        name: String,
        /// Why.
        #[source]
        source: crate::runtime::image::ImageError,
    },
}

impl From<Mistake> for BuildError {
    fn from(mistake: Mistake) -> Self {
        Self::Dockerfile(Box::new(mistake))
    }
}
