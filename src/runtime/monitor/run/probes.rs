//! Probes of the container's health: started when they are due, read, and given up.

use super::{Monitor, Phase};
use crate::runtime::monitor::clock;
use crate::runtime::monitor::health::HealthMachine;
use crate::runtime::monitor::probe::{Probe, ProbeEnd};
use crate::runtime::monitor::state::{Health, ProbeResult, Status};

impl Monitor {
    pub(super) fn new_health(&self) -> Option<HealthMachine> {
        self.bundle
            .health
            .clone()
            .map(|check| HealthMachine::new(check, clock::now()))
    }

    pub(super) fn probes_now(&self) -> bool {
        matches!(self.phase, Phase::Running(_)) && self.state.status == Status::Running
    }

    pub(super) fn start_probe(&mut self) {
        let (Phase::Running(running), Some(health)) = (&self.phase, &mut self.health) else {
            return;
        };
        let now = clock::now();
        health.probe_started(now);
        match Probe::start(&self.bundle, running, health.check(), now) {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => self.probe_ended(ProbeEnd::not_run(error)),
        }
    }

    pub(super) fn probe_moved(&mut self) {
        let Some(probe) = &mut self.probe else {
            return;
        };
        if let Some(end) = probe.read() {
            self.probe = None;
            self.probe_ended(end);
        }
    }

    pub(super) fn probe_timed_out(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.probe_ended(probe.give_up());
        }
    }

    fn probe_ended(&mut self, end: ProbeEnd) {
        let Some(health) = &mut self.health else {
            return;
        };
        health.probe_ended(end.exit_code == 0, clock::now());
        let (now, streak) = (health.health(), health.failing_streak());
        let before = self.state.health.replace(now);
        self.state.failing_streak = streak;
        self.state.last_probe = Some(ProbeResult {
            finished_at: clock::timestamp().to_string(),
            exit_code: end.exit_code,
            output: end.output,
        });
        if before != Some(now) {
            self.tell_names();
        }
        self.save();
        if before == Some(now) {
            return;
        }
        let action = match now {
            Health::Starting => return,
            Health::Healthy => "health_status: healthy",
            Health::Unhealthy => "health_status: unhealthy",
        };
        self.event(action, &[]);
    }
}
