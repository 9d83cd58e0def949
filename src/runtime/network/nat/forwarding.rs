//! The kernel's switches for passing packets on between interfaces: on for as long as networks of ours
//! need them.
//!
//! On a machine whose switch was off, nothing passed between its links. What was found there is noted
//! in a file: the table closes those links to each other, and with the last network everything goes
//! back to what it was. The packet filter itself cannot hold that, because others empty it.
//!
//! A link that comes later is not closed. Whoever brings it, such as another container engine or a
//! private network, finds the switch on and counts on it; as long as such a link is up, the switch
//! stays on and the table stays.
//!
//! **Invariant:** a switch is noted before it is changed, and forgotten after it was changed back.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::runtime::kernel::netlink::{RouteSocket, own_netns_id};
use crate::runtime::network::bridge::MARK_PREFIX;
use crate::runtime::network::links::{self, Link};
use crate::runtime::network::{NetworkError, settings};
use crate::runtime::store::{Durability, StoreError, read_json, remove_tree, write_json};

/// Whose settings the switches are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground<'a> {
    /// The machine's. What is changed is noted in a folder that is emptied when the machine stops.
    Machine {
        /// The folder.
        notes: &'a Path,
    },
    /// Those of a namespace that has only networks of ours, and ends with them.
    Own,
}

/// Which of the two switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

/// What was switched on, and what was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switched {
    ipv4: Option<Before>,
    ipv6: Option<Before>,
}

/// A machine that passed nothing on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    /// Its links, without ours.
    links: BTreeSet<String>,
    /// Those that did pass packets on, by a setting of their own.
    forwarding: BTreeSet<String>,
    /// Those that listened to routers.
    listening: BTreeSet<String>,
}

/// The switches, and what is noted of them.
#[derive(Debug)]
pub(super) struct Switches {
    /// `None` where nothing is to be taken back.
    file: Option<PathBuf>,
    noted: Switched,
}

impl Switches {
    /// Reads what is noted for the calling thread's network namespace.
    pub(super) fn open(ground: Ground<'_>) -> Result<Self, NetworkError> {
        let Ground::Machine { notes } = ground else {
            return Ok(Self {
                file: None,
                noted: Switched::default(),
            });
        };
        let id = own_netns_id().map_err(|source| NetworkError::Namespace {
            act: "tell this network namespace from others",
            source,
        })?;
        let file = notes.join(format!("forwarding-{id}.json"));
        let noted = match read_json(&file) {
            Err(error) if error.is_damage() => None,
            read => read.map_err(not_noted)?,
        };
        Ok(Self {
            file: Some(file),
            noted: noted.unwrap_or_default(),
        })
    }

    /// Looks at the machine as it is before a switch is changed.
    pub(super) fn look_around(&mut self, family: Family) -> Result<(), NetworkError> {
        if self.file.is_some() {
            *self.noted_mut(family) = Some(Before::now(family)?);
        }
        Ok(())
    }

    /// Returns the links between which nothing passes, as nothing did before.
    pub(super) fn closed(&self, family: Family) -> BTreeSet<String> {
        let before = match family {
            Family::Ipv4 => &self.noted.ipv4,
            Family::Ipv6 => &self.noted.ipv6,
        };
        let closed = before.as_ref().map(|it| &it.links - &it.forwarding);
        closed.unwrap_or_default()
    }

    /// Changes the switches of these families, after noting it; says what was changed.
    pub(super) fn switch_on(&self, families: &[Family]) -> Result<Vec<String>, NetworkError> {
        let mut changed = Vec::new();
        if families.is_empty() {
            return Ok(changed);
        }
        self.save()?;
        for family in families {
            family.switch_on(&mut changed)?;
        }
        Ok(changed)
    }

    /// Changes back what was changed, unless a link that came later may need it.
    pub(super) fn switch_back(&mut self) -> Result<(), NetworkError> {
        if !self.are_noted() {
            return Ok(());
        }
        let links = all_links()?;
        for family in [Family::Ipv4, Family::Ipv6] {
            let noted = self.noted_mut(family);
            if let Some(before) = noted.take_if(|before| !before.has_successors(&links)) {
                family.switch_back(&before)?;
            }
        }
        self.save()
    }

    /// Reports whether something is still to be changed back.
    pub(super) fn are_noted(&self) -> bool {
        self.noted != Switched::default()
    }

    fn noted_mut(&mut self, family: Family) -> &mut Option<Before> {
        match family {
            Family::Ipv4 => &mut self.noted.ipv4,
            Family::Ipv6 => &mut self.noted.ipv6,
        }
    }

    fn save(&self) -> Result<(), NetworkError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let saved = if self.are_noted() {
            write_json(file, &self.noted, Durability::Cached)
        } else {
            remove_tree(file)
        };
        saved.map_err(not_noted)
    }
}

impl Before {
    fn now(family: Family) -> Result<Self, NetworkError> {
        let links = all_links()?;
        let names = links.into_iter().filter(|link| !is_ours(link));
        let listening = match family {
            Family::Ipv4 => BTreeSet::new(),
            Family::Ipv6 => listening()?,
        };
        Ok(Self {
            links: names.map(|link| link.name).collect(),
            forwarding: family.having("forwarding", "1")?,
            listening,
        })
    }

    /// Reports whether a link that was not there before is up now.
    fn has_successors(&self, links: &[Link]) -> bool {
        let mut others = links.iter().filter(|link| !is_ours(link) && link.is_up);
        others.any(|link| !self.links.contains(&link.name))
    }
}

impl Family {
    pub(super) fn is_on(self) -> Result<bool, NetworkError> {
        Ok(!is(self.switch(), "0")?)
    }

    fn switch(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4/ip_forward",
            Self::Ipv6 => "ipv6/conf/all/forwarding",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4/conf",
            Self::Ipv6 => "ipv6/conf",
        }
    }

    /// A forwarding kernel stops listening to routers unless told otherwise for each interface; those
    /// that listen now shall go on, or the machine itself would lose its way out.
    fn switch_on(self, changed: &mut Vec<String>) -> Result<(), NetworkError> {
        if self == Self::Ipv6 {
            for interface in listening()? {
                set(&accept_ra(&interface), "2", changed)?;
            }
        }
        set(self.switch(), "1", changed)
    }

    fn switch_back(self, before: &Before) -> Result<(), NetworkError> {
        settings::set(self.switch(), "0")?;
        // The switch has set every link's own; a link may be gone meanwhile.
        for interface in &before.forwarding {
            let own = format!("{}/{interface}/forwarding", self.folder());
            if is(&own, "0").unwrap_or(false) {
                settings::set(&own, "1")?;
            }
        }
        for interface in &before.listening {
            if is(&accept_ra(interface), "2").unwrap_or(false) {
                settings::set(&accept_ra(interface), "1")?;
            }
        }
        Ok(())
    }

    /// Returns the interfaces, and `default`, whose own setting has this value.
    fn having(self, setting: &str, value: &str) -> Result<BTreeSet<String>, NetworkError> {
        let interfaces = settings::list(self.folder());
        let interfaces = interfaces.map_err(|source| failed(self.folder(), source))?;
        let has = |interface: &String| {
            // One that is just going has no settings any more.
            let own = format!("{}/{interface}/{setting}", self.folder());
            interface != "all" && is(&own, value).unwrap_or(false)
        };
        Ok(interfaces.into_iter().filter(has).collect())
    }
}

/// Returns the interfaces, and `default`, that listen to routers; ours never do, since they get no route.
fn listening() -> Result<BTreeSet<String>, NetworkError> {
    let ours = all_links()?.into_iter().filter(is_ours);
    let ours: BTreeSet<String> = ours.map(|link| link.name).collect();
    Ok(&Family::Ipv6.having("accept_ra", "1")? - &ours)
}

fn accept_ra(interface: &str) -> String {
    format!("ipv6/conf/{interface}/accept_ra")
}

fn all_links() -> Result<Vec<Link>, NetworkError> {
    let read = RouteSocket::open().and_then(|mut socket| links::all(&mut socket));
    read.map_err(|source| NetworkError::ReadRoutes { source })
}

/// Reports whether a link is one of ours, or the machine's way to itself.
fn is_ours(link: &Link) -> bool {
    let alias = link.alias.as_deref().unwrap_or_default();
    link.name == "lo" || alias.starts_with(MARK_PREFIX)
}

fn set(setting: &str, value: &str, changed: &mut Vec<String>) -> Result<(), NetworkError> {
    settings::set(setting, value)?;
    changed.push(spoken(setting, value));
    Ok(())
}

fn is(setting: &str, value: &str) -> Result<bool, NetworkError> {
    let current = settings::read(setting).map_err(|source| failed(setting, source))?;
    Ok(current.trim() == value)
}

fn failed(setting: &str, source: io::Error) -> NetworkError {
    NetworkError::Setting {
        setting: setting.to_owned(),
        source,
    }
}

fn not_noted(source: StoreError) -> NetworkError {
    NetworkError::Notes { source }
}

/// Returns the change in the words of `sysctl`.
fn spoken(setting: &str, value: &str) -> String {
    format!("net.{} = {value}", setting.replace('/', "."))
}
