//! Which services are switched on, and which resources they use.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::{Project, Service};
use crate::compose::options::LoadOptions;
use crate::compose::suggest::nearest;
use crate::compose::tree::Span;

/// Switches services off that no active profile switches on; a profile that is nearly one is worth a warning.
pub(super) fn profiles(project: &mut Project, active: &[String], faults: &mut Vec<Diagnostic>) {
    let known: BTreeSet<&str> = project
        .services
        .values()
        .flat_map(|service| service.profiles.iter().map(String::as_str))
        .collect();
    for profile in active.iter().filter(|it| !known.contains(it.as_str())) {
        if let Some(near) = nearest(profile, known.iter().copied()) {
            let message = format!("no service has the profile `{profile}`");
            let warning = Diagnostic::warning(Span::default(), message);
            faults.push(warning.hint(format!("did you mean `{near}`?")));
        }
    }
    let services = &mut project.services;
    let off = services
        .iter()
        .filter(|(_, service)| !is_on(service, active));
    let off: Vec<String> = off.map(|(name, _)| name.clone()).collect();
    let off = off.iter().filter_map(|name| services.remove_entry(name));
    project.disabled_services = off.collect();
}

fn is_on(service: &Service, active: &[String]) -> bool {
    service.profiles.is_empty()
        || active
            .iter()
            .any(|profile| profile == "*" || service.profiles.contains(profile))
}

/// Says which services there are, if there are any.
fn list<'names>(known: impl Iterator<Item = &'names String>) -> Option<String> {
    let mut known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    known.sort_unstable();
    (!known.is_empty()).then(|| format!("the services are {}", known.join(", ")))
}

/// Keeps the services that the command names, and those that they depend on.
pub(super) fn services(project: &mut Project, options: &LoadOptions, faults: &mut Vec<Diagnostic>) {
    if options.services.is_empty() {
        return;
    }
    enable_named(project, &options.services);
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    let mut next: Vec<String> = Vec::new();
    for name in &options.services {
        if project.services.contains_key(name) {
            next.push(name.clone());
        } else {
            let message = format!("no such service: `{name}`");
            let known = project
                .services
                .keys()
                .chain(project.disabled_services.keys());
            let hint = match nearest(name, known.clone().map(String::as_str)) {
                Some(near) => Some(format!("did you mean `{near}`?")),
                None => list(known),
            };
            faults.push(Diagnostic::error(Span::default(), message).maybe_hint(hint));
        }
    }
    while let Some(name) = next.pop() {
        let Some(service) = project.services.get(&name) else {
            continue;
        };
        if wanted.insert(name) {
            next.extend(service.depends_on.keys().cloned());
        }
    }
    let all = std::mem::take(&mut project.services);
    for (name, mut service) in all {
        if wanted.contains(&name) {
            service
                .depends_on
                .retain(|dependency, _| wanted.contains(dependency));
            project.services.insert(name, service);
        } else {
            project.disabled_services.insert(name, service);
        }
    }
}

/// Naming a service switches its profiles on, and with them the other services of these profiles.
fn enable_named(project: &mut Project, names: &[String]) {
    for name in names {
        if let Some(service) = project.disabled_services.get(name) {
            project.profiles.extend(service.profiles.iter().cloned());
        }
    }
    let active = project.profiles.clone();
    let off = std::mem::take(&mut project.disabled_services);
    for (name, service) in off {
        if is_on(&service, &active) {
            project.services.insert(name, service);
        } else {
            project.disabled_services.insert(name, service);
        }
    }
}

/// Drops networks, volumes, secrets, configs and models that no service uses.
pub(super) fn drop_unused(project: &mut Project) {
    let mut used = Used::default();
    for service in project.services.values() {
        used.add(service);
    }
    let networks = keep(&mut project.networks, &used.networks);
    let networks = networks.filter(|(_, network)| network.external);
    project.unused_external.networks = networks
        .map(|(key, network)| network.name.unwrap_or(key))
        .collect();
    let volumes = keep(&mut project.volumes, &used.volumes);
    let volumes = volumes.filter(|(_, volume)| volume.external);
    project.unused_external.volumes = volumes
        .map(|(key, volume)| volume.name.unwrap_or(key))
        .collect();
    drop(keep(&mut project.secrets, &used.secrets));
    drop(keep(&mut project.configs, &used.configs));
    drop(keep(&mut project.models, &used.models));
}

#[derive(Default)]
struct Used {
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
    secrets: BTreeSet<String>,
    configs: BTreeSet<String>,
    models: BTreeSet<String>,
}

impl Used {
    fn add(&mut self, service: &Service) {
        self.networks.extend(service.networks.keys().cloned());
        let volumes = service
            .volumes
            .iter()
            .filter(|volume| volume.kind == "volume");
        self.volumes
            .extend(volumes.filter_map(|volume| volume.source.clone()));
        self.secrets.extend(
            service
                .secrets
                .iter()
                .filter_map(|grant| grant.source.clone()),
        );
        let build = service.build.iter().flat_map(|build| &build.secrets);
        self.secrets
            .extend(build.filter_map(|grant| grant.source.clone()));
        self.configs.extend(
            service
                .configs
                .iter()
                .filter_map(|grant| grant.source.clone()),
        );
        self.models.extend(service.models.keys().cloned());
    }
}

/// Keeps what is used, and returns the rest.
fn keep<T>(
    map: &mut BTreeMap<String, T>,
    used: &BTreeSet<String>,
) -> impl Iterator<Item = (String, T)> + use<T> {
    let (kept, dropped): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(map)
        .into_iter()
        .partition(|(name, _)| used.contains(name));
    *map = kept;
    dropped.into_iter()
}
