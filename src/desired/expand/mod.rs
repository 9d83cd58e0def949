//! A project into desired state.
//!
//! **Invariant:** all mistakes are collected before anything is refused.

mod build;
mod desk;
mod service;
mod process;
mod endpoint;
mod port;
mod mount;
mod grant;
mod limits;
mod security;
mod resource;
mod unsupported;

use super::{
    Condition, Dependency, DesiredError, DesiredErrors, DesiredService, DesiredState, External,
    Places,
};
use crate::compose::{Project, model, source::Source};
use crate::value::{ProjectName, ServiceName};
use desk::Desk;
use std::collections::{BTreeMap, BTreeSet};

/// What the caller decides about expanding.
pub struct Options<'a> {
    /// How many containers a service has, whatever the file says.
    pub scale: BTreeMap<ServiceName, u32>,
    /// Reads the files of secrets, configs and security profiles.
    pub source: &'a dyn Source,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("scale", &self.scale)
            .finish_non_exhaustive()
    }
}

/// Makes a project exact: one spec per container, network and volume.
pub fn expand(project: &Project, options: &Options<'_>) -> Result<DesiredState, DesiredErrors> {
    let name = match project.name.parse::<ProjectName>() {
        Ok(name) => name,
        Err(source) => return Err(refused_name("project", &project.name, source.into())),
    };
    let mut desk = Desk::new(project, name.clone(), options.source);
    let networks = resource::networks(&mut desk);
    let volumes = resource::volumes(&mut desk);
    let mut services = BTreeMap::new();
    let mut left = model::CONTAINER_LIMIT;
    for (key, model) in &project.services {
        let Some(service) = desk.service_name(key) else {
            continue;
        };
        let wanted = u32::try_from(model.replicas()).unwrap_or(u32::MAX);
        let replicas = options.scale.get(&service).copied().unwrap_or(wanted);
        let replicas = within(&mut desk, &service, replicas, &mut left);
        let expanded = one_service(&mut desk, &service, model, replicas);
        services.insert(service, expanded);
    }
    mount::share(&mut desk, &mut services);
    one_name_each(&mut desk, &services);
    let (faults, notices) = desk.close();
    if !faults.is_empty() {
        return Err(DesiredErrors(faults));
    }
    Ok(DesiredState {
        project: name,
        networks,
        volumes,
        services,
        external: external(project),
        disabled: disabled(project),
        notices,
    })
}

/// Says which services a project has and what of it is external, and nothing of what its containers are: enough to
/// take it down, also when a file of a secret is gone.
pub fn outline(project: &Project, name: ProjectName) -> DesiredState {
    let service = |(key, model): (&String, &model::Service)| {
        let name: ServiceName = key.parse().ok()?;
        let service = DesiredService {
            name: name.clone(),
            replicas: Vec::new(),
            dependencies: BTreeMap::new(),
            has_build: model.build.is_some(),
            build: None,
            built_name: None,
            places: Places::default(),
        };
        Some((name, service))
    };
    DesiredState {
        project: name,
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        services: project.services.iter().filter_map(service).collect(),
        external: external(project),
        disabled: disabled(project),
        notices: Vec::new(),
    }
}

/// Returns the networks and volumes that the files call `external`. A name that cannot be one names nothing.
pub fn external(project: &Project) -> External {
    let networks = project
        .networks
        .iter()
        .filter(|(_, network)| network.external)
        .map(|(key, network)| network.name.as_ref().unwrap_or(key))
        .chain(&project.unused_external.networks);
    let volumes = project
        .volumes
        .iter()
        .filter(|(_, volume)| volume.external)
        .map(|(key, volume)| volume.name.as_ref().unwrap_or(key))
        .chain(&project.unused_external.volumes);
    External {
        networks: networks.filter_map(|name| name.parse().ok()).collect(),
        volumes: volumes.filter_map(|name| name.parse().ok()).collect(),
    }
}

fn disabled(project: &Project) -> BTreeSet<ServiceName> {
    let keys = project.disabled_services.keys();
    keys.filter_map(|key| key.parse().ok()).collect()
}

fn refused_name(
    field: &str,
    owner: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> DesiredErrors {
    let owner = format!("project `{owner}`");
    DesiredErrors(vec![DesiredError::Value {
        owner,
        field: field.to_owned(),
        place: None,
        source,
    }])
}

/// Takes the containers of a service from those that the project may have; refuses more than are left.
fn within(desk: &mut Desk<'_>, name: &ServiceName, replicas: u32, left: &mut u64) -> u32 {
    if let Some(rest) = left.checked_sub(u64::from(replicas)) {
        *left = rest;
        return replicas;
    }
    desk.open(name);
    desk.refuse(DesiredError::TooMany {
        service: name.to_string(),
        replicas,
        limit: model::CONTAINER_LIMIT,
        place: desk.place("scale"),
    });
    0
}

fn one_service(
    desk: &mut Desk<'_>,
    name: &ServiceName,
    model: &model::Service,
    replicas: u32,
) -> DesiredService {
    desk.open(name);
    unsupported::check(desk, model);
    service::check_replicas(desk, model, replicas);
    let dependencies = dependencies(desk, model);
    let template = service::Template {
        model,
        dependencies: &dependencies,
    };
    let first = service::spec(desk, &template, 1);
    let replicas = match first {
        Some(first) => (1..=replicas)
            .map(|number| service::replica(&first, desk.project, number))
            .collect(),
        None => Vec::new(),
    };
    DesiredService {
        name: name.clone(),
        replicas,
        dependencies,
        has_build: model.build.is_some(),
        build: build::spec(desk, model).map(Box::new),
        built_name: service::built_name(desk, model),
        places: desk.places(model),
    }
}

fn dependencies(desk: &mut Desk<'_>, model: &model::Service) -> BTreeMap<ServiceName, Dependency> {
    let mut dependencies = BTreeMap::new();
    for (key, dependency) in &model.depends_on {
        let Some(service) = desk.service_name(key) else {
            continue;
        };
        let condition = match dependency.condition {
            model::DependencyCondition::Started => Condition::ServiceStarted,
            model::DependencyCondition::Healthy => Condition::ServiceHealthy,
            model::DependencyCondition::CompletedSuccessfully => {
                Condition::ServiceCompletedSuccessfully
            }
        };
        let place = desk.place(&format!("depends_on.{key}"));
        let (restart, required) = (dependency.restart, dependency.required);
        dependencies.insert(
            service,
            Dependency {
                condition,
                restart,
                required,
                place,
            },
        );
    }
    dependencies
}

/// Two services cannot have one container name.
fn one_name_each(desk: &mut Desk<'_>, services: &BTreeMap<ServiceName, DesiredService>) {
    let mut seen = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for service in services.values() {
        for spec in &service.replicas {
            let first = *seen.entry(&spec.name).or_insert(&service.name);
            if *first != service.name && refused.insert(&spec.name) {
                desk.open(&service.name);
                let place = desk.place("container_name");
                desk.refuse(DesiredError::SameName {
                    name: spec.name.to_string(),
                    first: first.to_string(),
                    second: service.name.to_string(),
                    place,
                });
            }
        }
    }
}
