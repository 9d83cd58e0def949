//! What containers need: images, networks and volumes, made and removed.

use super::act::{Done, done};
use super::world::World;
use crate::desired::{ContainerSpec, NetworkSpec, VolumeSpec};
use crate::engine::{EngineError, Performed};
use crate::observed::{ObservedImage, ObservedNetwork, ObservedVolume};
use crate::value::{ImageRef, NetworkName, ProjectName, VolumeName};
use std::collections::BTreeMap;

impl World {
    pub(super) fn pull(&mut self, image: &ImageRef) -> Done {
        let Some(id) = self.registry.get(image).cloned() else {
            let tried = vec!["the registry in memory".to_owned()];
            return Err(EngineError::ImageNotFound {
                image: image.clone(),
                tried,
                source: None,
            });
        };
        Ok(self.keep_image(image, id))
    }

    /// Makes an image out of nothing; each build gives another one.
    pub(super) fn build(&mut self, image: &ImageRef) -> Performed {
        let id = format!("built-{}", self.images.len());
        self.keep_image(image, id)
    }

    fn keep_image(&mut self, image: &ImageRef, id: String) -> Performed {
        let observed = ObservedImage {
            id: id.clone(),
            references: vec![image.clone()],
            platform: None,
            manifest: None,
            latest: None,
            size_bytes: 0,
            created: None,
            fetched: Some(self.now()),
        };
        self.images.insert(image.clone(), observed);
        Performed::Image { id }
    }

    pub(super) fn create_network(&mut self, spec: &NetworkSpec) -> Performed {
        let id = self.new_id();
        let network = ObservedNetwork {
            id,
            name: spec.name.clone(),
            project: Some(spec.project.clone()),
            key: spec.key.clone(),
            spec: serde_json::to_value(spec).unwrap_or_default(),
            hash: String::new(),
            labels: spec.labels.clone(),
            created: Some(self.now()),
            others: Vec::new(),
        };
        self.networks.entry(spec.name.clone()).or_insert(network);
        Performed::Done
    }

    pub(super) fn remove_network(&mut self, name: &NetworkName) -> Done {
        let users = self.containers.values();
        if let Some(user) = users
            .into_iter()
            .find(|kept| kept.observed.endpoints.contains_key(name))
        {
            let act = format!("remove network `{name}`");
            let cause = format!("container `{}` is connected to it", user.observed.name);
            return Err(EngineError::act(act, cause));
        }
        Ok(done(self.networks.remove(name)))
    }

    pub(super) fn create_volume(&mut self, spec: &VolumeSpec) -> Performed {
        let volume = ObservedVolume {
            key: spec.key.clone(),
            spec: serde_json::to_value(spec).unwrap_or_default(),
            labels: spec.labels.clone(),
            ..self.volume(&spec.name, &spec.project)
        };
        self.volumes.entry(spec.name.clone()).or_insert(volume);
        Performed::Done
    }

    /// A volume of which no file says anything.
    fn volume(&self, name: &VolumeName, project: &ProjectName) -> ObservedVolume {
        ObservedVolume {
            name: name.clone(),
            project: Some(project.clone()),
            mountpoint: None,
            key: String::new(),
            spec: serde_json::Value::Null,
            hash: String::new(),
            labels: BTreeMap::new(),
            created: Some(self.now()),
        }
    }

    pub(super) fn anonymous_volume(&mut self, spec: &ContainerSpec) -> Option<VolumeName> {
        let name: VolumeName = self.new_id().parse().ok()?;
        let volume = self.volume(&name, &spec.project);
        self.volumes.insert(name.clone(), volume);
        Some(name)
    }

    pub(super) fn remove_volume(&mut self, name: &VolumeName) -> Done {
        let mut users = self.containers.values();
        if let Some(user) = users.find(|kept| kept.observed.volumes.contains(name)) {
            let act = format!("remove volume `{name}`");
            let cause = format!("container `{}` mounts it", user.observed.name);
            return Err(EngineError::act(act, cause));
        }
        Ok(done(self.volumes.remove(name)))
    }
}
