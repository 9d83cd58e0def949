//! `port`: where a port of a container is published.

use clap::Args;

use crate::cli::choices::Protocol;
use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::report;

/// Show where a port of a service is published
#[derive(Debug, Args)]
pub(in crate::cli) struct PortArgs {
    /// The service
    #[arg(add = complete::service())]
    service: String,

    /// The port inside the container
    #[arg(value_name = "PORT")]
    private_port: u16,

    /// Ask for the replica with this number
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,

    /// The port's protocol
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp")]
    protocol: Protocol,
}

/// Writes the address at which a port can be reached.
pub(in crate::cli) fn port(
    invocation: &Invocation,
    args: &PortArgs,
) -> Result<ExitStatus, CommandError> {
    let (target, observed) = invocation.look(&[])?;
    let container = select::replica(&target, &observed, &args.service, args.index)?;
    let protocol = args.protocol.as_str();
    let address = container
        .ports
        .iter()
        .filter(|port| port.target == args.private_port && port.protocol == protocol)
        .find_map(report::address)
        .ok_or_else(|| {
            let port = args.private_port;
            let name = &container.name;
            CommandError::user(format!(
                "port {port}/{protocol} of `{name}` is not published"
            ))
            .hint("`consort ps` shows the ports that are")
        })?;
    invocation.stdout().line(&address)?;
    Ok(ExitStatus::Done)
}
