//! The host's resolver configuration, which our own name server and containers without one go by.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::runtime::store::read_bounded;

const RESOLV_CONF_LIMIT_BYTES: u64 = 64 << 10;
const DNS_PORT: u16 = 53;
/// As many as the C library uses.
const RESOLVERS_LIMIT: usize = 3;

/// What a `resolv.conf` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// The resolvers, in order.
    pub nameservers: Vec<IpAddr>,
    /// The domains that are tried behind a short name.
    pub search: Vec<String>,
    /// The options, as they are.
    pub options: Vec<String>,
}

/// Reads the lines that resolvers know, and passes over others, as resolvers do.
pub fn parse_resolv_conf(text: &str) -> ResolvConf {
    let mut conf = ResolvConf::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let key = words.next().unwrap_or("");
        let values = || words.clone().map(str::to_owned);
        match key {
            "nameserver" => {
                // A scope such as `fe80::1%eth0` has no meaning outside of its own namespace.
                conf.nameservers
                    .extend(words.next().and_then(|ip| ip.parse::<IpAddr>().ok()));
            }
            "search" | "domain" => conf.search = values().collect(),
            "options" => conf.options.extend(values()),
            _ => {}
        }
    }
    conf
}

/// Returns the resolvers that `/etc/resolv.conf` of this machine names, and its search domains.
///
/// One on a loopback address works as well, because we ask from the host's network namespace.
pub fn host_resolvers(path: &Path) -> (Vec<SocketAddr>, ResolvConf) {
    let bytes = read_bounded(path, RESOLV_CONF_LIMIT_BYTES).unwrap_or_default();
    let conf = parse_resolv_conf(&String::from_utf8_lossy(&bytes));
    let resolvers = conf.nameservers.iter().take(RESOLVERS_LIMIT);
    (
        resolvers.map(|ip| SocketAddr::new(*ip, DNS_PORT)).collect(),
        conf,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_search_line_counts_and_comments_do_not() {
        let conf = parse_resolv_conf(
            "# x\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver ::1\n\
             domain a.example\nsearch b.example c.example\noptions ndots:2 rotate\n;y\n",
        );
        assert_eq!(
            conf.nameservers,
            [
                "10.0.0.1".parse::<IpAddr>().unwrap(),
                "::1".parse().unwrap()
            ]
        );
        assert_eq!(conf.search, ["b.example", "c.example"]);
        assert_eq!(conf.options, ["ndots:2", "rotate"]);
    }
}
