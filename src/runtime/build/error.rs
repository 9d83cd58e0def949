//! What can go wrong in a build.

/// Why an image was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
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
