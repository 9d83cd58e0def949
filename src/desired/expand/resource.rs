//! Networks and volumes of the project.

use super::desk::Desk;
use crate::compose::model;
use crate::desired::hash::resource_hash;
use crate::desired::{IpamPool, IpamSpec, NetworkSpec, VolumeSpec, label};
use std::collections::BTreeMap;

pub(super) fn networks(desk: &mut Desk<'_>) -> BTreeMap<String, NetworkSpec> {
    let project = desk.project;
    let one = |(key, network): (&String, &model::Network)| {
        desk.open_resource("network", key);
        Some((key.clone(), network_spec(desk, key, network)?))
    };
    let mut specs: BTreeMap<String, NetworkSpec> =
        project.networks.iter().filter_map(one).collect();
    let modes = project.services.values();
    let mut modes = modes.filter_map(|service| service.network_mode.as_deref());
    if !specs.contains_key(DEFAULT_NETWORK) && modes.any(is_default_network) {
        desk.open_resource("network", DEFAULT_NETWORK);
        let spec = network_spec(desk, DEFAULT_NETWORK, &model::Network::default());
        specs.extend(spec.map(|spec| (DEFAULT_NETWORK.to_owned(), spec)));
    }
    specs
}

/// The key of the network that services are on which name none.
pub(super) const DEFAULT_NETWORK: &str = "default";

/// Whether a `network_mode` means the project's own network.
pub(super) fn is_default_network(mode: &str) -> bool {
    matches!(mode, "bridge" | "default")
}

fn network_spec(desk: &mut Desk<'_>, key: &str, network: &model::Network) -> Option<NetworkSpec> {
    let name = real_name(desk, key, network.name.as_ref(), network.external);
    let driver = network.driver.as_deref();
    if !network.external && !matches!(driver, None | Some("" | "default" | "bridge")) {
        desk.refuse_support("driver", "`bridge` is the only network driver");
    }
    let mut spec = NetworkSpec {
        name: desk.parse("name", &name)?,
        project: desk.name.clone(),
        key: key.to_owned(),
        external: network.external,
        driver: network.driver.clone(),
        driver_opts: network.driver_opts.clone(),
        ipam: IpamSpec {
            driver: network.ipam.driver.clone(),
            pools: network
                .ipam
                .config
                .iter()
                .map(|pool| ipam_pool(desk, pool))
                .collect(),
            options: network.ipam.options.clone(),
        },
        internal: network.internal,
        attachable: network.attachable,
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6,
        labels: labels(desk, &network.labels, (label::NETWORK, key)),
        place: desk.place("ipam.config"),
    };
    let hash = resource_hash(&spec);
    spec.labels.insert(label::CONFIG_HASH.to_owned(), hash);
    Some(spec)
}

fn ipam_pool(desk: &mut Desk<'_>, pool: &model::IpamPool) -> IpamPool {
    let mut aux_addresses = BTreeMap::new();
    for (name, address) in &pool.aux_addresses {
        if let Some(address) = desk.parse("ipam.config", address) {
            aux_addresses.insert(name.clone(), address);
        }
    }
    IpamPool {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: desk.parse_some("ipam.config", pool.gateway.as_ref()),
        aux_addresses,
    }
}

pub(super) fn volumes(desk: &mut Desk<'_>) -> BTreeMap<String, VolumeSpec> {
    let project = desk.project;
    let one = |(key, volume): (&String, &model::Volume)| {
        desk.open_resource("volume", key);
        Some((key.clone(), volume_spec(desk, key, volume)?))
    };
    project.volumes.iter().filter_map(one).collect()
}

fn volume_spec(desk: &mut Desk<'_>, key: &str, volume: &model::Volume) -> Option<VolumeSpec> {
    let name = real_name(desk, key, volume.name.as_ref(), volume.external);
    if volume
        .driver
        .as_deref()
        .is_some_and(|driver| driver != "local")
    {
        desk.refuse_support("driver", "`local` is the only volume driver");
    }
    let mut spec = VolumeSpec {
        name: desk.parse("name", &name)?,
        project: desk.name.clone(),
        key: key.to_owned(),
        external: volume.external,
        driver: volume.driver.clone(),
        driver_opts: volume.driver_opts.clone(),
        labels: labels(desk, &volume.labels, (label::VOLUME, key)),
    };
    let hash = resource_hash(&spec);
    spec.labels.insert(label::CONFIG_HASH.to_owned(), hash);
    Some(spec)
}

/// What is the project's own has its name in front.
fn real_name(desk: &Desk<'_>, key: &str, name: Option<&String>, external: bool) -> String {
    match name {
        Some(name) => name.clone(),
        None if external => key.to_owned(),
        None => format!("{}_{key}", desk.name),
    }
}

fn labels(
    desk: &Desk<'_>,
    labels: &BTreeMap<String, String>,
    (kind, key): (&str, &str),
) -> BTreeMap<String, String> {
    let mut labels = labels.clone();
    let marks = [
        (label::PROJECT, desk.name.as_str()),
        (kind, key),
        (label::VERSION, env!("CARGO_PKG_VERSION")),
    ];
    labels.extend(marks.map(|(name, value)| (name.to_owned(), value.to_owned())));
    labels
}

pub(super) fn network_name(desk: &Desk<'_>, key: &str) -> Option<String> {
    let Some(network) = desk.project.networks.get(key) else {
        return (key == DEFAULT_NETWORK).then(|| real_name(desk, key, None, false));
    };
    Some(real_name(
        desk,
        key,
        network.name.as_ref(),
        network.external,
    ))
}

pub(super) fn volume_name(desk: &Desk<'_>, key: &str) -> Option<String> {
    let volume = desk.project.volumes.get(key)?;
    Some(real_name(desk, key, volume.name.as_ref(), volume.external))
}
