//! A container of `run`: a replica of a service with another name, another command and a life of its own.

use super::{ContainerSpec, DesiredService, DesiredState, NetworkMode, RestartPolicy, label};
use crate::value::{ContainerName, NameError, ServiceName};
use std::collections::BTreeMap;

/// How a container of `run` differs from a replica of its service.
#[derive(Clone, Debug)]
pub struct OneOff {
    /// Its name; `<project>-<service>-run-<slug>` when nothing is said.
    pub name: Option<ContainerName>,
    /// The random part of its name, 12 hexadecimal digits.
    pub slug: String,
    /// What replaces its entry point; empty clears it.
    pub entrypoint: Option<Vec<String>>,
    /// What replaces its command.
    pub command: Option<Vec<String>>,
    /// Variables on top of the service's.
    pub environment: BTreeMap<String, String>,
    /// Labels on top of the service's.
    pub labels: BTreeMap<String, String>,
    /// The user; the service's when nothing is said.
    pub user: Option<String>,
    /// Where it starts; the service's directory when nothing is said.
    pub working_dir: Option<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub stdin_open: bool,
    /// Changes of its capabilities, later ones winning.
    pub capabilities: Vec<Change>,
    /// Under which names others find it.
    pub aliases: Aliases,
    /// Whether it is removed once it has ended.
    pub remove_at_end: bool,
}

/// A change of what a container may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has this capability.
    Add(String),
    /// It lacks this capability.
    Drop(String),
}

/// Under which names others find a container of `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aliases {
    /// Its own name alone.
    OwnName,
    /// Those of its service as well.
    Service,
}

impl OneOff {
    /// Puts the container into the desired state, as the only replica of a service of its own that depends on what its
    /// service depends on; returns that service, or `None` where `service` has no container to be made like.
    pub fn join(
        self,
        desired: &mut DesiredState,
        service: &ServiceName,
    ) -> Result<Option<ServiceName>, NameError> {
        let key: ServiceName = format!("{service}-run-{}", self.slug).parse()?;
        let Some(like) = desired.services.get(service) else {
            return Ok(None);
        };
        let Some(replica) = like.replicas.first() else {
            return Ok(None);
        };
        let name = match self.name.clone() {
            Some(name) => name,
            None => format!("{}-{key}", desired.project).parse()?,
        };
        let spec = self.spec(replica.clone(), name);
        let one_off = DesiredService {
            name: key.clone(),
            replicas: vec![spec],
            ..like.clone()
        };
        desired.services.insert(key.clone(), one_off);
        Ok(Some(key))
    }

    fn spec(self, mut spec: ContainerSpec, name: ContainerName) -> ContainerSpec {
        if let Some(entrypoint) = self.entrypoint {
            // As with an entry point of the file, the command of the image goes with the image's entry point.
            spec.process.entrypoint = Some(entrypoint);
            spec.process.command = None;
        }
        if let Some(command) = self.command {
            spec.process.command = Some(command);
        }
        spec.process.environment.extend(self.environment);
        spec.process.user = self.user.or(spec.process.user);
        spec.process.working_dir = self.working_dir.or(spec.process.working_dir);
        spec.process.tty = self.tty;
        spec.process.stdin_open = self.stdin_open;
        for change in self.capabilities {
            let (to, from, capability) = match change {
                Change::Add(name) => (
                    &mut spec.security.cap_add,
                    &mut spec.security.cap_drop,
                    name,
                ),
                Change::Drop(name) => (
                    &mut spec.security.cap_drop,
                    &mut spec.security.cap_add,
                    name,
                ),
            };
            from.retain(|other| *other != capability);
            if !to.contains(&capability) {
                to.push(capability);
            }
        }
        spec.restart = RestartPolicy::No;
        // What prepares a service is done for its replicas.
        spec.hooks.pre_start.clear();
        rename(&mut spec.network, &spec.name, &name, self.aliases);
        spec.labels.extend(self.labels);
        let mut marks = vec![(label::ONEOFF, "True".to_owned()), (label::SLUG, self.slug)];
        if self.remove_at_end {
            marks.push((label::REMOVE_AT_END, "True".to_owned()));
        }
        let marks = marks.into_iter();
        spec.labels
            .extend(marks.map(|(label, value)| (label.to_owned(), value)));
        spec.name = name;
        spec
    }
}

/// Gives the container its own name on its networks, and leaves addresses that the file fixes to the replicas.
pub(super) fn rename(
    mode: &mut NetworkMode,
    replica: &ContainerName,
    name: &ContainerName,
    aliases: Aliases,
) {
    for endpoint in mode.endpoints_mut() {
        match aliases {
            Aliases::OwnName => endpoint.aliases.clear(),
            Aliases::Service => endpoint.aliases.retain(|alias| *alias != **replica),
        }
        endpoint.aliases.push(name.to_string());
        endpoint.aliases.sort();
        endpoint.ipv4_address = None;
        endpoint.ipv6_address = None;
        endpoint.mac_address = None;
    }
}
