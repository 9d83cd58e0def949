//! Networks: a record, a bridge and rules each; and the addresses that containers have on them.
//!
//! **Invariant:** subnets and leases are chosen under one lock for the whole installation, because
//! networks of several projects share the machine's addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;

use super::inner::Inner;
use super::record::{ContainerRecord, Lease, NetworkRecord, SubnetRecord, folders, new_id};
use crate::desired::{ContainerSpec, EndpointSpec, IpamPool, NetworkSpec};
use crate::engine::{EngineError, Performed};
use crate::runtime::network::address::{
    MacAddress, Pool, Subnet, host_subnets, unique_local_subnet,
};
use crate::runtime::network::bridge::{self, BridgeConfig};
use crate::runtime::network::endpoint::{self, EndpointConfig};
use crate::runtime::network::nat::{self, Egress, Ipv6, NatNetwork, NatReport};
use crate::runtime::network::removal;
use crate::runtime::store::{
    Contention, Durability, Entry, FileLock, LockHolder, make_dir, read_json, remove_tree,
    write_json,
};
use crate::value::{Cidr, NetworkName};

impl Inner {
    /// Makes a network, or puts one right that is there.
    pub(super) fn create_network(&self, spec: &NetworkSpec) -> Result<Performed, EngineError> {
        check_driver(spec)?;
        let entry = Entry::CreateNetwork {
            name: spec.name.to_string(),
        };
        self.journalled(&spec.project, entry, Durability::Cached, || {
            let _lock = self.lock_addresses()?;
            let record = match self.find_network(&spec.name)? {
                Some(record) if record.spec == *spec => record,
                Some(_) | None => self.new_network(spec)?,
            };
            self.raise_network(&record)
        })
    }

    /// Makes what the kernel has of a network: its bridge and its rules.
    pub(super) fn raise_network(&self, record: &NetworkRecord) -> Result<Performed, EngineError> {
        let name = &record.spec.name;
        let failed = |error| EngineError::act(format!("make network `{name}`"), error);
        let on_bridge = |subnet: &Option<SubnetRecord>| -> Option<Cidr> {
            let subnet = subnet.as_ref()?;
            Cidr::new(subnet.gateway, subnet.subnet.prefix_len())
        };
        let config = BridgeConfig {
            link: record.link.clone(),
            mark: bridge::bridge_mark(self.layout.installation(), &record.spec.project, name),
            gateway_v4: on_bridge(&record.ipv4),
            gateway_v6: on_bridge(&record.ipv6),
            mtu: mtu(&record.spec)?,
        };
        let report = self.in_network(|| {
            let _ensured = bridge::ensure(&config).map_err(failed)?;
            nat::ensure(&[nat_network(record)]).map_err(failed)
        })?;
        make_dir(&self.layout.names(name))
            .map_err(|error| EngineError::act(format!("make network `{name}`"), error))?;
        Ok(notice(record, &report, self.no_way_out()))
    }

    fn new_network(&self, spec: &NetworkSpec) -> Result<NetworkRecord, EngineError> {
        let name = &spec.name;
        let failed =
            |error| EngineError::act(format!("choose addresses for network `{name}`"), error);
        let mut taken = host_subnets().map_err(failed)?;
        if self.holder.is_some() {
            taken.extend(self.in_network(|| host_subnets().map_err(failed))?);
        }
        let others = self.networks()?;
        let others = others.iter().filter(|other| other.spec.name != *name);
        let subnets = others
            .flat_map(|other| [&other.ipv4, &other.ipv6])
            .flatten();
        taken.extend(subnets.map(|subnet| subnet.subnet));
        let id =
            new_id().map_err(|error| EngineError::act(format!("make network `{name}`"), error))?;
        let record = NetworkRecord {
            link: bridge::bridge_name(&id),
            id,
            created: now(),
            spec: spec.clone(),
            ipv4: self.ipv4_of(spec, &taken)?,
            ipv6: self.ipv6_of(spec, &taken)?,
        };
        let dir = self.layout.network(name);
        let stored = make_dir(&dir).and_then(|()| record.write(&self.layout));
        stored.map_err(|error| EngineError::act(format!("store network `{name}`"), error))?;
        Ok(record)
    }

    fn ipv4_of(
        &self,
        spec: &NetworkSpec,
        taken: &[Cidr],
    ) -> Result<Option<SubnetRecord>, EngineError> {
        if spec.enable_ipv4 == Some(false) {
            return Ok(None);
        }
        let wanted = wanted_pool(spec, Cidr::is_ipv4)?;
        let (pool, subnet) = match wanted {
            Some((pool, subnet)) => (Some(pool), subnet),
            None => (
                None,
                Pool::standard().choose(taken).map_err(|error| {
                    EngineError::act(
                        format!("choose a subnet for network `{}`", spec.name),
                        error,
                    )
                })?,
            ),
        };
        subnet_record(spec, pool, subnet).map(Some)
    }

    fn ipv6_of(
        &self,
        spec: &NetworkSpec,
        taken: &[Cidr],
    ) -> Result<Option<SubnetRecord>, EngineError> {
        if let Some((pool, subnet)) = wanted_pool(spec, |cidr| !cidr.is_ipv4())? {
            return subnet_record(spec, Some(pool), subnet).map(Some);
        }
        if spec.enable_ipv6 != Some(true) {
            return Ok(None);
        }
        let candidates =
            (0..u16::MAX).filter_map(|attempt| unique_local_subnet(&spec.name, attempt));
        let mut free =
            candidates.filter(|subnet| !taken.iter().any(|other| other.overlaps(subnet)));
        match free.next() {
            Some(subnet) => subnet_record(spec, None, subnet).map(Some),
            None => Ok(None),
        }
    }

    /// Removes a network with its bridge and rules; one that is gone is fine.
    pub(super) fn remove_network(&self, name: &NetworkName) -> Result<Performed, EngineError> {
        let Some(record) = self.find_network(name)? else {
            return Ok(Performed::Done);
        };
        let entry = Entry::RemoveNetwork {
            name: name.to_string(),
        };
        let project = record.spec.project.clone();
        self.journalled(&project, entry, Durability::Cached, || {
            self.raze_network(&record)
        })?;
        Ok(Performed::Done)
    }

    pub(super) fn raze_network(&self, record: &NetworkRecord) -> Result<(), EngineError> {
        let name = &record.spec.name;
        let failed = |error| EngineError::act(format!("remove network `{name}`"), error);
        let _lock = self.lock_addresses()?;
        self.in_network(|| match &self.holder {
            None => removal::remove(&self.program, &record.link).map_err(failed),
            // With the last of its containers, the holder's whole namespace goes.
            Some(_) => removal::remove_here(&record.link).map_err(failed),
        })?;
        let removed = remove_tree(&self.layout.names(name))
            .and_then(|()| remove_tree(&self.layout.network(name)));
        removed.map_err(|error| EngineError::act(format!("remove network `{name}`"), error))
    }

    /// Removes what is left of a network without a record.
    pub(super) fn discard_network(&self, name: &NetworkName) -> Result<(), EngineError> {
        let act = || format!("remove network `{name}`");
        let ours = format!("consort:{}/", self.layout.installation());
        let theirs = format!("/{name}");
        let is_it = |mark: &str| mark.starts_with(&ours) && mark.ends_with(&theirs);
        self.in_network(|| {
            let bridges = bridge::list_marked().map_err(|error| EngineError::act(act(), error))?;
            for found in bridges.iter().filter(|found| is_it(&found.mark)) {
                removal::remove_here(&found.link)
                    .map_err(|error| EngineError::act(act(), error))?;
            }
            Ok(())
        })?;
        let removed = remove_tree(&self.layout.names(name))
            .and_then(|()| remove_tree(&self.layout.network(name)));
        removed.map_err(|error| EngineError::act(act(), error))
    }

    /// Returns why an ordinary user's containers cannot reach the outside, if they cannot.
    fn no_way_out(&self) -> Option<String> {
        self.holder
            .as_ref()
            .and_then(super::holder::Holder::no_way_out)
    }

    /// Returns the record of a network.
    pub(super) fn find_network(
        &self,
        name: &NetworkName,
    ) -> Result<Option<NetworkRecord>, EngineError> {
        NetworkRecord::find(&self.layout.network(name))
            .map_err(|error| EngineError::act(format!("find network `{name}`"), error))
    }

    /// Returns the records of all networks; one that cannot be read is left out.
    pub(super) fn networks(&self) -> Result<Vec<NetworkRecord>, EngineError> {
        let dir = self.layout.networks();
        let names = folders(&dir).map_err(|error| EngineError::act("list the networks", error))?;
        let records = names
            .iter()
            .map(|name| NetworkRecord::find(&dir.join(name)));
        Ok(records.filter_map(|record| record.ok().flatten()).collect())
    }

    pub(super) fn lock_addresses(&self) -> Result<FileLock, EngineError> {
        let holder = LockHolder {
            pid: std::process::id(),
            command: "consort".to_owned(),
        };
        // All state directories of this user share the machine's addresses.
        let run_base = self
            .layout
            .run_dir()
            .parent()
            .unwrap_or(self.layout.run_dir());
        let path = run_base.join("networks.lock");
        FileLock::acquire(&path, &holder, Contention::Wait, &|_| {})
            .map_err(|error| EngineError::act("lock the networks", error))
    }

    /// Gives a container its addresses on all its networks.
    pub(super) fn lease(&self, spec: &ContainerSpec, id: &str) -> Result<Vec<Lease>, EngineError> {
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
    pub(super) fn lease_again(
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
    pub(super) fn release(&self, leases: &[Lease]) -> Result<(), EngineError> {
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

    /// Returns the interfaces that belong to a container's addresses.
    pub(super) fn endpoints(
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
pub(super) fn endpoint_mark(installation: &str, container: &str) -> String {
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
    let gateways = [&network.ipv4, &network.ipv6]
        .into_iter()
        .flatten()
        .map(|subnet| subnet.gateway);
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

fn check_driver(spec: &NetworkSpec) -> Result<(), EngineError> {
    match spec.driver.as_deref() {
        None | Some("bridge" | "default" | "") => Ok(()),
        Some(driver) => Err(EngineError::NotSupported {
            what: format!("make network `{}` with the driver `{driver}`", spec.name),
            engine: "embedded",
        }),
    }
}

fn mtu(spec: &NetworkSpec) -> Result<Option<u32>, EngineError> {
    let Some(text) = spec.driver_opts.get("com.docker.network.driver.mtu") else {
        return Ok(None);
    };
    let parsed = text.parse().map(Some);
    parsed.map_err(|error| {
        EngineError::act(
            format!("use `{text}` as the MTU of network `{}`", spec.name),
            error,
        )
    })
}

fn wanted_pool(
    spec: &NetworkSpec,
    family: impl Fn(&Cidr) -> bool,
) -> Result<Option<(&IpamPool, Cidr)>, EngineError> {
    for pool in &spec.ipam.pools {
        let Some(text) = &pool.subnet else { continue };
        let subnet = parse_cidr(spec, text)?;
        if family(&subnet) {
            return Ok(Some((pool, subnet)));
        }
    }
    Ok(None)
}

fn parse_cidr(spec: &NetworkSpec, text: &str) -> Result<Cidr, EngineError> {
    let parsed = text.parse();
    parsed.map_err(|error| {
        EngineError::act(
            format!("use subnet `{text}` for network `{}`", spec.name),
            error,
        )
    })
}

fn subnet_record(
    spec: &NetworkSpec,
    pool: Option<&IpamPool>,
    subnet: Cidr,
) -> Result<SubnetRecord, EngineError> {
    let range = pool.and_then(|pool| pool.ip_range.as_deref());
    let range = range.map(|text| parse_cidr(spec, text)).transpose()?;
    let gateway = pool.and_then(|pool| pool.gateway);
    let failed = |error| {
        EngineError::act(
            format!("use subnet `{subnet}` for network `{}`", spec.name),
            error,
        )
    };
    let plain = Subnet::new(subnet).map_err(failed)?;
    let gateway = gateway.unwrap_or_else(|| plain.gateway().address());
    let record = SubnetRecord {
        subnet,
        gateway,
        range,
    };
    drop(subnet_of(spec, &record)?);
    Ok(record)
}

fn subnet_of(spec: &NetworkSpec, record: &SubnetRecord) -> Result<Subnet, EngineError> {
    let build = || {
        let mut subnet = Subnet::new(record.subnet)?.with_gateway(record.gateway)?;
        if let Some(range) = record.range {
            subnet = subnet.with_range(range)?;
        }
        let reserved = spec
            .ipam
            .pools
            .iter()
            .flat_map(|pool| pool.aux_addresses.values().copied());
        subnet.with_reserved(reserved.filter(|address| record.subnet.contains(*address)))
    };
    build().map_err(|error| {
        EngineError::act(
            format!("use subnet `{}` for network `{}`", record.subnet, spec.name),
            error,
        )
    })
}

fn nat_network(record: &NetworkRecord) -> NatNetwork {
    NatNetwork {
        link: record.link.clone(),
        egress: if record.spec.internal {
            Egress::Internal
        } else {
            Egress::Masquerade
        },
        ipv6: if record.ipv6.is_some() {
            Ipv6::Enabled
        } else {
            Ipv6::Disabled
        },
    }
}

/// Says what the user should know of a network that was made.
fn notice(record: &NetworkRecord, report: &NatReport, user: Option<String>) -> Performed {
    let name = &record.spec.name;
    if record.spec.internal {
        return Performed::Done;
    }
    if let Some(reason) = user.or_else(|| report.no_way_out.clone()) {
        let notice = format!("network `{name}` has no way out: {reason}");
        return Performed::Warned { notice };
    }
    if let Some(rule) = &report.dropped_by {
        let notice =
            format!("network `{name}` may have no way out: `{rule}` drops what it forwards");
        return Performed::Warned { notice };
    }
    Performed::Done
}

fn now() -> Timestamp {
    Timestamp::now()
}
