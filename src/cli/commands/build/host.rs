//! `--add-host`, `--ulimit`, `--network`, `--allow`: the surroundings of steps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cli::error::CommandError;
use crate::runtime::build::graph::Network;
use crate::runtime::build::request::Entitlement;

/// Reads `NAME:IP` and `NAME=IP`.
pub(super) fn extra_hosts(written: &[String]) -> Result<Vec<(String, Vec<IpAddr>)>, CommandError> {
    let mut found: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for text in written {
        let refuse = || CommandError::usage(format!("`--add-host {text}`: expected NAME:ADDRESS"));
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .ok_or_else(refuse)?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let address = address.parse().map_err(|_| refuse())?;
        found.entry(name.to_owned()).or_default().push(address);
    }
    Ok(found.into_iter().collect())
}

/// Reads `NAME=SOFT[:HARD]`.
pub(super) fn ulimits(written: &[String]) -> Result<Vec<(String, u64, u64)>, CommandError> {
    let limit = |text: &String| {
        let refuse = || {
            CommandError::usage(format!(
                "`--ulimit {text}`: expected NAME=SOFT or NAME=SOFT:HARD"
            ))
        };
        let (name, limits) = text.split_once('=').ok_or_else(refuse)?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let number = |text: &str| match text {
            "-1" | "unlimited" => Ok(u64::MAX),
            text => text.parse::<u64>().map_err(|_| refuse()),
        };
        Ok((name.to_owned(), number(soft)?, number(hard)?))
    };
    written.iter().map(limit).collect()
}

/// Reads the network of steps.
pub(in crate::cli) fn network(written: Option<&str>) -> Result<Network, CommandError> {
    match written {
        None | Some("" | "default" | "bridge") => Ok(Network::Default),
        Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(other) => Err(CommandError::user(format!(
            "network mode `{other}` is not supported for a build"
        ))
        .hint("known: default, none, host")),
    }
}

/// Reads the freedoms that steps may have.
pub(in crate::cli) fn entitlements(
    written: &[String],
    network: Network,
) -> Result<BTreeSet<Entitlement>, CommandError> {
    let mut found = BTreeSet::new();
    if network == Network::Host {
        found.insert(Entitlement::NetworkHost);
    }
    for text in written {
        found.insert(match text.as_str() {
            "network.host" => Entitlement::NetworkHost,
            "security.insecure" => Entitlement::SecurityInsecure,
            other => {
                let text = format!("`{other}` is no freedom that a build can have");
                return Err(
                    CommandError::usage(text).hint("known: network.host, security.insecure")
                );
            }
        });
    }
    Ok(found)
}
