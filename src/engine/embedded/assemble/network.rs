//! A container's leases, ports and names into what its monitor sets up of the network.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::short_id;
use crate::desired::{ContainerSpec, NetworkMode, PortSpec, Protocol};
use crate::engine::EngineError;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::network::endpoint_mark;
use crate::engine::embedded::not_supported;
use crate::engine::embedded::record::ContainerRecord;
use crate::runtime::monitor::bundle::{NamedNetwork, NetworkBundle, OwnNetwork};
use crate::runtime::network::names::NameRecord;
use crate::runtime::network::publish::{self, HostPort, PublishConfig};

impl Inner {
    /// Leaves out addresses on networks that are gone or were made again: nothing leads there.
    pub(in crate::engine::embedded) fn with_current_leases(
        &self,
        record: &ContainerRecord,
    ) -> Result<ContainerRecord, EngineError> {
        let mut current = record.clone();
        current.endpoints.clear();
        for lease in &record.endpoints {
            let network = self.find_network(&lease.network)?;
            if network.is_some_and(|network| network.id == lease.network_id) {
                current.endpoints.push(lease.clone());
            }
        }
        Ok(current)
    }

    pub(super) fn network_of(
        &self,
        record: &ContainerRecord,
        host_resolvers: Vec<SocketAddr>,
    ) -> Result<NetworkBundle, EngineError> {
        let spec = &record.spec;
        match &spec.network {
            NetworkMode::Host => Ok(NetworkBundle::Host),
            NetworkMode::Container(_) | NetworkMode::Service { .. } => Ok(NetworkBundle::Shared),
            NetworkMode::None => Ok(NetworkBundle::Own(OwnNetwork::default())),
            NetworkMode::Endpoints(_) => {
                let endpoints = self.endpoints(spec, &record.endpoints)?;
                let has_way_out = endpoints
                    .iter()
                    .any(|endpoint| !endpoint.default_gateways.is_empty());
                let upstream = if has_way_out {
                    upstream(spec, host_resolvers)?
                } else {
                    Vec::new()
                };
                let ports = spec
                    .ports
                    .iter()
                    .map(publish_config)
                    .collect::<Result<_, _>>()?;
                let networks = self.named_networks(record)?;
                Ok(NetworkBundle::Own(OwnNetwork {
                    mark: endpoint_mark(self.layout.installation(), &record.id),
                    endpoints,
                    ports,
                    upstream,
                    networks,
                    links: spec.resolver.links.clone(),
                }))
            }
        }
    }

    fn named_networks(&self, record: &ContainerRecord) -> Result<Vec<NamedNetwork>, EngineError> {
        let mut named = Vec::new();
        for lease in &record.endpoints {
            let Some(network) = self.find_network(&lease.network)? else {
                continue;
            };
            named.push(NamedNetwork {
                name: lease.network.to_string(),
                folder: self.layout.names(&lease.network),
                subnets: network.subnets().map(|subnet| subnet.subnet).collect(),
            });
        }
        Ok(named)
    }

    pub(super) fn name_records(&self, record: &ContainerRecord) -> BTreeMap<PathBuf, NameRecord> {
        let mut records = BTreeMap::new();
        for endpoint in record.spec.network.endpoints() {
            let mut leases = record.endpoints.iter();
            let Some(lease) = leases.find(|lease| lease.network == endpoint.network) else {
                continue;
            };
            let mut names = endpoint.aliases.clone();
            names.push(record.name.to_string());
            names.push(short_id(&record.id).to_owned());
            names.sort();
            names.dedup();
            let entry = NameRecord {
                container: record.name.to_string(),
                names,
                ipv4: lease.ipv4,
                ipv6: lease.ipv6,
                healthy: true,
            };
            drop(records.insert(self.layout.names(&endpoint.network), entry));
        }
        records
    }
}

pub(super) fn addresses(record: &ContainerRecord) -> BTreeMap<String, IpAddr> {
    let leases = record.endpoints.iter();
    let address = |v4: Option<std::net::Ipv4Addr>, v6: Option<std::net::Ipv6Addr>| {
        v4.map(IpAddr::V4).or(v6.map(IpAddr::V6))
    };
    leases
        .filter_map(|lease| Some((lease.network.to_string(), address(lease.ipv4, lease.ipv6)?)))
        .collect()
}

fn upstream(spec: &ContainerSpec, host: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, EngineError> {
    if spec.resolver.servers.is_empty() {
        return Ok(host);
    }
    let servers = spec.resolver.servers.iter();
    servers
        .map(|text| {
            let parsed = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
            parsed
                .map_err(|error| EngineError::act(format!("use `{text}` as a name server"), error))
        })
        .collect()
}

fn publish_config(port: &PortSpec) -> Result<PublishConfig, EngineError> {
    let protocol = match port.protocol {
        Protocol::Tcp => publish::Protocol::Tcp,
        Protocol::Udp => publish::Protocol::Udp,
        Protocol::Sctp => {
            let what = format!("publish port {}/sctp", port.target);
            return Err(not_supported(what));
        }
    };
    let host_port = match port.published {
        None => HostPort::Any,
        Some(range) => HostPort::Within {
            first: range.first,
            last: range.last,
        },
    };
    Ok(PublishConfig {
        host_ip: port.host_ip,
        host_port,
        container_port: port.target,
        protocol,
    })
}
