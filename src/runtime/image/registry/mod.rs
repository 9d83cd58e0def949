//! The distribution API: the only place that speaks to registries.

mod settings;

pub use settings::RegistrySettings;
