//! Published ports → Docker's words for them: `0.0.0.0:8080->80/tcp`.

use std::fmt::Write as _;
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
    ports
        .iter()
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

/// Ports that follow each other and are published alike.
struct Range<'ports> {
    host_ip: Option<IpAddr>,
    protocol: &'ports str,
    published: Option<(u16, u16)>,
    target: (u16, u16),
}

/// Says all ports in one line, those that follow each other as a range.
pub(super) fn in_words(ports: &[ObservedPort]) -> String {
    let mut sorted: Vec<&ObservedPort> = ports.iter().collect();
    sorted.sort_by_key(|port| {
        (
            port.published.is_none(),
            port.host_ip,
            &port.protocol,
            port.target,
        )
    });
    sorted.dedup();
    let mut ranges: Vec<Range<'_>> = Vec::new();
    for port in sorted {
        match ranges.last_mut() {
            Some(range) if range.continues_with(port) => range.extend(port),
            _ => ranges.push(Range::of(port)),
        }
    }
    ranges
        .iter()
        .map(Range::in_words)
        .collect::<Vec<_>>()
        .join(", ")
}

impl<'ports> Range<'ports> {
    fn of(port: &'ports ObservedPort) -> Self {
        Self {
            host_ip: port.published.map(|_| port.host_ip),
            protocol: &port.protocol,
            published: port.published.map(|number| (number, number)),
            target: (port.target, port.target),
        }
    }

    fn continues_with(&self, port: &ObservedPort) -> bool {
        let follows = |last: u16, next: u16| last.checked_add(1) == Some(next);
        let published_follows = match (self.published, port.published) {
            (Some((_, last)), Some(next)) => follows(last, next),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.host_ip == port.published.map(|_| port.host_ip)
            && self.protocol == port.protocol
            && follows(self.target.1, port.target)
            && published_follows
    }

    fn extend(&mut self, port: &ObservedPort) {
        self.target.1 = port.target;
        if let (Some(range), Some(number)) = (&mut self.published, port.published) {
            range.1 = number;
        }
    }

    fn in_words(&self) -> String {
        let mut words = String::new();
        if let (Some(ip), Some(published)) = (self.host_ip, self.published) {
            let ip = if ip.is_ipv6() {
                format!("[{ip}]")
            } else {
                ip.to_string()
            };
            write!(words, "{ip}:{}->", span(published)).expect("writing to a string cannot fail");
        }
        words + &span(self.target) + "/" + self.protocol
    }
}

fn span((first, last): (u16, u16)) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
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
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 6379/tcp"
        );
        assert_eq!(address(&ports[1]).unwrap(), "[::]:8080");
        assert_eq!(address(&ports[2]), None);
    }

    #[test]
    fn ports_that_follow_each_other_are_a_range() {
        let ports = [
            port("0.0.0.0", Some(9001), 8001),
            port("0.0.0.0", Some(9000), 8000),
            port("0.0.0.0", Some(9005), 8002),
            port("0.0.0.0", None, 6000),
            port("0.0.0.0", None, 6001),
        ];
        let words = "0.0.0.0:9000-9001->8000-8001/tcp, 0.0.0.0:9005->8002/tcp, 6000-6001/tcp";
        assert_eq!(in_words(&ports), words);
    }
}
