//! Images are built: each after those of the services that it takes files from.

use super::sketch::Sketch;
use super::{Action, BuildRequest, Cause, Dependencies, Plan, PlanError, StepId};
use crate::desired::{BuildWhen, DesiredService, DesiredState};
use crate::value::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// Which images are built.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The services that are meant; all when empty.
    pub services: BTreeSet<ServiceName>,
    /// Whether images of what they depend on are built as well.
    pub dependencies: Dependencies,
}

/// Plans the builds of a project.
pub fn build(desired: &DesiredState, options: &BuildOptions) -> Result<Plan, PlanError> {
    let mut open: Vec<&ServiceName> = Vec::new();
    for name in &options.services {
        match desired.services.get_key_value(name) {
            Some((name, _)) => open.push(name),
            None => {
                return Err(PlanError::UnknownService {
                    service: name.clone(),
                    known: desired.services.keys().cloned().collect(),
                });
            }
        }
    }
    if open.is_empty() {
        open.extend(desired.services.keys());
    }
    let mut meant: BTreeSet<&ServiceName> = BTreeSet::new();
    while let Some(name) = open.pop() {
        let is_new = meant.insert(name);
        if let Some(service) = desired.services.get(name)
            && is_new
            && options.dependencies == Dependencies::Include
        {
            open.extend(service.dependencies.keys());
        }
    }
    let mut sketch = Sketch::default();
    let mut builds = Builds::default();
    for service in meant.iter().filter_map(|name| desired.services.get(*name)) {
        let always = |_: &DesiredService| true;
        builds.step(&mut sketch, (desired, service), Cause::Requested, &always);
    }
    Ok(sketch.finish())
}

/// The builds of a plan.
#[derive(Debug, Default)]
pub(super) struct Builds {
    steps: BTreeMap<ServiceName, StepId>,
    /// Those that are being planned: a circle of contexts ends there.
    open: BTreeSet<ServiceName>,
}

impl Builds {
    /// Adds the build of a service and, before it, those that it needs and that `is_due` names.
    pub(super) fn step(
        &mut self,
        sketch: &mut Sketch,
        (desired, service): (&DesiredState, &DesiredService),
        cause: Cause,
        is_due: &dyn Fn(&DesiredService) -> bool,
    ) -> Option<StepId> {
        if let Some(step) = self.steps.get(&service.name) {
            return Some(*step);
        }
        let spec = service.build.as_deref()?;
        if !self.open.insert(service.name.clone()) {
            return None;
        }
        let others = spec
            .services()
            .filter_map(|name| desired.services.get(name));
        let others: Vec<&DesiredService> = others.filter(|other| is_due(other)).collect();
        let mut after = Vec::new();
        for other in others {
            after.extend(self.step(sketch, (desired, other), Cause::NotFound, is_due));
        }
        let mut spec = spec.clone();
        if cause == Cause::Requested {
            spec.when = BuildWhen::Always;
        }
        let request = BuildRequest {
            service: service.name.clone(),
            image: spec.image.clone(),
            place: service.places.find("build").cloned(),
            spec: Box::new(spec),
        };
        let step = sketch.add(Action::BuildImage(request), cause, after);
        self.steps.insert(service.name.clone(), step);
        Some(step)
    }
}
