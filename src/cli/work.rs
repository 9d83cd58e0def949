//! A plan to be made → the machine changed, or the plan shown: what all verbs that change something share.
//!
//! The order is always the same: lock, observe, plan, ask, and then either show the plan or walk it.

use std::io::{self, BufRead as _};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use super::engine::advice;
use super::environment;
use super::error::{CommandError, ExitStatus};
use super::interrupt::Interrupts;
use super::invocation::{Flag, Invocation};
use super::terminal;
use crate::engine::{Engine, EngineError, LockWait, ProjectLock};
use crate::observed::{ObservedState, Scope};
use crate::plan::{Diverged, Plan, PlanError, Warning};
use crate::reconcile::{self, Cancel, Outcome, ReconcileError, cancellation};
use crate::report::{
    self, Output, Progress, ProgressStyle, Rehearsal, Shown, Span, Status, Update,
};

/// Steps that are done at the same time where nothing else is said: enough to keep every wait busy.
const USUAL_PARALLELISM: NonZeroUsize = NonZeroUsize::new(64).expect("it is not zero");

/// Something to change in one project.
#[derive(Debug)]
pub(super) struct Work<'run> {
    pub(super) invocation: &'run Invocation,
    pub(super) engine: &'run dyn Engine,
    /// What is looked at before planning.
    pub(super) scope: Scope,
    /// What is done, in a word: `up`.
    pub(super) verb: &'static str,
    /// How progress is shown.
    pub(super) style: ProgressStyle,
    /// Whether questions are answered with yes.
    pub(super) yes: Flag,
    /// Whether containers that run already are shown too.
    pub(super) unchanged: Unchanged,
}

/// Whether what stays as it is is shown among what changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unchanged {
    Shown,
    Hidden,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Carried {
    /// The plan was shown and nothing was changed.
    Rehearsed,
    /// It is done.
    Done,
}

/// Makes a plan of what is there; the second argument is the answer to the question about volumes.
pub(super) type Planner<'plan> =
    &'plan (dyn Fn(&ObservedState, Diverged) -> Result<Plan, CommandError> + 'plan);

impl<'run> Work<'run> {
    /// Returns work on a project with what usually goes for it.
    pub(super) fn new(
        invocation: &'run Invocation,
        engine: &'run dyn Engine,
        scope: Scope,
        verb: &'static str,
    ) -> Self {
        let style = invocation.progress_style();
        let (yes, unchanged) = (Flag::Unset, Unchanged::Hidden);
        Self {
            invocation,
            engine,
            scope,
            verb,
            style,
            yes,
            unchanged,
        }
    }

    /// Plans and carries the plan out, or shows it where nothing may change.
    pub(super) async fn carry_out(&self, planner: Planner<'_>) -> Result<Carried, CommandError> {
        if self.invocation.rehearsal() == Rehearsal::Yes {
            let observed = self.engine.observe(&self.scope).await?;
            let plan = planner(&observed, Diverged::Keep)?;
            self.rehearse(&plan)?;
            return Ok(Carried::Rehearsed);
        }
        let _lock = self.lock().await?;
        let observed = self.engine.observe(&self.scope).await?;
        let mut plan = planner(&observed, Diverged::Keep)?;
        if plan.warnings.iter().any(Warning::is_question) && self.agrees(&plan.warnings)? {
            plan = planner(&observed, Diverged::Recreate)?;
        }
        for warning in plan
            .warnings
            .iter()
            .filter(|warning| !warning.is_question())
        {
            self.invocation.warn(&warning.to_string())?;
        }
        self.walk(&plan, &observed).await?;
        Ok(Carried::Done)
    }

    /// Takes the project's lock; says for whom it waits, if it does.
    async fn lock(&self) -> Result<ProjectLock, CommandError> {
        let holder = self.invocation.lock_holder();
        let project = &self.scope.project;
        let first = self.engine.lock(project, &holder, LockWait::Fail).await;
        match (first, self.invocation.lock_wait()) {
            (Err(EngineError::ProjectLocked { holder: other, .. }), LockWait::Wait) => {
                let text = format!("waiting for {other}, which changes project `{project}`");
                self.invocation.stderr().line(&text)?;
                Ok(self.engine.lock(project, &holder, LockWait::Wait).await?)
            }
            (locked, _) => Ok(locked?),
        }
    }

    fn rehearse(&self, plan: &Plan) -> Result<(), CommandError> {
        for warning in &plan.warnings {
            self.invocation.warn(&warning.to_string())?;
        }
        match self.style {
            ProgressStyle::Quiet => {}
            ProgressStyle::Json => {
                let mut progress = self.invocation.progress(self.verb);
                let now = environment::instant();
                for update in plan.steps.iter().flat_map(report::rehearsed) {
                    progress.update(update, now)?;
                }
            }
            ProgressStyle::Tree | ProgressStyle::Plain => {
                report::write_plan(&mut self.invocation.stdout(), plan)?;
            }
        }
        Ok(())
    }

    /// Asks the questions of a plan and returns whether all answers are yes.
    fn agrees(&self, warnings: &[Warning]) -> Result<bool, CommandError> {
        for warning in warnings.iter().filter(|warning| warning.is_question()) {
            let question = format!("{warning}. Make it again and lose its data?");
            if !self.yes.is_set() && !ask(&mut self.invocation.stderr(), &question)? {
                self.invocation.warn(&warning.to_string())?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Walks a plan and shows how far it is. Ctrl-C brings it to an end, a second one at once.
    async fn walk(&self, plan: &Plan, observed: &ObservedState) -> Result<(), CommandError> {
        let progress = Mutex::new(self.invocation.progress_in(self.style, self.verb));
        if self.unchanged == Unchanged::Shown {
            Self::show_unchanged(plan, observed, &progress)?;
        }
        if plan.is_empty() {
            let progress = progress
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            progress.finish(environment::instant())?;
            return Ok(());
        }
        let (canceller, cancel) = cancellation();
        let walked = {
            let mut interrupts = Interrupts::listen()?;
            let walking = self.walk_plan(plan, cancel, &progress);
            tokio::pin!(walking);
            tokio::select! {
                walked = &mut walking => walked,
                () = interrupts.next() => {
                    canceller.cancel();
                    tokio::select! {
                        walked = &mut walking => walked,
                        () = interrupts.next() => {
                            return Err(CommandError::silent(ExitStatus::Interrupted));
                        }
                    }
                }
            }
        };
        let progress = progress
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let now = environment::instant();
        let mut output = progress.finish(now)?;
        self.say_critical_path(&mut output, plan, &walked)?;
        walked.map(|_| ()).map_err(CommandError::from)
    }

    async fn walk_plan(
        &self,
        plan: &Plan,
        cancel: Cancel,
        progress: &Mutex<Progress>,
    ) -> Result<Outcome, ReconcileError> {
        let parallelism = self.invocation.parallel.unwrap_or(USUAL_PARALLELISM);
        let options = reconcile::Options { parallelism };
        // What cannot be shown is done all the same.
        let mut on_event = |event: reconcile::Event<'_>| {
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            let written = match report::shown(&event) {
                Some(Shown::Update(update)) => progress.update(update, environment::instant()),
                Some(Shown::Note(spans)) => progress.note(&spans, environment::instant()),
                None => Ok(()),
            };
            drop(written);
        };
        let walking = reconcile::run(plan, self.engine, options, cancel, &mut on_event);
        let period = progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .period();
        let Some(period) = period else {
            return walking.await;
        };
        tokio::pin!(walking);
        let mut beat = tokio::time::interval(period);
        loop {
            tokio::select! {
                biased;
                walked = &mut walking => return walked,
                _ = beat.tick() => {
                    let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                    drop(progress.tick(environment::instant()));
                }
            }
        }
    }

    fn show_unchanged(
        plan: &Plan,
        observed: &ObservedState,
        progress: &Mutex<Progress>,
    ) -> Result<(), CommandError> {
        let touched: Vec<String> = plan
            .steps
            .iter()
            .map(|step| step.action.subject())
            .collect();
        let now = environment::instant();
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        for container in observed
            .containers
            .values()
            .filter(|container| container.is_alive())
        {
            if !touched.iter().any(|name| container.name == name.as_str()) {
                let id = format!("Container {}", container.name);
                progress.update(Update::new(id, Status::Done, "Running"), now)?;
            }
        }
        Ok(())
    }

    fn say_critical_path(
        &self,
        output: &mut Output,
        plan: &Plan,
        walked: &Result<Outcome, ReconcileError>,
    ) -> Result<(), CommandError> {
        let shows = matches!(self.style, ProgressStyle::Tree | ProgressStyle::Plain);
        if let (true, Ok(outcome)) = (shows, walked)
            && let Some(spans) = report::critical_path(plan, &outcome.finished)
        {
            output.spans(&spans)?;
        }
        Ok(())
    }
}

/// Asks a question that is answered with yes or no; nobody to answer means no.
pub(super) fn ask(output: &mut Output, question: &str) -> Result<bool, CommandError> {
    if !terminal::is_interactive() {
        return Ok(false);
    }
    output.bytes(
        output
            .painted(&[Span::plain(format!("{question} (y/N) "))])
            .as_bytes(),
    )?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|source| CommandError::cannot("read the answer", source))?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

impl From<ReconcileError> for CommandError {
    fn from(error: ReconcileError) -> Self {
        match error {
            ReconcileError::Failed { failures, .. } => {
                let errors = failures.into_iter().map(|failure| {
                    let hint = advice(&failure.source);
                    let error = Self::room(ExitStatus::Failed, failure);
                    hint.into_iter().fold(error, Self::hint)
                });
                Self::several(ExitStatus::Failed, errors.collect())
            }
            ReconcileError::Cancelled { .. } => Self::room(ExitStatus::Interrupted, error),
        }
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        let place = match &error {
            PlanError::ImageMissing { place, .. } => place.iter().cloned().collect(),
            PlanError::Cycle { places, .. } => places.clone(),
            PlanError::UnknownService { .. }
            | PlanError::ExternalNetwork { .. }
            | PlanError::ExternalVolume { .. } => Vec::new(),
        };
        let hint = plan_advice(&error);
        let error = place
            .into_iter()
            .fold(Self::room(ExitStatus::Failed, error), Self::at);
        error.hint(hint)
    }
}

fn plan_advice(error: &PlanError) -> String {
    match error {
        PlanError::UnknownService { known, .. } => {
            let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("the services are {}", known.join(", "))
        }
        PlanError::Cycle { .. } => "remove one of the `depends_on` entries".to_owned(),
        PlanError::ExternalNetwork { .. } | PlanError::ExternalVolume { .. } => {
            "make it first, or remove `external`".to_owned()
        }
        PlanError::ImageMissing { .. } => "`consort pull` fetches it".to_owned(),
    }
}
