//! The distribution API: the only place that speaks to registries.

mod settings;
mod auth;
mod client;
mod remote;
mod feed;

pub use auth::Credentials;
pub(super) use feed::{Portion, Watch};
pub(super) use remote::{Fetched, Raw, Remote, Source};
pub use settings::RegistrySettings;
