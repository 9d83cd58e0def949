//! `up` in the foreground: shows what containers write from their start on, until they end or the user has had enough.
//!
//! The first Ctrl-C stops the containers and goes on showing what they say; the second one kills them; the third one
//! leaves at once. One stream of signals serves from the first step to the last line, so that none is missed.

use std::collections::BTreeSet;
use std::time::{Duration as Span, SystemTime};

use futures_util::StreamExt as _;
use futures_util::future::join;

use super::board::Board;
use super::error::{CommandError, ExitStatus};
use super::interrupt::Interrupts;
use super::invocation::Flag;
use super::show::Show;
use super::work::{self, Planner, Prepared, Unchanged, Work};
use crate::engine::{EventStream, EventsFrom, LockWait};
use crate::observed::{ObservedState, Scope};
use crate::plan::{self, Dependencies, StopOptions};
use crate::reconcile::{Canceller, Outcome, ReconcileError, cancellation};
use crate::report::{LogStyle, ProgressStyle};
use crate::value::{Duration, ServiceName, Signal};

/// So long a tree of progress has the terminal to itself: most projects are up by then, and lines follow below it.
const TREE_ALONE: Span = Span::from_millis(300);

/// What a foreground `up` shows, and when it ends.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    /// The services whose output is shown.
    pub(super) shown: BTreeSet<ServiceName>,
    /// What their containers will be called before their lines.
    pub(super) labels: Vec<String>,
    /// The services whose end counts: the named ones, else those that are shown.
    pub(super) watched: BTreeSet<ServiceName>,
    /// The services that are stopped at the end: the named ones, else all; what they depend on goes on.
    pub(super) stopped: BTreeSet<ServiceName>,
    /// What ends it.
    pub(super) ends_with: EndsWith,
    /// The service whose exit code is ours.
    pub(super) exit_code_from: Option<String>,
    /// How lines look.
    pub(super) style: LogStyle,
    /// Whether there are no colours.
    pub(super) no_color: Flag,
    /// How long containers may take to stop.
    pub(super) grace: Option<Duration>,
    /// When the command began; what was written before is not shown.
    pub(super) began: SystemTime,
}

/// Which end of a container is the end of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndsWith {
    /// That of the last one.
    LastExit,
    /// That of the first one.
    FirstExit,
    /// That of the first one that fails.
    FirstFailure,
}

/// Why it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No container runs any more.
    NothingRuns,
    /// A container ended that takes the others with it.
    Exited { code: i32 },
    /// The user has had enough.
    Interrupted,
}

/// Walks what is planned and shows output until the end, stops what then still runs, and returns the exit code.
pub(super) async fn up(
    work: &Work<'_>,
    planner: Planner<'_>,
    attached: &Attached,
) -> Result<ExitStatus, CommandError> {
    // The events are listened to before anybody looks, so that no end is missed.
    let events = work
        .engine
        .events(&work.scope.project, EventsFrom::Now)
        .await?;
    let mut prepared = work.prepare(planner).await?;
    let mut stage = Stage {
        work,
        attached,
        show: Show::begin(work, attached, &prepared).await?,
        events,
        interrupts: Interrupts::listen()?,
        insists: Flag::Unset,
    };
    let (walked, end) = loop {
        match stage.walk(&prepared).await? {
            (Err(ReconcileError::Overtaken { .. }), None) => {
                prepared = work.prepare_again(prepared, planner).await?;
            }
            walked => break walked,
        }
    };
    // Others may change the project from here on, and we ourselves when we stop it.
    let plan = prepared.into_plan();
    let end = match (walked, end) {
        (walked, Some(end)) => {
            stage.show.settle().await?;
            stage.stop(&end).await?;
            if let Err(error @ ReconcileError::Failed { .. }) = walked {
                return Err(work::failed(error, &plan));
            }
            end
        }
        (Err(error), None) => {
            stage.show.settle().await?;
            stage.show.last_words().await?;
            return Err(work::failed(error, &plan));
        }
        (Ok(_), None) => {
            let end = stage.until_the_end().await?;
            stage.stop(&end).await?;
            end
        }
    };
    match end {
        End::Interrupted => Ok(ExitStatus::Interrupted),
        End::NothingRuns => stage.exit_code(0).await,
        End::Exited { code } => stage.exit_code(code).await,
    }
}

/// What came of walking, and why it shall be over, if it shall.
type Walked = (Result<Outcome, ReconcileError>, Option<End>);

/// All that a foreground `up` listens to.
struct Stage<'run> {
    work: &'run Work<'run>,
    attached: &'run Attached,
    show: Show<'run>,
    events: EventStream,
    interrupts: Interrupts,
    /// Whether the user has asked twice.
    insists: Flag,
}

impl Stage<'_> {
    /// Walks the plan and shows meanwhile what containers write; an end that comes meanwhile cancels the rest.
    async fn walk(&mut self, prepared: &Prepared<'_>) -> Result<Walked, CommandError> {
        let board = Board::new(self.work, prepared)?;
        let (canceller, cancel) = cancellation();
        let walked = {
            let walking = board.walk(self.work, prepared, cancel);
            tokio::pin!(walking);
            self.accompany(walking, &board, &canceller).await?
        };
        board.close(&prepared.plan, &walked.0)?;
        Ok(walked)
    }

    async fn accompany(
        &mut self,
        mut walking: impl Future<Output = Result<Outcome, ReconcileError>> + Unpin,
        board: &Board,
        canceller: &Canceller,
    ) -> Result<Walked, CommandError> {
        let mut end = None;
        let alone = tokio::time::sleep(match self.work.style {
            ProgressStyle::Tree => TREE_ALONE,
            ProgressStyle::Plain | ProgressStyle::Json | ProgressStyle::Quiet => Span::ZERO,
        });
        tokio::pin!(alone);
        loop {
            tokio::select! {
                biased;
                walked = &mut walking => return Ok((walked, end)),
                () = self.interrupts.next() => {
                    board.step_aside()?;
                    if end.is_some() {
                        return Ok((self.kill_during(walking).await?, end));
                    }
                    end = Some(End::Interrupted);
                    self.say_stopping()?;
                    canceller.cancel();
                }
                () = &mut alone, if !alone.is_elapsed() => {}
                Some(event) = self.events.next(), if alone.is_elapsed() => {
                    board.step_aside()?;
                    if let Some(code) = self.show.take_in(event?).await?
                        && end.is_none()
                    {
                        end = Some(End::Exited { code });
                        self.say_aborting()?;
                        canceller.cancel();
                    }
                }
                Some((source, line)) = self.show.next_line(), if alone.is_elapsed() => {
                    board.step_aside()?;
                    self.show.line(&source, &line?)?;
                }
            }
        }
    }

    async fn until_the_end(&mut self) -> Result<End, CommandError> {
        self.show.settle().await?;
        self.show.announce()?;
        let end = loop {
            if self.show.is_over() {
                // Another command may be about to start them again.
                let others = idle(self.work);
                tokio::select! {
                    () = self.interrupts.next() => break End::Interrupted,
                    idle = others => idle?,
                }
                self.show.settle().await?;
                if self.show.is_over() {
                    return Ok(End::NothingRuns);
                }
            }
            tokio::select! {
                () = self.interrupts.next() => break End::Interrupted,
                Some((source, line)) = self.show.next_line() => self.show.line(&source, &line?)?,
                event = self.events.next() => match event {
                    Some(event) => {
                        if let Some(code) = self.show.take_in(event?).await? {
                            break End::Exited { code };
                        }
                    }
                    None => return Ok(End::NothingRuns),
                },
            }
        };
        match end {
            End::Interrupted => self.say_stopping()?,
            End::Exited { .. } => self.say_aborting()?,
            End::NothingRuns => {}
        }
        Ok(end)
    }

    /// Stops the containers, and kills them when the user insists; shows meanwhile what they say.
    async fn stop(&mut self, end: &End) -> Result<(), CommandError> {
        if *end == End::NothingRuns {
            return self.show.last_words().await;
        }
        if self.insists.is_set() {
            kill(self.work, self.attached).await?;
            return self.show.last_words().await;
        }
        let stopping = stop(self.work, self.attached);
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                stopped = &mut stopping => {
                    stopped?;
                    break;
                }
                () = self.interrupts.next() => {
                    self.kill_during(stopping).await??;
                    break;
                }
                Some(event) = self.events.next() => {
                    // Whatever ends now, the end has come already.
                    let _ended = self.show.take_in(event?).await?;
                }
                Some((source, line)) = self.show.next_line() => self.show.line(&source, &line?)?,
            }
        }
        self.show.last_words().await
    }

    /// Kills the containers while something else still waits for them; the next signal leaves at once.
    async fn kill_during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, CommandError> {
        self.insists = Flag::Set;
        tokio::select! {
            (done, killed) = join(work, kill(self.work, self.attached)) => {
                killed?;
                Ok(done)
            }
            () = self.interrupts.next() => Err(CommandError::silent(ExitStatus::Interrupted)),
        }
    }

    fn say_stopping(&self) -> Result<(), CommandError> {
        let text = "Gracefully stopping... (press Ctrl+C again to force)";
        Ok(self.work.invocation.status().line(text)?)
    }

    fn say_aborting(&self) -> Result<(), CommandError> {
        let text = "Aborting on container exit...";
        Ok(self.work.invocation.status().line(text)?)
    }

    /// Returns how we end: with the code of the service that was asked for, else with `usual`.
    async fn exit_code(&self, usual: i32) -> Result<ExitStatus, CommandError> {
        let Some(service) = &self.attached.exit_code_from else {
            return Ok(ExitStatus::of_container(usual));
        };
        let observed = self.work.engine.observe(&project_scope(self.work)).await?;
        let mut replicas = observed
            .containers
            .values()
            .filter(|container| container.service == **service);
        let code = replicas
            .find_map(|container| container.exit_code)
            .unwrap_or(usual);
        Ok(ExitStatus::of_container(code))
    }
}

/// Waits until no other command works on the project.
async fn idle(work: &Work<'_>) -> Result<(), CommandError> {
    let holder = work.invocation.lock_holder();
    let project = &work.scope.project;
    drop(work.engine.lock(project, &holder, LockWait::Wait).await?);
    Ok(())
}

/// Stops what came up.
async fn stop(work: &Work<'_>, attached: &Attached) -> Result<(), CommandError> {
    let mut stop = Work::new(work.invocation, work.engine, project_scope(work), "stop");
    stop.unchanged = Unchanged::Hidden;
    if stop.style == ProgressStyle::Tree {
        // A block that is drawn over itself cannot stand between lines that go on.
        stop.style = ProgressStyle::Plain;
    }
    let options = StopOptions {
        services: attached.stopped.clone(),
        grace: attached.grace,
        dependents: Dependencies::Skip,
    };
    let plan = |observed: &ObservedState, _| Ok(plan::stop(observed, &options));
    stop.carry_out_deaf(&plan).await
}

/// Kills what still runs, without waiting for what stops it.
async fn kill(work: &Work<'_>, attached: &Attached) -> Result<(), CommandError> {
    let observed = work.engine.observe(&project_scope(work)).await?;
    let kills = observed
        .containers
        .values()
        .filter(|it| it.is_alive() && attached.stopped.contains(&it.service))
        .map(|container| async {
            let name = container.name.clone();
            let action = plan::Action::KillContainer {
                name,
                signal: Signal::KILL,
            };
            work.engine.perform(&action, &()).await
        });
    for killed in futures_util::future::join_all(kills).await {
        killed?;
    }
    Ok(())
}

/// All of the project, and nothing else.
pub(super) fn project_scope(work: &Work<'_>) -> Scope {
    Scope::project(work.scope.project.clone())
}
