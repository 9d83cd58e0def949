//! What a monitor says once to whoever started it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::MonitorError;
use crate::runtime::network::NetworkError;
use crate::runtime::network::publish::PortHolder;

/// How the start went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartReport {
    /// The container runs.
    Started {
        /// Limits that this machine could not enforce.
        unenforced: Vec<String>,
    },
    /// A port that it publishes is taken.
    PortTaken {
        /// The address of the host; all of them when `None`.
        host_ip: Option<IpAddr>,
        /// The port of the host.
        port: u16,
        /// `tcp` or `udp`.
        protocol: String,
        /// Who listens there, by process and command.
        holder: Option<(u32, String)>,
    },
    /// Another monitor watches the container, or is about to start it.
    Watched,
    /// It does not run.
    Failed {
        /// The error and its causes, one text each.
        chain: Vec<String>,
        /// The exit code that Docker gives for this.
        exit_code: i32,
    },
}

impl StartReport {
    /// Says why a start failed.
    pub(super) fn of(error: &MonitorError) -> Self {
        match error {
            MonitorError::Watched => Self::Watched,
            MonitorError::Network(NetworkError::PortTaken {
                address,
                protocol,
                holder,
            }) => {
                let ip = address.ip();
                Self::PortTaken {
                    host_ip: (!ip.is_unspecified()).then_some(ip),
                    port: address.port(),
                    protocol: protocol.to_string(),
                    holder: match holder {
                        PortHolder::Process { pid, command } => Some((*pid, command.clone())),
                        PortHolder::User { .. } | PortHolder::Unknown => None,
                    },
                }
            }
            MonitorError::Container(source) => Self::Failed {
                chain: error.texts(),
                exit_code: source.exit_code(),
            },
            MonitorError::Root(_)
            | MonitorError::Volume(_)
            | MonitorError::NoTerminal
            | MonitorError::Network(_)
            | MonitorError::Kernel { .. }
            | MonitorError::Keep { .. }
            | MonitorError::Store(_)
            | MonitorError::NoBundle { .. }
            | MonitorError::SharedNotRunning { .. }
            | MonitorError::Output { .. }
            | MonitorError::Event { .. }
            | MonitorError::Wait { .. }
            | MonitorError::NotRunning
            | MonitorError::NotEnded => Self::Failed {
                chain: error.texts(),
                exit_code: 128,
            },
        }
    }
}
