//! What a command asks of the monitor into what is done to the container, and the reply.

use std::time::Duration;

use super::{Monitor, Phase};
use crate::runtime::monitor::bundle::Bundle;
use crate::runtime::monitor::control::{Reply, Request, Screen};
use crate::runtime::monitor::state::{Status, StopOrder};
use crate::runtime::monitor::{MonitorError, clock};
use crate::value::Signal;

impl Monitor {
    pub(super) fn answer(&mut self, number: usize, request: Request) {
        // What a command asked for that was killed meanwhile is not begun: others may have seen the
        // container as it is, and count on it.
        if self.conversations.is_left(number) {
            return;
        }
        let done = match request {
            Request::Stop { signal, grace_ms } => {
                self.conversations.waits_for_end(number);
                match self.stop(signal, grace_ms) {
                    Ok(()) => return,
                    Err(error) => Err(error),
                }
            }
            Request::Signal { signal } => self.signal(signal),
            Request::Pause => self.freeze(Status::Paused),
            Request::Unpause => self.freeze(Status::Running),
            Request::Resize { rows, columns } => self.resize(rows, columns),
            Request::Attach => {
                self.attach(number, Screen::Shown);
                return;
            }
            Request::Type => {
                self.attach(number, Screen::Hidden);
                return;
            }
            Request::State => {
                let state = Box::new(self.state.clone());
                self.conversations.reply(number, &Reply::State { state });
                return;
            }
            Request::Forget => match self.phase {
                Phase::Ended => {
                    self.is_forgotten = true;
                    return;
                }
                Phase::Running(_) | Phase::Pausing { .. } => Err(MonitorError::NotEnded),
            },
            Request::Reload => self.reload(),
        };
        let reply = match done {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Failed {
                message: error.chain(),
            },
        };
        self.conversations.reply(number, &reply);
    }

    fn attach(&mut self, number: usize, screen: Screen) {
        let has_terminal = matches!(&self.phase, Phase::Running(running) if running.has_console());
        let reply = if has_terminal {
            Reply::Done
        } else {
            Reply::Failed {
                message: MonitorError::NoTerminal.to_string(),
            }
        };
        self.conversations.reply(number, &reply);
        if has_terminal {
            self.conversations.attach(number, screen);
        }
    }

    fn stop(&mut self, signal: i32, grace_ms: Option<u64>) -> Result<(), MonitorError> {
        self.state.stop_wanted = true;
        match self.phase {
            Phase::Running(_) => {}
            Phase::Pausing { .. } => {
                self.state.status = Status::Exited;
                self.end_for_good();
                return Ok(());
            }
            // It has ended, and nobody could be told yet.
            Phase::Ended => {
                self.save();
                self.conversations.ended(self.state.exit_code);
                return Ok(());
            }
        }
        let deadline = grace_ms.map(|ms| clock::now() + Duration::from_millis(ms));
        self.kill_at = match (self.kill_at, deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        // Recorded before the signal is sent: who looks at the container must not take it for one that stays.
        self.state.stopping = Some(StopOrder {
            signal,
            kill_at: self.kill_at.map(clock::timestamp_of),
        });
        self.save();
        if self.state.status == Status::Paused {
            self.freeze(Status::Running)?;
        }
        if let Phase::Running(running) = &self.phase {
            running.signal(signal)?;
        }
        self.event("kill", &[("signal", signal.to_string())]);
        Ok(())
    }

    fn signal(&mut self, signal: i32) -> Result<(), MonitorError> {
        if signal == Signal::KILL.number() || signal == self.bundle.stop_signal {
            self.state.stop_wanted = true;
            self.save();
        }
        if let Phase::Running(running) = &self.phase {
            running.signal(signal)?;
        }
        self.event("kill", &[("signal", signal.to_string())]);
        Ok(())
    }

    fn freeze(&mut self, wanted: Status) -> Result<(), MonitorError> {
        let Phase::Running(running) = &self.phase else {
            return Err(MonitorError::NotRunning);
        };
        if self.state.status == wanted {
            return Ok(());
        }
        let action = if wanted == Status::Paused {
            running.pause()?;
            "pause"
        } else {
            running.unpause()?;
            "unpause"
        };
        self.state.status = wanted;
        self.save();
        self.event(action, &[]);
        Ok(())
    }

    fn resize(&mut self, rows: u16, columns: u16) -> Result<(), MonitorError> {
        match &self.phase {
            Phase::Running(running) => running.resize(rows, columns),
            Phase::Pausing { .. } | Phase::Ended => Err(MonitorError::NotRunning),
        }
    }

    fn reload(&mut self) -> Result<(), MonitorError> {
        let new = Bundle::find(&self.bundle.run_dir)?;
        let Some(new) = new else {
            return Err(MonitorError::NoBundle {
                path: self.bundle.run_dir.clone(),
            });
        };
        if let Phase::Running(running) = &mut self.phase {
            self.state.unenforced = running.update(&new)?;
        }
        self.withdraw_names(|network| !new.names.contains_key(network))?;
        let changed = self.network.change(&self.bundle, &new);
        self.bundle.restart = new.restart;
        self.bundle.names = new.names;
        self.bundle.name = new.name;
        self.bundle.container = new.container;
        self.bundle.network = new.network;
        self.bundle.addresses.clone_from(&new.addresses);
        self.state.addresses = new.addresses;
        changed?;
        if matches!(self.phase, Phase::Running(_)) {
            self.tell_names();
        }
        self.save();
        Ok(())
    }
}
