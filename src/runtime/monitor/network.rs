//! A container's network namespace, and the thread that answers names and forwards ports in it.

use std::net::{IpAddr, SocketAddrV4};
use std::os::fd::{AsFd as _, OwnedFd};

use super::MonitorError;
use super::bundle::{Bundle, NetworkBundle, OwnNetwork};
use super::state::{BoundPort, ContainerState};
use crate::runtime::kernel::namespace;
use crate::runtime::kernel::pidfd::{Pidfd, ProcessIdentity};
use crate::runtime::network::endpoint::{self, EndpointConfig};
use crate::runtime::network::holder::HolderClient;
use crate::runtime::network::nat::{self, LedPort, Settling};
use crate::runtime::network::publish::{self, HostSockets, PublishConfig, PublishedPort};
use crate::runtime::network::rewire;
use crate::runtime::network::serve::{
    NameServerPort, NamesConfig, NetThread, PortTarget, ServeConfig, ServedNetwork,
};

/// A container's network for as long as its monitor lives.
#[derive(Debug)]
pub(super) struct Network {
    /// The namespace, where it is the container's own.
    namespace: Option<OwnedFd>,
    bound: Vec<BoundPort>,
    /// Bound, and not served yet.
    published: Vec<PublishedPort>,
    /// Wanted, and taken by somebody else.
    missing: Vec<PublishConfig>,
    thread: Option<NetThread>,
    /// Whether the interfaces are known to be those of the bundle.
    is_wired: bool,
    /// Whether the kernel leads ports to the container.
    are_led: bool,
    /// What the kernel still does with ports that it no longer leads; dropping it waits.
    settling: Option<Settling>,
}

impl Network {
    /// Makes the namespace with its interfaces, and opens the published ports.
    pub(super) fn prepare(bundle: &Bundle) -> Result<Self, MonitorError> {
        let NetworkBundle::Own(own) = &bundle.network else {
            return Ok(Self::none());
        };
        // First, because it is what most often fails, and nothing has to be undone after it.
        let published = publish::bind(&own.ports, &host_sockets(bundle))?;
        let namespace = endpoint::create_netns()?;
        endpoint::attach(&namespace, &own.endpoints)?;
        Ok(Self::with(namespace, published))
    }

    /// Finds the namespace of a container that runs, and opens its published ports again.
    pub(super) fn adopt(bundle: &Bundle, state: &ContainerState) -> Result<Self, MonitorError> {
        let NetworkBundle::Own(own) = &bundle.network else {
            return Ok(Self::none());
        };
        let container = state.container.as_ref();
        let Some(namespace) = container.and_then(|container| namespace_of(container.process))
        else {
            // It ended while nobody watched: what comes after it, if anything, gets one of its own.
            if bundle.holder.is_none() && !own.ports.is_empty() {
                drop(nat::lead_ports(&bundle.id, &[]));
            }
            return Ok(Self::none());
        };
        // Whoever took a port meanwhile is no reason not to watch the container.
        let (published, missing) = bind_what_is_free(&own.ports, &host_sockets(bundle));
        // The last monitor may have gone before it heard of a change, or in the middle of it.
        // A bridge that is gone is no reason not to watch it; a change that needs it says so.
        let is_wired = rewire(&namespace, &own.mark, &own.endpoints).is_ok();
        let mut network = Self {
            missing,
            is_wired,
            ..Self::with(namespace, published)
        };
        network.serve(bundle)?;
        Ok(network)
    }

    /// Makes the namespace of a container that is about to be started again, where there is none.
    pub(super) fn ensure(&mut self, bundle: &Bundle) -> Result<(), MonitorError> {
        if self.namespace.is_none() && matches!(bundle.network, NetworkBundle::Own(_)) {
            *self = Self::prepare(bundle)?;
        }
        Ok(())
    }

    /// Reports whether somebody else has a port that is to be published.
    pub(super) fn misses_ports(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Opens and serves those of the missing ports that are free by now.
    pub(super) fn bind_missing(&mut self, bundle: &Bundle) -> Bound {
        let missing = std::mem::take(&mut self.missing);
        let (free, missing) = bind_what_is_free(&missing, &host_sockets(bundle));
        self.missing = missing;
        if free.is_empty() {
            return Bound::NoMore;
        }
        self.bound.extend(free.iter().map(bound));
        match &self.thread {
            // A thread that is gone serves nothing else either.
            Some(thread) => drop(thread.publish(free)),
            None => self.published.extend(free),
        }
        self.lead(bundle);
        Bound::More
    }

    fn none() -> Self {
        Self {
            namespace: None,
            bound: Vec::new(),
            published: Vec::new(),
            missing: Vec::new(),
            thread: None,
            is_wired: true,
            are_led: false,
            settling: None,
        }
    }

    fn with(namespace: OwnedFd, published: Vec<PublishedPort>) -> Self {
        Self {
            namespace: Some(namespace),
            bound: published.iter().map(bound).collect(),
            published,
            missing: Vec::new(),
            thread: None,
            is_wired: true,
            are_led: false,
            settling: None,
        }
    }

    /// Starts to answer names and to forward ports, unless that is done already.
    pub(super) fn serve(&mut self, bundle: &Bundle) -> Result<(), MonitorError> {
        let (Some(namespace), NetworkBundle::Own(own), None) =
            (&self.namespace, &bundle.network, &self.thread)
        else {
            return Ok(());
        };
        if own.endpoints.is_empty() {
            return Ok(());
        }
        let act = "keep the container's network namespace";
        let netns = namespace.as_fd().try_clone_to_owned();
        let config = ServeConfig {
            netns: netns.map_err(|source| MonitorError::Keep { act, source })?,
            ports: std::mem::take(&mut self.published),
            target: target(own),
            names: Some(names(own)),
            host: host_sockets(bundle),
        };
        self.thread = Some(NetThread::spawn(config)?);
        self.lead(bundle);
        Ok(())
    }

    /// Lets the kernel lead to the container what it can of the published ports, so that it sees its clients' own
    /// addresses; the rest comes by the proxy, as all of it does where the kernel cannot.
    fn lead(&mut self, bundle: &Bundle) {
        let NetworkBundle::Own(own) = &bundle.network else {
            return;
        };
        if bundle.holder.is_some() || (self.bound.is_empty() && !self.are_led) {
            return;
        }
        let ports: Vec<LedPort> = self
            .bound
            .iter()
            .filter_map(|port| led_port(port, own))
            .collect();
        self.are_led = !ports.is_empty();
        drop(nat::lead_ports(&bundle.id, &ports));
    }

    /// Gives a namespace that is there the interfaces of another bundle, and serves names and ports
    /// by them; a container that is only called differently now keeps its interfaces untouched.
    pub(super) fn change(&mut self, old: &Bundle, new: &Bundle) -> Result<(), MonitorError> {
        let (Some(namespace), NetworkBundle::Own(old), NetworkBundle::Own(own)) =
            (&self.namespace, &old.network, &new.network)
        else {
            return Ok(());
        };
        if !self.is_wired || !same_interfaces(&old.endpoints, &own.endpoints) {
            self.is_wired = false;
            rewire(namespace, &own.mark, &own.endpoints)?;
            self.is_wired = true;
        }
        match &self.thread {
            Some(thread) => thread.update(target(own), Some(names(own)))?,
            None => self.serve(new)?,
        }
        self.lead(new);
        Ok(())
    }

    /// Stops serving and gives the published ports back.
    pub(super) fn close(&mut self, bundle: &Bundle) {
        if self.are_led {
            self.are_led = false;
            // Before the port is another's to listen on.
            self.settling = nat::lead_ports(&bundle.id, &[]).ok();
        }
        self.thread = None;
        self.published.clear();
        self.missing.clear();
        self.bound.clear();
    }

    /// Returns the published ports as they are bound.
    pub(super) fn bound_ports(&self) -> Vec<BoundPort> {
        self.bound.clone()
    }

    /// Returns the container's own namespace, where it has one.
    pub(super) fn namespace(&self) -> Option<&OwnedFd> {
        self.namespace.as_ref()
    }
}

/// Whether a look at missing ports has changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// Further ports are open.
    More,
    /// All is as it was.
    NoMore,
}

fn bound(port: &PublishedPort) -> BoundPort {
    BoundPort {
        host_ip: port.host.ip(),
        host_port: port.host.port(),
        target: port.container_port,
        protocol: port.protocol.to_string(),
    }
}

/// Opens the ports that can be opened; returns the others as well.
fn bind_what_is_free(
    wanted: &[PublishConfig],
    host: &HostSockets,
) -> (Vec<PublishedPort>, Vec<PublishConfig>) {
    let (mut open, mut missing) = (Vec::new(), Vec::new());
    for config in wanted {
        match publish::bind(std::slice::from_ref(config), host) {
            Ok(ports) => open.extend(ports),
            Err(_) => missing.push(config.clone()),
        }
    }
    (open, missing)
}

/// Whether nothing but the names of the outer ends differs, which each bundle makes up anew.
fn same_interfaces(old: &[EndpointConfig], new: &[EndpointConfig]) -> bool {
    let unnamed = |endpoint: &EndpointConfig| EndpointConfig {
        host_link: String::new(),
        ..endpoint.clone()
    };
    old.len() == new.len()
        && old
            .iter()
            .zip(new)
            .all(|(old, new)| unnamed(old) == unnamed(new))
}

fn host_sockets(bundle: &Bundle) -> HostSockets {
    match &bundle.holder {
        Some(socket) => HostSockets::Holder(HolderClient::new(socket)),
        None => HostSockets::Here,
    }
}

/// Returns the addresses that published ports lead to: for IPv4 and for IPv6 that on the way out, else
/// the first.
fn target(own: &OwnNetwork) -> PortTarget {
    let address = |address: fn(&EndpointConfig) -> Option<IpAddr>| {
        let leads_out = |endpoint: &&EndpointConfig| {
            let of_family = |gateway: &IpAddr| {
                address(endpoint).is_some_and(|own| own.is_ipv4() == gateway.is_ipv4())
            };
            endpoint.default_gateways.iter().any(of_family)
        };
        let way_out = own.endpoints.iter().find(leads_out).and_then(address);
        way_out.or_else(|| own.endpoints.iter().find_map(address))
    };
    PortTarget {
        ipv4: match address(|endpoint| Some(endpoint.ipv4?.address())) {
            Some(IpAddr::V4(address)) => Some(address),
            Some(IpAddr::V6(_)) | None => None,
        },
        ipv6: match address(|endpoint| Some(endpoint.ipv6?.address())) {
            Some(IpAddr::V6(address)) => Some(address),
            Some(IpAddr::V4(_)) | None => None,
        },
    }
}

/// Returns how the kernel leads a port to the container: one that is not bound to loopback, where the answers find
/// the way out.
fn led_port(port: &BoundPort, own: &OwnNetwork) -> Option<LedPort> {
    let IpAddr::V4(host) = port.host_ip else {
        return None;
    };
    let mut gateways = own.endpoints.iter().flat_map(|one| &one.default_gateways);
    let is_led = port.protocol == publish::Protocol::Tcp.to_string()
        && !host.is_loopback()
        && gateways.any(IpAddr::is_ipv4);
    let target = target(own).ipv4.filter(|_| is_led)?;
    Some(LedPort {
        host: SocketAddrV4::new(host, port.host_port),
        target: SocketAddrV4::new(target, port.target),
    })
}

fn names(own: &OwnNetwork) -> NamesConfig {
    let networks = own.networks.iter().map(|network| ServedNetwork {
        name: network.name.clone(),
        folder: network.folder.clone(),
        subnets: network.subnets.clone(),
    });
    // Who listens on port 53 itself gets its port; ours is led there by a rule.
    let serves_dns = own.ports.iter().any(|port| port.container_port == 53);
    NamesConfig {
        networks: networks.collect(),
        links: own.links.clone(),
        resolvers: own.upstream.clone(),
        listen: if serves_dns {
            NameServerPort::Redirected
        } else {
            NameServerPort::Plain
        },
    }
}

/// Returns the network namespace of a process that still lives; another may have its number by now.
fn namespace_of(process: ProcessIdentity) -> Option<OwnedFd> {
    let process = Pidfd::open_verified(process).ok()?;
    let namespace = namespace::open_of(process.pid(), "net").ok()?;
    let has_ended = process.has_ended().ok()?;
    (!has_ended).then_some(namespace)
}
