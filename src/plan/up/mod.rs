//! A project comes up: what is missing is made, what differs is changed, what does not run starts.
//!
//! The plan is sketched in the order in which it is thought of: what goes, volumes, networks, images,
//! then one service after the other, each after what it depends on. That order is no barrier: a
//! step waits only for the steps it names.
//!
//! | files | what they plan |
//! |---|---|
//! | `departure`, `stops`, `port` | what goes and what stops; a port or address that passes to another |
//! | `volume`, `network`, `image` | what containers need |
//! | `service`, `replica` | what becomes of each replica |
//! | `replace`, `keep`, `start` | a new one in its place, or the same one; and how it starts |
//! | `join` | containers in the namespaces of another one |
//! | `gate` | what is waited for |

mod network;
mod volume;
mod image;
mod replica;
mod service;
mod replace;
mod keep;
mod start;
mod stops;
mod departure;
mod gate;
mod port;
mod join;

use super::{
    Dependencies, FieldChange, Plan, PlanError, Recreate, RunOptions, StepId, UpOptions, Warning,
    diff, sketch::Sketch,
};
use crate::desired::{Condition, ContainerSpec, DesiredService, DesiredState, Places};
use crate::graph::Dag;
use crate::observed::{ObservedContainer, ObservedState};
use crate::value::{ContainerName, NetworkName, Place, ServiceName, VolumeName};
use image::Images;
use replica::Fate;
use std::collections::{BTreeMap, BTreeSet};
use stops::Stops;

/// Plans how `desired` comes up from what is there.
pub fn up(
    desired: &DesiredState,
    observed: &ObservedState,
    options: &UpOptions,
) -> Result<Plan, PlanError> {
    let mut up = Up::new(desired, observed, options)?;
    up.steps()?;
    up.sketch.weave(up.arrows)
}

/// Plans a container of `run`, which is the only replica of `options.service`, and what it depends on.
///
/// It is made once its dependencies are as it needs them: where one of them fails, no container stays behind.
pub fn run(
    desired: &DesiredState,
    observed: &ObservedState,
    options: &RunOptions,
) -> Result<Plan, PlanError> {
    let mut up = Up::new(desired, observed, &options.up)?;
    up.one_off = Some(options);
    up.steps()?;
    up.sketch.weave(up.arrows)
}

struct Up<'a> {
    desired: &'a DesiredState,
    observed: &'a ObservedState,
    options: &'a UpOptions,
    sketch: Sketch,
    /// Steps, and others that each of them waits for although they may have been thought of later.
    arrows: Vec<(StepId, StepId)>,
    /// What starts, and the step that does it.
    starts: Vec<(&'a ContainerSpec, StepId)>,
    /// The services that are meant, each after what it depends on.
    order: Vec<ServiceName>,
    /// The services that are meant by name, not only because others depend on them.
    named: BTreeSet<ServiceName>,
    stops: Stops,
    images: Images,
    /// Networks that are made, and the step after which each is there.
    networks: BTreeMap<NetworkName, StepId>,
    /// Containers that a network was taken from and that must get it back.
    unplugged: BTreeMap<ContainerName, BTreeMap<NetworkName, StepId>>,
    /// Volumes that are made, and the step after which each is there.
    volumes: BTreeMap<VolumeName, StepId>,
    /// Containers that are removed before their service is looked at, and the step that does it.
    gone: BTreeMap<ContainerName, StepId>,
    /// What becomes of each replica.
    fates: BTreeMap<ServiceName, Vec<Fate>>,
    /// Waits that several steps need, by container and by what is waited for.
    waits: BTreeMap<gate::WaitKey, StepId>,
    /// The container of `run` that all of this is for, if it is for one.
    one_off: Option<&'a RunOptions>,
}

impl<'a> Up<'a> {
    fn new(
        desired: &'a DesiredState,
        observed: &'a ObservedState,
        options: &'a UpOptions,
    ) -> Result<Self, PlanError> {
        let dag = graph(desired)?;
        for service in &options.services {
            if !desired.services.contains_key(service) {
                let known = desired.services.keys().cloned().collect();
                return Err(PlanError::UnknownService {
                    service: service.clone(),
                    known,
                });
            }
        }
        let named: BTreeSet<ServiceName> = if options.services.is_empty() {
            desired.services.keys().cloned().collect()
        } else {
            options.services.clone()
        };
        let meant: BTreeSet<&ServiceName> = match options.dependencies {
            Dependencies::Include => dag.with_dependencies(&named),
            Dependencies::Skip => named.iter().collect(),
        };
        let order = dag
            .order()
            .into_iter()
            .filter(|service| meant.contains(*service));
        Ok(Self {
            order: order
                .filter(|name| desired.services.contains_key(*name))
                .cloned()
                .collect(),
            named,
            desired,
            observed,
            options,
            sketch: Sketch::default(),
            arrows: Vec::new(),
            starts: Vec::new(),
            stops: Stops::default(),
            images: Images::default(),
            networks: BTreeMap::new(),
            unplugged: BTreeMap::new(),
            volumes: BTreeMap::new(),
            gone: BTreeMap::new(),
            fates: BTreeMap::new(),
            waits: BTreeMap::new(),
            one_off: None,
        })
    }

    fn steps(&mut self) -> Result<(), PlanError> {
        self.departures();
        self.volumes()?;
        self.networks()?;
        self.images()?;
        for service in self.order.clone() {
            self.service(&service);
        }
        self.rejoin_all();
        self.hand_ports_over();
        self.notices();
        Ok(())
    }

    /// Makes `step` wait for `prerequisites` as well.
    fn after(&mut self, step: StepId, prerequisites: impl IntoIterator<Item = StepId>) {
        let arrows = prerequisites.into_iter().map(|before| (step, before));
        self.arrows.extend(arrows);
    }

    /// The services that are meant.
    fn meant(&self) -> impl Iterator<Item = &'a DesiredService> + use<'a> {
        let desired = self.desired;
        self.order
            .clone()
            .into_iter()
            .filter_map(move |name| desired.services.get(&name))
    }

    /// Whether another service waits for this one to complete.
    fn is_one_shot(&self, service: &ServiceName) -> bool {
        let completes = |other: &DesiredService| {
            other
                .dependencies
                .get(service)
                .is_some_and(|needs| needs.condition == Condition::ServiceCompletedSuccessfully)
        };
        self.desired.services.values().any(completes)
    }

    fn recreate(&self, service: &ServiceName) -> Recreate {
        if self.named.contains(service) {
            return self.options.recreate;
        }
        self.options.recreate_dependencies
    }

    fn notices(&mut self) {
        for notice in &self.desired.notices {
            if self.order.contains(&notice.service) {
                self.sketch.warn(Warning::NoEffect {
                    service: notice.service.clone(),
                    field: notice.field.clone(),
                    reason: notice.reason.clone(),
                    place: notice.place.clone(),
                });
            }
        }
    }
}

/// The services and what they depend on.
fn graph(desired: &DesiredState) -> Result<Dag<ServiceName>, PlanError> {
    let arrows = desired.services.values().flat_map(|service| {
        let arrow = |(other, needs): (&ServiceName, &crate::desired::Dependency)| {
            (service.name.clone(), other.clone(), needs.place.clone())
        };
        service.dependencies.iter().map(arrow).collect::<Vec<_>>()
    });
    Dag::new(desired.services.keys().cloned(), arrows).map_err(|cycle| PlanError::Cycle {
        cycle: cycle.to_string(),
        places: cycle
            .steps
            .iter()
            .filter_map(|(_, place): &(_, Option<Place>)| place.clone())
            .collect(),
    })
}

/// Those of the specs that have one of these names, by name.
fn named<'a, N: Ord + 'a, S>(
    specs: impl Iterator<Item = (&'a N, &'a S)>,
    names: &BTreeSet<&N>,
) -> Vec<&'a S> {
    let by_name: BTreeMap<&N, &S> = specs.filter(|(name, _)| names.contains(name)).collect();
    by_name.into_values().collect()
}

/// What differs between a network or a volume and its spec, which changes in no other way than made
/// again.
fn changes(there: &serde_json::Value, wanted: &impl serde::Serialize) -> Vec<FieldChange> {
    let wanted = serde_json::to_value(wanted).unwrap_or_default();
    let difference = diff::compare(there.clone(), wanted, &Places::default());
    [difference.cold, difference.hot].concat()
}

/// The replicas of a service, under whatever names, that `up` looks after; each under its own name first.
fn replicas<'a>(
    observed: &'a ObservedState,
    service: &ServiceName,
    gone: &BTreeMap<ContainerName, StepId>,
) -> Vec<&'a ObservedContainer> {
    let mut found: Vec<&ObservedContainer> = observed
        .replicas(service)
        .filter(|container| !gone.contains_key(&container.name))
        .collect();
    found.sort_by_key(|container| (container.number, container.name != container.final_name));
    found
}
