//! Containers connected to networks and taken off them, whether they run or not.
//!
//! The record says on which networks a container is; the monitor of one that runs makes it true. What
//! a crash interrupts is taken back: without the connection the next plan makes it again.
//!
//! **Invariant:** an address is given back only after no interface has it any more.

use super::inner::Inner;
use super::record::{ContainerRecord, Lease};
use crate::desired::{EndpointSpec, NetworkMode};
use crate::engine::{EngineError, Performed};
use crate::runtime::kernel::failpoint;
use crate::runtime::store::{Durability, Entry, remove_tree};
use crate::value::{ContainerName, NetworkName, ProjectName};

impl Inner {
    /// Connects a container to a network; one that is on it already is fine.
    pub(super) fn connect_network(
        &self,
        name: &ContainerName,
        endpoint: &EndpointSpec,
    ) -> Result<Performed, EngineError> {
        let id = self.get(name)?.id;
        let _turn = self.turns.take(&id);
        let record = self.get(name)?;
        let network = self.find_network(&endpoint.network)?;
        let network = network.ok_or_else(|| EngineError::NetworkNotFound {
            name: endpoint.network.clone(),
        })?;
        let there = lease_on(&record, &endpoint.network).map(|lease| &lease.network_id);
        if there == Some(&network.id) {
            return Ok(Performed::Done);
        }
        let is_stale = there.is_some();
        self.plugging(&record.clone(), &endpoint.network, || {
            let record = if is_stale {
                self.unplug(record, &endpoint.network)?
            } else {
                record
            };
            let plugged = self.plug(record.clone(), endpoint);
            if plugged.is_err() {
                // The first failure is the one to tell; what cannot be undone now, the journal keeps.
                drop(self.unplug(record, &endpoint.network));
            }
            plugged
        })
    }

    /// Takes a container off a network; one that is not on it, or is gone, is fine.
    pub(super) fn disconnect_network(
        &self,
        name: &ContainerName,
        network: &NetworkName,
    ) -> Result<Performed, EngineError> {
        let Some(record) = self.find(name)? else {
            return Ok(Performed::Done);
        };
        let _turn = self.turns.take(&record.id);
        let record = self.get(name)?;
        if lease_on(&record, network).is_none() {
            return Ok(Performed::Done);
        }
        self.plugging(&record.clone(), network, || {
            self.unplug(record, network).map(drop)
        })
    }

    /// Takes back a connection that was being made or removed when somebody was killed.
    pub(super) fn undo_plugging(
        &self,
        project: &ProjectName,
        id: &str,
        network: &str,
    ) -> Result<(), EngineError> {
        let Ok(network) = network.parse::<NetworkName>() else {
            return Ok(());
        };
        let record = ContainerRecord::find(&self.layout.container(project, id));
        match record.ok().flatten() {
            Some(record) => self.unplug(record, &network).map(drop),
            // Gone, and with it all that it had.
            None => Ok(()),
        }
    }

    fn plugging(
        &self,
        record: &ContainerRecord,
        network: &NetworkName,
        act: impl FnOnce() -> Result<(), EngineError>,
    ) -> Result<Performed, EngineError> {
        let entry = Entry::PlugContainer {
            id: record.id.clone(),
            network: network.to_string(),
        };
        self.journalled(&record.spec.project, entry, Durability::Cached, act)?;
        Ok(Performed::Done)
    }

    fn plug(
        &self,
        mut record: ContainerRecord,
        endpoint: &EndpointSpec,
    ) -> Result<(), EngineError> {
        let name = record.name.clone();
        let act = || {
            format!(
                "connect container `{name}` to network `{}`",
                endpoint.network
            )
        };
        let failed = |error| EngineError::act(act(), error);
        want(&mut record.spec.network, endpoint).map_err(|cause| EngineError::act(act(), cause))?;
        failpoint::hit("network.connect").map_err(failed)?;
        let lease = self.lease_again(&record, endpoint)?;
        failpoint::hit("network.connect.record").map_err(failed)?;
        record.endpoints.push(lease);
        let order: Vec<NetworkName> = networks_of(&record);
        record
            .endpoints
            .sort_by_key(|lease| order.iter().position(|network| *network == lease.network));
        self.raise_current_networks(&record)?;
        self.rewrite(&record)?;
        failpoint::hit("network.connect.done").map_err(failed)
    }

    fn unplug(
        &self,
        mut record: ContainerRecord,
        network: &NetworkName,
    ) -> Result<ContainerRecord, EngineError> {
        let name = record.name.clone();
        let act = || format!("take container `{name}` off network `{network}`");
        let failed = |error| EngineError::act(act(), error);
        failpoint::hit("network.disconnect").map_err(failed)?;
        record.endpoints.retain(|lease| lease.network != *network);
        // Also when the record says so already: its monitor may not have heard of it.
        self.raise_current_networks(&record)?;
        self.rewrite(&record)?;
        failpoint::hit("network.disconnect.release").map_err(failed)?;
        let leases = self.layout.network(network).join("leases");
        remove_tree(&leases.join(format!("{}.json", record.id)))
            .map_err(|error| EngineError::act(act(), error))?;
        Ok(record)
    }
}

fn lease_on<'a>(record: &'a ContainerRecord, network: &NetworkName) -> Option<&'a Lease> {
    let mut leases = record.endpoints.iter();
    leases.find(|lease| lease.network == *network)
}

fn networks_of(record: &ContainerRecord) -> Vec<NetworkName> {
    let endpoints = record.spec.network.endpoints().iter();
    endpoints.map(|endpoint| endpoint.network.clone()).collect()
}

/// Makes an endpoint part of what a container should be.
fn want(mode: &mut NetworkMode, endpoint: &EndpointSpec) -> Result<(), &'static str> {
    let NetworkMode::Endpoints(endpoints) = mode else {
        return Err("it has no networks of its own");
    };
    match endpoints
        .iter_mut()
        .find(|one| one.network == endpoint.network)
    {
        Some(one) => one.clone_from(endpoint),
        None => endpoints.push(endpoint.clone()),
    }
    Ok(())
}
