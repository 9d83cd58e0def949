//! When to probe and what a probe means: the health check as a pure machine; time is an argument.
//!
//! Rules of the Compose Specification, `healthcheck`, and of Docker's probes: a failure inside the
//! start period does not count unless a probe has succeeded before; `start_interval` is the pause
//! between probes inside the start period.
//!
//! Docker probes for the first time when one interval has passed, so that a service that is ready
//! after a moment is waited for half a minute. Here early probes come before that, at once and then
//! with growing pauses; a success counts, a failure does not, as Docker would not have asked yet.
//!
//! **Invariant:** whether a failure counts is said by when its probe began, however long it took.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::state::Health;

/// The pause between the first two early probes; it doubles.
const FIRST_EARLY_PAUSE: Duration = Duration::from_millis(50);

/// What to run, how often, and how many failures count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Pause between two probes.
    pub interval: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
    /// As many failures in a row make it unhealthy.
    pub retries: u32,
    /// Failures this soon after the start do not count.
    pub start_period: Duration,
    /// Pause between two probes inside the start period.
    pub start_interval: Duration,
}

/// The health of one run of a container.
#[derive(Debug, Clone)]
pub struct HealthMachine {
    check: HealthCheck,
    started: Instant,
    next_probe: Option<Instant>,
    /// When the probe began that runs, or ran last.
    asked: Instant,
    health: Health,
    failing_streak: u32,
    has_succeeded: bool,
    early_pause: Duration,
}

impl HealthMachine {
    /// Starts with the container; the first probe is due at once.
    pub fn new(check: HealthCheck, now: Instant) -> Self {
        Self {
            check,
            started: now,
            next_probe: Some(now),
            asked: now,
            health: Health::Starting,
            failing_streak: 0,
            has_succeeded: false,
            early_pause: FIRST_EARLY_PAUSE,
        }
    }

    /// Returns what to run.
    pub fn check(&self) -> &HealthCheck {
        &self.check
    }

    /// Returns when the next probe is due; `None` while one runs.
    pub fn next_probe(&self) -> Option<Instant> {
        self.next_probe
    }

    /// Records that a probe has started.
    pub fn probe_started(&mut self, now: Instant) {
        self.next_probe = None;
        self.asked = now;
    }

    /// Records how a probe ended, and plans the next.
    pub fn probe_ended(&mut self, succeeded: bool, now: Instant) {
        let counts = self.has_succeeded || self.asked >= self.failures_count_from();
        if succeeded {
            self.has_succeeded = true;
            self.failing_streak = 0;
            self.health = Health::Healthy;
        } else if counts {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= self.check.retries.max(1) {
                self.health = Health::Unhealthy;
            }
        }
        self.next_probe = Some(self.after(now));
    }

    /// Returns the first moment at which a failure counts.
    fn failures_count_from(&self) -> Instant {
        self.started + self.check.start_period.max(self.first_asked())
    }

    /// Returns how long after the start Docker would probe for the first time.
    fn first_asked(&self) -> Duration {
        if self.check.start_period > Duration::ZERO {
            self.check.start_interval.min(self.check.interval)
        } else {
            self.check.interval
        }
    }

    fn after(&mut self, now: Instant) -> Instant {
        let since_start = now.duration_since(self.started);
        if self.has_succeeded {
            return now + self.check.interval;
        }
        let in_start_period = since_start < self.check.start_period;
        let planned = if in_start_period {
            self.check.start_interval
        } else {
            self.check.interval
        };
        let was_early = self.asked < self.started + self.first_asked();
        if since_start >= self.first_asked() {
            // An early probe that took so long has kept the first one waiting that counts.
            return if was_early { now } else { now + planned };
        }
        let early = now + self.early_pause;
        self.early_pause *= 2;
        early.min(self.started + self.first_asked())
    }

    /// Returns the health as of the last probe.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Returns how many probes in a row failed.
    pub fn failing_streak(&self) -> u32 {
        self.failing_streak
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test starts its clock somewhere"
)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn check(start_period: Duration) -> HealthCheck {
        HealthCheck {
            command: vec!["true".to_owned()],
            interval: 30 * SECOND,
            timeout: 30 * SECOND,
            retries: 3,
            start_period,
            start_interval: 5 * SECOND,
        }
    }

    /// Runs the machine until `until`; a probe succeeds from `ready` on. Returns the probe times.
    fn run(
        machine: &mut HealthMachine,
        start: Instant,
        ready: Duration,
        until: Duration,
    ) -> Vec<Duration> {
        let mut times = Vec::new();
        while let Some(at) = machine.next_probe().filter(|&at| at <= start + until) {
            machine.probe_started(at);
            machine.probe_ended(at >= start + ready, at);
            times.push(at - start);
        }
        times
    }

    #[test]
    fn the_first_probe_is_at_once() {
        let start = Instant::now();
        let mut machine = HealthMachine::new(check(Duration::ZERO), start);
        assert_eq!(machine.next_probe(), Some(start));
        let times = run(&mut machine, start, Duration::ZERO, 61 * SECOND);
        assert_eq!(times, [0, 30, 60].map(|n| n * SECOND));
        assert_eq!(machine.health(), Health::Healthy);
    }

    #[test]
    fn early_failures_do_not_count_and_an_early_success_does() {
        let start = Instant::now();
        let mut machine = HealthMachine::new(check(Duration::ZERO), start);
        let times = run(&mut machine, start, SECOND, 5 * SECOND);
        assert!(times.len() > 4, "{times:?}");
        assert_eq!(
            (machine.health(), machine.failing_streak()),
            (Health::Healthy, 0)
        );
    }

    #[test]
    fn as_many_counted_failures_as_retries_make_it_unhealthy_and_one_success_heals_it() {
        let start = Instant::now();
        let mut machine = HealthMachine::new(check(Duration::ZERO), start);
        let _early = run(&mut machine, start, 100 * SECOND, 29 * SECOND);
        assert_eq!(
            (machine.health(), machine.failing_streak()),
            (Health::Starting, 0)
        );
        let _late = run(&mut machine, start, 100 * SECOND, 90 * SECOND);
        assert_eq!(
            (machine.health(), machine.failing_streak()),
            (Health::Unhealthy, 3)
        );
        let _ready = run(&mut machine, start, 100 * SECOND, 120 * SECOND);
        assert_eq!(
            (machine.health(), machine.failing_streak()),
            (Health::Healthy, 0)
        );
    }

    #[test]
    fn a_slow_early_failure_does_not_count_and_the_first_that_counts_follows_at_once() {
        let start = Instant::now();
        let once = HealthCheck {
            interval: SECOND,
            retries: 1,
            ..check(Duration::ZERO)
        };
        let mut machine = HealthMachine::new(once, start);
        machine.probe_started(start);
        machine.probe_ended(false, start + 3 * SECOND);
        assert_eq!(machine.health(), Health::Starting);
        assert_eq!(machine.next_probe(), Some(start + 3 * SECOND));
        machine.probe_started(start + 3 * SECOND);
        machine.probe_ended(false, start + 6 * SECOND);
        assert_eq!(machine.health(), Health::Unhealthy);
        assert_eq!(machine.next_probe(), Some(start + 7 * SECOND));
    }

    #[test]
    fn a_probe_that_began_in_the_start_period_does_not_count_when_it_fails_after_it() {
        let start = Instant::now();
        let once = HealthCheck {
            retries: 1,
            ..check(60 * SECOND)
        };
        let mut machine = HealthMachine::new(once, start);
        machine.probe_started(start + 59 * SECOND);
        machine.probe_ended(false, start + 70 * SECOND);
        assert_eq!(machine.health(), Health::Starting);
        machine.probe_started(start + 100 * SECOND);
        machine.probe_ended(false, start + 101 * SECOND);
        assert_eq!(machine.health(), Health::Unhealthy);
    }

    #[test]
    fn failures_in_the_start_period_do_not_count() {
        let start = Instant::now();
        let mut machine = HealthMachine::new(check(60 * SECOND), start);
        let times = run(&mut machine, start, 1000 * SECOND, 59 * SECOND);
        assert!(times.contains(&(10 * SECOND)), "{times:?}");
        assert_eq!(
            (machine.health(), machine.failing_streak()),
            (Health::Starting, 0)
        );
    }
}
