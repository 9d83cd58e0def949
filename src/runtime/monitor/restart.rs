//! When a container that ended is started again: the restart policy and its back-off, as a pure rule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The first pause before a restart.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run of this length counts as a success: the next pause is the first one again.
const STEADY_RUN: Duration = Duration::from_secs(10);

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whenever it ends, however.
    Always,
    /// As `always`; differs only in what a reboot does to a stopped container.
    UnlessStopped,
    /// When it ends with another code than 0.
    OnFailure {
        /// How often at most; `None` for ever.
        max_retries: Option<u32>,
    },
}

/// How one run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Exit code, if anybody saw it.
    pub exit_code: Option<i32>,
    /// How long it ran.
    pub ran_for: Duration,
    /// How often it was started again before.
    pub restarts: u32,
    /// How many short runs in a row came before this one.
    pub short_runs: u32,
}

impl RestartPolicy {
    /// Returns how long to wait before the next start, or `None` if there is none.
    pub fn pause_after(self, ending: &Ending) -> Option<Duration> {
        let again = match self {
            Self::No => false,
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure { max_retries } => {
                ending.exit_code != Some(0) && max_retries.is_none_or(|max| ending.restarts < max)
            }
        };
        again.then(|| back_off(ending))
    }
}

fn back_off(ending: &Ending) -> Duration {
    if is_steady(ending.ran_for) {
        return FIRST_PAUSE;
    }
    let doublings = ending.short_runs.min(16);
    FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
}

/// Reports whether a run was long enough for the back-off to start anew.
pub fn is_steady(ran_for: Duration) -> bool {
    ran_for >= STEADY_RUN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(exit_code: i32, restarts: u32) -> Ending {
        let ran_for = Duration::from_millis(5);
        Ending {
            exit_code: Some(exit_code),
            ran_for,
            restarts,
            short_runs: restarts,
        }
    }

    #[test]
    fn on_failure_leaves_a_success_alone_and_counts_its_retries() {
        let policy = RestartPolicy::OnFailure {
            max_retries: Some(2),
        };
        assert_eq!(policy.pause_after(&ending(0, 0)), None);
        assert!(policy.pause_after(&ending(1, 1)).is_some());
        assert_eq!(policy.pause_after(&ending(1, 2)), None);
    }

    #[test]
    fn the_pause_doubles_to_a_minute_and_a_steady_run_resets_it() {
        let pauses = (0..20).map(|n| RestartPolicy::Always.pause_after(&ending(1, n)).unwrap());
        let pauses: Vec<Duration> = pauses.collect();
        assert_eq!(pauses[0], FIRST_PAUSE);
        assert_eq!(pauses[3], FIRST_PAUSE * 8);
        assert_eq!(pauses[19], LONGEST_PAUSE);
        let steady = Ending {
            ran_for: STEADY_RUN,
            ..ending(1, 19)
        };
        assert_eq!(
            RestartPolicy::Always.pause_after(&steady),
            Some(FIRST_PAUSE)
        );
    }
}
