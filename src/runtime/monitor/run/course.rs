//! From start to end and over again: how a run begins, how it ended, and whether another follows.

use super::{Monitor, Phase};
use crate::runtime::kernel::pidfd::Exit;
use crate::runtime::monitor::health::HealthMachine;
use crate::runtime::monitor::launch::{self, Input, Running};
use crate::runtime::monitor::restart::{Ending, is_steady};
use crate::runtime::monitor::state::Status;
use crate::runtime::monitor::{MonitorError, clock};

impl Monitor {
    /// Records that the container runs.
    pub(super) fn began(&mut self, running: Running) -> Result<(), MonitorError> {
        let record = running.record()?;
        self.state.status = Status::Running;
        self.state.container = Some(record);
        self.state.namespaces = running.namespaces();
        self.state.exit_code = None;
        self.state.oom_killed = false;
        self.state.error = None;
        self.state.started_at = Some(clock::timestamp().to_string());
        self.state.finished_at = None;
        self.state.stopping = None;
        self.state.unenforced = running.unenforced().to_vec();
        self.health = self.new_health();
        self.state.health = self.health.as_ref().map(HealthMachine::health);
        self.state.failing_streak = 0;
        self.started = clock::now();
        self.phase = Phase::Running(Box::new(running));
        self.tell_names();
        self.save();
        self.event("start", &[]);
        Ok(())
    }

    pub(super) fn start_again(&mut self) -> Result<(), MonitorError> {
        self.state.restart_count += 1;
        match self.launch() {
            Ok(running) => self.began(running),
            Err(error) => {
                self.state.error = Some(error.chain());
                self.after_run(Some(127));
                Ok(())
            }
        }
    }

    fn launch(&mut self) -> Result<Running, MonitorError> {
        self.network.ensure(&self.bundle)?;
        self.state.ports = self.network.bound_ports();
        launch::start(&self.bundle, &mut self.network, Input::Kept)
    }

    pub(super) fn process_ended(&mut self) -> Result<(), MonitorError> {
        let Phase::Running(running) = &self.phase else {
            return Ok(());
        };
        if let Some(exit) = running.exit()? {
            self.ended(exit);
        }
        Ok(())
    }

    /// Records how the container's first process ended, and what comes after it.
    pub(super) fn ended(&mut self, exit: Exit) {
        self.probe = None;
        self.pump_console();
        self.output.finish();
        let exit_code = match exit {
            Exit::Code(_) | Exit::Signal(_) => Some(exit.shell_code()),
            Exit::Unknown => None,
        };
        if let Phase::Running(running) = &self.phase {
            self.state.oom_killed = running.was_oom_killed();
            // What it left behind in its pid namespace is dying; what shares another's is not.
            // What cannot be killed now is found by its mark when the container is removed.
            drop(running.kill_all());
            // A cgroup that was killed once is not used again: since Linux 6.10 a process that is
            // cloned into it counts as older than the kill, and dies at birth.
            running.clean_up();
        }
        self.health = None;
        self.after_run(exit_code);
    }

    fn after_run(&mut self, exit_code: Option<i32>) {
        let ran_for = clock::now().duration_since(self.started);
        let ending = Ending {
            exit_code,
            ran_for,
            restarts: self.state.restart_count,
            short_runs: self.short_runs,
        };
        self.short_runs = if is_steady(ran_for) {
            0
        } else {
            self.short_runs + 1
        };
        self.state.exit_code = exit_code;
        self.state.stopping = None;
        self.state.finished_at = Some(clock::timestamp().to_string());
        self.state.health = None;
        let shown = exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        if self.state.oom_killed {
            self.event("oom", &[]);
        }
        let pause = (!self.state.stop_wanted)
            .then(|| self.bundle.restart.pause_after(&ending))
            .flatten();
        if let Some(pause) = pause {
            self.phase = Phase::Pausing {
                until: clock::now() + pause,
            };
            self.state.status = Status::Restarting;
            self.tell_names();
            self.save();
            return self.event("die", &[("exitCode", shown)]);
        }
        self.state.status = Status::Exited;
        self.settle();
        self.event("die", &[("exitCode", shown)]);
        // Last: who hears of the end looks at the state next, and writes events of its own.
        self.conversations.ended(exit_code);
    }

    pub(super) fn end_for_good(&mut self) {
        self.settle();
        self.conversations.ended(self.state.exit_code);
    }

    /// Gives back what the container had, and writes down how it ended.
    fn settle(&mut self) {
        if let Phase::Running(running) = &self.phase {
            running.clean_up();
        }
        self.phase = Phase::Ended;
        // Whoever hears of the end may want the same ports at once.
        self.network.close(&self.bundle);
        self.state.ports.clear();
        self.tell_names();
        self.save();
    }
}
