//! What was typed → what should be there: the project made exact, and what must be looked at to plan it.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;

use super::args::Scale;
use super::error::{CommandError, ExitStatus};
use super::invocation::{Flag, Invocation};
use super::select;
use crate::compose::Project;
use crate::compose::source::Source;
use crate::desired::{self, BuildSpec, DesiredError, DesiredErrors, DesiredState, PullPolicy};
use crate::observed::{ImageQuery, Refresh, Scope, Subnets};
use crate::plan::{BuildImages, Dependencies};
use crate::value::{Duration, NameError, ServiceName};

/// The values of `--pull`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PullChoice {
    /// Each time
    Always,
    /// When it is not here
    #[value(alias = "if_not_present")]
    Missing,
    /// Never
    Never,
    /// Never what can be built: that is built when it is not here
    Build,
}

impl From<PullChoice> for PullPolicy {
    fn from(choice: PullChoice) -> Self {
        match choice {
            PullChoice::Always => Self::Always,
            PullChoice::Missing => Self::Missing,
            PullChoice::Never => Self::Never,
            PullChoice::Build => Self::Build,
        }
    }
}

/// Returns which images are built, by the flags `--build` and `--no-build`.
pub(super) fn builds(all: Flag, none: Flag) -> BuildImages {
    match (all.is_set(), none.is_set()) {
        (true, _) => BuildImages::All,
        (false, true) => BuildImages::None,
        (false, false) => BuildImages::Missing,
    }
}

/// Returns the services that come up: the named ones and, where wanted, what they depend on.
pub(super) fn meant(
    desired: &DesiredState,
    named: &BTreeSet<ServiceName>,
    dependencies: Dependencies,
) -> BTreeSet<ServiceName> {
    let mut meant: BTreeSet<ServiceName> = BTreeSet::new();
    let mut next: Vec<&ServiceName> = desired
        .services
        .keys()
        .filter(|name| named.is_empty() || named.contains(*name))
        .collect();
    while let Some(name) = next.pop() {
        if meant.insert(name.clone())
            && dependencies == Dependencies::Include
            && let Some(service) = desired.services.get(name)
        {
            next.extend(service.dependencies.keys());
        }
    }
    meant
}

/// Loads the project and makes it exact.
pub(super) fn state(
    invocation: &Invocation,
    services: &[String],
    scale: &[Scale],
) -> Result<DesiredState, CommandError> {
    expand(&invocation.load(services)?, scale, invocation.source())
}

/// Makes a project exact.
pub(super) fn expand(
    project: &Project,
    scale: &[Scale],
    source: &dyn Source,
) -> Result<DesiredState, CommandError> {
    let known: Vec<&str> = project.services.keys().map(String::as_str).collect();
    let mut counts = BTreeMap::new();
    for wish in scale {
        if !known.contains(&wish.service.as_str()) {
            return Err(select::no_such_service(&wish.service, &known));
        }
        counts.insert(service(&wish.service)?, wish.replicas);
    }
    Ok(desired::expand(
        project,
        &desired::Options {
            scale: counts,
            source,
        },
    )?)
}

/// Returns what must be looked at to plan a project: all that it uses, the images too.
pub(super) fn scope(desired: &DesiredState, pull: Option<PullPolicy>) -> Scope {
    let mut images: Vec<ImageQuery> = Vec::new();
    let specs = desired.services.values().flat_map(|service| {
        let replicas = service.replicas.iter();
        replicas.map(move |spec| (service, spec))
    });
    for (service, spec) in specs {
        let refresh = match pull.unwrap_or(spec.image.pull) {
            _ if service.built_name.is_some() => Refresh::No,
            PullPolicy::Always | PullPolicy::Every(_) => Refresh::Ask,
            PullPolicy::Missing | PullPolicy::Never | PullPolicy::Build => Refresh::No,
        };
        let further = spec
            .hooks
            .pre_start
            .iter()
            .filter_map(|hook| hook.image.clone());
        images.extend(further.map(|reference| ImageQuery {
            reference,
            platform: None,
            refresh: Refresh::No,
        }));
        images.push(ImageQuery {
            reference: spec.image.reference.clone(),
            platform: spec.image.platform.clone(),
            refresh,
        });
    }
    let builds = desired.services.values();
    let mut open: Vec<&BuildSpec> = builds.filter_map(|it| it.build.as_deref()).collect();
    while let Some(build) = open.pop() {
        for (_, other) in build.others() {
            images.push(ImageQuery {
                reference: other.image.clone(),
                platform: other.platform.clone(),
                refresh: Refresh::No,
            });
            open.push(other);
        }
    }
    images.sort_unstable();
    images.dedup();
    let fixes_subnets = desired
        .networks
        .values()
        .flat_map(|network| &network.ipam.pools)
        .any(|pool| pool.subnet.is_some());
    Scope {
        project: desired.project.clone(),
        networks: desired
            .networks
            .values()
            .map(|network| network.name.clone())
            .collect(),
        volumes: desired
            .volumes
            .values()
            .map(|volume| volume.name.clone())
            .collect(),
        images,
        subnets: if fixes_subnets {
            Subnets::Occupied
        } else {
            Subnets::Unasked
        },
    }
}

/// Reads names of services.
pub(super) fn services(names: &[String]) -> Result<BTreeSet<ServiceName>, CommandError> {
    names.iter().map(|name| service(name)).collect()
}

/// Reads the name of a service.
pub(super) fn service(name: &str) -> Result<ServiceName, CommandError> {
    name.parse()
        .map_err(|error: NameError| CommandError::room(ExitStatus::Usage, error))
}

/// More seconds than anything waits for; nearly three centuries.
const FOREVER_SECONDS: i64 = i64::MAX / NANOSECONDS;
const NANOSECONDS: i64 = 1_000_000_000;

/// Returns a number of seconds as a span of time; a negative one means without end, as it does to Docker.
pub(super) fn seconds(count: i64) -> Duration {
    let count = if count < 0 { FOREVER_SECONDS } else { count };
    Duration::from_nanoseconds(count.min(FOREVER_SECONDS) * NANOSECONDS)
}

impl From<DesiredErrors> for CommandError {
    fn from(errors: DesiredErrors) -> Self {
        let one = |error: DesiredError| {
            let place = error.place().cloned();
            place
                .into_iter()
                .fold(Self::room(ExitStatus::Compose, error), Self::at)
        };
        Self::several(ExitStatus::Compose, errors.0.into_iter().map(one).collect())
    }
}
