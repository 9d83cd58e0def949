//! `port`: where a port of a container is published.

use clap::{Args, ValueEnum};

/// Show where a port of a service is published
#[derive(Debug, Args)]
pub(in crate::cli) struct PortArgs {
    /// The service
    service: String,

    /// The port inside the container
    #[arg(value_name = "PORT")]
    private_port: u16,

    /// Ask for the replica with this number
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,

    /// The port's protocol
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp")]
    protocol: ProtocolChoice,
}
