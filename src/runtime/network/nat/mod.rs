//! The way out of the networks: one packet filter table, set up once, for all of them.
//!
//! ```text
//! table inet consort
//!   set bridges   every bridge of ours            set internal  those without a way out
//!   set same      each bridge with itself
//!   set closed_…  links of a machine that passed nothing on before, for each of IPv4 and IPv6
//!   chain forward (filter)
//!     from a bridge to itself                     accept   (only seen where bridges call the filter)
//!     from one bridge to another                  drop     networks are isolated
//!     from or to an internal bridge               drop
//!     to a bridge, of a known connection          accept
//!     to a bridge, of a connection led there      accept   published ports, see [`published`]
//!     to a bridge                                 drop     only published ports are reached from outside
//!     from one closed link to another             drop     the machine is nobody else's router
//!   chain postrouting (nat)
//!     from a bridge to anything but a bridge      masquerade
//! ```
//!
//! Rules never change; networks come and go as elements of the sets, so that commands of several
//! projects cannot undo each other's work. Everything happens in the calling thread's network
//! namespace.
//!
//! **Invariant:** forwarding is switched on only after the table that restricts it is in place, and the
//! table goes only after what was switched on is off again. Whoever calls keeps others away meanwhile.

mod expression;
mod forwarding;
mod published;
mod redirect;
mod table;

use std::io;

use crate::runtime::kernel::netlink::{FilterSocket, RouteSocket};

use super::NetworkError;
use super::bridge;
use super::links;
use forwarding::{Family, Switches};
use table::Closed;

pub use forwarding::Ground;
pub use published::{LedPort, lead_ports};
pub use redirect::redirect_name_server;

/// One network as the packet filter sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatNetwork {
    /// Its bridge.
    pub link: String,
    /// Whether packets may leave it.
    pub egress: Egress,
    /// Whether it has IPv6.
    pub ipv6: Ipv6,
}

impl NatNetwork {
    fn has_way_out(&self) -> bool {
        self.egress == Egress::Masquerade
    }
}

/// Whether packets may leave a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// They leave with the address of the machine.
    Masquerade,
    /// Nothing leaves and nothing enters.
    Internal,
}

/// Whether a network has IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6 {
    /// It has.
    Enabled,
    /// It has not.
    Disabled,
}

/// What came of [`ensure`], for the person to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatReport {
    /// Settings of the machine that were changed, such as `net.ipv4.ip_forward = 1`.
    pub changed_settings: Vec<String>,
    /// Why there is no way out, if there is none.
    pub no_way_out: Option<String>,
    /// Another program's rule that drops what we let through, such as `ip filter FORWARD`.
    pub dropped_by: Option<String>,
}

/// Makes the table hold these networks, beside those that it holds already.
///
/// A kernel without the packet filter is not an error: containers reach each other all the same.
pub fn ensure(networks: &[NatNetwork], ground: Ground<'_>) -> Result<NatReport, NetworkError> {
    if networks.is_empty() {
        return Ok(NatReport::default());
    }
    let mut socket = match FilterSocket::open() {
        Ok(socket) => socket,
        Err(error) => return without_filter(&error),
    };
    let mut switches = Switches::open(ground)?;
    let off = needed_and_off(networks)?;
    for family in &off {
        switches.look_around(*family)?;
    }
    let closed = Closed {
        ipv4: switches.closed(Family::Ipv4),
        ipv6: switches.closed(Family::Ipv6),
    };
    let in_place = table::holds(&mut socket, networks, &closed).unwrap_or(false);
    if !in_place {
        match socket.commit(&table::setup(networks, &closed), None) {
            Ok(()) => {}
            Err(error) if is_unsupported(&error) => return without_filter(&error),
            Err(source) => {
                return Err(NetworkError::Filter {
                    act: "set up the table `consort`",
                    source,
                });
            }
        }
    }
    let mut report = NatReport {
        changed_settings: switches.switch_on(&off)?,
        ..NatReport::default()
    };
    if networks.iter().any(NatNetwork::has_way_out) {
        report.dropped_by = table::foreign_drop(&mut socket);
    }
    Ok(report)
}

/// Returns the switches that these networks need on and that are off.
fn needed_and_off(networks: &[NatNetwork]) -> Result<Vec<Family>, NetworkError> {
    let leaving = || networks.iter().filter(|network| network.has_way_out());
    let mut needed = Vec::new();
    if leaving().next().is_some() {
        needed.push(Family::Ipv4);
    }
    if leaving().any(|network| network.ipv6 == Ipv6::Enabled) {
        needed.push(Family::Ipv6);
    }
    let mut off = Vec::new();
    for family in needed {
        if !family.is_on()? {
            off.push(family);
        }
    }
    Ok(off)
}

/// What the kernel still does after [`remove`]: dropping it waits until it is done, some 25 ms.
#[derive(Debug)]
#[must_use = "what is dropped here waits here"]
pub struct Settling(Option<FilterSocket>);

impl Settling {
    /// Returns the socket whose closing waits.
    pub(super) fn into_socket(self) -> Option<FilterSocket> {
        self.0
    }
}

/// Takes a network out of the table; with the last one the table goes, and what was switched on for
/// them is off again.
pub fn remove(link: &str, ground: Ground<'_>) -> Result<Settling, NetworkError> {
    let act = "take a network out of the table `consort`";
    let Ok(mut socket) = FilterSocket::open() else {
        return Ok(Settling(None));
    };
    let mut switches = Switches::open(ground)?;
    if switches.are_noted() && bridge::list_marked()?.iter().all(|one| one.link == link) {
        switches.switch_back()?;
    }
    let table = if switches.are_noted() {
        Table::Stays
    } else {
        Table::GoesWithTheLast
    };
    // Bounded: every round that fails means that somebody else changed the table meanwhile.
    for _ in 0..16 {
        match remove_from_table(&mut socket, link, table) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ERESTART) => {}
            Err(error) if is_missing(&error) || is_unsupported(&error) => break,
            Err(source) => return Err(NetworkError::Filter { act, source }),
            Ok(()) => break,
        }
    }
    Ok(Settling(Some(socket)))
}

/// What becomes of the table without networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    /// It is needed still, for what is closed.
    Stays,
    GoesWithTheLast,
}

fn remove_from_table(socket: &mut FilterSocket, removed: &str, table: Table) -> io::Result<()> {
    let generation = socket.generation()?;
    let mut route = RouteSocket::open()?;
    let mut gone = vec![removed.to_owned()];
    let mut others = false;
    for link in table::bridges(socket)?
        .into_iter()
        .filter(|link| link != removed)
    {
        // A bridge that is not there was removed by somebody who could not finish.
        match links::find(&mut route, &link)? {
            Some(_) => others = true,
            None => gone.push(link),
        }
    }
    if others || table == Table::Stays {
        table::remove_elements(socket, &gone, generation)
    } else {
        socket.commit(&table::teardown(), Some(generation))
    }
}

fn without_filter(error: &io::Error) -> Result<NatReport, NetworkError> {
    if error.kind() == io::ErrorKind::PermissionDenied {
        let source = io::Error::from(error.kind());
        return Err(NetworkError::Filter {
            act: "set up the table `consort`",
            source,
        });
    }
    let no_way_out = Some(format!("this kernel has no nf_tables ({error})"));
    Ok(NatReport {
        no_way_out,
        ..NatReport::default()
    })
}

fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::ENOENT)
}

fn is_unsupported(error: &io::Error) -> bool {
    use nix::libc::{EAFNOSUPPORT, EOPNOTSUPP, EPROTONOSUPPORT};
    matches!(
        error.raw_os_error(),
        Some(EAFNOSUPPORT | EOPNOTSUPP | EPROTONOSUPPORT)
    )
}
