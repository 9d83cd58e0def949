//! Published ports → Docker's words for them: `0.0.0.0:8080->80/tcp`.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Serialize;

use crate::observed::ObservedPort;

/// One port, with Docker Compose's field names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Publisher {
    /// The address that listens.
    #[serde(rename = "URL")]
    pub url: String,
    /// The port of the container.
    #[serde(rename = "TargetPort")]
    pub target_port: u16,
    /// The port of the host, 0 when it is not published.
    #[serde(rename = "PublishedPort")]
    pub published_port: u16,
    /// `tcp` or `udp`.
    #[serde(rename = "Protocol")]
    pub protocol: String,
}

/// Returns the ports in Docker Compose's shape.
pub(super) fn publishers(ports: &[ObservedPort]) -> Vec<Publisher> {
    sorted(ports)
        .into_iter()
        .map(|port| Publisher {
            url: port
                .published
                .map_or_else(String::new, |_| port.host_ip.to_string()),
            target_port: port.target,
            published_port: port.published.unwrap_or(0),
            protocol: port.protocol.clone(),
        })
        .collect()
}

/// Writes the address at which a port can be reached: `0.0.0.0:8080`, `[::]:8080`.
pub fn address(port: &ObservedPort) -> Option<String> {
    Some(SocketAddr::new(port.host_ip, port.published?).to_string())
}

/// Ports that follow each other and have the same number outside, or none.
struct Range<'ports> {
    host_ip: Option<IpAddr>,
    protocol: &'ports str,
    first: u16,
    last: u16,
}

/// Says all ports in one line as Docker does: first those with the same number inside and outside, of which those that
/// follow each other are a range, and then the others one by one.
pub(super) fn in_words(ports: &[ObservedPort]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut ranges: Vec<Range<'_>> = Vec::new();
    let mut moved: Vec<String> = Vec::new();
    for port in sorted(ports) {
        if let Some(published) = port.published
            && published != port.target
        {
            let outside = SocketAddr::new(port.host_ip, published);
            moved.push(format!("{outside}->{}/{}", port.target, port.protocol));
            continue;
        }
        let alike = ranges.iter_mut().find(|range| range.is_like(port));
        match alike {
            None => ranges.push(Range::of(port)),
            Some(range) if range.last.checked_add(1) == Some(port.target) => {
                range.last = port.target;
            }
            Some(range) => {
                words.push(range.in_words());
                *range = Range::of(port);
            }
        }
    }
    words.extend(ranges.iter().map(Range::in_words));
    words.extend(moved);
    words.join(", ")
}

/// Returns each port once, in the order in which they are said.
fn sorted(ports: &[ObservedPort]) -> Vec<&ObservedPort> {
    let mut sorted: Vec<&ObservedPort> = ports.iter().collect();
    sorted.sort_by_key(|port| (port.target, port.host_ip, port.published, &port.protocol));
    sorted.dedup();
    sorted
}

impl<'ports> Range<'ports> {
    fn of(port: &'ports ObservedPort) -> Self {
        Self {
            host_ip: port.published.map(|_| port.host_ip),
            protocol: &port.protocol,
            first: port.target,
            last: port.target,
        }
    }

    fn is_like(&self, port: &ObservedPort) -> bool {
        self.host_ip == port.published.map(|_| port.host_ip) && self.protocol == port.protocol
    }

    fn in_words(&self) -> String {
        let numbers = if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        };
        match self.host_ip {
            None => format!("{numbers}/{}", self.protocol),
            Some(IpAddr::V4(ip)) => format!("{ip}:{numbers}->{numbers}/{}", self.protocol),
            Some(IpAddr::V6(ip)) => format!("[{ip}]:{numbers}->{numbers}/{}", self.protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host_ip: &str, published: Option<u16>, target: u16) -> ObservedPort {
        let host_ip = host_ip.parse().unwrap();
        ObservedPort {
            host_ip,
            published,
            target,
            protocol: "tcp".to_owned(),
        }
    }

    #[test]
    fn ports_are_said_as_docker_says_them() {
        let ports = [
            port("0.0.0.0", Some(8080), 80),
            port("::", Some(8080), 80),
            port("0.0.0.0", None, 6379),
        ];
        assert_eq!(
            in_words(&ports),
            "6379/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        assert_eq!(address(&ports[1]).unwrap(), "[::]:8080");
        assert_eq!(address(&ports[2]), None);
    }

    #[test]
    fn ports_that_follow_each_other_are_a_range_where_their_number_stays() {
        let ports = [
            port("0.0.0.0", Some(8001), 8001),
            port("0.0.0.0", Some(8000), 8000),
            port("0.0.0.0", Some(8003), 8003),
            port("0.0.0.0", Some(9001), 7001),
            port("0.0.0.0", Some(9000), 7000),
            port("0.0.0.0", None, 6000),
            port("0.0.0.0", None, 6001),
        ];
        let words = "0.0.0.0:8000-8001->8000-8001/tcp, 6000-6001/tcp, 0.0.0.0:8003->8003/tcp, \
                     0.0.0.0:9000->7000/tcp, 0.0.0.0:9001->7001/tcp";
        assert_eq!(in_words(&ports), words);
    }

    #[test]
    fn publishers_are_in_the_order_of_the_ports_inside() {
        let ports = [
            port("0.0.0.0", Some(9001), 81),
            port("::", Some(9000), 80),
            port("0.0.0.0", Some(9000), 80),
        ];
        let order: Vec<_> = publishers(&ports)
            .into_iter()
            .map(|it| (it.target_port, it.url))
            .collect();
        let expected = [(80, "0.0.0.0"), (80, "::"), (81, "0.0.0.0")];
        assert_eq!(order, expected.map(|(port, url)| (port, url.to_owned())));
    }
}
