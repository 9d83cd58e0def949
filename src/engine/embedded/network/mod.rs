//! Networks: a record, a bridge and rules each; and the addresses that containers have on them.
//!
//! | file | what it is |
//! |---|---|
//! | [`subnet`] | the addresses of a network |
//! | [`lease`] | the addresses of containers on it |
//! | [`endpoint`] | the interfaces that carry those |
//!
//! **Invariant:** subnets and leases are chosen, and bridges made and removed, under one lock for the
//! whole installation, because networks of several projects share the machine's addresses.

mod subnet;
mod lease;
mod endpoint;

use jiff::Timestamp;

use super::holder::Holder;
use super::inner::Inner;
use super::mend::Damaged;
use super::record::{NetworkRecord, SubnetRecord, folders, new_id};
use crate::desired::NetworkSpec;
use crate::engine::embedded::not_supported;
use crate::engine::{EngineError, Performed};
use crate::runtime::network::NetworkError;
use crate::runtime::network::bridge::{self, BridgeConfig};
use crate::runtime::network::nat::{self, Egress, Ground, Ipv6, NatNetwork, NatReport};
use crate::runtime::store::{
    Contention, Durability, Entry, FileLock, LockHolder, make_dir, remove_tree,
};
use crate::value::{Cidr, NetworkName};
pub(super) use endpoint::endpoint_mark;

/// While it is held, nobody else chooses addresses or changes bridges on this machine.
pub(super) struct AddressLock(#[expect(dead_code, reason = "it is held, not read")] FileLock);

impl Inner {
    /// Makes a network, or puts one right that is there.
    pub(super) fn create_network(&self, spec: &NetworkSpec) -> Result<Performed, EngineError> {
        check_driver(spec)?;
        let entry = Entry::CreateNetwork {
            name: spec.name.to_string(),
        };
        self.journalled(&spec.project, entry, Durability::Cached, || {
            let lock = self.lock_addresses()?;
            let record = match self.find_network(&spec.name)? {
                Some(record) if record.spec == *spec => record,
                Some(record) => {
                    let users = self.other_users(&record.spec.name, &spec.project)?;
                    if let Some(user) = users.first() {
                        let act = format!("change network `{}`", spec.name);
                        return Err(EngineError::act(act, format!("{user} is on it")));
                    }
                    self.new_network(spec)?
                }
                None => self.new_network(spec)?,
            };
            self.raise_network(&record, &lock)
        })
    }

    /// Makes what the kernel has of a network: its bridge and its rules.
    pub(super) fn raise_network(
        &self,
        record: &NetworkRecord,
        _lock: &AddressLock,
    ) -> Result<Performed, EngineError> {
        let name = &record.spec.name;
        let failed = |error| EngineError::act(format!("make network `{name}`"), error);
        let on_bridge = |subnet: &Option<SubnetRecord>| -> Option<Cidr> {
            let subnet = subnet.as_ref()?;
            Cidr::new(subnet.gateway, subnet.subnet.prefix_len())
        };
        let config = BridgeConfig {
            link: record.link.clone(),
            mark: bridge::bridge_mark(self.layout.installation(), &record.spec.project, name),
            gateway_v4: on_bridge(&record.ipv4),
            gateway_v6: on_bridge(&record.ipv6),
            mtu: mtu(&record.spec)?,
        };
        let report = self.in_network(|| {
            let _ensured = bridge::ensure(&config).map_err(failed)?;
            nat::ensure(&[nat_network(record)], self.ground()).map_err(failed)
        })?;
        make_dir(&self.layout.names(name))
            .map_err(|error| EngineError::act(format!("make network `{name}`"), error))?;
        let changed = match self.ground() {
            Ground::Machine { .. } => report.changed_settings.as_slice(),
            Ground::Own => &[],
        };
        Ok(notice(record, &report, changed, self.no_way_out()))
    }

    fn new_network(&self, spec: &NetworkSpec) -> Result<NetworkRecord, EngineError> {
        let name = &spec.name;
        let taken = self.taken_subnets(name)?;
        let id =
            new_id().map_err(|error| EngineError::act(format!("make network `{name}`"), error))?;
        let record = NetworkRecord {
            link: bridge::bridge_name(&id),
            id,
            created: now(),
            spec: spec.clone(),
            ipv4: subnet::ipv4_of(spec, &taken)?,
            ipv6: subnet::ipv6_of(spec, &taken)?,
        };
        self.check_subnets(&record)?;
        let dir = self.layout.network(name);
        let stored = make_dir(&dir).and_then(|()| record.write(&self.layout));
        stored.map_err(|error| EngineError::act(format!("store network `{name}`"), error))?;
        Ok(record)
    }

    /// Removes a network with its bridge and rules; one that is gone is fine.
    pub(super) fn remove_network(&self, name: &NetworkName) -> Result<Performed, EngineError> {
        let Some(record) = self.find_network(name)? else {
            return Ok(Performed::Done);
        };
        let entry = Entry::RemoveNetwork {
            name: name.to_string(),
        };
        let project = record.spec.project.clone();
        let mut performed = Performed::Done;
        self.journalled(&project, entry, Durability::Cached, || {
            performed = self.raze_network(&record)?;
            Ok(())
        })?;
        Ok(performed)
    }

    /// Removes what the kernel and the disk have of a network, unless containers of other projects
    /// are connected to it.
    pub(super) fn raze_network(&self, record: &NetworkRecord) -> Result<Performed, EngineError> {
        let name = &record.spec.name;
        let failed = |error| EngineError::act(format!("remove network `{name}`"), error);
        let _lock = self.lock_addresses()?;
        if let Some(user) = self.other_users(name, &record.spec.project)?.first() {
            let notice = format!("network `{name}` stays: Resource is still in use by {user}");
            return Ok(Performed::Warned { notice });
        }
        self.in_network(|| self.remove_link(&record.link).map_err(failed))?;
        self.forget_network(name)?;
        Ok(Performed::Done)
    }

    fn remove_link(&self, link: &str) -> Result<(), NetworkError> {
        let settling = nat::remove(link, self.ground())?;
        match &self.holder {
            None => bridge::remove_from_sight(link, settling),
            // The holder would stay as long as a process in its namespaces.
            Some(_) => bridge::remove(link),
        }
    }

    /// Removes what is left of a network without a record.
    pub(super) fn discard_network(&self, name: &NetworkName) -> Result<(), EngineError> {
        let failed = |error| EngineError::act(format!("remove network `{name}`"), error);
        let ours = format!("consort:{}/", self.layout.installation());
        let theirs = format!("/{name}");
        let is_it = |mark: &str| mark.starts_with(&ours) && mark.ends_with(&theirs);
        let _lock = self.lock_addresses()?;
        // Another command may have made it meanwhile.
        if matches!(self.find_network(name), Ok(Some(_))) {
            return Ok(());
        }
        self.in_network(|| {
            let bridges = bridge::list_marked().map_err(failed)?;
            for found in bridges.iter().filter(|found| is_it(&found.mark)) {
                self.remove_link(&found.link).map_err(failed)?;
            }
            Ok(())
        })?;
        self.forget_network(name)
    }

    /// Removes the folders of a network, in which its names and its record are.
    fn forget_network(&self, name: &NetworkName) -> Result<(), EngineError> {
        let removed = remove_tree(&self.layout.names(name))
            .and_then(|()| remove_tree(&self.layout.network(name)));
        removed.map_err(|error| EngineError::act(format!("remove network `{name}`"), error))
    }

    /// Returns whose settings are changed for networks: an ordinary user has a namespace for them.
    fn ground(&self) -> Ground<'_> {
        match &self.holder {
            None => Ground::Machine {
                notes: self.layout.run_base(),
            },
            Some(_) => Ground::Own,
        }
    }

    /// Returns why an ordinary user's containers cannot reach the outside, if they cannot.
    fn no_way_out(&self) -> Option<String> {
        self.holder.as_ref().and_then(Holder::no_way_out)
    }

    /// Returns the record of a network.
    pub(super) fn find_network(
        &self,
        name: &NetworkName,
    ) -> Result<Option<NetworkRecord>, EngineError> {
        NetworkRecord::find(&self.layout.network(name))
            .map_err(|error| EngineError::act(format!("find network `{name}`"), error))
    }

    /// Returns the records of all networks; one that cannot be read is left out.
    pub(super) fn networks(&self) -> Result<Vec<NetworkRecord>, EngineError> {
        Ok(self.look_at_networks()?.0)
    }

    /// Returns the records of all networks, and the networks whose record is damaged.
    pub(super) fn look_at_networks(
        &self,
    ) -> Result<(Vec<NetworkRecord>, Vec<Damaged<NetworkName>>), EngineError> {
        let dir = self.layout.networks();
        let names = folders(&dir).map_err(|error| EngineError::act("list the networks", error))?;
        let (mut records, mut damaged) = (Vec::new(), Vec::new());
        for text in names {
            match NetworkRecord::find(&dir.join(&text)) {
                Ok(record) => records.extend(record),
                Err(error) if error.is_damage() => {
                    let path = dir.join(&text).join("network.json");
                    let name = text.parse().ok();
                    damaged.extend(name.map(|name| Damaged { name, path, error }));
                }
                Err(error) => return Err(EngineError::act("list the networks", error)),
            }
        }
        Ok((records, damaged))
    }

    /// Waits until nobody else chooses addresses on this machine.
    pub(super) fn lock_addresses(&self) -> Result<AddressLock, EngineError> {
        let holder = LockHolder {
            pid: std::process::id(),
            command: "consort".to_owned(),
        };
        let path = self.layout.run_base().join("networks.lock");
        FileLock::acquire(&path, &holder, Contention::Wait, &|_| {})
            .map(AddressLock)
            .map_err(|error| EngineError::act("lock the networks", error))
    }
}

fn check_driver(spec: &NetworkSpec) -> Result<(), EngineError> {
    match spec.driver.as_deref() {
        None | Some("bridge" | "default" | "") => Ok(()),
        Some(driver) => Err(not_supported(format!(
            "make network `{}` with the driver `{driver}`",
            spec.name
        ))),
    }
}

fn mtu(spec: &NetworkSpec) -> Result<Option<u32>, EngineError> {
    let Some(text) = spec.driver_opts.get("com.docker.network.driver.mtu") else {
        return Ok(None);
    };
    let parsed = text.parse().map(Some);
    parsed.map_err(|error| {
        EngineError::act(
            format!("use `{text}` as the MTU of network `{}`", spec.name),
            error,
        )
    })
}

fn nat_network(record: &NetworkRecord) -> NatNetwork {
    NatNetwork {
        link: record.link.clone(),
        egress: if record.spec.internal {
            Egress::Internal
        } else {
            Egress::Masquerade
        },
        ipv6: if record.ipv6.is_some() {
            Ipv6::Enabled
        } else {
            Ipv6::Disabled
        },
    }
}

/// Says what the user should know of a network that was made.
fn notice(
    record: &NetworkRecord,
    report: &NatReport,
    changed: &[String],
    user: Option<String>,
) -> Performed {
    let name = &record.spec.name;
    if record.spec.internal {
        return Performed::Done;
    }
    if let Some(reason) = user.or_else(|| report.no_way_out.clone()) {
        let notice = format!("network `{name}` has no way out: {reason}");
        return Performed::Warned { notice };
    }
    if let Some(rule) = &report.dropped_by {
        let notice =
            format!("network `{name}` may have no way out: `{rule}` drops what it forwards");
        return Performed::Warned { notice };
    }
    if !changed.is_empty() {
        let notice = format!(
            "network `{name}` needs this machine to pass packets on: {} until the last network is \
             removed; its other links stay closed to each other",
            changed.join(", ")
        );
        return Performed::Warned { notice };
    }
    Performed::Done
}

fn now() -> Timestamp {
    Timestamp::now()
}
