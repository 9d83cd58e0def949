//! The addresses that a network asks for, or that are free, into its subnets.

use crate::desired::{IpamPool, NetworkSpec};
use crate::engine::EngineError;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::record::SubnetRecord;
use crate::runtime::network::address::{Pool, Subnet, host_subnets, unique_local_subnet};
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
