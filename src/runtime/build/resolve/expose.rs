//! `EXPOSE`: one word into ports.

use crate::runtime::build::dockerfile::Mistake;

/// What a word exposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exposed {
    /// `80/tcp` and the like.
    pub(super) ports: Vec<String>,
    /// Whether it names an address or a port of the host, which means nothing here.
    pub(super) names_host: bool,
    /// Whether the protocol is not in lower case.
    pub(super) has_odd_case: bool,
}

/// Reads `[[address:]host:]container[-end][/protocol]`.
pub(super) fn read(word: &str) -> Result<Exposed, Mistake> {
    let (numbers, protocol) = match word.split_once('/') {
        Some((numbers, "")) => (numbers, "tcp"),
        Some((numbers, protocol)) => (numbers, protocol),
        None => (word, "tcp"),
    };
    let lower = protocol.to_lowercase();
    if !matches!(lower.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Mistake::new(format!("invalid proto: {protocol}")));
    }
    let (host, container) = match numbers.rsplit_once(':') {
        Some((host, container)) => (Some(host), container),
        None => (None, numbers),
    };
    if container.is_empty() {
        return Err(Mistake::new(format!("no port specified: {word}<empty>")));
    }
    let (first, last) = range(container)
        .ok_or_else(|| Mistake::new(format!("invalid containerPort: {container}")))?;
    if let Some(host) = host {
        check_host(host, usize::from(last - first) + 1, word)?;
    }
    Ok(Exposed {
        ports: (first..=last)
            .map(|port| format!("{port}/{lower}"))
            .collect(),
        names_host: host.is_some(),
        has_odd_case: lower != protocol,
    })
}

fn check_host(host: &str, count: usize, word: &str) -> Result<(), Mistake> {
    let (address, ports) = host.rsplit_once(':').unwrap_or(("", host));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        return Err(Mistake::new(format!("invalid IP address: {address}")));
    }
    if ports.is_empty() {
        return Ok(());
    }
    let (first, last) =
        range(ports).ok_or_else(|| Mistake::new(format!("invalid hostPort: {ports}")))?;
    let offered = usize::from(last - first) + 1;
    if offered != count && count != 1 {
        let message = format!("invalid ranges specified for container and host Ports: {word}");
        return Err(Mistake::new(message));
    }
    Ok(())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return None;
    }
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}
