//! Networks: missing ones are made; one that differs is made again, and who was on it gets back on
//! it with everything it had.

use super::{Up, changes, named};
use crate::desired::NetworkSpec;
use crate::observed::{ObservedContainer, ObservedNetwork};
use crate::plan::{Action, Cause, PlanError, StepId, Warning, stored};
use crate::value::NetworkName;
use std::collections::BTreeSet;

impl<'a> Up<'a> {
    pub(super) fn networks(&mut self) -> Result<(), PlanError> {
        for spec in self.used_networks() {
            match self.observed.networks.get(&spec.name) {
                None if self.desired.external.networks.contains(&spec.name) => {
                    return Err(PlanError::ExternalNetwork {
                        network: spec.name.clone(),
                    });
                }
                None => {
                    let made = self.create_network(spec, Cause::NotFound, Vec::new());
                    self.networks.insert(spec.name.clone(), made);
                }
                Some(_) if self.desired.external.networks.contains(&spec.name) => {}
                Some(there) => self.existing_network(spec, there),
            }
        }
        Ok(())
    }

    /// The networks that the services that are meant use, by name.
    fn used_networks(&self) -> Vec<&'a NetworkSpec> {
        let endpoints = self
            .meant()
            .flat_map(|service| &service.replicas)
            .flat_map(|replica| replica.network.endpoints());
        let names: BTreeSet<&NetworkName> = endpoints.map(|endpoint| &endpoint.network).collect();
        let specs = self.desired.networks.values();
        named(specs.map(|spec| (&spec.name, spec)), &names)
    }

    fn create_network(&mut self, spec: &NetworkSpec, cause: Cause, after: Vec<StepId>) -> StepId {
        self.sketch
            .add(Action::CreateNetwork(Box::new(spec.clone())), cause, after)
    }

    fn existing_network(&mut self, spec: &NetworkSpec, there: &ObservedNetwork) {
        if there.project.as_ref() != Some(&self.desired.project) {
            self.sketch.warn(Warning::UnmanagedNetwork {
                network: spec.name.clone(),
            });
            return;
        }
        let changes = changes(&there.spec, spec);
        if !changes.is_empty() {
            self.recreate_network(spec, &Cause::Changed(changes));
        }
    }

    /// Takes everyone off the network, makes it again, and remembers who gets back on it.
    fn recreate_network(&mut self, spec: &NetworkSpec, cause: &Cause) {
        let group = format!("recreate {}", spec.name);
        let network = spec.name.clone();
        let mut before = Vec::new();
        for container in self.attached(&network) {
            if let Some(gone) = self.gone.get(&container.name) {
                before.push(*gone);
                continue;
            }
            let because = Cause::NetworkRecreated {
                network: network.clone(),
            };
            let stopped = self.stop(container, &because, &[], None);
            let action = Action::DisconnectNetwork {
                container: container.name.clone(),
                network: network.clone(),
            };
            before.push(self.sketch.add(action, because, stopped));
        }
        let removed = self.sketch.add(
            Action::RemoveNetwork {
                name: network.clone(),
            },
            cause.clone(),
            before,
        );
        let made = self.create_network(spec, cause.clone(), vec![removed]);
        for step in [removed, made] {
            self.sketch.group(step, &group);
        }
        let back = self.attached(&network).into_iter();
        for container in back.filter(|container| !self.gone.contains_key(&container.name)) {
            let unplugged = self.unplugged.entry(container.name.clone()).or_default();
            unplugged.insert(network.clone(), made);
        }
        self.networks.insert(network, made);
        self.replug_others();
    }

    fn attached(&self, network: &NetworkName) -> Vec<&'a ObservedContainer> {
        let containers = self.observed.containers.values();
        containers
            .filter(|container| container.endpoints.contains_key(network))
            .collect()
    }

    /// Containers of services that are not meant go back on the network as they were, and run again.
    fn replug_others(&mut self) {
        let others: Vec<&ObservedContainer> = self
            .unplugged
            .keys()
            .filter_map(|name| self.observed.containers.get(name))
            .filter(|container| {
                !self.order.contains(&container.service)
                    || container.oneoff != crate::observed::OneOff::No
            })
            .collect();
        for container in others {
            let Some(spec) = stored::spec(container) else {
                continue;
            };
            let plugs = self.unplugged.remove(&container.name).unwrap_or_default();
            let mut after = Vec::new();
            for endpoint in spec.network.endpoints() {
                let Some(made) = plugs.get(&endpoint.network) else {
                    continue;
                };
                let action = Action::ConnectNetwork {
                    container: container.name.clone(),
                    endpoint: Box::new(endpoint.clone()),
                };
                let cause = Cause::NetworkRecreated {
                    network: endpoint.network.clone(),
                };
                after.push(self.sketch.add(action, cause, [*made]));
            }
            if container.is_alive() {
                let action = Action::StartContainer {
                    name: container.name.clone(),
                    files: stored::files(container),
                };
                let stopped = self.stops.of(&container.name);
                let cause = stopped.map_or(Cause::Requested, Cause::Follows);
                self.sketch
                    .add(action, cause, after.into_iter().chain(stopped));
            }
        }
    }
}
