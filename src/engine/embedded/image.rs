//! Images: found, fetched and listed.

use super::inner::Inner;
use super::mend::Damaged;
use super::record::ContainerRecord;
use crate::desired::ContainerSpec;
use crate::engine::{EngineError, Performed, Progress, Update};
use crate::observed::{ImageQuery, ObservedImage, ObservedState, Refresh, Scope};
use crate::runtime::image::{
    ImageError, ImageRecord, LayerState, Pruned, PullOptions, PullProgress, RootSource, StoredImage,
};
use crate::runtime::monitor::bundle::Bundle;
use crate::value::{ImageRef, Platform};

impl Inner {
    /// Fetches an image; what is here already is not fetched again.
    pub(super) async fn pull(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        progress: &dyn Progress,
    ) -> Result<Performed, EngineError> {
        let options = self.pull_options(platform);
        let report = |step: PullProgress| {
            if let Some(update) = update_of(step) {
                progress.update(update);
            }
        };
        let pulled = self.store.pull(image, &options, &report).await;
        let record = pulled.map_err(|error| pull_error(image, error))?;
        Ok(Performed::Image {
            id: record.id.to_string(),
        })
    }

    fn pull_options(&self, platform: Option<&Platform>) -> PullOptions {
        PullOptions {
            platform: platform.cloned(),
            registries: self.registries.clone(),
            credentials: self.credentials.clone(),
        }
    }

    /// Returns the image of a container that is about to be made.
    pub(super) fn image_of(&self, spec: &ContainerSpec) -> Result<ImageRecord, EngineError> {
        let image = &spec.image.reference;
        let found = self.store.find(image);
        let found =
            found.map_err(|error| EngineError::act(format!("find image `{image}`"), error))?;
        found.ok_or_else(|| EngineError::ImageNotFound {
            image: image.clone(),
            tried: Vec::new(),
            source: None,
        })
    }

    /// Returns the images of a scope that are here.
    pub(super) fn observe_images(
        &self,
        scope: &Scope,
        state: &mut ObservedState,
    ) -> Result<(), EngineError> {
        for query in &scope.images {
            let found = self.store.find(&query.reference).map_err(|error| {
                EngineError::act(format!("find image `{}`", query.reference), error)
            })?;
            if let Some(record) = found.filter(|record| fits(record, query)) {
                drop(
                    state
                        .images
                        .insert(query.reference.clone(), self.observed_image(record)),
                );
            }
        }
        if state.images.len() < scope.images.len()
            && let Some((path, error)) = self.store.damage()
        {
            let (path, name) = (path.to_owned(), "index");
            state.damage.push(Damaged { name, path, error }.told());
        }
        Ok(())
    }

    /// Asks registries for what they would send now, where the scope wants to know.
    pub(super) async fn ask_registries(&self, scope: &Scope, state: &mut ObservedState) {
        for query in scope
            .images
            .iter()
            .filter(|query| query.refresh == Refresh::Ask)
        {
            let options = self.pull_options(query.platform.as_ref());
            let latest = self.store.digest_of(&query.reference, &options).await;
            if let (Ok(latest), Some(image)) = (latest, state.images.get_mut(&query.reference)) {
                image.latest = latest;
            }
        }
    }

    /// Lists all images.
    pub(super) fn images(&self) -> Result<Vec<ObservedImage>, EngineError> {
        let listed = self
            .store
            .list()
            .map_err(|error| EngineError::act("list the images", error))?;
        let listed = listed.into_iter();
        Ok(listed.map(|record| self.observed_image(record)).collect())
    }

    fn observed_image(&self, record: ImageRecord) -> ObservedImage {
        let fetched = self.store.arrived(&record);
        let created = match (&record.created, &record.root) {
            (Some(text), _) => text.parse().ok().map(|time: jiff::Timestamp| time.into()),
            // A folder does not say when it was made.
            (None, RootSource::HostDir(_)) => fetched,
            (None, RootSource::Layers(_)) => None,
        };
        ObservedImage {
            id: record.id.to_string(),
            references: vec![record.reference],
            platform: Some(record.platform),
            manifest: record.repo_digest,
            latest: None,
            size_bytes: record.size_bytes,
            created,
            fetched,
        }
    }

    /// Removes layers and blobs that nothing needs.
    pub(super) fn prune_images(&self) -> Result<Pruned, EngineError> {
        let pruned = self
            .store
            .prune(&|id| self.has_record(id), &|| self.roots());
        pruned.map_err(|error| EngineError::act("remove what no image needs", error))
    }

    fn has_record(&self, id: &str) -> bool {
        let projects = self.project_names().unwrap_or_default();
        let mut records = projects
            .iter()
            .map(|project| self.layout.container(project, id).join("record.json"));
        records.any(|record| record.exists())
    }

    /// Returns what the root filesystems of all containers are assembled from.
    ///
    /// A bundle tells it of one whose record cannot be read.
    fn roots(&self) -> Vec<RootSource> {
        let mut roots = Vec::new();
        for project in self.project_names().unwrap_or_default() {
            for id in self.container_ids(&project).unwrap_or_default() {
                let root = self.record(&project, &id).map(|record| record.root);
                let bundle = || Bundle::find(&self.layout.container_run(&id)).ok().flatten();
                roots.extend(root.or_else(|| bundle().map(|bundle| bundle.root)));
            }
        }
        roots
    }

    /// Returns the containers that were made from an image.
    pub(super) fn containers_of(&self, image: &StoredImage) -> Result<Vec<String>, EngineError> {
        let id = image.id.to_string();
        let records = self.all_records()?.into_iter();
        let users = records.filter(|record| record.image_id == id);
        Ok(users.map(|record| record.name.to_string()).collect())
    }

    fn all_records(&self) -> Result<Vec<ContainerRecord>, EngineError> {
        let mut records = Vec::new();
        for project in self.project_names()? {
            records.extend(self.records(&project)?);
        }
        Ok(records)
    }

    /// Removes an image and what only it needed; one that is gone is fine, and one in use stays.
    pub(super) fn remove_image(&self, image: &ImageRef) -> Result<Performed, EngineError> {
        let failed = |error| EngineError::act(format!("remove image `{image}`"), error);
        let records = self.all_records()?.into_iter();
        let mut users = records.filter(|record| record.spec.image.reference == *image);
        if let Some(user) = users.next() {
            let (name, project) = (&user.name, &user.spec.project);
            let notice = format!(
                "image `{image}` stays: container `{name}` of project `{project}` was made from it"
            );
            return Ok(Performed::Warned { notice });
        }
        let _was_here = self.store.remove(image).map_err(failed)?;
        let pruned = self
            .store
            .prune_if_idle(&|id| self.has_record(id), &|| self.roots());
        let _freed = pruned.map_err(failed)?;
        Ok(Performed::Done)
    }
}

fn fits(record: &ImageRecord, query: &ImageQuery) -> bool {
    query
        .platform
        .as_ref()
        .is_none_or(|platform| record.platform.satisfies(platform))
}

fn update_of(step: PullProgress) -> Option<Update> {
    match step {
        PullProgress::Layer { digest, state } => {
            let (doing, current, total) = match state {
                LayerState::Present => ("already exists", 0, None),
                LayerState::Fetching {
                    done_bytes,
                    total_bytes,
                } => ("downloading", done_bytes, Some(total_bytes)),
                LayerState::Finishing => ("extracting", 0, None),
                LayerState::Done => ("pull complete", 0, None),
            };
            let part = digest.to_string();
            Some(Update {
                part,
                doing: doing.to_owned(),
                current,
                total,
            })
        }
        PullProgress::Retry { reason, attempt } => {
            let doing = format!("retrying (attempt {attempt}): {reason}");
            Some(Update {
                part: String::new(),
                doing,
                current: 0,
                total: None,
            })
        }
        PullProgress::Resolved { .. } => None,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other error is told as it is"
)]
fn pull_error(image: &ImageRef, error: ImageError) -> EngineError {
    match error {
        ImageError::NotFound { ref asked, .. } => EngineError::ImageNotFound {
            image: image.clone(),
            tried: asked.clone(),
            source: Some(Box::new(error)),
        },
        other => EngineError::act(format!("pull image `{image}`"), other),
    }
}
