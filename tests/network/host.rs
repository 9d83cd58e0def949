//! A machine of the test's own: a fresh network namespace, with bridges and containers in it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use consort::runtime::kernel::netlink;
use consort::runtime::network::address::MacAddress;
use consort::runtime::network::bridge::{self, BridgeConfig, bridge_mark, bridge_name};
use consort::runtime::network::endpoint::{self, EndpointConfig, host_link_name};
use consort::value::Cidr;
use nix::sched::{CloneFlags, unshare};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Moves the test's thread into a network namespace of its own, which goes with the thread.
pub(crate) fn enter_new_host() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    endpoint::loopback_up(netlink::own_netns().unwrap()).unwrap();
    // A new namespace begins with the machine's own setting.
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
}

pub(crate) fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

/// A network with a bridge in the current namespace; containers get `.2`, `.3`, ….
pub(crate) struct Network {
    pub(crate) bridge: BridgeConfig,
    number: u8,
    next: std::cell::Cell<u8>,
}

impl Network {
    /// Makes network `10.99.<number>.0/24` and `fd99:<number>::/64`.
    pub(crate) fn new(number: u8) -> Self {
        let name = format!("test_{number}");
        let mark = bridge_mark("test", "test", &name);
        Self::behind(bridge_name(&name), mark, number)
    }

    /// Makes one that is none of ours: a machine's own, or another program's.
    pub(crate) fn of_others(number: u8) -> Self {
        Self::behind(format!("lan{number}"), "theirs".to_owned(), number)
    }

    fn behind(link: String, mark: String, number: u8) -> Self {
        let bridge = BridgeConfig {
            link,
            mark,
            gateway_v4: Some(cidr(&format!("10.99.{number}.1/24"))),
            gateway_v6: Some(cidr(&format!("fd99:{number}::1/64"))),
            mtu: None,
        };
        bridge::ensure(&bridge).unwrap();
        Self {
            bridge,
            number,
            next: std::cell::Cell::new(2),
        }
    }

    /// Returns the configuration of the next container's interface.
    pub(crate) fn endpoint(&self, interface: &str) -> EndpointConfig {
        let host = self.next.replace(self.next.get() + 1);
        let number = self.number;
        let ipv4 = cidr(&format!("10.99.{number}.{host}/24"));
        EndpointConfig {
            interface_name: interface.to_owned(),
            bridge: self.bridge.link.clone(),
            host_link: host_link_name().unwrap(),
            mark: "consort:test".to_owned(),
            ipv4: Some(ipv4),
            ipv6: Some(cidr(&format!("fd99:{number}::{host}/64"))),
            mac: MacAddress::of(ipv4.address()),
            mtu: None,
            default_gateways: vec![
                format!("10.99.{number}.1").parse().unwrap(),
                format!("fd99:{number}::1").parse().unwrap(),
            ],
        }
    }

    /// Makes a container in this network.
    pub(crate) fn container(&self) -> Container {
        let endpoint = self.endpoint("eth0");
        let netns = endpoint::create_netns().unwrap();
        endpoint::attach(&netns, std::slice::from_ref(&endpoint)).unwrap();
        Container::around(netns, &endpoint)
    }
}

/// A network namespace with an interface.
pub(crate) struct Container {
    pub(crate) netns: OwnedFd,
    pub(crate) ipv4: IpAddr,
    pub(crate) ipv6: IpAddr,
}

impl Container {
    /// A namespace that has this interface.
    pub(crate) fn around(netns: OwnedFd, endpoint: &EndpointConfig) -> Self {
        Self {
            netns,
            ipv4: endpoint.ipv4.unwrap().address(),
            ipv6: endpoint.ipv6.unwrap().address(),
        }
    }

    /// Returns the interfaces and gateways of its IPv4 default routes.
    pub(crate) fn ways_out(&self) -> Vec<String> {
        let table = self.run(|| std::fs::read_to_string("/proc/thread-self/net/route").unwrap());
        let lines = table.lines().skip(1).map(|line| line.split_whitespace());
        lines
            .filter_map(|mut words| {
                let (name, to, gateway) = (words.next()?, words.next()?, words.next()?);
                let gateway = u32::from_str_radix(gateway, 16).ok()?.swap_bytes();
                (to == "00000000").then(|| format!("{name} {}", Ipv4Addr::from(gateway)))
            })
            .collect()
    }

    /// Runs `act` inside.
    pub(crate) fn run<T>(&self, act: impl FnOnce() -> T) -> T {
        netlink::inside(&self.netns, || Ok::<T, io::Error>(act())).unwrap()
    }

    pub(crate) fn listen(&self, address: &str) -> TcpListener {
        self.run(|| TcpListener::bind(address).unwrap())
    }

    /// Connects from inside; a missing answer is an error after a moment.
    pub(crate) fn connect(&self, ip: IpAddr, port: u16) -> io::Result<TcpStream> {
        self.run(|| connect(SocketAddr::new(ip, port)))
    }

    /// Reports whether something can be reached, however busy the machine is.
    pub(crate) fn reaches(&self, ip: IpAddr, port: u16) -> bool {
        self.connect(ip, port).is_ok()
    }

    /// Reports whether nothing comes back within the time that a free machine would need.
    pub(crate) fn is_cut_off_from(&self, ip: IpAddr, port: u16) -> bool {
        let address = SocketAddr::new(ip, port);
        self.run(|| TcpStream::connect_timeout(&address, Duration::from_millis(700)).is_err())
    }
}

pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
