//! A port that is taken into the process that has it, as far as `/proc` lets us look.

use std::fmt;
use std::fs::read_dir;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::runtime::store::read_bounded;

use super::Protocol;

const TABLE_LIMIT_BYTES: u64 = 64 << 20;
const COMMAND_LIMIT_BYTES: u64 = 4 << 10;
/// What is shown of a command line.
const SHOWN_CHARS: usize = 120;
/// What is kept of one: more than the longest path of a run folder.
const COMMAND_CHARS: usize = 1024;
const STATE_LISTEN: &str = "0A";

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortHolder {
    /// A process that we may look at.
    Process {
        /// Its number.
        pid: u32,
        /// Its command line.
        command: String,
    },
    /// A process of another user.
    User {
        /// The user's number.
        uid: u32,
    },
    /// Nobody that we can see.
    Unknown,
}

impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, command } => {
                let shown: String = command.chars().take(SHOWN_CHARS).collect();
                write!(f, "process {pid} (`{shown}`) has it")
            }
            Self::User { uid } => write!(f, "a process of user {uid} has it"),
            Self::Unknown => f.write_str("another program has it"),
        }
    }
}

/// Looks for the process that has a port in the calling thread's network namespace.
pub fn who_listens(address: SocketAddr, protocol: Protocol) -> PortHolder {
    let tables = match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    };
    let sockets = tables.iter().flat_map(|table| {
        let path = Path::new("/proc/thread-self/net").join(table);
        let text = read_bounded(&path, TABLE_LIMIT_BYTES).unwrap_or_default();
        find_sockets(&String::from_utf8_lossy(&text), address, protocol)
    });
    let sockets: Vec<TableRow> = sockets.collect();
    let process = sockets.iter().find_map(|row| find_process(row.inode));
    let user = sockets.first().map(|row| PortHolder::User { uid: row.uid });
    process.or(user).unwrap_or(PortHolder::Unknown)
}

#[derive(Debug, PartialEq, Eq)]
struct TableRow {
    uid: u32,
    inode: u64,
}

/// Reads `/proc/net/{tcp,udp}{,6}`: the rows that are in the way of `address`.
fn find_sockets(table: &str, address: SocketAddr, protocol: Protocol) -> Vec<TableRow> {
    let rows = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let local = parse_address(columns.nth(1)?)?;
        let state = columns.nth(1)?;
        let uid = columns.nth(3)?.parse().ok()?;
        let inode = columns.nth(1)?.parse().ok()?;
        let serves = protocol == Protocol::Udp || state == STATE_LISTEN;
        (serves && conflicts(local, address)).then_some(TableRow { uid, inode })
    });
    rows.collect()
}

/// The kernel prints each 32-bit word of an address in this machine's byte order.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Vec<[u8; 4]> = (0..ip.len() / 8)
        .map(|index| u32::from_str_radix(ip.get(index * 8..index * 8 + 8)?, 16).ok())
        .map(|word| word.map(u32::to_ne_bytes))
        .collect::<Option<_>>()?;
    let ip = match words.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(*word)),
        [_, _, _, _] => {
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

fn conflicts(local: SocketAddr, wanted: SocketAddr) -> bool {
    // A wildcard IPv6 socket usually has the IPv4 port as well.
    let any = |ip: IpAddr| ip.is_unspecified();
    let same_ip = local.ip().to_canonical() == wanted.ip().to_canonical();
    let same_family = local.is_ipv4() == wanted.is_ipv4();
    let overlap = same_ip || any(local.ip()) || (any(wanted.ip()) && same_family);
    local.port() == wanted.port() && overlap
}

fn find_process(inode: u64) -> Option<PortHolder> {
    let target = format!("socket:[{inode}]");
    for process in read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(descriptors) = read_dir(process.path().join("fd")) else {
            continue;
        };
        let has = descriptors
            .flatten()
            .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == &*target));
        if has {
            return Some(PortHolder::Process {
                pid,
                command: command_of(&process.path()),
            });
        }
    }
    None
}

/// The command line as one line that is safe to print.
fn command_of(process: &Path) -> String {
    let line = read_prefix(&process.join("cmdline"));
    let text = String::from_utf8_lossy(&line)
        .trim_end_matches('\0')
        .replace('\0', " ");
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .take(COMMAND_CHARS)
        .collect()
}

fn read_prefix(path: &Path) -> Vec<u8> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(COMMAND_LIMIT_BYTES).read_to_end(&mut bytes));
    read.map(|_| bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1 0 100 0 0 10 0
   2: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     7        0 99 1 0 100 0 0 10 0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_listening_socket_is_found_in_the_kernel_table() {
        let at = |text: &str| find_sockets(TABLE, text.parse().unwrap(), Protocol::Tcp);
        assert_eq!(
            at("127.0.0.1:8080"),
            [TableRow {
                uid: 1000,
                inode: 4242
            }]
        );
        assert_eq!(
            at("0.0.0.0:8080"),
            [TableRow {
                uid: 1000,
                inode: 4242
            }]
        );
        assert_eq!(at("10.0.0.1:80"), [TableRow { uid: 0, inode: 17 }]);
        assert_eq!(at("10.0.0.1:8080"), []);
    }

    #[test]
    fn a_torn_table_is_no_panic() {
        let address = "127.0.0.1:80".parse().unwrap();
        for text in [
            "",
            "x",
            "h\n 0: :",
            "h\n 0: zz:zz 0:0 0A",
            "h\n 0: 0é00007F:0050 a b c d e f g",
        ] {
            assert_eq!(find_sockets(text, address, Protocol::Udp), []);
        }
    }
}
