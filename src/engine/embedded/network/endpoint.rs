//! A container's addresses into the interfaces that carry them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
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
        let networks = self.networks_of(leases)?;
        let mut ways_out = ways_out(spec, &networks);
        let mut configs = Vec::new();
        for (lease, network) in leases.iter().zip(&networks) {
            let gateways = ways_out.remove(&lease.network).unwrap_or_default();
            configs.push(endpoint_config(
                self.layout.installation(),
                lease,
                network,
                gateways,
            )?);
        }
        Ok(configs)
    }

    /// Returns the gateways through which a container leaves; those of its first network where it
    /// cannot leave at all.
    pub(in crate::engine::embedded) fn gateways(
        &self,
        spec: &ContainerSpec,
        leases: &[Lease],
    ) -> Result<Vec<IpAddr>, EngineError> {
        let networks = self.networks_of(leases)?;
        let gateways: Vec<IpAddr> = ways_out(spec, &networks).into_values().flatten().collect();
        if !gateways.is_empty() {
            return Ok(gateways);
        }
        let first = networks.iter().take(1).flat_map(NetworkRecord::subnets);
        Ok(first.map(|subnet| subnet.gateway).collect())
    }

    fn networks_of(&self, leases: &[Lease]) -> Result<Vec<NetworkRecord>, EngineError> {
        let networks = leases.iter().map(|lease| {
            let name = &lease.network;
            let network = self.find_network(name)?;
            network.ok_or_else(|| EngineError::NetworkNotFound { name: name.clone() })
        });
        networks.collect()
    }
}

/// Returns the gateways through which a container leaves, by the network that has them.
///
/// Chosen for each of IPv4 and IPv6 among the networks that have a way out for it: the highest
/// priority, then the first name.
fn ways_out(
    spec: &ContainerSpec,
    networks: &[NetworkRecord],
) -> BTreeMap<NetworkName, Vec<IpAddr>> {
    let priority = |network: &NetworkName| {
        let mut endpoints = spec.network.endpoints().iter();
        let endpoint = endpoints.find(|endpoint| endpoint.network == *network);
        endpoint.map_or(0, |endpoint| endpoint.gw_priority)
    };
    let mut chosen: BTreeMap<NetworkName, Vec<IpAddr>> = BTreeMap::new();
    let ipv4 = |network: &NetworkRecord| network.ipv4.as_ref().map(|subnet| subnet.gateway);
    let ipv6 = |network: &NetworkRecord| network.ipv6.as_ref().map(|subnet| subnet.gateway);
    for gateway in [&ipv4 as &dyn Fn(&NetworkRecord) -> Option<IpAddr>, &ipv6] {
        let leading = networks.iter().filter(|network| !network.spec.internal);
        let leading = leading.filter_map(|network| Some((&network.spec.name, gateway(network)?)));
        let way_out = leading.min_by_key(|(name, _)| (Reverse(priority(name)), *name));
        if let Some((name, gateway)) = way_out {
            chosen.entry(name.clone()).or_default().push(gateway);
        }
    }
    chosen
}

/// Returns what the outer ends of a container's interfaces carry.
pub(in crate::engine::embedded) fn endpoint_mark(installation: &str, container: &str) -> String {
    format!("consort:{installation}/{container}")
}

fn endpoint_config(
    installation: &str,
    lease: &Lease,
    network: &NetworkRecord,
    default_gateways: Vec<IpAddr>,
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
    Ok(EndpointConfig {
        interface_name: lease.interface_name.clone(),
        bridge: network.link.clone(),
        host_link,
        mark: endpoint_mark(installation, &lease.container),
        ipv4: on_link(lease.ipv4.map(IpAddr::V4), &network.ipv4),
        ipv6: on_link(lease.ipv6.map(IpAddr::V6), &network.ipv6),
        mac,
        mtu: mtu(&network.spec)?,
        default_gateways,
    })
}
