//! Ports in short form: `[[address:]published:]target[/protocol]`, each port perhaps a range.

use std::net::IpAddr;

use thiserror::Error;

use crate::compose::model::Port;

/// Why a short form is no port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PortError {
    /// There is no container port.
    #[error("the container port is missing")]
    NoTarget,
    /// A number is no port.
    #[error("`{0}` is no port or range of ports")]
    NoPort(String),
    /// The container port is 0, which is none.
    #[error("a container has no port 0")]
    Zero,
    /// The protocol is unknown.
    #[error("`{0}` is no protocol")]
    Protocol(String),
    /// The address is none.
    #[error("`{0}` is no IP address")]
    Address(String),
    /// The two ranges differ in length.
    #[error("the ranges `{published}` and `{target}` differ in length")]
    Lengths {
        /// The ports on the host.
        published: String,
        /// The ports in the container.
        target: String,
    },
}

impl PortError {
    /// Returns what to do about it in a short form.
    pub(super) fn advice(&self, text: &str) -> Option<String> {
        if text.contains(['“', '”', '„', '‘', '’']) {
            return Some("`“` and `”` are no quotation marks of YAML: write `\"`".to_owned());
        }
        let advice = match self {
            Self::NoPort(part) if part.contains('/') => {
                "write the protocol once, at the end: `8080:80/tcp`"
            }
            Self::NoPort(part) if part.matches('.').count() == 3 => {
                "put a `:` between the address and the port: `127.0.0.1:8080:80`"
            }
            Self::Address(part) if part.chars().any(char::is_alphabetic) && !part.contains(':') => {
                "write the number of the address, such as `127.0.0.1`"
            }
            Self::NoTarget
            | Self::NoPort(_)
            | Self::Zero
            | Self::Protocol(_)
            | Self::Address(_)
            | Self::Lengths { .. } => return None,
        };
        Some(advice.to_owned())
    }
}

/// A range of ports, both ends included.
type Range = (u16, u16);

/// Reads a port; a range becomes one port for each of its numbers.
pub fn parse_port(text: &str) -> Result<Vec<Port>, PortError> {
    let (address, published, target) = split(text);
    let (target, protocol) = target.rsplit_once('/').unwrap_or((target, "tcp"));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    let protocol = protocol.to_ascii_lowercase();
    let address = check_address(address)?;
    if target.is_empty() {
        return Err(PortError::NoTarget);
    }
    let container = range(target)?;
    if container.0 == 0 {
        return Err(PortError::Zero);
    }
    let host = if published.is_empty() {
        None
    } else {
        Some(range(published)?)
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(PortError::Protocol(protocol));
    }
    let lengths_differ = host.is_some_and(|host| host.1 - host.0 != container.1 - container.0);
    if lengths_differ && container.0 != container.1 {
        let (published, target) = (published.to_owned(), target.to_owned());
        return Err(PortError::Lengths { published, target });
    }
    let one = |offset: u16| Port {
        mode: Some("ingress".to_owned()),
        host_ip: address.clone(),
        target: u32::from(container.0 + offset),
        published: host.map(|host| {
            if lengths_differ {
                // One container port and a range on the host: any free one of them.
                format!("{}-{}", host.0, host.1)
            } else {
                (host.0 + offset).to_string()
            }
        }),
        protocol: Some(protocol.clone()),
        ..Port::default()
    };
    let mut ports: Vec<Port> = (0..=container.1 - container.0).map(one).collect();
    // By their text, as Docker Compose sorts them.
    ports.sort_by_key(|port| format!("{}/{protocol}", port.target));
    Ok(ports)
}

/// Splits into address, published and target; an address may contain colons.
fn split(text: &str) -> (&str, &str, &str) {
    let Some((rest, target)) = text.rsplit_once(':') else {
        return ("", "", text);
    };
    match rest.rsplit_once(':') {
        None => ("", rest, target),
        Some((address, published)) => (address, published, target),
    }
}

fn check_address(text: &str) -> Result<Option<String>, PortError> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let bare = bare.unwrap_or(text);
    let refused = || PortError::Address(text.to_owned());
    if bare.is_empty() {
        return if text.is_empty() {
            Ok(None)
        } else {
            Err(refused())
        };
    }
    bare.parse::<IpAddr>().map_err(|_| refused())?;
    Ok(Some(bare.to_owned()))
}

fn range(text: &str) -> Result<Range, PortError> {
    let refused = || PortError::NoPort(text.to_owned());
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>()
            .ok()
            .filter(|_| digits)
            .ok_or_else(refused)
    };
    match text.split_once('-') {
        None => number(text).map(|port| (port, port)),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                Err(refused())
            } else {
                Ok((first, last))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Option<String>, Option<String>, u32, Option<String>);

    fn read(text: &str) -> Vec<Read> {
        let ports = parse_port(text).unwrap();
        ports
            .into_iter()
            .map(|p| (p.host_ip, p.published, p.target, p.protocol))
            .collect()
    }

    #[test]
    fn every_form_is_read() {
        let tcp = Some("tcp".to_owned());
        assert_eq!(read("80"), [(None, None, 80, tcp.clone())]);
        assert_eq!(
            read("8080:80/udp"),
            [(None, Some("8080".into()), 80, Some("udp".into()))]
        );
        assert_eq!(
            read("[::1]:1:2"),
            [(Some("::1".into()), Some("1".into()), 2, tcp.clone())]
        );
        assert_eq!(
            read("127.0.0.1::80"),
            [(Some("127.0.0.1".into()), None, 80, tcp.clone())]
        );
        assert_eq!(
            read("8000-9000:80"),
            [(None, Some("8000-9000".into()), 80, tcp)]
        );
        assert_eq!(read("3000-3002:4000-4002").len(), 3);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in [
            "", "a:80", "80:b", "99999", "1-3:5-6", "x:80:80", "80/http", "5-4", "-1", "0", ":00",
            "80:0",
        ] {
            assert!(parse_port(text).is_err(), "{text}");
        }
    }
}
