//! The addresses that containers have on networks: given, remembered, given back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::subnet::subnet_of;
use crate::desired::{ContainerSpec, EndpointSpec};
use crate::engine::EngineError;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::record::{ContainerRecord, Lease, SubnetRecord, folders};
use crate::runtime::network::address::MacAddress;
use crate::runtime::store::{Durability, make_dir, read_json, remove_tree, write_json};
use crate::value::NetworkName;

impl Inner {
    /// Gives a container its addresses on all its networks.
    pub(in crate::engine::embedded) fn lease(
        &self,
        spec: &ContainerSpec,
        id: &str,
    ) -> Result<Vec<Lease>, EngineError> {
        let endpoints = spec.network.endpoints();
        if endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let _lock = self.lock_addresses()?;
        let mut names = InterfaceNames::new(endpoints);
        endpoints
            .iter()
            .map(|endpoint| self.lease_one(spec, id, endpoint, names.next(endpoint)))
            .collect()
    }

    /// Gives a container that is there an address on one network more.
    pub(in crate::engine::embedded) fn lease_again(
        &self,
        record: &ContainerRecord,
        endpoint: &EndpointSpec,
    ) -> Result<Lease, EngineError> {
        let _lock = self.lock_addresses()?;
        let leases = record.endpoints.iter();
        let taken: BTreeSet<&str> = leases.map(|lease| lease.interface_name.as_str()).collect();
        // The name that it would have had from the beginning, if nobody has it.
        let endpoints = record.spec.network.endpoints();
        let mut names = InterfaceNames::new(endpoints);
        let mut own = endpoints
            .iter()
            .map(|one| (&one.network, names.next(one)))
            .filter(|(network, name)| {
                **network == endpoint.network && !taken.contains(name.as_str())
            });
        let own = own.next().map(|(_, name)| name);
        let name = own.unwrap_or_else(|| {
            let mut free = InterfaceNames::around(taken.iter().map(|name| (*name).to_owned()));
            free.next(endpoint)
        });
        self.lease_one(&record.spec, &record.id, endpoint, name)
    }

    fn lease_one(
        &self,
        spec: &ContainerSpec,
        id: &str,
        endpoint: &EndpointSpec,
        interface_name: String,
    ) -> Result<Lease, EngineError> {
        let name = &endpoint.network;
        let failed =
            |error| EngineError::act(format!("find an address on network `{name}`"), error);
        let network = self.find_network(name)?;
        let network = network.ok_or_else(|| EngineError::NetworkNotFound { name: name.clone() })?;
        let leased = self.leased(name)?;
        let choose = |subnet: &Option<SubnetRecord>, fixed: Option<IpAddr>| {
            let Some(record) = subnet else {
                return Ok(None);
            };
            let subnet = subnet_of(&network.spec, record)?;
            let address = match fixed {
                Some(address) => subnet.claim(address, &leased),
                None => subnet.allocate(&leased),
            };
            address.map(Some).map_err(failed)
        };
        let ipv4 = choose(&network.ipv4, endpoint.ipv4_address.map(IpAddr::V4))?;
        let ipv6 = choose(&network.ipv6, endpoint.ipv6_address.map(IpAddr::V6))?;
        let own = ipv4
            .or(ipv6)
            .map(|address| MacAddress::of(address).to_string());
        let lease = Lease {
            network: name.clone(),
            network_id: network.id,
            container: id.to_owned(),
            project: spec.project.clone(),
            ipv4: ipv4.and_then(|address| match address {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            }),
            ipv6: ipv6.and_then(|address| match address {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            }),
            mac: endpoint.mac_address.clone().or(own).unwrap_or_default(),
            interface_name,
        };
        let dir = self.layout.network(name).join("leases");
        let path = dir.join(format!("{id}.json"));
        let stored = make_dir(&dir).and_then(|()| write_json(&path, &lease, Durability::Cached));
        stored.map_err(|error| {
            EngineError::act(format!("store an address on network `{name}`"), error)
        })?;
        Ok(lease)
    }

    /// Returns the addresses that containers have on a network; those of gone ones are freed.
    fn leased(&self, name: &NetworkName) -> Result<BTreeSet<IpAddr>, EngineError> {
        let dir = self.layout.network(name).join("leases");
        let failed =
            |error| EngineError::act(format!("read the addresses on network `{name}`"), error);
        let mut addresses = BTreeSet::new();
        for file in folders(&dir).map_err(failed)? {
            let path = dir.join(file);
            let Ok(Some(lease)) = read_json::<Lease>(&path) else {
                continue;
            };
            if !self
                .layout
                .container(&lease.project, &lease.container)
                .exists()
            {
                remove_tree(&path).map_err(failed)?;
                continue;
            }
            addresses.extend(lease.ipv4.map(IpAddr::V4));
            addresses.extend(lease.ipv6.map(IpAddr::V6));
        }
        Ok(addresses)
    }

    /// Gives a container's addresses back.
    pub(in crate::engine::embedded) fn release(&self, leases: &[Lease]) -> Result<(), EngineError> {
        for lease in leases {
            let dir = self.layout.network(&lease.network).join("leases");
            let removed = remove_tree(&dir.join(format!("{}.json", lease.container)));
            removed.map_err(|error| {
                EngineError::act(
                    format!("free an address on network `{}`", lease.network),
                    error,
                )
            })?;
        }
        Ok(())
    }
}

/// Names interfaces `eth0`, `eth1`, … around those that the file names.
struct InterfaceNames {
    taken: BTreeSet<String>,
    next: u32,
}

impl InterfaceNames {
    fn new(endpoints: &[EndpointSpec]) -> Self {
        let named = endpoints.iter();
        Self::around(named.filter_map(|endpoint| endpoint.interface_name.clone()))
    }

    fn around(taken: impl Iterator<Item = String>) -> Self {
        Self {
            taken: taken.collect(),
            next: 0,
        }
    }

    fn next(&mut self, endpoint: &EndpointSpec) -> String {
        if let Some(name) = &endpoint.interface_name {
            return name.clone();
        }
        loop {
            let name = format!("eth{}", self.next);
            self.next += 1;
            if !self.taken.contains(&name) {
                return name;
            }
        }
    }
}
