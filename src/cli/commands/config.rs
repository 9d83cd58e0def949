//! `config`: the line stops at the project, which is checked and written out.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Check the Compose files and write the project that they describe
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each switch that can be typed")]
pub(in crate::cli) struct ConfigArgs {
    /// Write only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Write in this format
    #[arg(long, value_name = "FORMAT", default_value = "yaml")]
    format: ConfigFormat,

    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Only check, write nothing
    #[arg(short, long)]
    quiet: bool,

    /// Write the names of the services
    #[arg(long, id = "only_services", long = "services", group = "part")]
    only_services: bool,

    /// Write the names of the volumes
    #[arg(long, group = "part")]
    volumes: bool,

    /// Write the names of the networks
    #[arg(long, group = "part")]
    networks: bool,

    /// Write the names of the models
    #[arg(long, group = "part")]
    models: bool,

    /// Write the names of the profiles
    #[arg(long, group = "part")]
    profiles: bool,

    /// Write the names of the images
    #[arg(long, group = "part")]
    images: bool,

    /// Write the variables that the files use, with their defaults
    #[arg(long, group = "part")]
    variables: bool,

    /// Write the variables that are set while the files are read
    #[arg(long, group = "part")]
    environment: bool,

    /// Write the hash of each of these services, `*` for all
    #[arg(long, value_name = "SERVICES", group = "part")]
    hash: Option<String>,

    /// Leave variables as they are written
    #[arg(long)]
    no_interpolate: bool,

    /// Leave out defaults and implicit values
    #[arg(long)]
    no_normalize: bool,

    /// Leave relative paths as they are written
    #[arg(long)]
    no_path_resolution: bool,

    /// Do not check that what services name exists
    #[arg(long)]
    no_consistency: bool,

    /// Leave `env_file` and variables without a value as they are written
    #[arg(long)]
    no_env_resolution: bool,
}
