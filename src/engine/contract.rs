//! What every engine can do.

use super::{
    AttachRequest, CopyRequest, EngineError, EventStream, EventsFrom, ExecRequest, Foreground,
    LockHolder, LockWait, LogQuery, LogStream, ProcessRow, Stats,
};
use crate::desired::InjectedFile;
use crate::observed::{Damage, ObservedImage, ObservedState, ProjectSummary, Scope};
use crate::plan::Action;
use crate::runtime::copy::Links;
use crate::value::{ContainerName, ProjectName};
use async_trait::async_trait;
use std::{any::Any, fmt, os::fd::OwnedFd, path::PathBuf};

/// Something that makes containers real.
///
/// Every method may be called at the same time from several tasks. None prints, asks or decides:
/// [`Engine::perform`] does exactly the action, and doing it again once it is done is not an error.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug {
    /// Takes a snapshot of what is there.
    async fn observe(&self, scope: &Scope) -> Result<ObservedState, EngineError>;

    /// Does one action, to its end.
    ///
    /// Dropping the future of an action that [can be abandoned](Action::can_be_abandoned) gives it
    /// up; those of others are always polled to their end.
    async fn perform(
        &self,
        action: &Action,
        progress: &dyn Progress,
    ) -> Result<Performed, EngineError>;

    /// Takes the right to change a project, until the returned lock is dropped.
    async fn lock(
        &self,
        project: &ProjectName,
        holder: &LockHolder,
        wait: LockWait,
    ) -> Result<ProjectLock, EngineError>;

    /// Puts right what an observation found damaged, and says what became of it; the project's lock is held.
    async fn mend(&self, project: &ProjectName) -> Result<Vec<Damage>, EngineError>;

    /// Removes all that is remembered of a project that has nothing left.
    async fn forget(&self, project: &ProjectName) -> Result<(), EngineError>;

    /// Lists the projects that have containers.
    async fn projects(&self) -> Result<Vec<ProjectSummary>, EngineError>;

    /// Lists all images.
    async fn images(&self) -> Result<Vec<ObservedImage>, EngineError>;

    /// Reads what a container has written, and goes on with what it writes where asked to follow.
    async fn logs(
        &self,
        container: &ContainerName,
        query: &LogQuery,
    ) -> Result<LogStream, EngineError>;

    /// Reports what happens to the containers of a project, until it is dropped.
    async fn events(
        &self,
        project: &ProjectName,
        from: EventsFrom,
    ) -> Result<EventStream, EngineError>;

    /// Runs a command inside a container and returns its exit code; 0 at once when detached.
    async fn exec(
        &self,
        container: &ContainerName,
        request: ExecRequest,
    ) -> Result<i32, EngineError>;

    /// Connects to a container's first process and returns its exit code when it ends, or nothing
    /// when the user detached.
    async fn attach(
        &self,
        container: &ContainerName,
        request: AttachRequest,
    ) -> Result<Option<i32>, EngineError>;

    /// Starts a container with its caller's streams, from the first byte that it writes or reads.
    ///
    /// Without a terminal its input ends when the caller's does.
    async fn start_in_foreground(
        &self,
        container: &ContainerName,
        files: Vec<InjectedFile>,
        request: AttachRequest,
    ) -> Result<Foreground, EngineError>;

    /// Copies files between a container, running or not, and the host; returns how many were written.
    async fn copy(
        &self,
        container: &ContainerName,
        request: CopyRequest,
    ) -> Result<u64, EngineError>;

    /// Writes the files of a container as a tar archive, without what is mounted into it.
    async fn export(&self, container: &ContainerName, to: OwnedFd) -> Result<(), EngineError>;

    /// Writes a file or folder of a container as a tar archive.
    async fn pack(
        &self,
        container: &ContainerName,
        what: (PathBuf, Links),
        to: OwnedFd,
    ) -> Result<(), EngineError>;

    /// Unpacks a tar archive, a file that is read from its beginning, into a folder of a container.
    async fn unpack(
        &self,
        container: &ContainerName,
        archive: OwnedFd,
        into: PathBuf,
    ) -> Result<(), EngineError>;

    /// Waits until a container ends and returns its exit code; at once when it does not run.
    async fn wait(&self, container: &ContainerName) -> Result<i32, EngineError>;

    /// Lists a container's processes.
    async fn top(&self, container: &ContainerName) -> Result<Vec<ProcessRow>, EngineError>;

    /// Measures what a container uses now.
    async fn stats(&self, container: &ContainerName) -> Result<Stats, EngineError>;
}

/// Where an engine reports how far an action is.
pub trait Progress: Send + Sync {
    /// Takes an update; it may be dropped when updates come faster than they are shown.
    fn update(&self, update: Update);
}

impl Progress for () {
    fn update(&self, _update: Update) {}
}

/// How far an action is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The part of the action, such as a layer; empty for the whole.
    pub part: String,
    /// What is being done to it, such as `downloading`.
    pub doing: String,
    /// Bytes or other units done.
    pub current: u64,
    /// Units in all, where that is known.
    pub total: Option<u64>,
}

/// What came of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Performed {
    /// It is done.
    #[default]
    Done,
    /// It is done, and the image now has this id.
    Image {
        /// The id of the image that is here now.
        id: String,
    },
    /// What is waited for has become true in this way.
    Ended {
        /// The exit code of what ran.
        exit_code: i32,
    },
    /// A hook has run and written this.
    Said {
        /// As much of it as is told.
        output: String,
    },
    /// It is done with something that the user should know.
    Warned {
        /// What the user should know.
        notice: String,
    },
}

/// The right to change a project; given back when it is dropped, and when the process ends.
pub struct ProjectLock {
    turn: u64,
    #[expect(dead_code, reason = "held for its drop")]
    held: Box<dyn Any + Send>,
}

impl ProjectLock {
    /// Wraps what releases the lock when it is dropped; `turn` is one more than that of its last holder.
    pub fn new(turn: u64, held: impl Any + Send) -> Self {
        Self {
            turn,
            held: Box::new(held),
        }
    }

    /// Returns how often the lock was taken: a gap between two turns of one holder is another's.
    pub fn turn(&self) -> u64 {
        self.turn
    }
}

impl fmt::Debug for ProjectLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProjectLock")
    }
}
