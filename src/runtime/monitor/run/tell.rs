//! What others learn of the container: its state record, its names on networks, and events.

use std::path::Path;

use super::Monitor;
use crate::runtime::monitor::events::{self, ContainerEvent};
use crate::runtime::monitor::state::Health;
use crate::runtime::monitor::{MonitorError, clock};
use crate::runtime::network::names;
use crate::runtime::store::Durability;

impl Monitor {
    pub(super) fn save(&self, durability: Durability) -> Result<(), MonitorError> {
        Ok(self.state.write(&self.bundle.container_dir, durability)?)
    }

    /// Puts its names on its networks, marked with whether they lead to something healthy.
    pub(super) fn publish_name(&self) -> Result<(), MonitorError> {
        let healthy = self
            .state
            .health
            .is_none_or(|health| health == Health::Healthy);
        for (network, record) in self.bundle.name_records(healthy) {
            names::write_record(&network, &self.bundle.id, &record)?;
        }
        Ok(())
    }

    pub(super) fn withdraw_name(&self) -> Result<(), MonitorError> {
        self.withdraw_names(|_| true)
    }

    pub(super) fn withdraw_names(
        &self,
        is_left: impl Fn(&Path) -> bool,
    ) -> Result<(), MonitorError> {
        let networks = self.bundle.names.keys();
        for network in networks.filter(|network| is_left(network)) {
            names::remove_record(network, &self.bundle.id)?;
        }
        Ok(())
    }

    /// Tells an event, with what its record and `more` say of it.
    pub(super) fn event(&self, action: &str, more: &[(&str, String)]) -> Result<(), MonitorError> {
        let mut attributes = self.bundle.event_attributes.clone();
        attributes.insert("name".to_owned(), self.bundle.name.clone());
        let more = more.iter();
        attributes.extend(more.map(|(key, value)| ((*key).to_owned(), value.clone())));
        let event = ContainerEvent {
            time: clock::timestamp(),
            id: self.bundle.id.clone(),
            action: action.to_owned(),
            attributes,
        };
        let path = self.bundle.events.clone();
        events::append(&path, &event).map_err(|source| MonitorError::Event { path, source })
    }
}
