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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn said(state: &str, more: &str) -> String {
        let text = format!(
            r#"{{"id": "1a2b", "name": "demo-web-1", "service": "web", "number": 1, "state": "{state}"{more}}}"#
        );
        let mut container: ObservedContainer = serde_json::from_str(&text).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        container.started = Some(now - Duration::from_secs(180));
        container.finished = Some(now - Duration::from_secs(5));
        status(&container, now)
    }

    #[test]
    fn states_are_said_as_docker_says_them() {
        assert_eq!(said("created", ""), "Created");
        assert_eq!(said("running", ""), "Up 3 minutes");
        assert_eq!(
            said("running", r#", "health": "healthy""#),
            "Up 3 minutes (healthy)"
        );
        assert_eq!(
            said("running", r#", "health": "starting""#),
            "Up 3 minutes (health: starting)"
        );
        assert_eq!(said("paused", ""), "Up 3 minutes (Paused)");
        assert_eq!(
            said("exited", r#", "exit_code": 0"#),
            "Exited (0) 5 seconds ago"
        );
        assert_eq!(
            said("restarting", r#", "exit_code": 1"#),
            "Restarting (1) 5 seconds ago"
        );
    }

    #[test]
    fn a_code_that_nobody_knows_is_not_made_up() {
        assert_eq!(said("exited", ""), "Exited (code unknown) 5 seconds ago");
    }
}
