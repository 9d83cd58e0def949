//! Containers stopped, killed and frozen, through their monitors.

use super::inner::Inner;
use super::record::ContainerRecord;
use crate::engine::{EngineError, EventKind, Performed};
use crate::runtime::container::ContainerError;
use crate::runtime::kernel::pidfd::Exit;
use crate::runtime::monitor::control::{self, ControlError, Reply, Request};
use crate::runtime::monitor::state::{ContainerState, Status};
use crate::runtime::store::{Durability, FileLock};
use crate::value::{ContainerName, Duration, Signal};

/// How long a container is waited for when nobody says how long.
const DEFAULT_GRACE_MS: u64 = 10_000;
/// How often a monitor is asked; before each further time another one is started.
const ATTEMPTS: u32 = 3;
/// How long the end of processes that were sent SIGKILL is waited for.
pub(super) const KILL_TIMEOUT_MS: u64 = 5_000;
/// How long the kernel may take to say how a process ended that somebody else reaps.
const EXIT_PATIENCE_MS: u64 = 2_000;

impl Inner {
    /// Asks a container to end; one that does not run is fine.
    pub(super) fn stop_container(
        &self,
        name: &ContainerName,
        signal: Option<Signal>,
        grace: Option<Duration>,
    ) -> Result<Performed, EngineError> {
        let Some(record) = self.find(name)? else {
            return Ok(Performed::Done);
        };
        if !self.is_alive(&record)? {
            return Ok(Performed::Done);
        }
        let signal = signal.map_or_else(|| record.stop_signal(), Signal::number);
        let grace = grace.or(record.spec.stop.grace);
        let grace_ms = grace.map_or(DEFAULT_GRACE_MS, millis);
        let reply = self.ask(
            &record,
            &Request::Stop {
                signal,
                grace_ms: Some(grace_ms),
            },
        )?;
        self.append_event(&record, &EventKind::Stop, &[]);
        Ok(match reply {
            Reply::Ended {
                exit_code: Some(exit_code),
            } => Performed::Ended { exit_code },
            Reply::Ended { exit_code: None }
            | Reply::Done
            | Reply::State { .. }
            | Reply::Failed { .. } => Performed::Done,
        })
    }

    /// Sends a signal to a container.
    pub(super) fn kill_container(
        &self,
        name: &ContainerName,
        signal: Signal,
    ) -> Result<Performed, EngineError> {
        let record = self.get(name)?;
        self.require_alive(&record)?;
        let signal = signal.number();
        if signal == Signal::KILL.number() {
            let _ended = self.ask(
                &record,
                &Request::Stop {
                    signal,
                    grace_ms: Some(0),
                },
            )?;
        } else {
            let _done = self.ask(&record, &Request::Signal { signal })?;
        }
        Ok(Performed::Done)
    }

    /// Freezes a container; one that is frozen is fine.
    pub(super) fn pause_container(&self, name: &ContainerName) -> Result<Performed, EngineError> {
        self.ask_alive(name, &Request::Pause)
    }

    /// Thaws a container; one that runs is fine.
    pub(super) fn unpause_container(&self, name: &ContainerName) -> Result<Performed, EngineError> {
        self.ask_alive(name, &Request::Unpause)
    }

    fn ask_alive(&self, name: &ContainerName, request: &Request) -> Result<Performed, EngineError> {
        let record = self.get(name)?;
        self.require_alive(&record)?;
        let _done = self.ask(&record, request)?;
        Ok(Performed::Done)
    }

    pub(super) fn require_alive(&self, record: &ContainerRecord) -> Result<(), EngineError> {
        if self.is_alive(record)? {
            return Ok(());
        }
        Err(EngineError::NotRunning {
            name: record.name.clone(),
        })
    }

    fn is_alive(&self, record: &ContainerRecord) -> Result<bool, EngineError> {
        Ok(self.state(record)?.has_process_or_pause())
    }

    /// Returns what is true of a container now.
    pub(super) fn state(&self, record: &ContainerRecord) -> Result<ContainerState, EngineError> {
        let act = || format!("read the state of container `{}`", record.name);
        let folder = self.folder(record);
        let state = match ContainerState::read(&folder) {
            Ok(state) => state,
            Err(error) if error.is_damage() && self.is_watched(&record.id) => {
                // Its monitor knows what is true, and writes it again.
                let run_dir = self.layout.container_run(&record.id);
                let saved = control::ask(&run_dir, &Request::Reload);
                let _done = saved.map_err(|error| EngineError::act(act(), error))?;
                ContainerState::read(&folder).map_err(|error| EngineError::act(act(), error))?
            }
            // Torn by a power cut: then nothing of it runs any more.
            Err(error) if error.is_damage() => None,
            Err(error) => return Err(EngineError::act(act(), error)),
        };
        let state = state.unwrap_or_else(|| ContainerState::created(&self.boot_id));
        Ok(state.as_of_boot(&self.boot_id))
    }

    /// Reports whether a monitor of the container lives.
    pub(super) fn is_watched(&self, id: &str) -> bool {
        FileLock::is_held(&self.layout.container_run(id).join("lock"))
    }

    /// Asks a container's monitor, after starting one where the last is gone.
    ///
    /// A container that nobody can watch is still stopped, by its processes.
    pub(super) fn ask(
        &self,
        record: &ContainerRecord,
        request: &Request,
    ) -> Result<Reply, EngineError> {
        let unheard = match self.ask_monitor(record, request)? {
            Asked::Answered(reply) => return Ok(reply),
            Asked::Unheard(error) => error,
        };
        if let Request::Stop { signal, grace_ms } = request {
            return self.stop_unwatched(record, *signal, *grace_ms);
        }
        Err(unheard)
    }

    fn ask_monitor(
        &self,
        record: &ContainerRecord,
        request: &Request,
    ) -> Result<Asked, EngineError> {
        let run_dir = self.layout.container_run(&record.id);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let unheard = match control::ask(&run_dir, request) {
                Ok(reply) => return Ok(Asked::Answered(reply)),
                Err(error @ ControlError::Refused { .. }) => return Err(refused(record, error)),
                Err(error) => refused(record, error),
            };
            let state = self.state(record)?;
            if !state.has_process_or_pause() {
                let exit_code = state.exit_code;
                return Ok(Asked::Answered(Reply::Ended { exit_code }));
            }
            if attempts == ATTEMPTS {
                return Ok(Asked::Unheard(unheard));
            }
            if let Err(error) = self.adopt(record) {
                return Ok(Asked::Unheard(error));
            }
        }
    }

    /// Stops a container as its monitor would, where it has none and cannot get one.
    fn stop_unwatched(
        &self,
        record: &ContainerRecord,
        signal: i32,
        grace_ms: Option<u64>,
    ) -> Result<Reply, EngineError> {
        let act = || format!("end container `{}`, which has no monitor", record.name);
        let failed = |error: ContainerError| EngineError::act(act(), error);
        let mut state = self.state(record)?;
        let mut exit = None;
        if let Some(container) = Self::process_of(record, &state)? {
            if state.status == Status::Paused {
                container.unpause().map_err(failed)?;
            }
            let _signalled = container.signal(signal).map_err(failed)?;
            let ended = container.process().wait_until_ended(grace_ms);
            let _in_time = ended.map_err(|error| EngineError::act(act(), error))?;
            let _none_is_left = container.kill_all(KILL_TIMEOUT_MS).map_err(failed)?;
            exit = container.exit(EXIT_PATIENCE_MS).map_err(failed)?;
            // What stays is found by its mark when the container is removed.
            drop(container.cgroup().remove());
        }
        state.forget_process();
        state.stop_wanted = true;
        state.exit_code = match exit {
            Some(exit @ (Exit::Code(_) | Exit::Signal(_))) => Some(exit.shell_code()),
            Some(Exit::Unknown) | None => None,
        };
        // Without room on the disk it stays recorded as running, and whoever looks finds that it is not.
        drop(state.write(&self.folder(record), Durability::Cached));
        let exit_code = state.exit_code;
        Ok(Reply::Ended { exit_code })
    }

    /// Ends what runs of a container that is about to be removed.
    pub(super) fn end_by_force(&self, record: &ContainerRecord) -> Result<(), EngineError> {
        if self.state(record)?.has_process_or_pause() {
            let signal = Signal::KILL.number();
            let _ended = self.ask(
                record,
                &Request::Stop {
                    signal,
                    grace_ms: Some(0),
                },
            )?;
            // One that could not record the end would wait for room to do so; it answers by going.
            drop(control::ask(
                &self.layout.container_run(&record.id),
                &Request::Forget,
            ));
        }
        Ok(())
    }
}

/// What came of asking a monitor.
enum Asked {
    /// It answered.
    Answered(Reply),
    /// There is none, and none could be had.
    Unheard(EngineError),
}

fn refused(record: &ContainerRecord, error: ControlError) -> EngineError {
    EngineError::act(format!("change container `{}`", record.name), error)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.to_std().as_millis()).unwrap_or(u64::MAX)
}
