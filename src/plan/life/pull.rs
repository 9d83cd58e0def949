//! Images of services are fetched, whether or not they are here.

use crate::desired::{DesiredService, DesiredState, PullPolicy};
use crate::observed::ObservedState;
use crate::plan::{Action, Cause, Dependencies, Plan, PullOptions, Warning, sketch::Sketch};
use crate::value::ServiceName;
use std::collections::BTreeSet;

/// Plans which images of a project are fetched: each once, except those that the registry has no
/// newer version of. An image that the file gives no name is only ever built: what a registry has under a name that was
/// made up for it is something else.
pub fn pull(desired: &DesiredState, observed: &ObservedState, options: &PullOptions) -> Plan {
    let mut sketch = Sketch::default();
    let mut seen = BTreeSet::new();
    for service in meant(desired, options) {
        if service.built_name.is_some() {
            sketch.warn(Warning::OnlyBuilt {
                service: service.name.clone(),
            });
            continue;
        }
        let Some(spec) = service.replicas.first() else {
            continue;
        };
        let key = (spec.image.reference.clone(), spec.image.platform.clone());
        let there = observed.images.get(&key.0);
        let latest =
            there.is_some_and(|image| image.latest.is_some() && image.latest == image.manifest);
        let is_wanted = match options.policy.unwrap_or(spec.image.pull) {
            PullPolicy::Build | PullPolicy::Never => false,
            // Named by the user, `missing` means what it says; in a file it does not keep the
            // command from fetching, as in Docker Compose.
            PullPolicy::Missing => options.policy.is_none() || there.is_none(),
            PullPolicy::Always | PullPolicy::Every(_) => true,
        };
        if is_wanted && !latest && seen.insert(key.clone()) {
            let (image, platform) = key;
            sketch.add(Action::PullImage { image, platform }, Cause::Requested, []);
        }
    }
    sketch.finish()
}

fn meant<'a>(desired: &'a DesiredState, options: &PullOptions) -> Vec<&'a DesiredService> {
    let mut names: BTreeSet<&ServiceName> = if options.services.is_empty() {
        desired.services.keys().collect()
    } else {
        options.services.iter().collect()
    };
    let mut open: Vec<&ServiceName> = names.iter().copied().collect();
    while let Some(name) = open
        .pop()
        .filter(|_| options.dependencies == Dependencies::Include)
    {
        let service = desired.services.get(name);
        for other in service
            .into_iter()
            .flat_map(|service| service.dependencies.keys())
        {
            if names.insert(other) {
                open.push(other);
            }
        }
    }
    names
        .into_iter()
        .filter_map(|name| desired.services.get(name))
        .collect()
}
