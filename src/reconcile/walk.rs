//! The walk: each step begins when its own prerequisites have succeeded, many at a time.

use super::{
    Cancel, Event, Finished, Hold, SkipReason,
    hold::Meanwhile,
    ledger::{Entry, Ledger, Skipped},
    path::{self, Span},
};
use crate::engine::{Engine, EngineError, Performed, Progress, Update};
use crate::plan::{Action, Plan, Step, StepId};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// Updates that may wait to be shown; further ones are dropped, since newer ones follow.
const UPDATES_QUEUED: usize = 256;

/// A plan that has only waited for so long lets other commands change the project.
const GIVE_UP_AFTER: Duration = Duration::from_millis(100);

/// How a plan is walked.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// How many steps run at a time; those that only wait do not count.
    pub parallelism: NonZeroUsize,
    /// The project's lock; `None` where no other command can change the project.
    pub hold: Option<&'a Hold<'a>>,
}

/// What came of a walk in which every step succeeded.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What came of each step that was needed.
    pub performed: BTreeMap<StepId, Performed>,
    /// How it went.
    pub finished: Finished,
}

/// Why a plan was not carried out completely; reads after "cannot".
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Some steps failed; everything that does not depend on them was done.
    #[error("{}", summary(.failures))]
    Failed {
        /// The steps that failed, in the order in which they did.
        failures: Vec<StepError>,
        /// How it went.
        finished: Finished,
    },
    /// Another command changed the project while the plan only waited, so that the rest of it may be wrong.
    #[error("finish: another command changed the project meanwhile")]
    Overtaken {
        /// How it went.
        finished: Finished,
    },
    /// The user had enough.
    #[error("finish: interrupted after {} of {} steps", .finished.done, .finished.done + .finished.skipped)]
    Cancelled {
        /// How it went.
        finished: Finished,
    },
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StepError {
    /// The step.
    pub step: StepId,
    /// What was done to which thing.
    pub what: String,
    /// Why it failed.
    pub source: EngineError,
}

fn summary(failures: &[StepError]) -> String {
    let texts: Vec<&str> = failures
        .iter()
        .map(|failure| failure.what.as_str())
        .collect();
    texts.join(", ")
}

/// Carries out `plan` on `engine`.
///
/// Once `cancel` happens no further step begins; steps that only wait are given up, and the others
/// are brought to their end.
pub async fn run(
    plan: &Plan,
    engine: &dyn Engine,
    options: Options<'_>,
    mut cancel: Cancel,
    on_event: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Outcome, ReconcileError> {
    let (updates, mut incoming) = mpsc::channel(UPDATES_QUEUED);
    let mut running = FuturesUnordered::new();
    let mut walk = Walk::new(plan, options, on_event);
    let mut returning = None;
    loop {
        let lock = match options.hold {
            Some(hold) if !hold.is_held() => Lock::GivenUp,
            Some(_) | None => Lock::Held,
        };
        while let Some(step) = walk.next(lock) {
            let at = walk.begin(step);
            running.push(perform(engine, step, at, updates.clone(), cancel.clone()));
        }
        if let Some(hold) = options
            .hold
            .filter(|_| lock == Lock::GivenUp && walk.has_ready())
        {
            returning.get_or_insert_with(|| hold.take_back().boxed());
        }
        if running.is_empty() && returning.is_none() {
            break;
        }
        let only_waits = options.hold.is_some() && lock == Lock::Held && walk.busy == 0;
        tokio::select! {
            biased;
            Some((step, update)) = incoming.recv() => walk.progress(step, update),
            Some(ended) = running.next(), if !running.is_empty() => walk.end(ended),
            () = cancel.cancelled(), if !walk.cancelled => walk.cancel(),
            back = outcome(&mut returning) => {
                returning = None;
                if walk.take_back(back) == Rest::Wrong {
                    // Only waits run without the lock.
                    running.clear();
                }
            }
            () = tokio::time::sleep(GIVE_UP_AFTER), if only_waits => {
                if let Some(hold) = options.hold {
                    hold.give_up();
                }
            }
        }
    }
    walk.finish()
}

/// Waits for what is on its way; for ever when nothing is.
async fn outcome<T>(future: &mut Option<BoxFuture<'_, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Whether steps may change the project now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    Held,
    GivenUp,
}

/// Whether the rest of a plan is still right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Right,
    Wrong,
}

/// How a step ended.
struct Ended<'a> {
    step: &'a Step,
    at: Duration,
    /// Nothing when it was given up.
    result: Option<Result<Performed, EngineError>>,
}

fn perform<'a>(
    engine: &'a dyn Engine,
    step: &'a Step,
    at: Duration,
    updates: mpsc::Sender<(StepId, Update)>,
    mut cancel: Cancel,
) -> BoxFuture<'a, Ended<'a>> {
    Box::pin(async move {
        let reporter = Reporter {
            step: step.id,
            updates,
        };
        let acting = within_time(engine, &step.action, &reporter);
        let result = if step.action.can_be_abandoned() {
            tokio::select! {
                biased;
                result = acting => Some(result),
                () = cancel.cancelled() => None,
            }
        } else {
            Some(acting.await)
        };
        Ended { step, at, result }
    })
}

async fn within_time(
    engine: &dyn Engine,
    action: &Action,
    reporter: &Reporter,
) -> Result<Performed, EngineError> {
    let acting = engine.perform(action, reporter);
    let Action::WaitContainer {
        name,
        timeout: Some(timeout),
        ..
    } = action
    else {
        return acting.await;
    };
    let too_late = |_| EngineError::TimedOut {
        name: name.clone(),
        after: *timeout,
    };
    tokio::time::timeout(timeout.to_std(), acting)
        .await
        .map_err(too_late)?
}

struct Reporter {
    step: StepId,
    updates: mpsc::Sender<(StepId, Update)>,
}

impl Progress for Reporter {
    fn update(&self, update: Update) {
        // A full queue means that newer updates are on their way.
        drop(self.updates.try_send((self.step, update)));
    }
}

struct Walk<'a, 'b> {
    plan: &'a Plan,
    ledger: Ledger<'a>,
    options: Options<'a>,
    on_event: &'b mut (dyn FnMut(Event<'_>) + Send),
    /// The clock of the runtime that also keeps the timeouts.
    started: Instant,
    busy: usize,
    cancelled: bool,
    overtaken: bool,
    spans: BTreeMap<StepId, Span>,
    failures: Vec<StepError>,
    finished: Finished,
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(
        plan: &'a Plan,
        options: Options<'a>,
        on_event: &'b mut (dyn FnMut(Event<'_>) + Send),
    ) -> Self {
        Self {
            plan,
            ledger: Ledger::new(plan),
            options,
            on_event,
            started: Instant::now(),
            busy: 0,
            cancelled: false,
            overtaken: false,
            spans: BTreeMap::new(),
            failures: Vec::new(),
            finished: Finished::default(),
        }
    }

    /// Takes the next step that may begin now and is needed; without the lock only those that wait.
    fn next(&mut self, lock: Lock) -> Option<&'a Step> {
        loop {
            let acts = lock == Lock::Held && self.busy < self.options.parallelism.get();
            let step = self.ledger.take_ready(|step| acts || only_waits(step))?;
            if self.ledger.is_needed(step) {
                return Some(step);
            }
            self.skip(vec![(step, SkipReason::Guard)]);
            let blocked = self.ledger.enter(step.id, Entry::NotNeeded);
            self.skip(blocked);
        }
    }

    fn has_ready(&self) -> bool {
        self.ledger.has_ready()
    }

    /// Goes on after the lock was given up, unless another command may have made the rest wrong.
    ///
    /// Starting a container is right whoever made it, and fails where it is gone. What stops, removes or
    /// renames may hit another one than it was planned for.
    fn take_back(&mut self, back: Result<Meanwhile, EngineError>) -> Rest {
        match back {
            Ok(Meanwhile::Unchanged) => Rest::Right,
            Ok(Meanwhile::Changed) if self.ledger.open_steps().all(only_starts) => Rest::Right,
            Ok(Meanwhile::Changed) => {
                self.overtaken = true;
                let given_up = self.ledger.cancel();
                self.skip(given_up);
                Rest::Wrong
            }
            Err(error) => {
                // The step that needs the lock cannot be done without it.
                if let Some(step) = self.next(Lock::Held) {
                    let at = self.begin(step);
                    let result = Some(Err(error));
                    self.end(Ended { step, at, result });
                }
                Rest::Right
            }
        }
    }

    fn begin(&mut self, step: &'a Step) -> Duration {
        let at = self.started.elapsed();
        self.busy += usize::from(!only_waits(step));
        (self.on_event)(Event::StepStarted { step, at });
        at
    }

    fn progress(&mut self, id: StepId, update: Update) {
        if let Some(step) = self.plan.step(id) {
            (self.on_event)(Event::StepProgress { step, update });
        }
    }

    fn end(&mut self, ended: Ended<'a>) {
        let Ended { step, at, result } = ended;
        let now = self.started.elapsed();
        let took = now.saturating_sub(at);
        self.busy -= usize::from(!only_waits(step));
        self.spans.insert(step.id, Span { at, took });
        let entry = match result {
            None => {
                self.cancelled = true;
                self.skip(vec![(step, SkipReason::Cancelled)]);
                Entry::Skipped
            }
            Some(Ok(performed)) => self.succeed(step, now, took, performed),
            Some(Err(error)) if is_optional(step) => {
                let notice = chain(&error);
                self.succeed(step, now, took, Performed::Warned { notice })
            }
            Some(Err(error)) => {
                (self.on_event)(Event::StepFailed {
                    step,
                    at: now,
                    took,
                    error: &error,
                });
                self.finished.failed += 1;
                self.failures.push(StepError {
                    step: step.id,
                    what: what(step),
                    source: error,
                });
                Entry::Failed
            }
        };
        let blocked = self.ledger.enter(step.id, entry);
        self.skip(blocked);
    }

    fn succeed(
        &mut self,
        step: &Step,
        at: Duration,
        took: Duration,
        performed: Performed,
    ) -> Entry {
        if let Performed::Warned { notice } = &performed {
            (self.on_event)(Event::Warning {
                step,
                notice: notice.clone(),
            });
        }
        if let Performed::Said { output } = &performed {
            let output = output.clone();
            (self.on_event)(Event::Said { step, output });
        }
        (self.on_event)(Event::StepDone { step, at, took });
        self.finished.done += 1;
        Entry::Done(performed)
    }

    fn skip(&mut self, skipped: Vec<Skipped<'a>>) {
        for (step, because) in skipped {
            self.finished.skipped += 1;
            (self.on_event)(Event::StepSkipped { step, because });
        }
    }

    fn cancel(&mut self) {
        self.cancelled = true;
        let given_up = self.ledger.cancel();
        self.skip(given_up);
    }

    fn finish(mut self) -> Result<Outcome, ReconcileError> {
        self.finished.took = self.started.elapsed();
        self.finished.critical_path = path::critical(self.plan, &self.spans);
        (self.on_event)(Event::Finished(&self.finished));
        let finished = self.finished;
        if !self.failures.is_empty() {
            return Err(ReconcileError::Failed {
                failures: self.failures,
                finished,
            });
        }
        if self.cancelled {
            return Err(ReconcileError::Cancelled { finished });
        }
        if self.overtaken {
            return Err(ReconcileError::Overtaken { finished });
        }
        Ok(Outcome {
            performed: self.ledger.into_performed(),
            finished,
        })
    }
}

fn only_waits(step: &Step) -> bool {
    matches!(step.action, Action::WaitContainer { .. })
}

/// Whether a step is right whichever command made the container that it names.
fn only_starts(step: &Step) -> bool {
    matches!(
        step.action,
        Action::StartContainer { .. } | Action::RunHook { .. } | Action::WaitContainer { .. }
    )
}

fn is_optional(step: &Step) -> bool {
    matches!(
        step.action,
        Action::WaitContainer {
            required: false,
            ..
        }
    )
}

fn what(step: &Step) -> String {
    let subject = format!("{} `{}`", step.action.verb(), step.action.subject());
    match step.action.object() {
        Some(object) => format!("{subject} {object}"),
        None => subject,
    }
}

/// A warning is one line, so it has the whole chain of causes in it.
fn chain(error: &EngineError) -> String {
    let first: &dyn std::error::Error = error;
    let causes: Vec<String> = std::iter::successors(Some(first), |error| error.source())
        .map(ToString::to_string)
        .collect();
    format!("cannot {}", causes.join(": "))
}
