//! The distribution API: the only place that speaks to registries.

mod settings;
mod auth;
mod client;
mod remote;
mod feed;
mod download;

pub use auth::Credentials;
pub use download::{Download, DownloadError, download};
pub(super) use feed::{Portion, Watch};
pub(super) use remote::{Fetched, Raw, Remote, Source};
pub use settings::RegistrySettings;
