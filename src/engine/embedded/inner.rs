//! What all parts of the engine share: directories, the image store, our own program and journals.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::holder::Holder;
use super::not_supported;
use super::turns::Turns;
use crate::engine::{EngineError, EventKind, LockHolder, LockWait, Performed, ProjectLock};
use crate::plan::{Action, Occasion};
use crate::runtime::image::{Credentials, RegistrySettings, Store};
use crate::runtime::kernel::reexec::OwnProgram;
use crate::runtime::store::{
    Contention, Durability, Entry, FileLock, Journal, Layout, LockHolder as StoredHolder,
    StoreError, remove_abandoned, remove_tree, retire, set_aside,
};
use crate::runtime::volume::VolumeStore;
use crate::value::ProjectName;

/// Where the engine keeps its things, and where images come from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state directory.
    pub state_dir: PathBuf,
    /// The directory on memory below which each state directory has its run directory.
    pub run_base: PathBuf,
    /// Mirrors and rules of registries.
    pub registries: RegistrySettings,
    /// What is shown to registries that ask.
    pub credentials: Credentials,
    /// The user's variables: what `git` and agents of builds need.
    pub variables: BTreeMap<String, String>,
}

/// The engine itself.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) layout: Layout,
    pub(super) boot_id: String,
    pub(super) program: OwnProgram,
    pub(super) store: Store,
    pub(super) volumes: VolumeStore,
    pub(super) registries: RegistrySettings,
    pub(super) credentials: Credentials,
    pub(super) variables: BTreeMap<String, String>,
    /// The holder of this user's namespaces; `None` as root.
    pub(super) holder: Option<Holder>,
    /// Whose record is being changed now.
    pub(super) turns: Turns,
    /// Held while a container with a fixed address starts: two must not find the same address free.
    pub(super) fixed_addresses: Mutex<()>,
    journals: Mutex<BTreeMap<ProjectName, Journal>>,
}

impl Inner {
    pub(super) fn open(options: Options) -> Result<Self, EngineError> {
        let layout = Layout::new(&options.state_dir, &options.run_base);
        layout.prepare().map_err(unreachable)?;
        let holder = super::holder::join_as_user(&options.run_base)?;
        let boot_id = super::process::boot_id()?;
        let program = OwnProgram::open().map_err(unreachable)?;
        let store = Store::open(&layout).map_err(unreachable)?;
        let volumes = VolumeStore::open(&layout.volumes()).map_err(unreachable)?;
        Ok(Self {
            layout,
            boot_id,
            program,
            store,
            volumes,
            registries: options.registries,
            credentials: options.credentials,
            variables: options.variables,
            holder,
            turns: Turns::default(),
            fixed_addresses: Mutex::default(),
            journals: Mutex::default(),
        })
    }

    /// Does an action that blocks no longer than the kernel takes, or its container to end.
    pub(super) fn perform(&self, action: &Action) -> Result<Performed, EngineError> {
        match action {
            Action::CreateNetwork(spec) => self.create_network(spec),
            Action::RemoveNetwork { name } => self.remove_network(name),
            Action::CreateVolume(spec) => self.create_volume(spec),
            Action::RemoveVolume { name } => self.remove_volume(name),
            Action::CreateContainer {
                spec,
                name,
                inherit,
            } => self.create_container(spec, name, inherit.as_ref()),
            Action::StartContainer {
                name,
                files,
                occasion,
            } => {
                let started = self.start_container(name, files)?;
                if *occasion == Occasion::Restart {
                    self.append_event(&self.get(name)?, &EventKind::Restart, &[]);
                }
                Ok(started)
            }
            Action::StopContainer {
                name,
                signal,
                grace,
            } => self.stop_container(name, *signal, *grace),
            Action::KillContainer { name, signal } => self.kill_container(name, *signal),
            Action::PauseContainer { name } => self.pause_container(name),
            Action::UnpauseContainer { name } => self.unpause_container(name),
            Action::RemoveContainer { name, volumes } => self.remove_container(name, *volumes),
            Action::RenameContainer { name, to } => self.rename_container(name, to),
            Action::UpdateContainer { name, spec } => self.update_container(name, spec),
            Action::ConnectNetwork {
                container,
                endpoint,
            } => self.connect_network(container, endpoint),
            Action::DisconnectNetwork { container, network } => {
                self.disconnect_network(container, network)
            }
            Action::RemoveImage { image } => self.remove_image(image),
            Action::PullImage { .. }
            | Action::BuildImage(_)
            | Action::WaitContainer { .. }
            | Action::RunHook { .. } => Err(not_supported(format!(
                "{} in the background",
                action.verb()
            ))),
        }
    }

    /// Takes the project's lock, and finishes or undoes what a crash interrupted.
    pub(super) fn lock(
        this: &Arc<Self>,
        project: &ProjectName,
        holder: &LockHolder,
        wait: LockWait,
    ) -> Result<ProjectLock, EngineError> {
        let path = this.layout.lock(project);
        let us = StoredHolder {
            pid: holder.pid,
            command: holder.command.clone(),
        };
        let contention = match wait {
            LockWait::Wait => Contention::Wait,
            LockWait::Fail => Contention::Fail,
        };
        let file = FileLock::acquire(&path, &us, contention, &|_| {})
            .map_err(|error| lock_error(project, error))?;
        let journal = this.layout.journal(project);
        let opened = match Journal::open(&journal) {
            Err(error) if error.is_damage() => set_aside(&this.layout.damaged(), &journal, &error)
                .and_then(|_| Journal::open(&journal)),
            opened => opened,
        };
        let mut journal = opened.map_err(|error| {
            EngineError::act(format!("read the journal of project `{project}`"), error)
        })?;
        this.recover(project, &mut journal, file.predecessor())?;
        drop(this.journals().insert(project.clone(), journal));
        let (engine, project) = (Arc::clone(this), project.clone());
        Ok(ProjectLock::new(
            file.turn(),
            HeldProject {
                engine,
                project,
                file,
            },
        ))
    }

    /// Removes the journal and folders of a project without containers; what its events say stays.
    fn tidy_folder(&self, project: &ProjectName) {
        let is_empty = match std::fs::remove_dir(self.layout.containers(project)) {
            Ok(()) => true,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if is_empty {
            // What cannot be removed now is there for the next command as well.
            drop(remove_tree(&self.layout.journal(project)));
            drop(std::fs::remove_dir(self.layout.project(project)));
        }
    }

    /// Removes all that is remembered of a project that has no containers any more.
    ///
    /// While its events are followed they stay, and go with the next `down --volumes`.
    pub(super) fn forget_project(&self, project: &ProjectName) -> Result<(), EngineError> {
        let act = |error| EngineError::act(format!("forget project `{project}`"), error);
        let us = StoredHolder {
            pid: std::process::id(),
            command: "consort".to_owned(),
        };
        let path = self.layout.lock(project);
        let Ok(held) = FileLock::acquire(&path, &us, Contention::Fail, &|_| {}) else {
            return Ok(());
        };
        if !self.container_ids(project)?.is_empty() {
            return Ok(());
        }
        let folder = self.layout.project(project);
        let removed = remove_abandoned(&folder).map_err(act);
        retire(self.layout.run_dir(), &held);
        removed
    }

    fn journals(&self) -> MutexGuard<'_, BTreeMap<ProjectName, Journal>> {
        self.journals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `act` between its intent and its `done` in the project's journal.
    ///
    /// Without a held lock nothing is journalled: reading commands change nothing that lasts. Without
    /// room on the disk a removal is not journalled either: what makes room must not need any, and the
    /// next command takes a removal up again wherever it was interrupted.
    pub(super) fn journalled<T>(
        &self,
        project: &ProjectName,
        entry: Entry,
        durability: Durability,
        act: impl FnOnce() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let failed = |error: StoreError| {
            EngineError::act(format!("write the journal of project `{project}`"), error)
        };
        let removes = matches!(
            entry,
            Entry::RemoveContainer { .. } | Entry::RemoveNetwork { .. }
        );
        let if_possible = |error: StoreError| match error {
            error if removes && error.is_want_of_room() => Ok(()),
            error => Err(failed(error)),
        };
        let mut number = None;
        if let Some(journal) = self.journals().get_mut(project) {
            match journal.intent(entry, durability) {
                Ok(given) => number = Some(given),
                Err(error) => if_possible(error)?,
            }
        }
        let result = act()?;
        if let (Some(number), Some(journal)) = (number, self.journals().get_mut(project)) {
            journal.done(number).or_else(if_possible)?;
        }
        Ok(result)
    }
}

/// A project's lock and what goes with it.
#[derive(Debug)]
struct HeldProject {
    engine: Arc<Inner>,
    project: ProjectName,
    file: FileLock,
}

impl Drop for HeldProject {
    fn drop(&mut self) {
        drop(self.engine.journals().remove(&self.project));
        self.engine.tidy_folder(&self.project);
        retire(self.engine.layout.run_dir(), &self.file);
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other error is told as it is"
)]
fn lock_error(project: &ProjectName, error: StoreError) -> EngineError {
    match error {
        StoreError::Held { holder, .. } => EngineError::ProjectLocked {
            project: project.clone(),
            holder: LockHolder {
                pid: holder.pid,
                command: holder.command,
            },
        },
        other => EngineError::act(format!("lock project `{project}`"), other),
    }
}

fn unreachable(source: impl std::error::Error + Send + Sync + 'static) -> EngineError {
    EngineError::Unreachable {
        engine: "embedded",
        source: Box::new(source),
    }
}
