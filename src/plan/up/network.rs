//! Networks: missing ones are made; one that differs is made again, and who was on it gets back on
//! it with everything it had.

use super::{Up, changes, named};
use crate::desired::{IpamPool, NetworkSpec};
use crate::observed::{ObservedContainer, ObservedNetwork, Occupant, OccupiedSubnet};
use crate::plan::{Action, Cause, Occasion, PlanError, StepId, Warning, stored};
use crate::value::{Cidr, NetworkName};
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
                    self.check_subnets(spec)?;
                    let made = self.create_network(spec, Cause::NotFound, Vec::new());
                    self.networks.insert(spec.name.clone(), made);
                }
                Some(_) if self.desired.external.networks.contains(&spec.name) => {}
                Some(there) => self.existing_network(spec, there)?,
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

    /// Refuses a network whose fixed addresses are in use already, before anything moves.
    fn check_subnets(&self, spec: &NetworkSpec) -> Result<(), PlanError> {
        let subnets = spec.ipam.pools.iter();
        // What is no subnet is refused where the network is made.
        let subnets = subnets.filter_map(fixed_subnet);
        for subnet in subnets {
            let observed = self.observed.subnets.iter().cloned();
            let mut occupied = observed.chain(self.wanted_subnets());
            let in_the_way = occupied.find(|occupied| {
                occupied.subnet.overlaps(&subnet) && !is_itself(spec, &occupied.by)
            });
            if let Some(occupied) = in_the_way {
                return Err(PlanError::SubnetInUse {
                    network: spec.name.clone(),
                    subnet,
                    occupied,
                    place: spec.place.clone(),
                });
            }
        }
        Ok(())
    }

    /// The fixed subnets of all networks of the project.
    fn wanted_subnets(&self) -> impl Iterator<Item = OccupiedSubnet> {
        let used = self.used_networks().into_iter();
        used.flat_map(|spec| {
            let by = Occupant::Network {
                name: spec.name.clone(),
                project: spec.project.clone(),
                place: spec.place.clone(),
            };
            let subnets = spec.ipam.pools.iter().filter_map(fixed_subnet);
            subnets.map(move |subnet| OccupiedSubnet {
                subnet,
                by: by.clone(),
            })
        })
    }

    fn existing_network(
        &mut self,
        spec: &NetworkSpec,
        there: &ObservedNetwork,
    ) -> Result<(), PlanError> {
        if there.project.as_ref() != Some(&self.desired.project) {
            self.sketch.warn(Warning::UnmanagedNetwork {
                network: spec.name.clone(),
            });
            return Ok(());
        }
        let changes = changes(&there.spec, spec);
        if changes.is_empty() {
            return Ok(());
        }
        if !there.others.is_empty() {
            return Err(PlanError::NetworkInUse {
                network: spec.name.clone(),
                changes,
                others: there.others.clone(),
                place: spec.place.clone(),
            });
        }
        self.check_subnets(spec)?;
        self.recreate_network(spec, &Cause::Changed(changes));
        Ok(())
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
                    occasion: Occasion::Start,
                };
                let stopped = self.stops.of(&container.name);
                let cause = stopped.map_or(Cause::Requested, Cause::Follows);
                self.sketch
                    .add(action, cause, after.into_iter().chain(stopped));
            }
        }
    }
}

fn fixed_subnet(pool: &IpamPool) -> Option<Cidr> {
    pool.subnet.as_deref()?.parse().ok()
}

fn is_itself(spec: &NetworkSpec, by: &Occupant) -> bool {
    match by {
        Occupant::Network { name, .. } => *name == spec.name,
        Occupant::Link { .. } => false,
    }
}
