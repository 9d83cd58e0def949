//! A plan that is walked → how far it is, on the screen.
//!
//! **Invariant:** others write beside it only after it has [stepped aside](Board::step_aside).

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::environment;
use super::error::CommandError;
use super::work::{Prepared, Unchanged, Work};
use crate::plan::{Action, Plan};
use crate::reconcile::{self, Cancel, Outcome, ReconcileError};
use crate::report::{self, Output, Progress, ProgressStyle, Shown, Status, Update};
use crate::value::ServiceName;

/// Steps that are done at the same time where nothing else is said: enough to keep every wait busy.
const USUAL_PARALLELISM: NonZeroUsize = NonZeroUsize::new(64).expect("it is not zero");

/// Where progress is shown while a plan is walked.
#[derive(Debug)]
pub(super) struct Board {
    progress: Mutex<Progress>,
    style: ProgressStyle,
}

impl Board {
    /// Shows what stays as it is, where the work wants that, and nothing else yet.
    pub(super) fn new(work: &Work<'_>, prepared: &Prepared<'_>) -> Result<Self, CommandError> {
        let board = Self {
            progress: Mutex::new(work.invocation.progress_in(work.style, work.verb)),
            style: work.style,
        };
        if let Unchanged::Shown(services) = &work.unchanged {
            board.show_unchanged(prepared, services)?;
        }
        Ok(board)
    }

    /// Walks a plan and shows how far it is.
    pub(super) async fn walk(
        &self,
        work: &Work<'_>,
        prepared: &Prepared<'_>,
        cancel: Cancel,
    ) -> Result<Outcome, ReconcileError> {
        let parallelism = work.invocation.parallel.unwrap_or(USUAL_PARALLELISM);
        let options = reconcile::Options {
            parallelism,
            hold: Some(&prepared.hold),
        };
        // What cannot be shown is done all the same.
        let mut on_event = |event: reconcile::Event<'_>| {
            if work.quiet_pull.is_set() && tells_how_far_a_pull_is(&event) {
                return;
            }
            let mut progress = self.progress();
            let written = match report::shown(&event) {
                Some(Shown::Update(update)) => progress.update(update, environment::instant()),
                Some(Shown::Note(lines)) => {
                    let now = environment::instant();
                    lines.iter().try_for_each(|spans| progress.note(spans, now))
                }
                None => Ok(()),
            };
            drop(written);
        };
        let walking = reconcile::run(&prepared.plan, work.engine, options, cancel, &mut on_event);
        let period = self.progress().period();
        let Some(period) = period else {
            return walking.await;
        };
        tokio::pin!(walking);
        let mut beat = tokio::time::interval(period);
        loop {
            tokio::select! {
                biased;
                walked = &mut walking => return walked,
                _ = beat.tick() => drop(self.progress().tick(environment::instant())),
            }
        }
    }

    /// Makes room for lines of somebody else; they stay above what is drawn again later.
    pub(super) fn step_aside(&self) -> Result<(), CommandError> {
        Ok(self.progress().step_aside()?)
    }

    /// Leaves the last state on the screen, and says what took the time.
    pub(super) fn close(
        self,
        plan: &Plan,
        walked: &Result<Outcome, ReconcileError>,
    ) -> Result<(), CommandError> {
        let shows = matches!(self.style, ProgressStyle::Tree | ProgressStyle::Plain);
        let mut output = self.finish()?;
        if let (true, Ok(outcome)) = (shows, walked)
            && let Some(spans) = report::critical_path(plan, &outcome.finished)
        {
            output.spans(&spans)?;
        }
        Ok(())
    }

    /// Leaves the last state on the screen.
    pub(super) fn finish(self) -> Result<Output, CommandError> {
        let progress = self
            .progress
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(progress.finish(environment::instant())?)
    }

    fn show_unchanged(
        &self,
        prepared: &Prepared<'_>,
        services: &BTreeSet<ServiceName>,
    ) -> Result<(), CommandError> {
        let touched: Vec<String> = prepared
            .plan
            .steps
            .iter()
            .map(|step| step.action.subject())
            .collect();
        let now = environment::instant();
        let containers = prepared.observed.containers.values();
        for container in containers.filter(|it| it.is_alive() && services.contains(&it.service)) {
            if !touched.iter().any(|name| container.name == name.as_str()) {
                let id = format!("Container {}", container.name);
                self.progress()
                    .update(Update::new(id, Status::Done, "Running"), now)?;
            }
        }
        Ok(())
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tells_how_far_a_pull_is(event: &reconcile::Event<'_>) -> bool {
    match event {
        reconcile::Event::StepProgress { step, .. } => {
            matches!(step.action, Action::PullImage { .. })
        }
        reconcile::Event::StepStarted { .. }
        | reconcile::Event::StepDone { .. }
        | reconcile::Event::StepFailed { .. }
        | reconcile::Event::StepSkipped { .. }
        | reconcile::Event::Warning { .. }
        | reconcile::Event::Said { .. }
        | reconcile::Event::Finished(_) => false,
    }
}
