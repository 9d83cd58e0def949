//! All stages side by side, each step by step: from the cache, or done on a draft that becomes a layer.

use std::panic::resume_unwind;
use std::time::Duration;

use super::job::{Job, StageDone};
use super::{Built, copy, run};
use crate::runtime::build::BuildError;
use crate::runtime::build::event::BuildEvent;
use crate::runtime::build::graph::{Base, Operation, Source, Step};
use crate::runtime::build::key::KeyHasher;
use crate::runtime::build::request::CacheSkip;
use crate::runtime::image::{Draft, StepRecord, Times};
use crate::runtime::kernel::rooted::Root;
use crate::value::Digest;

/// Runs all stages and puts the image of the last one together.
pub(super) fn run_all(job: &Job) -> Result<Built, BuildError> {
    let count = job.graph.stages.len();
    let results: Vec<Result<(), BuildError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|index| {
                let thread = std::thread::Builder::new().spawn_scoped(scope, move || {
                    let done = one(job, index);
                    job.finish(index, done.as_ref().ok().cloned());
                    done.map(drop)
                });
                if thread.is_err() {
                    job.finish(index, None);
                }
                thread
            })
            .collect();
        let results = threads.into_iter().map(|thread| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(error) => Err(BuildError::io("make a thread for a stage")(error)),
        });
        results.collect()
    });
    let mut cancelled = None;
    for result in results {
        match result {
            Ok(()) => {}
            Err(error) if is_cancelled(&error) => cancelled = Some(error),
            Err(error) => return Err(error),
        }
    }
    match cancelled {
        Some(error) => Err(error),
        None => image(job, count.saturating_sub(1)),
    }
}

fn is_cancelled(error: &BuildError) -> bool {
    matches!(error, BuildError::Cancelled)
}

fn image(job: &Job, index: usize) -> Result<Built, BuildError> {
    let done = job.stage(index)?;
    let Some(stage) = job.graph.stages.get(index) else {
        return Err(BuildError::Cancelled);
    };
    let mut document = stage.image.clone();
    document.rootfs.diff_ids.clone_from(&done.diff_ids);
    let first = document.history.len().saturating_sub(done.times.len());
    for (entry, time) in document.history.iter_mut().skip(first).zip(&done.times) {
        entry.created = Some(time.clone());
    }
    let is_new = done.has_new_layer || document.created.is_none();
    if is_new || job.request.epoch.is_some() {
        let last = done.times.last().cloned();
        document.created = Some(match job.request.epoch {
            Some(_) => job.stamp(),
            None => last.unwrap_or_else(|| job.stamp()),
        });
    }
    let config = serde_json::to_vec(&document).map_err(|error| {
        BuildError::refused("write the image's configuration", error.to_string())
    })?;
    Ok(Built {
        id: Digest::sha256_of(&config),
        document,
        config,
    })
}

/// Runs the steps of one stage.
fn one(job: &Job, index: usize) -> Result<StageDone, BuildError> {
    let stage = job.graph.stages.get(index).ok_or(BuildError::Cancelled)?;
    let mut done = base(job, &stage.base)?;
    for (number, step) in stage.steps.iter().enumerate() {
        job.go_on()?;
        let place = Place {
            job,
            stage: index,
            step: number,
        };
        let Some(operation) = &step.operation else {
            // It is as old as what it describes, so that the same image comes out each time.
            let time = match (job.request.epoch, done.times.last()) {
                (None, Some(last)) => last.clone(),
                (None, None) => stage.image.created.clone().unwrap_or_else(|| job.stamp()),
                (Some(_), _) => job.stamp(),
            };
            done.times.push(time);
            continue;
        };
        place.tell(BuildEvent::StepStarted {
            stage: index,
            step: number,
        });
        let result = place.layer(&stage.name, step, operation, &mut done);
        result.map_err(|error| {
            place.tell(BuildEvent::StepFailed {
                stage: index,
                step: number,
            });
            if is_cancelled(&error) {
                return error;
            }
            BuildError::Step {
                line: step.line,
                text: step.text.clone(),
                source: Box::new(error),
            }
        })?;
    }
    Ok(done)
}

fn base(job: &Job, base: &Base) -> Result<StageDone, BuildError> {
    let mut key = KeyHasher::new("base");
    let diff_ids = match base {
        Base::Stage(id) => return job.stage(id.0),
        Base::Scratch => Vec::new(),
        Base::Image(image) => image.document.rootfs.diff_ids.clone(),
        Base::Context(name) => {
            let source = Source::Named(name.clone());
            copy::context_key(job, &source, &mut key)?;
            let key = key.finish();
            let stepped = cached_or(job, &key, false, "FROM a folder", || {
                let draft = job.workshop.store.draft(&[], &job.unique())?;
                let root = Root::from_fd(draft.mount()?);
                copy::context(job, &source, &root)?;
                commit(job, draft, &[])
            })?;
            return Ok(StageDone {
                diff_ids: stepped.diff_ids,
                key,
                times: Vec::new(),
                has_new_layer: true,
            });
        }
    };
    for digest in &diff_ids {
        key.text("layer", &digest.to_string());
    }
    Ok(StageDone {
        diff_ids,
        key: key.finish(),
        times: Vec::new(),
        has_new_layer: false,
    })
}

/// The layers after a step, when it was done, and whether the cache had it.
struct Stepped {
    diff_ids: Vec<Digest>,
    created: String,
    is_cached: bool,
}

/// Takes what a step makes from the cache, or makes it and remembers it.
fn cached_or(
    job: &Job,
    key: &Digest,
    skip: bool,
    text: &str,
    make: impl FnOnce() -> Result<Vec<Digest>, BuildError>,
) -> Result<Stepped, BuildError> {
    if !skip && let Some(record) = job.workshop.store.step(key)? {
        return Ok(Stepped {
            diff_ids: record.diff_ids,
            created: record.created,
            is_cached: true,
        });
    }
    let diff_ids = make()?;
    let record = StepRecord {
        diff_ids: diff_ids.clone(),
        created: job.stamp(),
        text: text.to_owned(),
    };
    job.workshop.store.remember_step(key, &record)?;
    Ok(Stepped {
        diff_ids,
        created: record.created,
        is_cached: false,
    })
}

fn commit(job: &Job, draft: Draft, below: &[Digest]) -> Result<Vec<Digest>, BuildError> {
    let times = job.request.epoch.map_or(Times::Kept, Times::FoldersUntil);
    let layer = job.workshop.store.commit(draft, times)?;
    let mut diff_ids = below.to_vec();
    diff_ids.push(layer.diff_id);
    Ok(diff_ids)
}

/// Where in the build a step is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) job: &'a Job,
    pub(super) stage: usize,
    pub(super) step: usize,
}

impl Place<'_> {
    pub(super) fn tell(&self, event: BuildEvent) {
        (self.job.workshop.events)(event);
    }

    /// Makes the layer of one step, or finds it.
    fn layer(
        &self,
        stage: &str,
        step: &Step,
        operation: &Operation,
        done: &mut StageDone,
    ) -> Result<(), BuildError> {
        let job = self.job;
        let started = jiff::Timestamp::now();
        let mut key = KeyHasher::new("step");
        key.text("after", done.key.hex());
        if let Some(epoch) = job.request.epoch {
            key.text("epoch", &epoch.to_string());
        }
        let found = match operation {
            Operation::Copy(copy) => Some(copy::find(job, copy, &mut key)?),
            Operation::Run(run) => {
                run::add_to_key(job, run, &mut key)?;
                None
            }
            Operation::Workdir { path, user } => {
                key.text("workdir", path);
                key.text("user", user);
                None
            }
        };
        let key = key.finish();
        let skip = match &job.request.cache.skip {
            CacheSkip::Nothing => false,
            CacheSkip::Everything => true,
            CacheSkip::Stages(names) => names.iter().any(|name| name.eq_ignore_ascii_case(stage)),
        };
        let below = done.diff_ids.clone();
        let stepped = cached_or(job, &key, skip, &step.text, || {
            let draft = job.workshop.store.draft(&below, &job.unique())?;
            let root = Root::from_fd(draft.mount()?);
            match (operation, &found) {
                (Operation::Copy(copy), Some(found)) => copy::apply(job, copy, found, &root)?,
                (Operation::Workdir { path, user }, _) => copy::workdir(job, path, user, &root)?,
                (Operation::Run(run), _) => run::run(self, run, &root)?,
                (Operation::Copy(_), None) => return Err(BuildError::Cancelled),
            }
            drop(root);
            commit(job, draft, &below)
        })?;
        let (stage, step) = (self.stage, self.step);
        self.tell(if stepped.is_cached {
            BuildEvent::StepCached { stage, step }
        } else {
            BuildEvent::StepDone {
                stage,
                step,
                duration: Duration::try_from(jiff::Timestamp::now().duration_since(started))
                    .unwrap_or_default(),
            }
        });
        done.diff_ids = stepped.diff_ids;
        done.key = key;
        done.times.push(match job.request.epoch {
            Some(_) => job.stamp(),
            None => stepped.created,
        });
        done.has_new_layer = true;
        Ok(())
    }
}
