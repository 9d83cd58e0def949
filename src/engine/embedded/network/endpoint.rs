//! A container's addresses into the interfaces that carry them.

use std::net::IpAddr;

use super::mtu;
use crate::desired::ContainerSpec;
use crate::engine::EngineError;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::record::{Lease, NetworkRecord, SubnetRecord};
use crate::runtime::network::endpoint::{self, EndpointConfig};
use crate::value::{Cidr, NetworkName};

impl Inner {
    /// Returns the interfaces that belong to a container's addresses.
    pub(in crate::engine::embedded) fn endpoints(
        &self,
        spec: &ContainerSpec,
        leases: &[Lease],
    ) -> Result<Vec<EndpointConfig>, EngineError> {
        let way_out = way_out(spec, leases);
        let mut configs = Vec::new();
        for lease in leases {
            let name = &lease.network;
            let network = self.find_network(name)?;
            let network =
                network.ok_or_else(|| EngineError::NetworkNotFound { name: name.clone() })?;
            let is_way_out = way_out.as_ref() == Some(name) && !network.spec.internal;
            configs.push(endpoint_config(
                self.layout.installation(),
                lease,
                &network,
                is_way_out,
            )?);
        }
        Ok(configs)
    }
}

/// Returns the network through which a container leaves: the highest priority, the first name.
fn way_out(spec: &ContainerSpec, leases: &[Lease]) -> Option<NetworkName> {
    let endpoints = spec.network.endpoints().iter();
    let leased =
        endpoints.filter(|endpoint| leases.iter().any(|lease| lease.network == endpoint.network));
    leased
        .min_by(|one, other| {
            other
                .gw_priority
                .cmp(&one.gw_priority)
                .then_with(|| one.network.cmp(&other.network))
        })
        .map(|endpoint| endpoint.network.clone())
}

/// Returns what the outer ends of a container's interfaces carry.
pub(in crate::engine::embedded) fn endpoint_mark(installation: &str, container: &str) -> String {
    format!("consort:{installation}/{container}")
}

fn endpoint_config(
    installation: &str,
    lease: &Lease,
    network: &NetworkRecord,
    is_way_out: bool,
) -> Result<EndpointConfig, EngineError> {
    let act = format!("connect to network `{}`", lease.network);
    let mac = lease
        .mac
        .parse()
        .map_err(|error| EngineError::act(act.clone(), error))?;
    let host_link =
        endpoint::host_link_name().map_err(|error| EngineError::act(act.clone(), error))?;
    let on_link = |address: Option<IpAddr>, subnet: &Option<SubnetRecord>| {
        Cidr::new(address?, subnet.as_ref()?.subnet.prefix_len())
    };
    let gateways = network.subnets().map(|subnet| subnet.gateway);
    Ok(EndpointConfig {
        interface_name: lease.interface_name.clone(),
        bridge: network.link.clone(),
        host_link,
        mark: endpoint_mark(installation, &lease.container),
        ipv4: on_link(lease.ipv4.map(IpAddr::V4), &network.ipv4),
        ipv6: on_link(lease.ipv6.map(IpAddr::V6), &network.ipv6),
        mac,
        mtu: mtu(&network.spec)?,
        default_gateways: if is_way_out {
            gateways.collect()
        } else {
            Vec::new()
        },
    })
}
