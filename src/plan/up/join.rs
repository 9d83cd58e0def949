//! Containers that join the namespaces of another one: when that one starts anew they start anew as well,
//! because the namespaces that they are in are no longer anyone else's.

use super::Up;
use crate::observed::{Join, ObservedContainer, OneOff};
use crate::plan::{Action, Cause, Occasion, StepId, stored};
use crate::value::ContainerName;

impl Up<'_> {
    /// Stops a running container that is in namespaces which another one no longer has, or will no longer have;
    /// returns the steps after which that one has started.
    pub(super) fn rejoin(&mut self, there: &ObservedContainer) -> Vec<StepId> {
        let mut started = Vec::new();
        if !there.is_alive() {
            return started;
        }
        for (container, join) in &there.joins {
            let start = self.start_of(container);
            if start.is_some() || *join == Join::Lost {
                let container = container.clone();
                self.stop(there, &Cause::Rejoins { container }, &[], None);
            }
            started.extend(start);
        }
        started
    }

    /// Lets every container start after those that it joins, and brings back those that nothing else in the plan
    /// is about.
    pub(super) fn rejoin_all(&mut self) {
        let mut arrows = Vec::new();
        for (spec, start) in &self.starts {
            let joined = spec.joins().into_iter();
            let joined = joined.filter_map(|(_, container)| self.start_of(&container));
            arrows.extend(joined.map(|before| (*start, before)));
        }
        self.arrows.extend(arrows);
        for there in self.observed.containers.values() {
            let is_planned = self.order.contains(&there.service) && there.oneoff == OneOff::No;
            let is_going = self.gone.contains_key(&there.name);
            if is_planned || is_going || self.stops.of(&there.name).is_some() {
                continue;
            }
            let mut before = self.rejoin(there);
            let Some(stopped) = self.stops.of(&there.name) else {
                continue;
            };
            before.push(stopped);
            let action = Action::StartContainer {
                name: there.name.clone(),
                files: stored::files(there),
                occasion: Occasion::Start,
            };
            self.sketch.add(action, Cause::Follows(stopped), before);
        }
    }

    fn start_of(&self, container: &ContainerName) -> Option<StepId> {
        let mut starts = self.starts.iter();
        let start = starts.find(|(spec, _)| spec.name == *container);
        start.map(|(_, step)| *step)
    }
}
