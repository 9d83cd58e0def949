//! What goes before anything comes: orphans, replicas that are too many, and doubles.

use super::{Up, replicas};
use crate::observed::{ObservedContainer, OneOff};
use crate::plan::{Action, AnonymousVolumes, Cause, OrphanPolicy, Warning};
use std::collections::BTreeSet;

impl Up<'_> {
    pub(super) fn departures(&mut self) {
        self.orphans();
        for service in self.meant() {
            let wanted: BTreeSet<u32> = service.replicas.iter().map(|spec| spec.number).collect();
            let mut seen = BTreeSet::new();
            for container in replicas(self.observed, &service.name, &self.gone) {
                if !wanted.contains(&container.number) {
                    let wanted = wanted.len();
                    self.remove(container, &Cause::ScaleDown { wanted });
                } else if !seen.insert(container.number) {
                    // The one with its final name came first.
                    self.remove(container, &Cause::Leftover);
                }
            }
        }
    }

    /// Containers of services that are not in the file, and those of `run --rm` whose command was killed.
    fn orphans(&mut self) {
        for spent in self.observed.containers.values().filter(|it| it.is_spent()) {
            let action = Action::RemoveContainer {
                name: spent.name.clone(),
                volumes: AnonymousVolumes::Remove,
            };
            let step = self.sketch.add(action, Cause::Leftover, None);
            self.gone.insert(spent.name.clone(), step);
        }
        let orphans: Vec<&ObservedContainer> = self
            .observed
            .containers
            .values()
            .filter(|container| self.is_orphan(container))
            .collect();
        match self.options.orphans {
            OrphanPolicy::Ignore => {}
            OrphanPolicy::Warn if orphans.is_empty() => {}
            OrphanPolicy::Warn => {
                let containers = orphans.iter().map(|orphan| orphan.name.clone()).collect();
                self.sketch.warn(Warning::Orphans { containers });
            }
            OrphanPolicy::Remove => {
                for orphan in orphans {
                    self.remove(orphan, &Cause::Orphan);
                }
            }
        }
    }

    fn is_orphan(&self, container: &ObservedContainer) -> bool {
        let service = &container.service;
        let known =
            self.desired.services.contains_key(service) || self.desired.disabled.contains(service);
        let lingers = match container.oneoff {
            // A hook that failed is kept to be looked at, until it runs again.
            OneOff::No | OneOff::Hook => !known,
            OneOff::Run | OneOff::RunAndRemove => !container.is_alive(),
        };
        lingers && !self.gone.contains_key(&container.name)
    }
}
