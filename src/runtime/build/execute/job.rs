//! What all stages of one running build share.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::rand::GetRandomFlags;

use super::sources::Downloads;
use super::{CGROUP, KILL_TIMEOUT_MS};
use crate::runtime::build::BuildError;
use crate::runtime::build::graph::{Base, CopySource, Graph, Mount, Operation, Source};
use crate::runtime::build::request::Request;
use crate::runtime::build::workshop::Workshop;
use crate::runtime::container::cgroup::{self, Hierarchies, Sought};
use crate::runtime::image::BuildLease;
use crate::runtime::kernel::sys;
use crate::value::Digest;

/// A build that runs.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) workshop: Workshop,
    pub(super) graph: Arc<Graph>,
    pub(super) request: Arc<Request>,
    pub(super) downloads: Downloads,
    /// Tells builds of one time apart.
    pub(super) name: String,
    stages: Vec<Slot>,
    serial: AtomicU32,
    cancelled: AtomicBool,
    /// Readable once the build is cancelled: nothing is ever written, the other end is closed.
    cancel: (OwnedFd, Mutex<Option<OwnedFd>>),
    _leases: Vec<BuildLease>,
}

/// What a finished stage leaves to those that build on it.
#[derive(Debug, Clone)]
pub(super) struct StageDone {
    /// Its layers, the lowest first.
    pub(super) diff_ids: Vec<Digest>,
    /// What decided its files.
    pub(super) key: Digest,
    /// When each of its steps was done, with those of the stages that it stands on.
    pub(super) times: Vec<String>,
    /// Whether any step made a layer.
    pub(super) has_new_layer: bool,
}

/// How far a stage is.
#[derive(Debug, Default)]
enum StageProgress {
    /// It runs, or will.
    #[default]
    Going,
    /// It will never be done.
    Failed,
    Done(StageDone),
}

#[derive(Debug, Default)]
struct Slot {
    progress: Mutex<StageProgress>,
    changed: Condvar,
}

impl Job {
    pub(super) fn new(
        workshop: &Workshop,
        graph: &Arc<Graph>,
        request: &Arc<Request>,
        downloads: Downloads,
    ) -> Result<Self, BuildError> {
        let name = random_name().map_err(BuildError::io("name the build"))?;
        let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (reader, writer) = pipe.map_err(BuildError::io("make a pipe"))?;
        end_dead_commands(workshop);
        workshop.store.collect_drafts()?;
        let mut leases = vec![workshop.store.lease_layers(&[], &name)?];
        for (number, layers) in images(graph).into_iter().enumerate() {
            let lease = workshop
                .store
                .lease_layers(layers, &format!("{name}-{number}"))?;
            leases.push(lease);
        }
        Ok(Self {
            workshop: workshop.clone(),
            graph: Arc::clone(graph),
            request: Arc::clone(request),
            downloads,
            name,
            stages: graph.stages.iter().map(|_| Slot::default()).collect(),
            serial: AtomicU32::new(0),
            cancelled: AtomicBool::new(false),
            cancel: (reader, Mutex::new(Some(writer))),
            _leases: leases,
        })
    }

    /// Returns a name that no other draft or container of any build has.
    pub(super) fn unique(&self) -> String {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        format!("{}-{serial}", self.name)
    }

    /// Waits until a stage is done.
    pub(super) fn stage(&self, index: usize) -> Result<StageDone, BuildError> {
        let slot = self.stages.get(index).ok_or(BuildError::Cancelled)?;
        let mut progress = slot.progress.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*progress {
                StageProgress::Done(stage) => return Ok(stage.clone()),
                StageProgress::Failed => return Err(BuildError::Cancelled),
                StageProgress::Going => {
                    let changed = slot.changed.wait(progress);
                    progress = changed.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Says that a stage is done, or will never be.
    pub(super) fn finish(&self, index: usize, result: Option<StageDone>) {
        if result.is_none() {
            self.cancelled.store(true, Ordering::Relaxed);
            let writer = &self.cancel.1;
            drop(writer.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
        if let Some(slot) = self.stages.get(index) {
            let mut progress = slot.progress.lock().unwrap_or_else(PoisonError::into_inner);
            *progress = result.map_or(StageProgress::Failed, StageProgress::Done);
            slot.changed.notify_all();
        }
    }

    /// Fails once another stage has failed.
    pub(super) fn go_on(&self) -> Result<(), BuildError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(BuildError::Cancelled);
        }
        Ok(())
    }

    /// Returns what becomes readable once another stage has failed.
    pub(super) fn cancel_fd(&self) -> &OwnedFd {
        &self.cancel.0
    }

    /// Returns the time that a step gives to what it makes, in seconds since 1970.
    pub(super) fn time(&self) -> i64 {
        self.request
            .epoch
            .unwrap_or_else(|| jiff::Timestamp::now().as_second())
    }

    /// Returns the time that stands in the image for a step that is done now.
    pub(super) fn stamp(&self) -> String {
        match self.request.epoch {
            Some(epoch) => stamp_of(epoch),
            None => jiff::Timestamp::now().to_string(),
        }
    }
}

fn stamp_of(epoch: i64) -> String {
    let time = jiff::Timestamp::from_second(epoch);
    time.map_or_else(
        |_| "1970-01-01T00:00:00Z".to_owned(),
        |time| time.to_string(),
    )
}

fn random_name() -> io::Result<String> {
    let mut random = [0_u8; 8];
    let _count = rustix::rand::getrandom(&mut random, GetRandomFlags::empty())?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Ends what commands of killed builds have left, and removes their cgroups.
///
/// The kernel ends a command with the build that made it; what stays is an empty cgroup.
fn end_dead_commands(workshop: &Workshop) {
    let (Ok(hierarchies), Ok(territory)) = (Hierarchies::detect(), sys::territory()) else {
        return;
    };
    let ours = format!("build-{}-", workshop.installation);
    let is_dead = |name: &str| {
        let build = name
            .strip_prefix(&ours)
            .and_then(|rest| rest.rsplit_once('-'));
        build.is_some_and(|(build, _)| !workshop.store.is_leased(build))
    };
    let sought = Sought {
        projects: &|project| project == CGROUP,
        names: &is_dead,
    };
    for cgroup in cgroup::leftovers(&hierarchies, territory, sought).into_values() {
        // What cannot be removed now is found again by the next build.
        drop(
            cgroup
                .kill_all(KILL_TIMEOUT_MS)
                .and_then(|_| cgroup.remove()),
        );
    }
}

/// Returns the layers of each image that a graph names.
fn images(graph: &Graph) -> Vec<&[Digest]> {
    let mut found: Vec<&[Digest]> = Vec::new();
    for stage in &graph.stages {
        if let Base::Image(image) = &stage.base {
            found.push(&image.document.rootfs.diff_ids);
        }
        for step in &stage.steps {
            found.extend(
                sources(step.operation.as_ref()).filter_map(|source| match source {
                    Source::Image(image) => Some(&*image.document.rootfs.diff_ids),
                    Source::Context | Source::Named(_) | Source::Stage(_) | Source::Empty => None,
                }),
            );
        }
    }
    found
}

/// Returns whose files an operation reads.
pub(super) fn sources(operation: Option<&Operation>) -> impl Iterator<Item = &Source> {
    let mut found: Vec<&Source> = Vec::new();
    match operation {
        Some(Operation::Copy(copy)) => {
            found.extend(copy.sources.iter().filter_map(|source| match source {
                CopySource::Files { from, .. } => Some(from),
                CopySource::Inline { .. } | CopySource::Http { .. } | CopySource::Git { .. } => {
                    None
                }
            }));
        }
        Some(Operation::Run(run)) => {
            found.extend(run.mounts.iter().filter_map(|mount| match mount {
                Mount::Bind { from, .. } | Mount::Cache { from, .. } => Some(from),
                Mount::Tmpfs { .. } | Mount::Secret { .. } | Mount::Ssh { .. } => None,
            }));
        }
        Some(Operation::Workdir { .. }) | None => {}
    }
    found.into_iter()
}
