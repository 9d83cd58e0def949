//! Actions onto the world, each refused where a machine would refuse it.

use super::world::{Kept, World};
use crate::engine::{ContainerEvent, EngineError, EventKind, Performed};
use crate::observed::RunState;
use crate::plan::Action;
use crate::value::ContainerName;
use std::collections::BTreeMap;
use tokio::sync::broadcast;

/// What `SIGKILL` ends a process with.
const KILLED: i32 = 137;

/// What comes of an action.
pub(super) type Done = Result<Performed, EngineError>;

impl World {
    /// Does what an action says, and tells what has become of the containers.
    pub(super) fn perform(
        &mut self,
        action: &Action,
        events: &broadcast::Sender<ContainerEvent>,
    ) -> Done {
        let before = self.containers.clone();
        let done = self.act(action)?;
        self.tell(&before, events);
        Ok(done)
    }

    fn act(&mut self, action: &Action) -> Done {
        match action {
            Action::PullImage { image, .. } => self.pull(image),
            Action::BuildImage(request) => Ok(self.build(&request.image)),
            Action::RemoveImage { image } => Ok(done(self.images.remove(image))),
            Action::CreateNetwork(spec) => Ok(self.create_network(spec)),
            Action::RemoveNetwork { name } => self.remove_network(name),
            Action::CreateVolume(spec) => Ok(self.create_volume(spec)),
            Action::RemoveVolume { name } => self.remove_volume(name),
            Action::CreateContainer {
                spec,
                name,
                inherit,
            } => self.create_container(spec, name, inherit.as_ref()),
            Action::StartContainer { name, .. } => self.start(name),
            Action::StopContainer { name, .. } => self.end(name, 0),
            Action::KillContainer { name, .. } => self.end(name, KILLED),
            Action::PauseContainer { name } => {
                self.freeze(name, RunState::Running, RunState::Paused)
            }
            Action::UnpauseContainer { name } => {
                self.freeze(name, RunState::Paused, RunState::Running)
            }
            Action::RemoveContainer { name, volumes } => self.remove_container(name, *volumes),
            Action::RenameContainer { name, to } => self.rename(name, to),
            Action::UpdateContainer { name, spec } => self.update(name, spec),
            Action::ConnectNetwork {
                container,
                endpoint,
            } => self.connect(container, endpoint),
            Action::DisconnectNetwork { container, network } => Ok(done(
                self.container_mut(container)?
                    .observed
                    .endpoints
                    .remove(network),
            )),
            Action::WaitContainer { name, until, .. } => {
                self.answer(name, *until).unwrap_or(Ok(Performed::Done))
            }
            Action::RunHook { container, .. } => {
                self.container(container)?;
                Ok(Performed::Ended { exit_code: 0 })
            }
        }
    }

    /// Tells what has become of the containers.
    fn tell(
        &self,
        before: &BTreeMap<ContainerName, Kept>,
        events: &broadcast::Sender<ContainerEvent>,
    ) {
        for (name, kept) in &self.containers {
            let old = before.get(name).map(|old| old.observed.state);
            let kind = match (old, kept.observed.state) {
                (None, _) => EventKind::Create,
                (Some(old), new) if old == new => continue,
                (Some(RunState::Paused), RunState::Running) => EventKind::Unpause,
                (Some(_), RunState::Paused) => EventKind::Pause,
                (Some(_), RunState::Running) => EventKind::Start,
                (Some(_), _) => EventKind::Die {
                    exit_code: kept.observed.exit_code,
                },
            };
            self.send(kept, kind, events);
        }
        for (name, kept) in before {
            if !self.containers.contains_key(name) {
                self.send(kept, EventKind::Destroy, events);
            }
        }
    }

    fn send(&self, kept: &Kept, kind: EventKind, events: &broadcast::Sender<ContainerEvent>) {
        let project = ("project".to_owned(), kept.spec.project.to_string());
        let image = ("image".to_owned(), kept.observed.image.clone());
        let event = ContainerEvent {
            time: self.now(),
            id: kept.observed.id.clone(),
            container: kept.observed.name.clone(),
            service: kept.spec.service.clone(),
            kind,
            attributes: BTreeMap::from([project, image]),
        };
        // Nobody listening is not an error.
        drop(events.send(event));
    }
}

/// Something that is gone already was removed as well.
pub(super) fn done<T>(_removed: Option<T>) -> Performed {
    Performed::Done
}
