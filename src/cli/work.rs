//! A plan to be made → the machine changed, or the plan shown: what all verbs that change something share.
//!
//! The order is always the same: lock, observe, plan, ask, and then either show the plan or walk it.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _};
use std::sync::{Mutex, PoisonError};

use super::annotate::Annotations;
use super::board::Board;
use super::engine::advice;
use super::environment;
use super::error::{CommandError, ExitStatus};
use super::interrupt::Interrupts;
use super::invocation::{Flag, Invocation};
use super::terminal;
use crate::compose::Severity;
use crate::engine::{Engine, EngineError, LockWait, ProjectLock};
use crate::observed::{ObservedState, Scope};
use crate::plan::{Action, Diverged, Plan, PlanError, Warning};
use crate::reconcile::{Cancel, Hold, ReconcileError, cancellation};
use crate::report::{self, Output, ProgressStyle, Rehearsal, Span};
use crate::value::{ContainerName, ProjectName, ServiceName};

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
    /// Whether it is left out how far pulls are.
    pub(super) quiet_pull: Flag,
    /// Whether containers that run already are shown too.
    pub(super) unchanged: Unchanged,
    /// The project's lock, where it was taken before.
    pub(super) lock: Mutex<Option<ProjectLock>>,
}

/// Whether what stays as it is is shown among what changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unchanged {
    /// For containers of these services.
    Shown(BTreeSet<ServiceName>),
    Hidden,
}

/// A plan that can be walked, and the right to do so.
#[derive(Debug)]
pub(super) struct Prepared<'run> {
    pub(super) plan: Plan,
    /// What it was made for.
    pub(super) observed: ObservedState,
    /// The project's lock.
    pub(super) hold: Hold<'run>,
}

/// How far a plan was walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walked {
    ToTheEnd,
    /// Another command changed the project meanwhile: what is left must be planned again.
    Overtaken,
}

impl Prepared<'_> {
    /// Gives the right to change the project back.
    pub(super) fn into_plan(self) -> Plan {
        self.plan
    }
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
            quiet_pull: Flag::Unset,
            unchanged,
            lock: Mutex::new(None),
        }
    }

    /// Plans and carries the plan out, or shows it where nothing may change.
    pub(super) async fn carry_out(&self, planner: Planner<'_>) -> Result<(), CommandError> {
        if self.invocation.rehearsal() == Rehearsal::Yes {
            let observed = self.engine.observe(&self.scope).await?;
            return self.rehearse(&planner(&observed, Diverged::Keep)?);
        }
        self.plan_and_walk(planner).await.map(drop)
    }

    /// Plans and carries the plan out; returns it with the project's lock.
    pub(super) async fn plan_and_walk(
        &self,
        planner: Planner<'_>,
    ) -> Result<Prepared<'run>, CommandError> {
        let mut prepared = self.prepare(planner).await?;
        while self.walk(&prepared).await? == Walked::Overtaken {
            prepared = self.prepare_again(prepared, planner).await?;
        }
        Ok(prepared)
    }

    /// Plans what is left of a plan after another command changed the project.
    ///
    /// An error where that command removed what this one works on: it is not made again against the user's will.
    pub(super) async fn prepare_again(
        &self,
        before: Prepared<'run>,
        planner: Planner<'_>,
    ) -> Result<Prepared<'run>, CommandError> {
        let Prepared { plan, hold, .. } = before;
        drop(hold);
        let prepared = self.prepare(planner).await?;
        for step in &plan.steps {
            if let Action::StartContainer { name, .. } | Action::WaitContainer { name, .. } =
                &step.action
            {
                let mut there = prepared.observed.containers.values();
                if !there.any(|container| container.final_name == *name) {
                    let name = name.clone();
                    return Err(EngineError::Removed { name }.into());
                }
            }
        }
        Ok(prepared)
    }

    /// Does the same while somebody else listens to the user.
    pub(super) async fn carry_out_deaf(&self, planner: Planner<'_>) -> Result<(), CommandError> {
        let prepared = self.prepare(planner).await?;
        let board = Board::new(self, &prepared)?;
        let walked = board.walk(self, &prepared, Cancel::never()).await;
        board.close(&prepared.plan, &walked)?;
        walked
            .map(|_| ())
            .map_err(|error| failed(error, &prepared.plan))
    }

    /// Takes the project's lock, plans, and asks what the plan asks; nothing has changed yet.
    pub(super) async fn prepare(
        &self,
        planner: Planner<'_>,
    ) -> Result<Prepared<'run>, CommandError> {
        let taken = self
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let lock = match taken {
            Some(lock) => lock,
            None => take_lock(self.invocation, self.engine, &self.scope.project).await?,
        };
        let mut observed = self.engine.observe(&self.scope).await?;
        if !observed.damage.is_empty() {
            for damage in self.engine.mend(&self.scope.project).await? {
                self.invocation.warn(&damage.to_string())?;
            }
            observed = self.engine.observe(&self.scope).await?;
        }
        let mut plan = planner(&observed, Diverged::Keep)?;
        if plan.warnings.iter().any(Warning::is_question) && self.agrees(&plan.warnings)? {
            plan = planner(&observed, Diverged::Recreate)?;
        }
        let told = plan.warnings.iter().filter(|it| !it.is_question());
        show_warnings(self.invocation, told)?;
        let project = self.scope.project.clone();
        let hold = Hold::new(self.engine, project, self.invocation.lock_holder(), lock);
        Ok(Prepared {
            plan,
            observed,
            hold,
        })
    }

    fn rehearse(&self, plan: &Plan) -> Result<(), CommandError> {
        show_warnings(self.invocation, &plan.warnings)?;
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
            let agrees = self.yes.is_set()
                || (terminal::is_interactive() && ask(&mut self.invocation.stderr(), &question)?);
            if !agrees {
                self.invocation.warn(&warning.to_string())?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Walks a plan and shows how far it is. Ctrl-C brings it to an end, a second one at once.
    async fn walk(&self, prepared: &Prepared<'_>) -> Result<Walked, CommandError> {
        let board = Board::new(self, prepared)?;
        if prepared.plan.is_empty() {
            drop(board.finish()?);
            return Ok(Walked::ToTheEnd);
        }
        let (canceller, cancel) = cancellation();
        let walked = {
            let mut interrupts = Interrupts::listen()?;
            let walking = board.walk(self, prepared, cancel);
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
        board.close(&prepared.plan, &walked)?;
        match walked {
            Ok(_) => Ok(Walked::ToTheEnd),
            Err(ReconcileError::Overtaken { .. }) => Ok(Walked::Overtaken),
            Err(error @ (ReconcileError::Failed { .. } | ReconcileError::Cancelled { .. })) => {
                Err(failed(error, &prepared.plan))
            }
        }
    }
}

/// Says what the user should know of a plan, and beside which line of a change, where that is possible.
pub(super) fn show_warnings<'plan>(
    invocation: &Invocation,
    warnings: impl IntoIterator<Item = &'plan Warning>,
) -> Result<(), CommandError> {
    let annotations = Annotations::wanted_by(&invocation.environment);
    for warning in warnings {
        let text = warning.to_string();
        invocation.warn(&text)?;
        let annotation = annotations.one(Severity::Warning, warning.place(), &text);
        invocation.stderr().bytes(annotation.as_bytes())?;
    }
    Ok(())
}

/// Takes a project's lock; says for whom it waits, if it does.
pub(super) async fn take_lock(
    invocation: &Invocation,
    engine: &dyn Engine,
    project: &ProjectName,
) -> Result<ProjectLock, CommandError> {
    let holder = invocation.lock_holder();
    let first = engine.lock(project, &holder, LockWait::Fail).await;
    match (first, invocation.lock_wait()) {
        (Err(EngineError::ProjectLocked { holder: other, .. }), LockWait::Wait) => {
            let text = format!("waiting for {other}, which changes project `{project}`");
            invocation.stderr().line(&text)?;
            Ok(engine.lock(project, &holder, LockWait::Wait).await?)
        }
        (locked, _) => Ok(locked?),
    }
}

/// Asks a question that is answered with yes or no, on a terminal or by what standard input holds; nothing means no.
pub(super) fn ask(output: &mut Output, question: &str) -> Result<bool, CommandError> {
    output.bytes(
        output
            .painted(&[Span::plain(format!("{question} (y/N) "))])
            .as_bytes(),
    )?;
    // A question has no end of line that would hand it on.
    output.flush()?;
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

/// Returns why a plan was not walked to its end, with what helps against what the plan left in the way.
pub(super) fn failed(error: ReconcileError, plan: &Plan) -> CommandError {
    let ReconcileError::Failed { failures, .. } = &error else {
        return error.into();
    };
    let is_orphan = |name: &ContainerName| {
        plan.warnings.iter().any(|warning| {
            matches!(warning, Warning::Orphans { containers } if containers.contains(name))
        })
    };
    let holders = failures.iter().filter_map(|failure| {
        let EngineError::PortTaken { holder, .. } = &failure.source else {
            return None;
        };
        holder.as_ref()?.container.as_ref()
    });
    let orphans: BTreeSet<ContainerName> =
        holders.filter(|name| is_orphan(name)).cloned().collect();
    let hint = |name: ContainerName| {
        format!("the file no longer has the service of `{name}`: `--remove-orphans` removes it")
    };
    let error = CommandError::from(error);
    orphans
        .into_iter()
        .map(hint)
        .fold(error, CommandError::hint)
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
            ReconcileError::Overtaken { .. } => Self::room(ExitStatus::Failed, error),
            ReconcileError::Cancelled { .. } => Self::room(ExitStatus::Interrupted, error),
        }
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        let place = match &error {
            PlanError::ImageMissing { place, .. }
            | PlanError::NetworkInUse { place, .. }
            | PlanError::SubnetInUse { place, .. } => place.iter().cloned().collect(),
            PlanError::Cycle { places, .. } => places.clone(),
            PlanError::UnknownService { .. }
            | PlanError::Tangled { .. }
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
        PlanError::Tangled { .. } => {
            "this is a bug in consort, please report it; `down` and `up` again gets around it"
                .to_owned()
        }
        PlanError::ExternalNetwork { .. } | PlanError::ExternalVolume { .. } => {
            "make it first, or remove `external`".to_owned()
        }
        PlanError::NetworkInUse { others, .. } => {
            let projects: BTreeSet<String> = others
                .iter()
                .map(|user| format!("`consort -p {} down`", user.project))
                .collect();
            let projects: Vec<String> = projects.into_iter().collect();
            format!("take off it what uses it first: {}", projects.join(", "))
        }
        PlanError::SubnetInUse { .. } => {
            "choose another subnet, or leave `ipam` out: then a free one is chosen".to_owned()
        }
        PlanError::ImageMissing { .. } => "`consort pull` fetches it".to_owned(),
    }
}
