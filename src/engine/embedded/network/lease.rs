//! The addresses that containers have on networks: given, remembered, given back.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};

use super::subnet::subnet_of;
use crate::desired::{ContainerSpec, EndpointSpec};
use crate::engine::EngineError;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::record::{ContainerRecord, Lease, SubnetRecord, folders};
use crate::observed::NetworkUser;
use crate::runtime::network::address::MacAddress;
use crate::runtime::store::{Durability, make_dir, read_json, remove_tree, write_json};
use crate::value::{NetworkName, ProjectName};

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
        let leases = self.leases(name)?;
        let leased: BTreeSet<IpAddr> = leases.iter().flat_map(addresses).collect();
        let reserved: BTreeSet<IpAddr> = &leased | &endpoint.kept_free;
        let choose = |subnet: &Option<SubnetRecord>, fixed: Option<IpAddr>| {
            let Some(record) = subnet else {
                return Ok(None);
            };
            let subnet = subnet_of(&network.spec, record)?;
            let Some(address) = fixed else {
                return subnet.allocate(&reserved).map(Some).map_err(failed);
            };
            let holders = leases
                .iter()
                .filter(|lease| addresses(lease).any(|it| it == address));
            self.check_holders(spec, endpoint, holders)?;
            let free = BTreeSet::new();
            subnet.claim(address, &free).map(Some).map_err(failed)
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

    /// Refuses a fixed address that another container has and will keep.
    ///
    /// The container of the same name is being replaced by this one. What another container of the
    /// project has fixed may pass from one to the other; it is checked once more when this one starts.
    fn check_holders<'a>(
        &self,
        spec: &ContainerSpec,
        endpoint: &EndpointSpec,
        holders: impl Iterator<Item = &'a Lease>,
    ) -> Result<(), EngineError> {
        for lease in holders {
            let Some(holder) = self.record(&lease.project, &lease.container) else {
                continue;
            };
            let gives_it_up = holder.spec.project == spec.project
                && (holder.spec.name == spec.name || has_fixed(&holder, endpoint));
            if !gives_it_up {
                return Err(taken(endpoint, &holder));
            }
        }
        Ok(())
    }

    /// Refuses to start a container with a fixed address that a running one has.
    ///
    /// Until the returned guard is dropped, no other container with a fixed address starts.
    pub(in crate::engine::embedded) fn claim_fixed_addresses(
        &self,
        record: &ContainerRecord,
    ) -> Result<Option<MutexGuard<'_, ()>>, EngineError> {
        let mut endpoints = record.spec.network.endpoints().iter();
        if !endpoints.any(|it| it.ipv4_address.is_some() || it.ipv6_address.is_some()) {
            return Ok(None);
        }
        let guard = self
            .fixed_addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.check_fixed_addresses(record)?;
        Ok(Some(guard))
    }

    fn check_fixed_addresses(&self, record: &ContainerRecord) -> Result<(), EngineError> {
        for endpoint in record.spec.network.endpoints() {
            if endpoint.ipv4_address.is_none() && endpoint.ipv6_address.is_none() {
                continue;
            }
            for lease in self.leases(&endpoint.network)? {
                let is_it = |address| match address {
                    IpAddr::V4(v4) => endpoint.ipv4_address == Some(v4),
                    IpAddr::V6(v6) => endpoint.ipv6_address == Some(v6),
                };
                if lease.container == record.id || !addresses(&lease).any(is_it) {
                    continue;
                }
                let Some(holder) = self.record(&lease.project, &lease.container) else {
                    continue;
                };
                if self.state(&holder)?.has_process_or_pause() {
                    return Err(taken(endpoint, &holder));
                }
            }
        }
        Ok(())
    }

    /// Returns the addresses that containers have on a network; those of gone ones are freed.
    fn leases(&self, name: &NetworkName) -> Result<Vec<Lease>, EngineError> {
        let dir = self.layout.network(name).join("leases");
        let failed =
            |error| EngineError::act(format!("read the addresses on network `{name}`"), error);
        let mut leases = Vec::new();
        for file in folders(&dir).map_err(failed)? {
            let path = dir.join(&file);
            let lease = match read_json::<Lease>(&path) {
                Ok(Some(lease)) => lease,
                Ok(None) => continue,
                Err(error) if error.is_damage() => match self.lease_of(&file, name)? {
                    Some(lease) => lease,
                    None => {
                        remove_tree(&path).map_err(failed)?;
                        continue;
                    }
                },
                Err(error) => return Err(failed(error)),
            };
            if self.has_container(&lease) {
                leases.push(lease);
            } else {
                remove_tree(&path).map_err(failed)?;
            }
        }
        Ok(leases)
    }

    fn has_container(&self, lease: &Lease) -> bool {
        let folder = self.layout.container(&lease.project, &lease.container);
        folder.exists()
    }

    /// Returns the containers of other projects that are connected to a network.
    pub(in crate::engine::embedded) fn other_users(
        &self,
        network: &NetworkName,
        project: &ProjectName,
    ) -> Result<Vec<NetworkUser>, EngineError> {
        let own = self.container_ids(project)?;
        self.users_beside(network, &own)
    }

    /// Returns the containers that are connected to a network, without those of these ids, whose
    /// files are not read.
    pub(in crate::engine::embedded) fn users_beside(
        &self,
        network: &NetworkName,
        own: &[String],
    ) -> Result<Vec<NetworkUser>, EngineError> {
        let dir = self.layout.network(network).join("leases");
        let failed = |error| EngineError::act(format!("look who is on network `{network}`"), error);
        let mut users = Vec::new();
        for file in folders(&dir).map_err(failed)? {
            let id = file.strip_suffix(".json").unwrap_or_default();
            if own.iter().any(|own| own == id) {
                continue;
            }
            let Ok(Some(lease)) = read_json::<Lease>(&dir.join(&file)) else {
                continue;
            };
            if let Some(record) = self.record(&lease.project, &lease.container) {
                users.push(NetworkUser {
                    container: record.name,
                    project: lease.project,
                });
            }
        }
        Ok(users)
    }

    /// Returns what a damaged lease said, from the record of its container.
    fn lease_of(&self, file: &str, network: &NetworkName) -> Result<Option<Lease>, EngineError> {
        let id = file.strip_suffix(".json").unwrap_or(file);
        for project in self.project_names()? {
            if let Some(record) = self.record(&project, id) {
                let mut leases = record.endpoints.into_iter();
                return Ok(leases.find(|lease| lease.network == *network));
            }
        }
        Ok(None)
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

fn addresses(lease: &Lease) -> impl Iterator<Item = IpAddr> + use<> {
    let ipv4 = lease.ipv4.map(IpAddr::V4);
    ipv4.into_iter().chain(lease.ipv6.map(IpAddr::V6))
}

/// Reports whether a container's file fixes an address that another endpoint has fixed too.
fn has_fixed(record: &ContainerRecord, other: &EndpointSpec) -> bool {
    let mut endpoints = record.spec.network.endpoints().iter();
    endpoints.any(|own| {
        own.network == other.network
            && (own.ipv4_address.is_some() && own.ipv4_address == other.ipv4_address
                || own.ipv6_address.is_some() && own.ipv6_address == other.ipv6_address)
    })
}

fn taken(endpoint: &EndpointSpec, holder: &ContainerRecord) -> EngineError {
    let fixed = endpoint.ipv4_address.map(IpAddr::V4);
    let fixed = fixed
        .into_iter()
        .chain(endpoint.ipv6_address.map(IpAddr::V6));
    let fixed: Vec<String> = fixed.map(|address| format!("`{address}`")).collect();
    let act = format!(
        "use {} on network `{}`",
        fixed.join(" and "),
        endpoint.network
    );
    let (name, project) = (&holder.name, &holder.spec.project);
    let cause = format!("container `{name}` of project `{project}` has that address");
    EngineError::act(act, cause)
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
