//! The walk: each step begins when its own prerequisites have succeeded, many at a time.

use super::{
    Cancel, Event, Finished, SkipReason,
    ledger::{Entry, Ledger, Skipped},
    path::{self, Span},
};
use crate::engine::{Engine, EngineError, Performed, Progress, Update};
use crate::plan::{Action, Plan, Step, StepId};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// Updates that may wait to be shown; further ones are dropped, since newer ones follow.
const UPDATES_QUEUED: usize = 256;

/// How a plan is walked.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many steps run at a time; those that only wait do not count.
    pub parallelism: NonZeroUsize,
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
    options: Options,
    mut cancel: Cancel,
    on_event: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Outcome, ReconcileError> {
    let (updates, mut incoming) = mpsc::channel(UPDATES_QUEUED);
    let mut running = FuturesUnordered::new();
    let mut walk = Walk::new(plan, options, on_event);
    loop {
        while let Some(step) = walk.next() {
            let at = walk.begin(step);
            running.push(perform(engine, step, at, updates.clone(), cancel.clone()));
        }
        tokio::select! {
            biased;
            Some((step, update)) = incoming.recv() => walk.progress(step, update),
            ended = running.next() => match ended {
                Some(ended) => walk.end(ended),
                None => break,
            },
            () = cancel.cancelled(), if !walk.cancelled => walk.cancel(),
        }
    }
    walk.finish()
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
    options: Options,
    on_event: &'b mut (dyn FnMut(Event<'_>) + Send),
    /// The clock of the runtime that also keeps the timeouts.
    started: Instant,
    busy: usize,
    cancelled: bool,
    spans: BTreeMap<StepId, Span>,
    failures: Vec<StepError>,
    finished: Finished,
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(
        plan: &'a Plan,
        options: Options,
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
            spans: BTreeMap::new(),
            failures: Vec::new(),
            finished: Finished::default(),
        }
    }

    /// Takes the next step that may begin now and is needed.
    fn next(&mut self) -> Option<&'a Step> {
        loop {
            let full = self.busy >= self.options.parallelism.get();
            let step = self.ledger.take_ready(|step| !full || only_waits(step))?;
            if self.ledger.is_needed(step) {
                return Some(step);
            }
            self.skip(vec![(step, SkipReason::Guard)]);
            let blocked = self.ledger.enter(step.id, Entry::NotNeeded);
            self.skip(blocked);
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
        Ok(Outcome {
            performed: self.ledger.into_performed(),
            finished,
        })
    }
}

fn only_waits(step: &Step) -> bool {
    matches!(step.action, Action::WaitContainer { .. })
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
