//! Containers stopped, killed and frozen, through their monitors.

use super::inner::Inner;
use super::record::ContainerRecord;
use crate::engine::{EngineError, Performed};
use crate::runtime::monitor::control::{self, ControlError, Reply, Request};
use crate::runtime::monitor::state::ContainerState;
use crate::runtime::store::FileLock;
use crate::value::{ContainerName, Duration, Signal};

/// How long a container is waited for when nobody says how long.
const DEFAULT_GRACE_MS: u64 = 10_000;

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
        self.append_event(&record, "stop", &[]);
        Ok(match reply {
            Reply::Ended {
                exit_code: Some(exit_code),
            } => Performed::Ended { exit_code },
            Reply::Ended { exit_code: None } | Reply::Done | Reply::Failed { .. } => {
                Performed::Done
            }
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
    pub(super) fn ask(
        &self,
        record: &ContainerRecord,
        request: &Request,
    ) -> Result<Reply, EngineError> {
        let run_dir = self.layout.container_run(&record.id);
        for _ in 0..2 {
            match control::ask(&run_dir, request) {
                Err(
                    ControlError::Unreachable { .. }
                    | ControlError::Broken { .. }
                    | ControlError::Silent { .. },
                ) => {
                    if !self.state(record)?.has_process_or_pause() {
                        let exit_code = self.state(record)?.exit_code;
                        return Ok(Reply::Ended { exit_code });
                    }
                    self.adopt(record)?;
                }
                other => return other.map_err(|error| refused(record, error)),
            }
        }
        control::ask(&run_dir, request).map_err(|error| refused(record, error))
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
        }
        Ok(())
    }
}

fn refused(record: &ContainerRecord, error: ControlError) -> EngineError {
    EngineError::act(format!("change container `{}`", record.name), error)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.to_std().as_millis()).unwrap_or(u64::MAX)
}
