//! An engine that keeps everything in this process: actions onto plain data.
//!
//! It is as strict as a kernel: a network with containers on it cannot be removed, a running
//! container neither, a port is published once. So a plan that works here is in a valid order.
//!
//! | file | what it is |
//! |---|---|
//! | `world` | what there is |
//! | `act` | an action onto it, and the events of that |
//! | `container`, `resource` | what the actions do |
//!
//! **Invariant:** there is no clock; every action takes one second of a time of its own.

mod world;
mod act;
mod container;
mod resource;

use super::{
    AttachRequest, ContainerEvent, CopyRequest, Engine, EngineError, EventStream, EventsFrom,
    ExecRequest, Foreground, LockHolder, LockWait, LogQuery, LogStream, Performed, ProcessRow,
    Progress, ProjectLock, Stats,
};
use crate::desired::InjectedFile;
use crate::observed::{Damage, Health, ObservedImage, ObservedState, ProjectSummary, Scope};
use crate::plan::{Action, Occasion, Until};
use crate::runtime::copy::Links;
use crate::value::{ContainerName, ImageRef, ProjectName, ServiceName};
use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, future, stream};
use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{broadcast, watch};
use world::World;

/// Events that a reader may be late by before it loses some.
const EVENTS_QUEUED: usize = 1024;

/// A project's lock, and who took it last.
type Lock = (LockHolder, Arc<tokio::sync::Mutex<u64>>);

/// An engine without a machine.
#[derive(Debug)]
pub struct Memory {
    world: Mutex<World>,
    /// Counts the actions, so that waiting ends when something may have changed.
    changes: watch::Sender<u64>,
    events: broadcast::Sender<ContainerEvent>,
    locks: Mutex<BTreeMap<ProjectName, Lock>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Makes an engine with nothing in it.
    pub fn new() -> Self {
        Self {
            world: Mutex::new(World::default()),
            changes: watch::Sender::new(0),
            events: broadcast::Sender::new(EVENTS_QUEUED),
            locks: Mutex::new(BTreeMap::new()),
        }
    }

    /// Puts an image where it can be fetched from; another `id` is another image.
    pub fn publish(&self, image: &ImageRef, id: &str) {
        self.world().registry.insert(image.clone(), id.to_owned());
    }

    /// Makes every container of a service end at once with an exit code.
    pub fn exits(&self, service: &ServiceName, exit_code: i32) {
        self.world().exits.insert(service.clone(), exit_code);
    }

    /// Gives every container of a service this health once it runs.
    pub fn health(&self, service: &ServiceName, health: Health) {
        self.world().health.insert(service.clone(), health);
    }

    /// Makes the action fail that comes after `actions` more.
    pub fn fail_after(&self, actions: usize) {
        self.world().fail_in = Some(actions);
    }

    /// What was done so far, as text such as `start container demo-web-1`.
    pub fn history(&self) -> Vec<String> {
        self.world().history.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // The data are consistent after every statement, also where a thread has panicked.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_until(
        &self,
        name: &ContainerName,
        until: Until,
    ) -> Result<Performed, EngineError> {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(answer) = self.world().answer(name, until) {
                return answer;
            }
            if changes.changed().await.is_err() {
                return Err(EngineError::ContainerNotFound { name: name.clone() });
            }
        }
    }
}

#[async_trait]
impl Engine for Memory {
    async fn observe(&self, scope: &Scope) -> Result<ObservedState, EngineError> {
        Ok(self.world().observe(scope))
    }

    async fn perform(
        &self,
        action: &Action,
        _progress: &dyn Progress,
    ) -> Result<Performed, EngineError> {
        // Others may act in between, as on a machine.
        tokio::task::yield_now().await;
        self.world().account(action)?;
        if let Action::WaitContainer { name, until, .. } = action {
            return self.wait_until(name, *until).await;
        }
        let performed = self.world().perform(action, &self.events);
        self.changes.send_modify(|count| *count += 1);
        performed
    }

    async fn lock(
        &self,
        project: &ProjectName,
        holder: &LockHolder,
        wait: LockWait,
    ) -> Result<ProjectLock, EngineError> {
        let (other, lock) = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = || (holder.clone(), Arc::new(tokio::sync::Mutex::new(0)));
            locks.entry(project.clone()).or_insert_with(fresh).clone()
        };
        let mut held = match (Arc::clone(&lock).try_lock_owned(), wait) {
            (Ok(held), _) => held,
            (Err(_), LockWait::Wait) => lock.lock_owned().await,
            (Err(_), LockWait::Fail) => {
                return Err(EngineError::ProjectLocked {
                    project: project.clone(),
                    holder: other,
                });
            }
        };
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = locks.get_mut(project) {
            entry.0 = holder.clone();
        }
        *held += 1;
        Ok(ProjectLock::new(*held, held))
    }

    async fn mend(&self, _project: &ProjectName) -> Result<Vec<Damage>, EngineError> {
        Ok(Vec::new())
    }

    async fn forget(&self, _project: &ProjectName) -> Result<(), EngineError> {
        Ok(())
    }

    async fn projects(&self) -> Result<Vec<ProjectSummary>, EngineError> {
        Ok(self.world().projects())
    }

    async fn images(&self) -> Result<Vec<ObservedImage>, EngineError> {
        Ok(self.world().images.values().cloned().collect())
    }

    async fn logs(
        &self,
        container: &ContainerName,
        _query: &LogQuery,
    ) -> Result<LogStream, EngineError> {
        self.world().container(container)?;
        // Nothing runs here, so nothing is written.
        Ok(stream::empty().boxed())
    }

    async fn events(
        &self,
        project: &ProjectName,
        _from: EventsFrom,
    ) -> Result<EventStream, EngineError> {
        // Nothing is kept here of what has happened.
        let project = project.to_string();
        let events = stream::unfold(self.events.subscribe(), |mut events| async {
            loop {
                match events.recv().await {
                    Ok(event) => return Some((event, events)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        let of_project = move |event: &ContainerEvent| {
            std::future::ready(event.attributes.get("project") == Some(&project))
        };
        Ok(events.filter(of_project).map(Ok).boxed())
    }

    async fn exec(
        &self,
        container: &ContainerName,
        _request: ExecRequest,
    ) -> Result<i32, EngineError> {
        self.world().running(container)?;
        Ok(0)
    }

    async fn attach(
        &self,
        container: &ContainerName,
        _request: AttachRequest,
    ) -> Result<Option<i32>, EngineError> {
        self.wait(container).await.map(Some)
    }

    async fn start_in_foreground(
        &self,
        container: &ContainerName,
        files: Vec<InjectedFile>,
        _request: AttachRequest,
    ) -> Result<Foreground, EngineError> {
        let start = Action::StartContainer {
            name: container.clone(),
            files,
            occasion: Occasion::Start,
        };
        let _performed = self.perform(&start, &()).await?;
        // Nothing runs here, so it has ended unless something else is said of its service.
        let ended = self.world().ended(container)?;
        Ok(future::ready(Ok(ended)).boxed())
    }

    async fn copy(
        &self,
        container: &ContainerName,
        _request: CopyRequest,
    ) -> Result<u64, EngineError> {
        // Containers have no files here.
        self.world().container(container)?;
        Ok(0)
    }

    async fn export(&self, container: &ContainerName, _to: OwnedFd) -> Result<(), EngineError> {
        self.world().container(container).map(|_| ())
    }

    async fn pack(
        &self,
        container: &ContainerName,
        _what: (PathBuf, Links),
        _to: OwnedFd,
    ) -> Result<(), EngineError> {
        self.world().container(container).map(|_| ())
    }

    async fn unpack(
        &self,
        container: &ContainerName,
        _archive: OwnedFd,
        _into: PathBuf,
    ) -> Result<(), EngineError> {
        self.world().container(container).map(|_| ())
    }

    async fn wait(&self, container: &ContainerName) -> Result<i32, EngineError> {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(exit_code) = self.world().ended(container)? {
                return Ok(exit_code);
            }
            if changes.changed().await.is_err() {
                return Err(EngineError::ContainerNotFound {
                    name: container.clone(),
                });
            }
        }
    }

    async fn top(&self, container: &ContainerName) -> Result<Vec<ProcessRow>, EngineError> {
        self.world().running(container)?;
        Ok(Vec::new())
    }

    async fn stats(&self, container: &ContainerName) -> Result<Stats, EngineError> {
        self.world().container(container)?;
        Ok(Stats::default())
    }
}
