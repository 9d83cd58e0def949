//! Containers of a foreground `up` → their lines, and what happened to them, on the screen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::attached::{Attached, EndsWith, project_scope};
use super::error::CommandError;
use super::follow::{self, Following, LogSink, Source, Streams, Tagged};
use super::work::{Prepared, Work};
use crate::engine::{ContainerEvent, EventKind, LogLine};
use crate::observed::{ObservedContainer, OneOff, RunState};
use crate::plan::Action;
use crate::value::{ContainerName, ServiceName};

/// The containers as they are shown.
pub(super) struct Show<'run> {
    work: &'run Work<'run>,
    attached: &'run Attached,
    sink: LogSink,
    following: Following<'run>,
    /// The containers that were seen, by name.
    sources: BTreeMap<ContainerName, Source>,
    /// The ids of the containers whose end counts and of which nobody has told it yet.
    running: BTreeSet<String>,
    /// The ids of containers of whose end somebody has told.
    ended: BTreeSet<String>,
    /// The ids of containers that the plan stops: their end is no news.
    leaving: BTreeSet<String>,
    /// When each of them wrote the last line that was shown.
    last_times: BTreeMap<ContainerName, SystemTime>,
    is_announced: bool,
}

impl<'run> Show<'run> {
    /// Follows what runs already and stays.
    pub(super) async fn begin(
        work: &'run Work<'run>,
        attached: &'run Attached,
        prepared: &Prepared<'_>,
    ) -> Result<Self, CommandError> {
        let sink = LogSink::new(
            work.invocation,
            attached.style,
            (Streams::Apart, attached.no_color),
            attached.labels.iter().map(String::as_str),
        );
        let mut show = Self {
            work,
            attached,
            sink,
            following: Following::new(work.engine),
            sources: BTreeMap::new(),
            running: BTreeSet::new(),
            ended: BTreeSet::new(),
            leaving: leaving(prepared),
            last_times: BTreeMap::new(),
            is_announced: false,
        };
        for container in prepared.observed.containers.values() {
            if container.is_alive() && !show.leaving.contains(&container.id) {
                show.welcome(container).await?;
            }
        }
        Ok(show)
    }

    /// Takes in what is there once the plan is done: whatever it left alone has not left.
    pub(super) async fn settle(&mut self) -> Result<(), CommandError> {
        self.leaving.clear();
        let observed = self.work.engine.observe(&project_scope(self.work)).await?;
        for container in observed.containers.values() {
            let has_run = container
                .started
                .is_some_and(|time| time >= self.attached.began);
            if container.is_alive() || (has_run && !self.ended.contains(&container.id)) {
                self.welcome(container).await?;
            }
        }
        Ok(())
    }

    /// Tells whether no container runs any more.
    pub(super) fn is_over(&self) -> bool {
        self.running.is_empty()
    }

    /// Returns the next line, nothing once nobody can write one.
    pub(super) async fn next_line(&mut self) -> Option<Tagged> {
        self.following.next().await
    }

    /// Shows a line, unless it has been shown already.
    pub(super) fn line(&mut self, source: &Source, line: &LogLine) -> Result<(), CommandError> {
        let last = self.last_times.get(&source.container);
        if last.is_some_and(|last| line.time <= *last) {
            return Ok(());
        }
        self.announce()?;
        self.last_times.insert(source.container.clone(), line.time);
        self.sink.write(source, line)
    }

    /// Takes in what happened to a container, and returns its exit code if that is the end of all.
    pub(super) async fn take_in(
        &mut self,
        event: ContainerEvent,
    ) -> Result<Option<i32>, CommandError> {
        if !self.concerns(&event.service) {
            return Ok(None);
        }
        match event.kind {
            EventKind::Start | EventKind::Restart => {
                self.leaving.remove(&event.id);
                self.ended.remove(&event.id);
                if let Some(container) = self.find(&event).await? {
                    self.welcome(&container).await?;
                }
            }
            EventKind::Die { exit_code } => return self.see_off(event, exit_code).await,
            EventKind::Destroy => {
                self.running.remove(&event.id);
            }
            EventKind::Create
            | EventKind::Pause
            | EventKind::Unpause
            | EventKind::Kill { .. }
            | EventKind::OutOfMemory
            | EventKind::Stop
            | EventKind::Rename
            | EventKind::Healthy
            | EventKind::Unhealthy
            | EventKind::ExecCreate { .. }
            | EventKind::ExecStart { .. }
            | EventKind::ExecDie => {}
        }
        Ok(None)
    }

    /// Shows what was written at the very end and not yet read, and tells of ends that nobody has told of yet.
    pub(super) async fn last_words(&mut self) -> Result<(), CommandError> {
        let sources: Vec<Source> = self.sources.values().cloned().collect();
        self.rest_of(&sources).await?;
        let observed = self.work.engine.observe(&project_scope(self.work)).await?;
        for source in sources {
            let container = observed.containers.get(&source.container);
            let ended = container.filter(|container| {
                self.attached.watched.contains(&container.service)
                    && !container.is_alive()
                    && source.is(container)
                    && !self.ended.contains(&container.id)
            });
            if let Some(container) = ended {
                self.ended.insert(container.id.clone());
                self.sink
                    .exit(&source, container.exit_code, container.state)?;
            }
        }
        Ok(())
    }

    /// Follows a container, unless it is followed already or is not to be shown.
    async fn welcome(&mut self, container: &ObservedContainer) -> Result<(), CommandError> {
        if container.oneoff != OneOff::No || !self.concerns(&container.service) {
            return Ok(());
        }
        if self.attached.watched.contains(&container.service) {
            self.running.insert(container.id.clone());
        }
        if !self.attached.shown.contains(&container.service) {
            return Ok(());
        }
        let source = Source::of(container);
        self.following
            .add(&source, Some(self.attached.began), None)
            .await?;
        self.sources.insert(source.container.clone(), source);
        Ok(())
    }

    fn concerns(&self, service: &ServiceName) -> bool {
        self.attached.watched.contains(service) || self.attached.shown.contains(service)
    }

    /// Says once whose lines are about to come.
    pub(super) fn announce(&mut self) -> Result<(), CommandError> {
        if self.is_announced {
            return Ok(());
        }
        self.is_announced = true;
        let labels = self.attached.labels.join(", ");
        let mut output = self.work.invocation.stdout();
        Ok(output.line(&format!("Attaching to {labels}"))?)
    }

    /// Says that a container ended, and returns its exit code if that was the end of all.
    async fn see_off(
        &mut self,
        event: ContainerEvent,
        exit_code: Option<i32>,
    ) -> Result<Option<i32>, CommandError> {
        if self.leaving.contains(&event.id) {
            return Ok(None);
        }
        let container = self.find(&event).await?;
        let state = container.map_or(RunState::Exited, |container| container.state);
        if let Some(source) = self.sources.get(&event.container).cloned() {
            self.rest_of(std::slice::from_ref(&source)).await?;
            if self.attached.watched.contains(&event.service) {
                self.sink.exit(&source, exit_code, state)?;
            }
        }
        if matches!(state, RunState::Restarting | RunState::Running) {
            return Ok(None);
        }
        self.running.remove(&event.id);
        self.ended.insert(event.id);
        if !self.attached.watched.contains(&event.service) {
            return Ok(None);
        }
        let code = exit_code.unwrap_or(1);
        let is_end = match self.attached.ends_with {
            EndsWith::LastExit => false,
            EndsWith::FirstExit => true,
            EndsWith::FirstFailure => code != 0,
        };
        Ok(is_end.then_some(code))
    }

    /// Shows what was written and not yet read.
    async fn rest_of(&mut self, sources: &[Source]) -> Result<(), CommandError> {
        if !sources.is_empty() {
            self.announce()?;
        }
        let times = (&mut self.last_times, Some(self.attached.began));
        follow::write_rest(self.work.engine, sources, times, &mut self.sink).await
    }

    /// Returns the container that an event tells of, as it is now.
    async fn find(
        &self,
        event: &ContainerEvent,
    ) -> Result<Option<ObservedContainer>, CommandError> {
        let mut observed = self.work.engine.observe(&project_scope(self.work)).await?;
        let found = observed.containers.remove(&event.container);
        Ok(found.filter(|container| container.id == event.id))
    }
}

/// Returns the ids of the containers that the plan stops or removes.
fn leaving(prepared: &Prepared<'_>) -> BTreeSet<String> {
    let steps = prepared.plan.steps.iter();
    let names = steps.filter_map(|step| match &step.action {
        Action::StopContainer { name, .. }
        | Action::KillContainer { name, .. }
        | Action::RemoveContainer { name, .. } => Some(name),
        Action::PullImage { .. }
        | Action::BuildImage(_)
        | Action::RemoveImage { .. }
        | Action::CreateNetwork(_)
        | Action::RemoveNetwork { .. }
        | Action::CreateVolume(_)
        | Action::RemoveVolume { .. }
        | Action::CreateContainer { .. }
        | Action::StartContainer { .. }
        | Action::PauseContainer { .. }
        | Action::UnpauseContainer { .. }
        | Action::RenameContainer { .. }
        | Action::UpdateContainer { .. }
        | Action::ConnectNetwork { .. }
        | Action::DisconnectNetwork { .. }
        | Action::WaitContainer { .. }
        | Action::RunHook { .. } => None,
    });
    names
        .filter_map(|name| prepared.observed.containers.get(name))
        .map(|container| container.id.clone())
        .collect()
}
