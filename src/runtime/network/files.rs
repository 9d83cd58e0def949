//! The contents of a container's `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname`; pure.
//!
//! **Invariant:** one value is one word of one line: nothing that a user or an image names can add a
//! line of its own.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use super::NetworkError;

/// Where our own name server listens inside a container.
pub const NAME_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// What the kernel and `gethostname` can hold.
const HOSTNAME_BYTES: usize = 64;
/// What one name in DNS can hold.
const NAME_BYTES: usize = 253;

/// Where an extra name points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAddress {
    /// To this address.
    Ip(IpAddr),
    /// To the host, by the gateway of the container's own network.
    Gateway,
}

/// What a container's `/etc/hosts` is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsFile {
    /// The container's host name.
    pub hostname: String,
    /// Its domain, which makes a second, longer name.
    pub domain: Option<String>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// Names that the user added.
    pub extra_hosts: Vec<(String, HostAddress)>,
    /// What [`HostAddress::Gateway`] stands for; no address leaves such names out of reach.
    pub gateways: Vec<IpAddr>,
}

/// Returns the lines of `/etc/hosts`.
pub fn hosts(file: &HostsFile) -> Result<String, NetworkError> {
    check_name("host name", &file.hostname, "/etc/hosts")?;
    let mut text = "127.0.0.1\tlocalhost\n\
        ::1\tlocalhost ip6-localhost ip6-loopback\n\
        fe00::\tip6-localnet\n\
        ff00::\tip6-mcastprefix\n\
        ff02::1\tip6-allnodes\n\
        ff02::2\tip6-allrouters\n"
        .to_owned();
    push_extra_hosts(&mut text, &file.extra_hosts, &file.gateways)?;
    let own = own_names(file)?;
    for ip in &file.addresses {
        push_line(&mut text, *ip, &own);
    }
    Ok(text)
}

/// Returns the lines of the machine's own `/etc/hosts`, for a container in the machine's network, and those that
/// the user added.
pub fn hosts_of_machine(
    machine: &str,
    extra_hosts: &[(String, HostAddress)],
) -> Result<String, NetworkError> {
    let mut text = machine.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    // The machine is reached by its loopback there.
    let gateways = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    push_extra_hosts(&mut text, extra_hosts, &gateways)?;
    Ok(text)
}

fn push_extra_hosts(
    text: &mut String,
    extra_hosts: &[(String, HostAddress)],
    gateways: &[IpAddr],
) -> Result<(), NetworkError> {
    for (name, address) in extra_hosts {
        check_name("extra host", name, "/etc/hosts")?;
        let targets = match address {
            HostAddress::Ip(ip) => std::slice::from_ref(ip),
            HostAddress::Gateway => gateways,
        };
        for ip in targets {
            push_line(text, *ip, name);
        }
    }
    Ok(())
}

/// Returns the names of the container itself: the full one first, the first label last.
fn own_names(file: &HostsFile) -> Result<String, NetworkError> {
    let mut names = Vec::new();
    if let Some(domain) = &file.domain {
        check_name("domain name", domain, "/etc/hosts")?;
        names.push(format!("{}.{domain}", file.hostname));
    }
    names.push(file.hostname.clone());
    match file.hostname.split_once('.') {
        Some((short, _)) if !short.is_empty() => names.push(short.to_owned()),
        Some(_) | None => {}
    }
    Ok(names.join(" "))
}

fn push_line(text: &mut String, ip: IpAddr, names: &str) {
    // Writing into a string cannot fail.
    let _written: std::fmt::Result = writeln!(text, "{ip}\t{names}");
}

/// Returns the line of `/etc/hostname`.
pub fn hostname(name: &str) -> Result<String, NetworkError> {
    check_name("host name", name, "/etc/hostname")?;
    if name.len() > HOSTNAME_BYTES {
        return Err(bad(
            "host name",
            name,
            "/etc/hostname",
            "it has more than 64 bytes",
        ));
    }
    Ok(format!("{name}\n"))
}

/// Returns the lines of `/etc/resolv.conf` for these resolvers, search domains and options.
///
/// With our own name server, `ndots:0` comes first: every name is asked for as it is before a search
/// domain is tried, so that a service is found by its bare name. The user's own `ndots` wins.
pub fn resolv_conf(
    nameservers: &[IpAddr],
    search: &[String],
    options: &[String],
) -> Result<String, NetworkError> {
    const FILE: &str = "/etc/resolv.conf";
    let mut text = String::new();
    for ip in nameservers {
        let _written: std::fmt::Result = writeln!(text, "nameserver {ip}");
    }
    for domain in search {
        if domain != "." {
            check_name("search domain", domain, FILE)?;
        }
    }
    // A single dot is how Docker says: no search domain at all.
    let domains: Vec<&str> = search
        .iter()
        .map(String::as_str)
        .filter(|d| *d != ".")
        .collect();
    if !domains.is_empty() {
        let _written: std::fmt::Result = writeln!(text, "search {}", domains.join(" "));
    }
    let mut words: Vec<&str> = Vec::new();
    for option in options {
        check_word("option", option, FILE)?;
        words.push(option);
    }
    let own_server = nameservers.contains(&NAME_SERVER);
    if own_server && !words.iter().any(|word| word.starts_with("ndots:")) {
        words.insert(0, "ndots:0");
    }
    if !words.is_empty() {
        let _written: std::fmt::Result = writeln!(text, "options {}", words.join(" "));
    }
    Ok(text)
}

/// Checks that a value is one name: letters, digits, `-`, `_` and `.`.
pub fn check_name(what: &'static str, value: &str, file: &'static str) -> Result<(), NetworkError> {
    check_word(what, value, file)?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.len() > NAME_BYTES {
        return Err(bad(what, value, file, "it has more than 253 bytes"));
    }
    if !value.chars().all(plain) {
        let reason = "a name has letters, digits, `-`, `_` and `.`";
        return Err(bad(what, value, file, reason));
    }
    Ok(())
}

fn check_word(what: &'static str, value: &str, file: &'static str) -> Result<(), NetworkError> {
    if value.is_empty() {
        return Err(bad(what, value, file, "it is empty"));
    }
    let breaks = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '#' | ';');
    if value.contains(breaks) {
        return Err(bad(
            what,
            value,
            file,
            "it holds a space, a line break or a comment sign",
        ));
    }
    Ok(())
}

fn bad(what: &'static str, value: &str, file: &'static str, reason: &'static str) -> NetworkError {
    let value = value
        .chars()
        .take(80)
        .collect::<String>()
        .escape_debug()
        .to_string();
    NetworkError::BadHostsValue {
        what,
        value,
        file,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> HostsFile {
        HostsFile {
            hostname: "web".to_owned(),
            domain: None,
            addresses: vec!["172.18.0.2".parse().unwrap()],
            extra_hosts: Vec::new(),
            gateways: vec!["172.18.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        }
    }

    #[test]
    fn the_host_is_reached_by_the_gateway() {
        let extra = vec![
            (
                "api.local".to_owned(),
                HostAddress::Ip("10.1.2.3".parse().unwrap()),
            ),
            ("host.docker.internal".to_owned(), HostAddress::Gateway),
        ];
        let text = hosts(&HostsFile {
            extra_hosts: extra,
            ..file()
        })
        .unwrap();
        assert!(text.ends_with(
            "10.1.2.3\tapi.local\n172.18.0.1\thost.docker.internal\n\
             fd00::1\thost.docker.internal\n172.18.0.2\tweb\n"
        ));
        let text = hosts(&HostsFile {
            domain: Some("example.org".to_owned()),
            ..file()
        })
        .unwrap();
        assert!(
            text.ends_with("172.18.0.2\tweb.example.org web\n"),
            "{text}"
        );
    }

    #[test]
    fn a_full_host_name_is_found_by_its_first_label_as_well() {
        let own = |hostname: &str, domain: Option<&str>| {
            let text = hosts(&HostsFile {
                hostname: hostname.to_owned(),
                domain: domain.map(str::to_owned),
                ..file()
            });
            text.unwrap().lines().last().unwrap().to_owned()
        };
        assert_eq!(
            own("wombat.example.com", None),
            "172.18.0.2\twombat.example.com wombat"
        );
        assert_eq!(own("a.b", Some("c")), "172.18.0.2\ta.b.c a.b a");
    }

    #[test]
    fn no_value_adds_a_line() {
        for name in [
            "a\n1.2.3.4 evil",
            "a\tb",
            "a b",
            "",
            "a#b",
            "a\u{2028}b",
            "a\0",
            "a\r",
        ] {
            let extra = vec![(name.to_owned(), HostAddress::Gateway)];
            assert!(
                hosts(&HostsFile {
                    extra_hosts: extra,
                    ..file()
                })
                .is_err(),
                "{name:?}"
            );
            assert!(
                hosts(&HostsFile {
                    hostname: name.to_owned(),
                    ..file()
                })
                .is_err()
            );
            let domain = Some(name.to_owned());
            assert!(hosts(&HostsFile { domain, ..file() }).is_err());
            assert!(hostname(name).is_err(), "{name:?}");
            let words = [name.to_owned()];
            assert!(resolv_conf(&[], &words, &[]).is_err(), "{name:?}");
            assert!(resolv_conf(&[], &[], &words).is_err(), "{name:?}");
        }
        assert!(hostname(&"a".repeat(65)).is_err());
    }

    #[test]
    fn our_own_name_server_is_asked_for_names_as_they_are() {
        let search = ["b.example".to_owned()];
        let text = resolv_conf(&[NAME_SERVER], &search, &["rotate".to_owned()]).unwrap();
        assert_eq!(
            text,
            "nameserver 127.0.0.11\nsearch b.example\noptions ndots:0 rotate\n"
        );
        let text = resolv_conf(&[NAME_SERVER], &[".".to_owned()], &["ndots:2".to_owned()]).unwrap();
        assert_eq!(text, "nameserver 127.0.0.11\noptions ndots:2\n");
        let outside = resolv_conf(&["10.0.0.1".parse().unwrap()], &[], &[]).unwrap();
        assert_eq!(outside, "nameserver 10.0.0.1\n");
    }
}
