//! Images: those that are not here, or that the policy asks for, are fetched once for all services.

use super::Up;
use crate::desired::{BuildSpec, BuildWhen, ContainerSpec, DesiredService, MountKind, PullPolicy};
use crate::observed::ObservedImage;
use crate::plan::build::{Build, Builds};
use crate::plan::{Action, BuildImages, Cause, Guard, PlanError, StepId};
use crate::value::{ImageRef, Platform};
use std::collections::BTreeMap;

type Key = (ImageRef, Option<Platform>);

/// The images that are fetched or built.
#[derive(Debug, Default)]
pub(super) struct Images {
    steps: BTreeMap<Key, StepId>,
    builds: Builds,
}

impl Images {
    /// The step after which a container's image is there, when it is not yet.
    pub(super) fn of(&self, spec: &ContainerSpec) -> impl Iterator<Item = StepId> {
        let own = self.steps.get(&key(spec)).copied();
        let mounted = spec.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Image(image) => self.steps.get(&(image.reference.clone(), None)).copied(),
            MountKind::Bind(_) | MountKind::Volume(_) | MountKind::Tmpfs(_) => None,
        });
        let hooks = spec.hooks.pre_start.iter();
        let hooks = hooks.filter_map(|hook| {
            let key = (hook.image.clone()?, None);
            self.steps.get(&key).copied()
        });
        own.into_iter().chain(mounted).chain(hooks)
    }

    /// The guard of what is only needed when the container's image turns out to be another one.
    pub(super) fn guard(&self, spec: &ContainerSpec, current: &str) -> Option<Guard> {
        let pulled_by = *self.steps.get(&key(spec))?;
        Some(Guard::ImageChanged {
            pulled_by,
            from: current.to_owned(),
        })
    }
}

fn key(spec: &ContainerSpec) -> Key {
    (spec.image.reference.clone(), spec.image.platform.clone())
}

impl Up<'_> {
    pub(super) fn images(&mut self) -> Result<(), PlanError> {
        for service in self.meant() {
            // All replicas have the same image.
            let Some(spec) = service.replicas.first() else {
                continue;
            };
            self.service_image(service, spec)?;
            for mount in &spec.mounts {
                if let MountKind::Image(image) = &mount.kind {
                    self.further_image(&image.reference);
                }
            }
            for image in spec.hooks.pre_start.iter().flat_map(|hook| &hook.image) {
                self.further_image(image);
            }
        }
        Ok(())
    }

    fn service_image(
        &mut self,
        service: &DesiredService,
        spec: &ContainerSpec,
    ) -> Result<(), PlanError> {
        let key = key(spec);
        if self.images.steps.contains_key(&key) {
            return Ok(());
        }
        let there = self.observed.images.get(&key.0);
        if let Some(step) = self.service_build(service, there) {
            self.images.steps.insert(key, step);
            return Ok(());
        }
        let policy = match (&service.built_name, self.options.pull) {
            (None, Some(policy)) => policy,
            (None, None) | (Some(_), _) => spec.image.pull,
        };
        let image = key.0.clone();
        let action = match (policy, there) {
            (PullPolicy::Missing | PullPolicy::Never | PullPolicy::Build, Some(_)) => return Ok(()),
            (PullPolicy::Never, None) => return Err(missing(service, image)),
            (PullPolicy::Build, None) if service.has_build => return Err(missing(service, image)),
            (PullPolicy::Missing | PullPolicy::Build, None) => pull(&key),
            (PullPolicy::Always | PullPolicy::Every(_), there) => {
                if there.is_some_and(is_latest) {
                    return Ok(());
                }
                pull(&key)
            }
        };
        let cause = match there {
            None => Cause::NotFound,
            Some(_) => Cause::PullPolicy {
                policy: policy_text(policy),
            },
        };
        let step = self.sketch.add(action, cause, []);
        self.images.steps.insert(key, step);
        Ok(())
    }

    /// Adds the build of a service's image, where it is due.
    fn service_build(
        &mut self,
        service: &DesiredService,
        there: Option<&ObservedImage>,
    ) -> Option<StepId> {
        let build = Build::of(service)?;
        let when = service.build.as_deref()?.when;
        let choice = self.options.build;
        let cause = match (choice, when, there) {
            (BuildImages::None, _, _) => return None,
            (BuildImages::All, _, _) | (BuildImages::Missing, BuildWhen::Always, _) => {
                Cause::Requested
            }
            (BuildImages::Missing, _, None) => Cause::NotFound,
            (BuildImages::Missing, _, Some(_)) => return None,
        };
        let images = &self.observed.images;
        let is_due =
            |other: &BuildSpec| choice == BuildImages::All || !images.contains_key(&other.image);
        Some(
            self.images
                .builds
                .step(&mut self.sketch, build, cause, &is_due),
        )
    }

    /// An image that is mounted, or that a hook runs in.
    fn further_image(&mut self, reference: &ImageRef) {
        let key = (reference.clone(), None);
        if self.observed.images.contains_key(reference) || self.images.steps.contains_key(&key) {
            return;
        }
        let mut services = self.desired.services.values();
        let builder = services.find(|service| service.built_name.as_ref() == Some(reference));
        let built = builder.and_then(|service| self.service_build(service, None));
        let step = match built {
            Some(step) => step,
            None => self.sketch.add(pull(&key), Cause::NotFound, []),
        };
        self.images.steps.insert(key, step);
    }
}

fn pull((image, platform): &Key) -> Action {
    Action::PullImage {
        image: image.clone(),
        platform: platform.clone(),
    }
}

fn missing(service: &DesiredService, image: ImageRef) -> PlanError {
    PlanError::ImageMissing {
        service: service.name.clone(),
        image,
        place: service.places.find("image").cloned(),
    }
}

/// Whether the registry was asked and would send what is here.
fn is_latest(image: &ObservedImage) -> bool {
    image.latest.is_some() && image.latest == image.manifest
}

fn policy_text(policy: PullPolicy) -> String {
    match policy {
        PullPolicy::Always => "always".to_owned(),
        PullPolicy::Missing => "missing".to_owned(),
        PullPolicy::Never => "never".to_owned(),
        PullPolicy::Build => "build".to_owned(),
        PullPolicy::Every(period) => format!("every_{period}"),
    }
}
