//! Names of services that the user typed → the containers that are meant.

use super::error::CommandError;
use super::invocation::Target;
use crate::observed::{ObservedContainer, ObservedState, OneOff};

/// Returns the containers of the named services, or of all of them when none is named.
pub(super) fn containers<'state>(
    target: &Target,
    observed: &'state ObservedState,
    services: &[String],
) -> Result<Vec<&'state ObservedContainer>, CommandError> {
    check(target, observed, services)?;
    let is_meant = |container: &&ObservedContainer| {
        services.is_empty()
            || services
                .iter()
                .any(|name| container.service == name.as_str())
    };
    let mut containers: Vec<&ObservedContainer> =
        observed.containers.values().filter(is_meant).collect();
    containers.sort_by_key(|container| (&container.service, container.number));
    Ok(containers)
}

/// Returns the replicas of the named services, or of all that are switched on when none is named.
pub(super) fn meant<'state>(
    target: &Target,
    observed: &'state ObservedState,
    services: &[String],
) -> Result<Vec<&'state ObservedContainer>, CommandError> {
    let mut containers = containers(target, observed, services)?;
    containers.retain(|container| {
        container.oneoff == OneOff::No && (!services.is_empty() || target.means(&container.service))
    });
    Ok(containers)
}

/// Returns the replica of a service with a number, or the first one.
pub(super) fn replica<'state>(
    target: &Target,
    observed: &'state ObservedState,
    service: &str,
    index: Option<u32>,
) -> Result<&'state ObservedContainer, CommandError> {
    let containers = containers(target, observed, &[service.to_owned()])?;
    let mut replicas = containers
        .iter()
        .filter(|container| container.oneoff == OneOff::No);
    let found = match index {
        Some(number) => replicas.find(|container| container.number == number),
        // One that runs is more useful than one that does not.
        None => replicas
            .clone()
            .find(|container| container.is_alive())
            .or_else(|| replicas.next()),
    };
    found.copied().ok_or_else(|| match index {
        Some(number) => no_such_replica(service, number),
        None => CommandError::user(format!("service `{service}` is not running"))
            .hint(format!("`consort up -d {service}` starts it")),
    })
}

/// Refuses names that neither the files nor the containers know.
pub(super) fn check(
    target: &Target,
    observed: &ObservedState,
    services: &[String],
) -> Result<(), CommandError> {
    let mut known: Vec<&str> = observed
        .containers
        .values()
        .map(|container| container.service.as_str())
        .collect();
    if let Some(project) = &target.project {
        known.extend(project.services.keys().map(String::as_str));
        known.extend(project.disabled_services.keys().map(String::as_str));
    }
    known.sort_unstable();
    known.dedup();
    match services.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(no_such_service(unknown, &known)),
    }
}

/// Says that a service has no container with a number.
pub(super) fn no_such_replica(service: &str, number: u32) -> CommandError {
    CommandError::user(format!("service `{service}` has no container {number}"))
}

/// Says that there is no such service, and which ones there are.
pub(super) fn no_such_service(name: &str, known: &[&str]) -> CommandError {
    let error = CommandError::user(format!("no such service: `{name}`"));
    if known.is_empty() {
        return error;
    }
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    error.hint(format!("the services are {}", known.join(", ")))
}
