//! The addresses that a network asks for, or that are free, into its subnets.

use crate::desired::{IpamPool, NetworkSpec};
use crate::engine::EngineError;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::record::{NetworkRecord, SubnetRecord};
use crate::observed::{Occupant, OccupiedSubnet};
use crate::runtime::network::address::{
    ConnectedSubnet, Pool, Subnet, connected_subnets, host_subnets, unique_local_subnet,
};
use crate::runtime::network::bridge::MARK_PREFIX;
use crate::value::{Cidr, NetworkName};

impl Inner {
    /// Returns the subnets that a network may not have: the host's and those of other networks.
    pub(super) fn taken_subnets(&self, name: &NetworkName) -> Result<Vec<Cidr>, EngineError> {
        let failed =
            |error| EngineError::act(format!("choose addresses for network `{name}`"), error);
        let mut taken = host_subnets().map_err(failed)?;
        if self.holder.is_some() {
            taken.extend(self.in_network(|| host_subnets().map_err(failed))?);
        }
        let others = self.networks()?;
        let others = others.iter().filter(|other| other.spec.name != *name);
        taken.extend(others.flat_map(|other| other.subnets().map(|subnet| subnet.subnet)));
        Ok(taken)
    }

    /// Returns which subnets are in use on this machine and by what, for networks with fixed ones.
    pub(in crate::engine::embedded) fn occupied_subnets(
        &self,
    ) -> Result<Vec<OccupiedSubnet>, EngineError> {
        let failed = |error| EngineError::act("look which subnets are in use", error);
        let mut connected = connected_subnets().map_err(failed)?;
        if self.holder.is_some() {
            connected.extend(self.in_network(|| connected_subnets().map_err(failed))?);
        }
        let own_mark = format!("{MARK_PREFIX}{}/", self.layout.installation());
        let mut occupied = Vec::new();
        for network in self.networks()? {
            for subnet in network.subnets() {
                let spec = &network.spec;
                let by = Occupant::Network {
                    name: spec.name.clone(),
                    project: spec.project.clone(),
                    place: spec.place.clone(),
                };
                let subnet = subnet.subnet;
                occupied.push(OccupiedSubnet { subnet, by });
            }
        }
        // What links of ours are for stands in the records of their networks.
        let is_own = |mark: &String| mark.starts_with(&own_mark);
        let others = connected
            .into_iter()
            .filter(|it| !it.mark.as_ref().is_some_and(is_own));
        occupied.extend(others.map(|it| OccupiedSubnet {
            subnet: it.subnet,
            by: of_other_installation(&it).unwrap_or(Occupant::Link { link: it.link }),
        }));
        Ok(occupied)
    }

    /// Refuses a fixed subnet that is in use: plans look before, and others may have come since.
    pub(super) fn check_subnets(&self, record: &NetworkRecord) -> Result<(), EngineError> {
        let spec = &record.spec;
        if spec.ipam.pools.iter().all(|pool| pool.subnet.is_none()) {
            return Ok(());
        }
        let occupied = self.occupied_subnets()?;
        for subnet in record.subnets().map(|subnet| subnet.subnet) {
            let mut others = occupied.iter().filter(|other| match &other.by {
                Occupant::Network { name, .. } => *name != spec.name,
                Occupant::Link { .. } => true,
            });
            if let Some(other) = others.find(|other| other.subnet.overlaps(&subnet)) {
                let act = format!("use subnet `{subnet}` for network `{}`", spec.name);
                let cause = format!("it overlaps `{}` of {}", other.subnet, other.by);
                return Err(EngineError::act(act, cause));
            }
        }
        Ok(())
    }
}

/// Reads whose bridge has a subnet from the bridge's mark.
fn of_other_installation(connected: &ConnectedSubnet) -> Option<Occupant> {
    let mut words = connected.mark.as_deref()?.splitn(3, '/').skip(1);
    let (project, name) = (words.next()?, words.next()?);
    Some(Occupant::Network {
        name: name.parse().ok()?,
        project: project.parse().ok()?,
        place: None,
    })
}

pub(super) fn ipv4_of(
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

pub(super) fn ipv6_of(
    spec: &NetworkSpec,
    taken: &[Cidr],
) -> Result<Option<SubnetRecord>, EngineError> {
    if let Some((pool, subnet)) = wanted_pool(spec, |cidr| !cidr.is_ipv4())? {
        return subnet_record(spec, Some(pool), subnet).map(Some);
    }
    if spec.enable_ipv6 != Some(true) {
        return Ok(None);
    }
    let candidates = (0..u16::MAX).filter_map(|attempt| unique_local_subnet(&spec.name, attempt));
    let mut free = candidates.filter(|subnet| !taken.iter().any(|other| other.overlaps(subnet)));
    match free.next() {
        Some(subnet) => subnet_record(spec, None, subnet).map(Some),
        None => Ok(None),
    }
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

pub(super) fn subnet_of(spec: &NetworkSpec, record: &SubnetRecord) -> Result<Subnet, EngineError> {
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
