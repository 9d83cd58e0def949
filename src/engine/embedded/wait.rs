//! Waiting for what a container becomes: by events on its state record, never by a tick.

use std::sync::{Mutex, PoisonError};
use std::time::Duration as Span;

use jiff::Timestamp;

use super::record::ContainerRecord;
use super::watch::{Change, DirWatch};
use super::{Embedded, EngineError, Performed};
use crate::plan::Until;
use crate::runtime::monitor::state::{ContainerState, Health, Status};
use crate::runtime::store::FileLock;
use crate::value::{ContainerName, Duration};

/// So long a container without a health check must have run before it counts as running: one that cannot work at all
/// mostly ends sooner.
const SETTLED: Span = Span::from_millis(500);

/// What a look at a container says about a wait.
enum Verdict {
    /// It is so.
    True(Performed),
    /// It may still become so.
    NotYet,
    /// It is so once nothing has changed for so long.
    Settling(Span),
    /// It will not become so.
    Never(EngineError),
}

/// So many times a container may be started again by its policy while it is waited for to run.
const RESTART_LIMIT: u32 = 5;

/// The runs of a container that ended while it was waited for.
#[derive(Debug, Default)]
struct Runs {
    /// How often it had been started again when the wait began.
    restarts_before: Option<u32>,
    /// How those that were seen ended.
    exit_codes: Vec<i32>,
    restarts_seen: Option<u32>,
}

/// A container does not stay up.
#[derive(Debug, thiserror::Error)]
#[error("it ended {RESTART_LIMIT} times with exit code {}, and was started again each time", listed(.exit_codes))]
struct CrashLoop {
    exit_codes: Vec<i32>,
}

impl Runs {
    /// Takes in a state; reports whether the container was started again too often.
    fn is_a_loop(&mut self, state: &ContainerState) -> bool {
        let before = *self.restarts_before.get_or_insert(state.restart_count);
        if state.status == Status::Restarting && self.restarts_seen != Some(state.restart_count) {
            self.restarts_seen = Some(state.restart_count);
            self.exit_codes.extend(state.exit_code);
        }
        state.restart_count.saturating_sub(before) >= RESTART_LIMIT
    }

    fn error(&self, record: &ContainerRecord) -> EngineError {
        let exit_codes = self.exit_codes.clone();
        let act = format!("wait for container `{}` to run", record.name);
        EngineError::act(act, CrashLoop { exit_codes })
    }
}

/// Lists exit codes, each once where they are all the same.
fn listed(exit_codes: &[i32]) -> String {
    let mut codes = exit_codes.to_vec();
    if codes.windows(2).all(|pair| pair[0] == pair[1]) {
        codes.truncate(1);
    }
    let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
    codes.join(", ")
}

/// How long apart it is looked for a container that another command may be about to make.
const LOOK_AGAIN: Span = Span::from_millis(5);

impl Embedded {
    /// Waits until `until` is true of a container.
    pub(super) async fn wait_until(
        &self,
        name: &ContainerName,
        until: Until,
        timeout: Option<Duration>,
    ) -> Result<Performed, EngineError> {
        let runs = Mutex::new(Runs::default());
        let judge = |record: &ContainerRecord, state: &ContainerState| {
            let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
            match (judge(record, state, until), until) {
                (Verdict::NotYet | Verdict::Settling(_), Until::RunningOrHealthy)
                    if runs.is_a_loop(state) =>
                {
                    Verdict::Never(runs.error(record))
                }
                (verdict, _) => verdict,
            }
        };
        let waiting = self.wait_for_verdict(name, judge);
        let Some(timeout) = timeout else {
            return waiting.await;
        };
        let limit = timeout.to_std();
        match tokio::time::timeout(limit, waiting).await {
            Ok(result) => result,
            Err(elapsed) => {
                let act = format!("wait for container `{name}` longer than {timeout}");
                Err(EngineError::act(act, elapsed))
            }
        }
    }

    /// Waits until a container has ended for good, and returns its exit code.
    pub(super) async fn wait_for_end(&self, name: &ContainerName) -> Result<i32, EngineError> {
        let ended = |_: &ContainerRecord, state: &ContainerState| match state.status {
            Status::Created | Status::Exited => {
                let exit_code = state.exit_code.unwrap_or(0);
                Verdict::True(Performed::Ended { exit_code })
            }
            Status::Running | Status::Paused | Status::Restarting => Verdict::NotYet,
        };
        match self.wait_for_verdict(name, ended).await {
            // Its exit code went with it.
            Err(EngineError::Removed { .. }) => Ok(0),
            Err(error) => Err(error),
            Ok(Performed::Ended { exit_code }) => Ok(exit_code),
            Ok(
                Performed::Done
                | Performed::Image { .. }
                | Performed::Said { .. }
                | Performed::Warned { .. },
            ) => Ok(0),
        }
    }

    async fn wait_for_verdict(
        &self,
        name: &ContainerName,
        judge: impl Fn(&ContainerRecord, &ContainerState) -> Verdict,
    ) -> Result<Performed, EngineError> {
        let act = |error| EngineError::act(format!("wait for container `{name}`"), error);
        let watch = DirWatch::new(Change::Names).map_err(act)?;
        let mut record = self.inner.get(name)?;
        watch.add(&self.inner.folder(&record)).map_err(act)?;
        loop {
            // Another command may have removed it, or put another one in its place.
            match self.inner.find(name)? {
                Some(current) if current.id == record.id => {}
                Some(current) => {
                    watch.add(&self.inner.folder(&current)).map_err(act)?;
                    record = current;
                }
                None => {
                    self.await_successor(&record).await?;
                    continue;
                }
            }
            // A container whose monitor is gone tells nothing any more: it gets a new one.
            let (state, unwatched) = match self.inner.watched_state(&record) {
                Ok(state) => (state, None),
                Err(error) => (self.inner.unwatched_state(&record)?, Some(error)),
            };
            match (judge(&record, &state), unwatched) {
                (Verdict::True(performed), _) => return Ok(performed),
                (Verdict::Never(error), _) => return Err(error),
                // Nobody would tell of a change.
                (Verdict::NotYet | Verdict::Settling(_), Some(error)) => return Err(error),
                (Verdict::NotYet, None) => watch.changed().await.map_err(act)?,
                (Verdict::Settling(left), None) => {
                    if let Ok(changed) = tokio::time::timeout(left, watch.changed()).await {
                        changed.map_err(act)?;
                    }
                }
            }
        }
    }
}

impl Embedded {
    /// Waits while another command works on the project: it may be about to give the name to a new container.
    async fn await_successor(&self, gone: &ContainerRecord) -> Result<(), EngineError> {
        let lock = self.inner.layout.lock(&gone.spec.project);
        while FileLock::is_held(&lock) {
            tokio::time::sleep(LOOK_AGAIN).await;
            if self.inner.find(&gone.name)?.is_some() {
                return Ok(());
            }
        }
        match self.inner.find(&gone.name)? {
            Some(_) => Ok(()),
            None => Err(EngineError::Removed {
                name: gone.name.clone(),
            }),
        }
    }
}

fn judge(record: &ContainerRecord, state: &ContainerState, until: Until) -> Verdict {
    match until {
        Until::RunningOrHealthy if state.health.is_none() => judge_running(record, state),
        Until::RunningOrHealthy | Until::Healthy => judge_health(record, state),
        Until::CompletedSuccessfully => judge_completed(record, state),
        Until::Stopped => judge_stopped(state),
    }
}

fn judge_running(record: &ContainerRecord, state: &ContainerState) -> Verdict {
    match state.status {
        Status::Running | Status::Paused => {
            match SETTLED.checked_sub(has_run_for(state, Timestamp::now())) {
                Some(left) if !left.is_zero() => Verdict::Settling(left),
                Some(_) | None => Verdict::True(Performed::Done),
            }
        }
        Status::Created | Status::Restarting => Verdict::NotYet,
        Status::Exited => Verdict::Never(ended(record, state)),
    }
}

/// Tells how long a container has run; one that says nothing about it, long enough.
fn has_run_for(state: &ContainerState, now: Timestamp) -> Span {
    let started = state.started_at.as_deref().map(str::parse::<Timestamp>);
    match started {
        Some(Ok(started)) => Span::try_from(now.duration_since(started)).unwrap_or_default(),
        Some(Err(_)) | None => SETTLED,
    }
}

fn judge_health(record: &ContainerRecord, state: &ContainerState) -> Verdict {
    match (state.status, state.health) {
        (Status::Running | Status::Paused, Some(Health::Healthy)) => Verdict::True(Performed::Done),
        (Status::Running | Status::Paused, Some(Health::Unhealthy)) => {
            let output = state.last_probe.as_ref().map(|probe| probe.output.clone());
            let (name, output) = (record.name.clone(), output.unwrap_or_default());
            Verdict::Never(EngineError::Unhealthy { name, output })
        }
        (Status::Running | Status::Paused, None) => Verdict::Never(EngineError::NoHealthcheck {
            name: record.name.clone(),
        }),
        (Status::Running | Status::Paused, Some(Health::Starting))
        | (Status::Created | Status::Restarting, _) => Verdict::NotYet,
        (Status::Exited, _) => Verdict::Never(ended(record, state)),
    }
}

fn judge_completed(record: &ContainerRecord, state: &ContainerState) -> Verdict {
    match (state.status, state.exit_code) {
        (Status::Exited, Some(0)) => Verdict::True(Performed::Ended { exit_code: 0 }),
        (Status::Exited, _) => Verdict::Never(ended(record, state)),
        (Status::Created | Status::Running | Status::Paused | Status::Restarting, _) => {
            Verdict::NotYet
        }
    }
}

fn judge_stopped(state: &ContainerState) -> Verdict {
    match state.status {
        Status::Running | Status::Paused if state.stopping.is_some() => Verdict::NotYet,
        // One that runs and is not being stopped was started again meanwhile.
        Status::Created
        | Status::Running
        | Status::Paused
        | Status::Restarting
        | Status::Exited => Verdict::True(Performed::Done),
    }
}

fn ended(record: &ContainerRecord, state: &ContainerState) -> EngineError {
    EngineError::Ended {
        name: record.name.clone(),
        exit_code: state.exit_code.unwrap_or(255),
    }
}
