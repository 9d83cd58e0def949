//! How a container hangs on networks and finds names.

use super::{desk::Desk, resource, service::first_container};
use crate::compose::model;
use crate::desired::{EndpointSpec, HostName, NetworkMode, ResolverSpec};
use crate::value::{ContainerName, ServiceName};
use std::cmp::Reverse;

pub(super) fn mode(
    desk: &mut Desk<'_>,
    model: &model::Service,
    name: &ContainerName,
) -> NetworkMode {
    let Some(mode) = &model.network_mode else {
        return NetworkMode::Endpoints(endpoints(desk, model, name));
    };
    named_mode(desk, model, (mode, name)).unwrap_or(NetworkMode::None)
}

fn named_mode(
    desk: &mut Desk<'_>,
    model: &model::Service,
    (mode, name): (&str, &ContainerName),
) -> Option<NetworkMode> {
    match mode.split_once(':') {
        None if mode == "none" => Some(NetworkMode::None),
        None if mode == "host" => Some(NetworkMode::Host),
        None if resource::is_default_network(mode) => {
            Some(NetworkMode::Endpoints(default_endpoint(desk, model, name)))
        }
        Some(("service", key)) => {
            let service: ServiceName = desk.parse("network_mode", key)?;
            let container = first_container(desk, "network_mode", key)?;
            Some(NetworkMode::Service { service, container })
        }
        Some(("container", name)) => {
            Some(NetworkMode::Container(desk.parse("network_mode", name)?))
        }
        _ => {
            let known = "only `none`, `host`, `bridge`, `service:NAME` and `container:NAME` exist \
                         here; leave it out for the project's own network";
            desk.refuse_support("network_mode", known);
            None
        }
    }
}

/// The endpoint of a service with `network_mode: bridge`: there is no network of the whole machine here, so
/// that it is on the project's own.
fn default_endpoint(
    desk: &mut Desk<'_>,
    model: &model::Service,
    name: &ContainerName,
) -> Vec<EndpointSpec> {
    let network = model::ServiceNetwork {
        mac_address: model.mac_address.clone(),
        ..model::ServiceNetwork::default()
    };
    let key = resource::DEFAULT_NETWORK.to_owned();
    endpoint(desk, model, (&key, &network), name)
        .into_iter()
        .collect()
}

/// Endpoints in connect order: the highest priority first, then by key.
fn endpoints(
    desk: &mut Desk<'_>,
    model: &model::Service,
    name: &ContainerName,
) -> Vec<EndpointSpec> {
    let mut networks: Vec<_> = model.networks.iter().collect();
    networks.sort_by_key(|(key, network)| {
        let priority = network.as_ref().map_or(0, |network| network.priority);
        (Reverse(priority), *key)
    });
    let mut endpoints = Vec::new();
    for (key, network) in networks {
        let network = network.clone().unwrap_or_default();
        endpoints.extend(endpoint(desk, model, (key, &network), name));
    }
    if let (Some(first), Some(mac)) = (endpoints.first_mut(), &model.mac_address) {
        first.mac_address.get_or_insert_with(|| mac.clone());
    }
    endpoints
}

fn endpoint(
    desk: &mut Desk<'_>,
    model: &model::Service,
    (key, network): (&String, &model::ServiceNetwork),
    name: &ContainerName,
) -> Option<EndpointSpec> {
    let field = format!("networks.{key}");
    let Some(real_name) = resource::network_name(desk, key) else {
        desk.refuse_unknown(&field, format!("network `{key}`"));
        return None;
    };
    let mut aliases = network.aliases.clone();
    aliases.extend([model.name.clone(), name.to_string()]);
    aliases.sort();
    aliases.dedup();
    let link_local_ips = network
        .link_local_ips
        .iter()
        .filter_map(|ip| desk.parse(&format!("{field}.link_local_ips"), ip))
        .collect();
    Some(EndpointSpec {
        network: desk.parse(&field, &real_name)?,
        key: key.clone(),
        aliases,
        ipv4_address: desk.parse_some(
            &format!("{field}.ipv4_address"),
            network.ipv4_address.as_ref(),
        ),
        ipv6_address: desk.parse_some(
            &format!("{field}.ipv6_address"),
            network.ipv6_address.as_ref(),
        ),
        kept_free: desk.fixed_by_others(key, network),
        link_local_ips,
        mac_address: network.mac_address.clone(),
        interface_name: network.interface_name.clone(),
        gw_priority: network.gw_priority,
        driver_opts: network.driver_opts.clone(),
    })
}

/// Gives a replica its own name where the first one had its own.
pub(super) fn rename(mode: &mut NetworkMode, first: &ContainerName, name: &ContainerName) {
    let NetworkMode::Endpoints(endpoints) = mode else {
        return;
    };
    for endpoint in endpoints {
        for alias in &mut endpoint.aliases {
            if alias == first.as_str() {
                *alias = name.to_string();
            }
        }
        endpoint.aliases.sort();
    }
}

pub(super) fn resolver(model: &model::Service) -> ResolverSpec {
    let hosts = model.extra_hosts.0.iter().flat_map(|(name, addresses)| {
        let host = |address: &String| HostName {
            name: name.clone(),
            address: address.clone(),
        };
        addresses.iter().map(host).collect::<Vec<_>>()
    });
    ResolverSpec {
        servers: model.dns.clone(),
        search: model.dns_search.clone(),
        options: model.dns_opt.clone(),
        hosts: hosts.collect(),
        links: model.links.iter().filter_map(|link| alias(link)).collect(),
    }
}

/// Reads `db:database` into the other name and the service; without another name there is nothing
/// that the service's own name is not enough for.
fn alias(link: &str) -> Option<(String, String)> {
    let (service, alias) = link.split_once(':')?;
    (service != alias).then(|| (alias.to_ascii_lowercase(), service.to_owned()))
}
