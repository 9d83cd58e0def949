//! What others learn of the container: its state record, its names on networks, and events.
//!
//! **Invariant:** nothing of this ends a monitor. What cannot be written now, for want of room on the
//! disk or of descriptors, is owed and written later; the container is watched all the same.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Monitor, Phase};
use crate::runtime::monitor::events::{self, ContainerEvent};
use crate::runtime::monitor::state::Health;
use crate::runtime::monitor::{MonitorError, clock};
use crate::runtime::network::names;
use crate::runtime::store::Durability;

/// How long a monitor waits before it tries again to write what it could not write.
const PAY_AGAIN: Duration = Duration::from_millis(500);
/// As many events wait to be written; beyond that the oldest is lost.
const EVENTS_LIMIT: usize = 64;

/// What could not be told yet.
#[derive(Debug, Default)]
pub(super) struct Owed {
    state: bool,
    names: bool,
    events: VecDeque<ContainerEvent>,
    again: Option<Instant>,
}

impl Owed {
    /// Reports whether the state record says something that is no longer true.
    pub(super) fn state(&self) -> bool {
        self.state
    }

    /// Returns when to try again.
    pub(super) fn again(&self) -> Option<Instant> {
        self.again
    }
}

impl Monitor {
    /// Replaces the state record, now or as soon as that can be done.
    pub(super) fn save(&mut self) {
        self.owed.state = true;
        self.pay_or_owe();
    }

    /// Puts its names on its networks while it runs, marked with whether they lead to something
    /// healthy, and takes them away when it does not.
    pub(super) fn tell_names(&mut self) {
        self.owed.names = true;
        self.pay_or_owe();
    }

    /// Tells an event, with what its record and `more` say of it.
    pub(super) fn event(&mut self, action: &str, more: &[(&str, String)]) {
        let mut attributes = self.bundle.event_attributes.clone();
        attributes.insert("name".to_owned(), self.bundle.name.clone());
        let more = more.iter();
        attributes.extend(more.map(|(key, value)| ((*key).to_owned(), value.clone())));
        if self.owed.events.len() >= EVENTS_LIMIT {
            drop(self.owed.events.pop_front());
        }
        self.owed.events.push_back(ContainerEvent {
            time: clock::timestamp(),
            id: self.bundle.id.clone(),
            action: action.to_owned(),
            attributes,
        });
        self.pay_or_owe();
    }

    /// Tries once more at a later time.
    pub(super) fn owe(&mut self) {
        self.owed.again = self.owed.again.or(Some(clock::now() + PAY_AGAIN));
    }

    fn pay_or_owe(&mut self) {
        match self.pay() {
            Ok(()) => {
                self.owed.again = None;
                // Where there is room to write, there may be for conversations.
                self.conversations.listen_again();
            }
            Err(_) => self.owe(),
        }
    }

    /// Tries again what could not be done before.
    pub(super) fn try_again(&mut self) {
        self.owed.again = None;
        self.conversations.listen_again();
        self.pay_or_owe();
    }

    /// Writes all that is owed, in the order in which others may learn of it.
    pub(super) fn pay(&mut self) -> Result<(), MonitorError> {
        if self.owed.state {
            self.state
                .write(&self.bundle.container_dir, Durability::Cached)?;
            self.owed.state = false;
        }
        if self.owed.names {
            match self.phase {
                Phase::Running(_) => self.publish_names()?,
                Phase::Pausing { .. } | Phase::Ended => self.withdraw_names(|_| true)?,
            }
            self.owed.names = false;
        }
        while let Some(event) = self.owed.events.front() {
            let path = &self.bundle.events;
            events::append(path, event).map_err(|source| MonitorError::Event {
                path: path.clone(),
                source,
            })?;
            drop(self.owed.events.pop_front());
        }
        Ok(())
    }

    fn publish_names(&self) -> Result<(), MonitorError> {
        let healthy = self
            .state
            .health
            .is_none_or(|health| health == Health::Healthy);
        for (network, record) in self.bundle.name_records(healthy) {
            names::write_record(&network, &self.bundle.id, &record)?;
        }
        Ok(())
    }

    /// Takes its names off those networks that it has left.
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
}
