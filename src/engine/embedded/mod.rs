//! The embedded engine: actions onto this machine's own kernel, through `runtime`.
//!
//! A command holds no state: everything is in the state and run directories and in the kernel. What
//! outlives the command is one monitor per container.
//!
//! | files | what they do |
//! |---|---|
//! | `inner`, `record`, `names`, `turns` | what all share: directories, records, who has which name, whose turn it is |
//! | `build` | images of services, built |
//! | `image`, `volume`, `network`, `holder` | what containers need |
//! | `container`, `plug` | containers made, changed and removed; connected to networks |
//! | `assemble`, `describe` | what a monitor and the runtime need to know of one |
//! | `start`, `stop`, `exec`, `foreground` | containers run, programs in them, and containers in the foreground |
//! | `observe`, `process`, `logs`, `events` | what is there, what it wrote, what happened |
//! | `watch`, `wait` | until something changes |
//! | `workshop` | what builds work with |
//! | `recover`, `mend` | what a crash interrupted, and what it damaged |

mod assemble;
mod build;
mod container;
mod describe;
mod events;
mod before_start;
mod exec;
mod files;
mod relay;
mod foreground;
mod holder;
mod image;
mod inner;
mod logs;
mod mend;
mod names;
mod network;
mod observe;
mod plug;
mod process;
mod record;
mod recover;
mod start;
mod stop;
mod turns;
mod volume;
mod wait;
mod watch;
mod workshop;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    AttachRequest, CopyRequest, Engine, EngineError, EventStream, EventsFrom, ExecRequest,
    Foreground, LockHolder, LockWait, LogQuery, LogStream, Performed, ProcessRow, Progress,
    ProjectLock, Stats,
};
use crate::desired::{BuildSpec, HookStage, InjectedFile};
use crate::observed::{Damage, ObservedImage, ObservedState, ProjectSummary, Scope};
use crate::plan::Action;
use crate::runtime::build::{Events, Prepared, Workshop};
use crate::runtime::copy::Links;
use crate::runtime::image::{Pruned, Store, StoredImage};
use crate::runtime::kernel::thread;
use crate::value::{ContainerName, ProjectName};
use inner::Inner;
pub use inner::Options;

/// The engine of this machine's own kernel.
#[derive(Debug, Clone)]
pub struct Embedded {
    inner: Arc<Inner>,
}

impl Embedded {
    /// Opens the state directory, which is made where it is missing.
    ///
    /// For an ordinary user the calling process joins the user's own namespaces, so this must come
    /// before any other thread starts.
    pub fn open(options: Options) -> Result<Self, EngineError> {
        Ok(Self {
            inner: Arc::new(Inner::open(options)?),
        })
    }

    /// Returns the image store.
    pub fn images(&self) -> &Store {
        &self.inner.store
    }

    /// Returns what builds on this machine work with.
    pub fn workshop(&self, events: Events) -> Workshop {
        Inner::workshop(&self.inner, events)
    }

    /// Brings the contexts of a service's build here.
    pub async fn prepare_build(&self, spec: &BuildSpec) -> Result<Prepared, EngineError> {
        self.inner.prepare_build(spec).await
    }

    /// Returns the name of a new folder for unfinished things; nothing is made.
    pub fn scratch(&self, kind: &str) -> PathBuf {
        self.inner.layout.scratch(kind)
    }

    /// Removes from the disk what no image with a name and no container needs.
    pub fn prune_images(&self) -> Result<Pruned, EngineError> {
        self.inner.prune_images()
    }

    /// Returns the containers that were made from an image, by their names.
    pub fn containers_of(&self, image: &StoredImage) -> Result<Vec<String>, EngineError> {
        self.inner.containers_of(image)
    }

    /// Runs blocking work beside the async tasks.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let inner = Arc::clone(&self.inner);
        let done = thread::beside(move || work(&inner)).await;
        done.map_err(|error| EngineError::act("finish a task of the engine", error))?
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn observe(&self, scope: &Scope) -> Result<ObservedState, EngineError> {
        let mut state = self.inner.observe(scope)?;
        self.inner.ask_registries(scope, &mut state).await;
        Ok(state)
    }

    async fn perform(
        &self,
        action: &Action,
        progress: &dyn Progress,
    ) -> Result<Performed, EngineError> {
        match action {
            Action::PullImage { image, platform } => {
                self.inner.pull(image, platform.as_ref(), progress).await
            }
            Action::WaitContainer {
                name,
                until,
                timeout,
                ..
            } => self.wait_until(name, *until, *timeout).await,
            Action::RunHook {
                container,
                stage: HookStage::PreStart,
                index,
                hook,
            } => self.run_before_start(container, *index, hook).await,
            Action::RunHook {
                container, hook, ..
            } => self.run_hook(container, hook).await,
            Action::BuildImage(request) => Inner::build(&self.inner, request, progress).await,
            Action::RemoveImage { .. }
            | Action::CreateNetwork(_)
            | Action::RemoveNetwork { .. }
            | Action::CreateVolume(_)
            | Action::RemoveVolume { .. }
            | Action::CreateContainer { .. }
            | Action::StartContainer { .. }
            | Action::StopContainer { .. }
            | Action::KillContainer { .. }
            | Action::PauseContainer { .. }
            | Action::UnpauseContainer { .. }
            | Action::RemoveContainer { .. }
            | Action::RenameContainer { .. }
            | Action::UpdateContainer { .. }
            | Action::ConnectNetwork { .. }
            | Action::DisconnectNetwork { .. } => {
                let action = action.clone();
                self.blocking(move |inner| inner.perform(&action)).await
            }
        }
    }

    async fn lock(
        &self,
        project: &ProjectName,
        holder: &LockHolder,
        wait: LockWait,
    ) -> Result<ProjectLock, EngineError> {
        let (project, holder) = (project.clone(), holder.clone());
        let inner = Arc::clone(&self.inner);
        self.blocking(move |_| Inner::lock(&inner, &project, &holder, wait))
            .await
    }

    async fn mend(&self, project: &ProjectName) -> Result<Vec<Damage>, EngineError> {
        let project = project.clone();
        self.blocking(move |inner| inner.mend(&project)).await
    }

    async fn forget(&self, project: &ProjectName) -> Result<(), EngineError> {
        let project = project.clone();
        self.blocking(move |inner| inner.forget_project(&project))
            .await
    }

    async fn projects(&self) -> Result<Vec<ProjectSummary>, EngineError> {
        self.inner.projects()
    }

    async fn images(&self) -> Result<Vec<ObservedImage>, EngineError> {
        self.inner.images()
    }

    async fn logs(
        &self,
        container: &ContainerName,
        query: &LogQuery,
    ) -> Result<LogStream, EngineError> {
        self.inner.logs(container, query)
    }

    async fn events(
        &self,
        project: &ProjectName,
        from: EventsFrom,
    ) -> Result<EventStream, EngineError> {
        self.inner.events(project, from)
    }

    async fn exec(
        &self,
        container: &ContainerName,
        request: ExecRequest,
    ) -> Result<i32, EngineError> {
        self.exec_inside(container, request).await
    }

    async fn attach(
        &self,
        container: &ContainerName,
        request: AttachRequest,
    ) -> Result<Option<i32>, EngineError> {
        self.attach_to(container, request).await
    }

    async fn start_in_foreground(
        &self,
        container: &ContainerName,
        files: Vec<InjectedFile>,
        request: AttachRequest,
    ) -> Result<Foreground, EngineError> {
        self.run_in_foreground(container, files, request).await
    }

    async fn copy(
        &self,
        container: &ContainerName,
        request: CopyRequest,
    ) -> Result<u64, EngineError> {
        let name = container.clone();
        self.blocking(move |inner| inner.copy_files(&name, &request))
            .await
    }

    async fn export(&self, container: &ContainerName, to: OwnedFd) -> Result<(), EngineError> {
        let name = container.clone();
        self.blocking(move |inner| inner.export(&name, to)).await
    }

    async fn pack(
        &self,
        container: &ContainerName,
        (path, links): (PathBuf, Links),
        to: OwnedFd,
    ) -> Result<(), EngineError> {
        let name = container.clone();
        self.blocking(move |inner| inner.pack(&name, (&path, links), to))
            .await
    }

    async fn unpack(
        &self,
        container: &ContainerName,
        archive: OwnedFd,
        into: PathBuf,
    ) -> Result<(), EngineError> {
        let name = container.clone();
        self.blocking(move |inner| inner.unpack(&name, archive, &into))
            .await
    }

    async fn wait(&self, container: &ContainerName) -> Result<i32, EngineError> {
        self.wait_for_end(container).await
    }

    async fn top(&self, container: &ContainerName) -> Result<Vec<ProcessRow>, EngineError> {
        self.inner.top(container)
    }

    async fn stats(&self, container: &ContainerName) -> Result<Stats, EngineError> {
        self.inner.stats(container)
    }
}

/// What this engine does not do.
fn not_supported(what: impl Into<String>) -> EngineError {
    EngineError::NotSupported {
        what: what.into(),
        engine: "embedded",
    }
}
