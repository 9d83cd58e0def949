//! Images are built: each after those of the services that it takes files from.

use super::sketch::Sketch;
use super::{Action, BuildRequest, Cause, Dependencies, Plan, PlanError, StepId};
use crate::desired::{BuildSpec, BuildWhen, DesiredService, DesiredState};
use crate::value::{ImageRef, Place, ServiceName};
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
    let services = meant.iter().filter_map(|name| desired.services.get(*name));
    for service in services {
        if let Some(build) = Build::of(service) {
            builds.step(&mut sketch, build, Cause::Requested, &|_| true);
        }
    }
    Ok(sketch.finish())
}

/// A build that may become a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Build<'a> {
    service: &'a ServiceName,
    spec: &'a BuildSpec,
    place: Option<&'a Place>,
}

impl<'a> Build<'a> {
    /// The build of a service, if it has one.
    pub(super) fn of(service: &'a DesiredService) -> Option<Self> {
        Some(Self {
            service: &service.name,
            spec: service.build.as_deref()?,
            place: service.places.find("build"),
        })
    }
}

/// The builds of a plan, by the images that they make.
#[derive(Debug, Default)]
pub(super) struct Builds {
    steps: BTreeMap<ImageRef, StepId>,
}

impl Builds {
    /// Adds a build and, before it, those that it needs and that `is_due` names.
    pub(super) fn step(
        &mut self,
        sketch: &mut Sketch,
        build: Build<'_>,
        cause: Cause,
        is_due: &dyn Fn(&BuildSpec) -> bool,
    ) -> StepId {
        if let Some(step) = self.steps.get(&build.spec.image) {
            return *step;
        }
        let mut after = Vec::new();
        for (service, spec) in build.spec.others().filter(|(_, spec)| is_due(spec)) {
            let other = Build {
                service,
                spec,
                place: build.place,
            };
            after.push(self.step(sketch, other, cause.clone(), is_due));
        }
        let mut spec = build.spec.clone();
        if cause == Cause::Requested {
            spec.when = BuildWhen::Always;
        }
        let request = BuildRequest {
            service: build.service.clone(),
            image: spec.image.clone(),
            place: build.place.cloned(),
            spec: Box::new(spec),
        };
        let step = sketch.add(Action::BuildImage(request), cause, after);
        self.steps.insert(build.spec.image.clone(), step);
        step
    }
}
