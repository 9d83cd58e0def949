//! Opens the ports of one container.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{getsockname, listen};

use crate::runtime::network::{NetworkError, settings};

use super::{HostPort, HostSockets, Protocol, PublishConfig, PublishedPort, SocketFamily};

/// Connections that may wait to be accepted; the kernel cuts it to its own limit.
const BACKLOG: i32 = 1024;
/// How often a free IPv4 port is looked for whose IPv6 twin is free as well.
const TWIN_ATTEMPTS: usize = 32;

/// Opens every wanted port, or none.
pub fn bind(
    configs: &[PublishConfig],
    host: &HostSockets,
) -> Result<Vec<PublishedPort>, NetworkError> {
    let mut ports = Vec::with_capacity(configs.len() * 2);
    for config in configs {
        ports.append(&mut bind_one(config, host)?);
    }
    Ok(ports)
}

fn bind_one(
    config: &PublishConfig,
    host: &HostSockets,
) -> Result<Vec<PublishedPort>, NetworkError> {
    match config.host_port {
        HostPort::Any => {
            let mut last = None;
            for _ in 0..TWIN_ATTEMPTS {
                match bind_pair(config, 0, host) {
                    Err(error @ NetworkError::PortTaken { .. }) => last = Some(error),
                    other => return other,
                }
            }
            Err(last.unwrap_or(NetworkError::EmptyPortRange { first: 0, last: 0 }))
        }
        HostPort::Within { first, last } => {
            let mut failure = NetworkError::EmptyPortRange { first, last };
            for port in first..=last {
                match bind_pair(config, port, host) {
                    Err(error @ NetworkError::PortTaken { .. }) => failure = error,
                    other => return other,
                }
            }
            Err(failure)
        }
    }
}

/// Without an address, a port is open on all of IPv4 and, where the host has it, all of IPv6.
fn bind_pair(
    config: &PublishConfig,
    port: u16,
    host: &HostSockets,
) -> Result<Vec<PublishedPort>, NetworkError> {
    if let Some(ip) = config.host_ip {
        return Ok(vec![bind_address(config, SocketAddr::new(ip, port), host)?]);
    }
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let v4 = bind_address(config, v4, host)?;
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), v4.host.port());
    match bind_address(config, v6, host) {
        Ok(v6) => Ok(vec![v4, v6]),
        Err(NetworkError::NoSuchHostAddress { .. }) => Ok(vec![v4]),
        Err(error) => Err(error),
    }
}

fn bind_address(
    config: &PublishConfig,
    address: SocketAddr,
    host: &HostSockets,
) -> Result<PublishedPort, NetworkError> {
    let protocol = config.protocol;
    let (socket, address) = open_bound(address, protocol, host)
        .map_err(|source| explain(source, address, protocol, host))?;
    Ok(PublishedPort {
        host: address,
        container_port: config.container_port,
        protocol,
        socket,
    })
}

fn open_bound(
    address: SocketAddr,
    protocol: Protocol,
    host: &HostSockets,
) -> io::Result<(OwnedFd, SocketAddr)> {
    let socket = host.open(SocketFamily::of(address.ip()), protocol)?;
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // A port whose last connections still fade out is free again.
        set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    if protocol == Protocol::Tcp {
        listen(&socket, BACKLOG)?;
    }
    let bound = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((socket, bound))
}

fn explain(
    source: io::Error,
    address: SocketAddr,
    protocol: Protocol,
    host: &HostSockets,
) -> NetworkError {
    match Errno::from_io_error(&source) {
        Some(Errno::ADDRINUSE) => {
            let holder = host.who_listens(address, protocol);
            NetworkError::PortTaken {
                address,
                protocol,
                holder,
            }
        }
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) => {
            NetworkError::NoSuchHostAddress { address, protocol }
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            let first = settings::read("ipv4/ip_unprivileged_port_start").ok();
            let first = first
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(1024);
            NetworkError::PortPrivileged {
                address,
                protocol,
                first_unprivileged: first,
            }
        }
        _ => NetworkError::Publish {
            address,
            protocol,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    fn any(protocol: Protocol) -> PublishConfig {
        let host_ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        PublishConfig {
            host_ip,
            host_port: HostPort::Any,
            container_port: 80,
            protocol,
        }
    }

    #[test]
    fn a_free_port_is_found_and_listens() {
        let ports = bind(
            &[any(Protocol::Tcp), any(Protocol::Udp)],
            &HostSockets::Here,
        )
        .unwrap();
        assert_eq!(ports.len(), 2);
        assert_ne!(ports[0].host.port(), 0);
        TcpStream::connect(ports[0].host).unwrap();
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let ports = bind(&[any(protocol)], &HostSockets::Here).unwrap();
            let port = ports[0].host.port();
            let again = PublishConfig {
                host_port: HostPort::Within {
                    first: port,
                    last: port,
                },
                ..any(protocol)
            };
            let error = bind(&[any(Protocol::Tcp), again], &HostSockets::Here).unwrap_err();
            let NetworkError::PortTaken {
                holder: PortHolderProcess { pid, .. },
                ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!(*pid, std::process::id(), "{error}");
        }
    }

    use super::super::PortHolder::Process as PortHolderProcess;

    #[test]
    fn the_first_free_port_of_a_range_is_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let first = taken.local_addr().unwrap().port();
        let Some(last) = first.checked_add(20) else {
            return;
        };
        let config = PublishConfig {
            host_port: HostPort::Within { first, last },
            ..any(Protocol::Tcp)
        };
        let ports = bind(&[config], &HostSockets::Here).unwrap();
        assert!(ports[0].host.port() > first);
        let empty = PublishConfig {
            host_port: HostPort::Within { first: 2, last: 1 },
            ..any(Protocol::Tcp)
        };
        let error = bind(&[empty], &HostSockets::Here).unwrap_err();
        assert!(matches!(error, NetworkError::EmptyPortRange { .. }));
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let config = PublishConfig {
            host_ip: Some("203.0.113.9".parse().unwrap()),
            ..any(Protocol::Udp)
        };
        let error = bind(&[config], &HostSockets::Here).unwrap_err();
        assert!(
            matches!(error, NetworkError::NoSuchHostAddress { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_udp_port_is_not_shared() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let config = PublishConfig {
            host_port: HostPort::Within {
                first: port,
                last: port,
            },
            ..any(Protocol::Udp)
        };
        assert!(bind(&[config], &HostSockets::Here).is_err());
    }
}
