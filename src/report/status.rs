//! A container's state → the words that `docker ps` has for it.

use std::time::SystemTime;

use super::human;
use crate::observed::{Health, ObservedContainer, RunState};

/// Says how a container is: `Up 3 minutes (healthy)`, `Exited (0) 5 seconds ago`.
pub(super) fn status(container: &ObservedContainer, now: SystemTime) -> String {
    match container.state {
        RunState::Created => "Created".to_owned(),
        RunState::Running => format!("Up {}{}", running_for(container, now), health(container)),
        RunState::Paused => format!("Up {} (Paused)", running_for(container, now)),
        RunState::Restarting => {
            format!(
                "Restarting ({}) {}",
                exit_code(container),
                ended_ago(container, now)
            )
        }
        RunState::Removing => "Removal In Progress".to_owned(),
        RunState::Exited => {
            format!(
                "Exited ({}) {}",
                exit_code(container),
                ended_ago(container, now)
            )
        }
        RunState::Dead => "Dead".to_owned(),
    }
}

fn health(container: &ObservedContainer) -> &'static str {
    match container.health {
        Health::None => "",
        Health::Starting => " (health: starting)",
        Health::Healthy => " (healthy)",
        Health::Unhealthy => " (unhealthy)",
    }
}

fn running_for(container: &ObservedContainer, now: SystemTime) -> String {
    human::duration(human::since(container.started.unwrap_or(now), now))
}

fn ended_ago(container: &ObservedContainer, now: SystemTime) -> String {
    human::ago(container.finished.unwrap_or(now), now)
}

fn exit_code(container: &ObservedContainer) -> String {
    container
        .exit_code
        .map_or_else(|| "code unknown".to_owned(), |code| code.to_string())
}
