//! The images of a project → the same images, named by the digests that their registries have now.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};

use super::engine;
use super::error::{CommandError, ExitStatus};
use super::event_loop::block_on;
use super::invocation::Invocation;
use crate::compose::Project;
use crate::runtime::image::remote_digest;
use crate::value::{Digest, ImageRef, RegistryRef};

/// How many names are asked for at the same time.
const QUESTIONS_LIMIT: usize = 8;

/// Names every image by its digest, as Docker Compose writes it; images on this disk have none and stay.
pub(super) fn images(invocation: &Invocation, project: &mut Project) -> Result<(), CommandError> {
    let registries = engine::registries(&invocation.environment)
        .map_err(|error| CommandError::room(ExitStatus::Usage, error))?;
    let credentials = engine::credentials(&invocation.environment);
    let names: BTreeMap<String, RegistryRef> = project
        .services
        .iter()
        .filter_map(|(service, it)| match it.image.as_deref()?.parse() {
            Ok(ImageRef::Registry(name)) => Some((service.clone(), name)),
            Ok(ImageRef::Local(_)) | Err(_) => None,
        })
        .collect();
    let asked: BTreeSet<&RegistryRef> = names.values().filter(|it| it.digest().is_none()).collect();
    let answers: Vec<_> = block_on(async {
        let ask = |name: &RegistryRef| {
            let (name, registries, credentials) = (name.clone(), &registries, &credentials);
            async move {
                (
                    name.clone(),
                    remote_digest(&name, registries, credentials).await,
                )
            }
        };
        let questions = stream::iter(asked.into_iter().map(ask));
        Ok(questions.buffered(QUESTIONS_LIMIT).collect().await)
    })?;
    let mut digests: BTreeMap<RegistryRef, Digest> = BTreeMap::new();
    let mut failures = Vec::new();
    for (name, answer) in answers {
        match answer {
            Ok(digest) => drop(digests.insert(name, digest)),
            Err(error) => failures.push(failure(project, &names, &name, error)),
        }
    }
    if !failures.is_empty() {
        return Err(CommandError::several(ExitStatus::Failed, failures));
    }
    for (service, name) in &names {
        let pinned = match (name.digest(), digests.get(name)) {
            // A tag beside a digest says nothing more.
            (Some(digest), _) => format!("{}/{}@{digest}", name.registry(), name.repository()),
            (None, Some(digest)) => format!("{}@{digest}", name.canonical()),
            (None, None) => continue,
        };
        if let Some(service) = project.services.get_mut(service) {
            service.image = Some(pinned);
        }
    }
    Ok(())
}

/// Says which name has no digest, and where it is written.
fn failure(
    project: &Project,
    names: &BTreeMap<String, RegistryRef>,
    name: &RegistryRef,
    error: crate::runtime::image::ImageError,
) -> CommandError {
    let users = names.iter().filter(|(_, other)| *other == name);
    let places =
        users.filter_map(|(service, _)| project.places.get(&format!("services.{service}.image")));
    let refused = CommandError::room(ExitStatus::Failed, error);
    places.fold(refused, CommandError::at)
}
