//! `up` in the foreground: shows what containers write until they end, or until the user has had enough.
//!
//! The first Ctrl-C stops the containers and goes on showing what they say; the second one kills them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use futures_util::StreamExt as _;

use super::error::{CommandError, ExitStatus};
use super::follow::{self, Following, LogSink, Source, Streams};
use super::interrupt::Interrupts;
use super::invocation::Flag;
use super::work::{Unchanged, Work};
use crate::engine::{ContainerEvent, EventKind, EventStream, LogLine};
use crate::observed::{ObservedContainer, ObservedState, OneOff, RunState, Scope};
use crate::plan::{self, Dependencies, StopOptions};
use crate::report::{LogStyle, ProgressStyle};
use crate::value::{ContainerName, Duration, ServiceName, Signal};

/// What a foreground `up` shows, and when it ends.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    /// The services whose output is shown.
    pub(super) shown: BTreeSet<ServiceName>,
    /// The services that came up, and that are stopped at the end.
    pub(super) services: BTreeSet<ServiceName>,
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
enum End {
    /// No container runs any more.
    NothingRuns,
    /// A container ended that takes the others with it.
    Exited { code: i32 },
    /// The user has had enough.
    Interrupted,
}

/// Shows output until the end, stops what then still runs, and returns the exit code.
pub(super) async fn stay(
    work: &Work<'_>,
    mut events: EventStream,
    attached: &Attached,
) -> Result<ExitStatus, CommandError> {
    let mut interrupts = Interrupts::listen()?;
    let observed = work.engine.observe(&project_scope(work)).await?;
    let mut show = Show::begin(work, attached, &observed).await?;
    let end = show.until_the_end(&mut events, &mut interrupts).await?;
    if end == End::Interrupted {
        let text = "Gracefully stopping... (press Ctrl+C again to force)";
        work.invocation.stderr().line(text)?;
    } else if let End::Exited { .. } = end {
        work.invocation
            .stderr()
            .line("Aborting on container exit...")?;
    }
    if end != End::NothingRuns {
        show.stop(&mut events, &mut interrupts).await?;
    }
    show.last_words().await?;
    match end {
        End::Interrupted => Ok(ExitStatus::Interrupted),
        End::NothingRuns => show.exit_code(0).await,
        End::Exited { code } => show.exit_code(code).await,
    }
}

/// The containers as they are shown.
struct Show<'run> {
    work: &'run Work<'run>,
    attached: &'run Attached,
    sink: LogSink,
    following: Following<'run>,
    /// The containers that were seen, by name.
    sources: BTreeMap<ContainerName, Source>,
    /// The containers of the services that came up and of whose end nobody has told yet.
    running: BTreeSet<ContainerName>,
    /// When each of them wrote the last line that was shown.
    last_times: BTreeMap<ContainerName, SystemTime>,
}

impl<'run> Show<'run> {
    async fn begin(
        work: &'run Work<'run>,
        attached: &'run Attached,
        observed: &ObservedState,
    ) -> Result<Self, CommandError> {
        let containers: Vec<&ObservedContainer> = observed
            .containers
            .values()
            .filter(|it| it.oneoff == OneOff::No && attached.services.contains(&it.service))
            .collect();
        let sources: Vec<Source> = containers
            .iter()
            .filter(|container| attached.shown.contains(&container.service))
            .map(|container| Source::of(container))
            .collect();
        let sink = LogSink::new(
            work.invocation,
            attached.style,
            (Streams::Apart, attached.no_color),
            &sources,
        );
        let mut show = Self {
            work,
            attached,
            sink,
            following: Following::new(work.engine),
            sources: BTreeMap::new(),
            running: containers
                .iter()
                .filter(|it| it.is_alive() || it.started.is_some_and(|time| time >= attached.began))
                .map(|container| container.name.clone())
                .collect(),
            last_times: BTreeMap::new(),
        };
        let labels: Vec<&str> = sources.iter().map(|source| source.label.as_str()).collect();
        work.invocation
            .stdout()
            .line(&format!("Attaching to {}", labels.join(", ")))?;
        for source in &sources {
            show.follow(source).await?;
        }
        Ok(show)
    }

    async fn follow(&mut self, source: &Source) -> Result<(), CommandError> {
        self.following
            .add(source, Some(self.attached.began), None)
            .await?;
        self.sources
            .insert(source.container.clone(), source.clone());
        Ok(())
    }

    async fn until_the_end(
        &mut self,
        events: &mut EventStream,
        interrupts: &mut Interrupts,
    ) -> Result<End, CommandError> {
        if self.running.is_empty() {
            return Ok(End::NothingRuns);
        }
        loop {
            tokio::select! {
                () = interrupts.next() => return Ok(End::Interrupted),
                Some((source, line)) = self.following.next() => self.show(&source, &line?)?,
                event = events.next() => match event {
                    Some(event) => {
                        if let Some(end) = self.take_in(event?).await? {
                            return Ok(end);
                        }
                    }
                    None => return Ok(End::NothingRuns),
                },
            }
        }
    }

    fn show(&mut self, source: &Source, line: &LogLine) -> Result<(), CommandError> {
        self.last_times.insert(source.container.clone(), line.time);
        self.sink.write(source, line)
    }

    /// Takes in what happened to a container, and returns the end if it is one.
    async fn take_in(&mut self, event: ContainerEvent) -> Result<Option<End>, CommandError> {
        if !self.attached.services.contains(&event.service) {
            return Ok(None);
        }
        match event.kind {
            EventKind::Start | EventKind::Restart => self.welcome(event).await?,
            EventKind::Die { exit_code } => return self.see_off(event, exit_code).await,
            EventKind::Destroy => {
                self.running.remove(&event.container);
                return Ok(self.running.is_empty().then_some(End::NothingRuns));
            }
            EventKind::Create
            | EventKind::Pause
            | EventKind::Unpause
            | EventKind::Kill { .. }
            | EventKind::OutOfMemory
            | EventKind::Stop
            | EventKind::Rename
            | EventKind::Healthy
            | EventKind::Unhealthy => {}
        }
        Ok(None)
    }

    /// Follows a container that started, unless it is followed already.
    async fn welcome(&mut self, event: ContainerEvent) -> Result<(), CommandError> {
        self.running.insert(event.container.clone());
        if !self.attached.shown.contains(&event.service) {
            return Ok(());
        }
        let observed = self.work.engine.observe(&project_scope(self.work)).await?;
        match observed.containers.get(&event.container) {
            Some(container) if container.oneoff == OneOff::No => {
                self.follow(&Source::of(container)).await
            }
            _ => Ok(()),
        }
    }

    /// Says that a container ended, and returns the end if that was the end of all.
    async fn see_off(
        &mut self,
        event: ContainerEvent,
        exit_code: Option<i32>,
    ) -> Result<Option<End>, CommandError> {
        let observed = self.work.engine.observe(&project_scope(self.work)).await?;
        let state = observed
            .containers
            .get(&event.container)
            .map(|container| container.state);
        let state = state.unwrap_or(RunState::Exited);
        if let Some(source) = self.sources.get(&event.container).cloned() {
            self.say_exit(&source, exit_code, state)?;
        }
        if matches!(state, RunState::Restarting | RunState::Running) {
            return Ok(None);
        }
        self.running.remove(&event.container);
        let code = exit_code.unwrap_or(1);
        let ends = match self.attached.ends_with {
            EndsWith::LastExit => false,
            EndsWith::FirstExit => true,
            EndsWith::FirstFailure => code != 0,
        };
        if ends {
            return Ok(Some(End::Exited { code }));
        }
        Ok(self.running.is_empty().then_some(End::NothingRuns))
    }

    fn say_exit(
        &mut self,
        source: &Source,
        exit_code: Option<i32>,
        state: RunState,
    ) -> Result<(), CommandError> {
        let code =
            exit_code.map_or_else(|| "an unknown code".to_owned(), |it| format!("code {it}"));
        let more = if state == RunState::Restarting {
            " (restarting)"
        } else {
            ""
        };
        self.sink
            .status(source, &format!("exited with {code}{more}"))
    }

    /// Stops the containers, and kills them when the user insists; shows meanwhile what they say.
    async fn stop(
        &mut self,
        events: &mut EventStream,
        interrupts: &mut Interrupts,
    ) -> Result<(), CommandError> {
        let attached = self.attached;
        let stopping = Self::changing(self.work, move |observed| {
            let options = StopOptions {
                services: attached.services.clone(),
                grace: attached.grace,
                dependents: Dependencies::Skip,
            };
            plan::stop(observed, &options)
        });
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                stopped = &mut stopping => return stopped,
                () = interrupts.next() => break,
                Some(event) = events.next() => {
                    // Whatever ends now, the end has come already.
                    let _ended = self.take_in(event?).await?;
                }
                Some((source, line)) = self.following.next() => self.show(&source, &line?)?,
            }
        }
        self.kill().await
    }

    /// Kills what still runs, without waiting for what stops it.
    async fn kill(&self) -> Result<(), CommandError> {
        let observed = self.work.engine.observe(&project_scope(self.work)).await?;
        let kills = observed
            .containers
            .values()
            .filter(|it| it.is_alive() && self.attached.services.contains(&it.service))
            .map(|container| async {
                let name = container.name.clone();
                let action = plan::Action::KillContainer {
                    name,
                    signal: Signal::KILL,
                };
                self.work.engine.perform(&action, &()).await
            });
        for killed in futures_util::future::join_all(kills).await {
            killed?;
        }
        Ok(())
    }

    async fn changing(
        work: &Work<'_>,
        planner: impl Fn(&ObservedState) -> plan::Plan,
    ) -> Result<(), CommandError> {
        let mut stop = Work::new(work.invocation, work.engine, project_scope(work), "stop");
        stop.unchanged = Unchanged::Hidden;
        if stop.style == ProgressStyle::Tree {
            // A block that is drawn over itself cannot stand between lines that go on.
            stop.style = ProgressStyle::Plain;
        }
        stop.carry_out(&|observed, _| Ok(planner(observed)))
            .await
            .map(|_| ())
    }

    /// Shows what was written at the very end and not yet read.
    async fn last_words(&mut self) -> Result<(), CommandError> {
        let sources: Vec<Source> = self.sources.values().cloned().collect();
        let times = (&self.last_times, Some(self.attached.began));
        follow::write_rest(self.work.engine, &sources, times, &mut self.sink).await
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

fn project_scope(work: &Work<'_>) -> Scope {
    Scope::project(work.scope.project.clone())
}
