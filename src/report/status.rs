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
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use crate::observed::{OneOff, StoredSpec};

    use super::*;

    fn said(state: RunState, health: Health, exit_code: Option<i32>) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let container = ObservedContainer {
            id: "1a2b".to_owned(),
            name: "demo-web-1".parse().unwrap(),
            final_name: "demo-web-1".parse().unwrap(),
            service: "web".parse().unwrap(),
            number: 1,
            oneoff: OneOff::No,
            state,
            health,
            exit_code,
            spec: StoredSpec::new(()),
            hash: String::new(),
            image: String::new(),
            image_id: String::new(),
            command: String::new(),
            ports: Vec::new(),
            endpoints: BTreeMap::new(),
            joins: BTreeMap::new(),
            volumes: BTreeSet::new(),
            labels: BTreeMap::new(),
            pid: None,
            created: None,
            started: Some(now - Duration::from_secs(180)),
            finished: Some(now - Duration::from_secs(5)),
            is_stopping: false,
            restarts: 0,
        };
        status(&container, now)
    }

    #[test]
    fn states_are_said_as_docker_says_them() {
        let plain = |state| said(state, Health::None, None);
        assert_eq!(plain(RunState::Created), "Created");
        assert_eq!(plain(RunState::Running), "Up 3 minutes");
        assert_eq!(plain(RunState::Paused), "Up 3 minutes (Paused)");
        let running = |health| said(RunState::Running, health, None);
        assert_eq!(running(Health::Healthy), "Up 3 minutes (healthy)");
        assert_eq!(running(Health::Starting), "Up 3 minutes (health: starting)");
        assert_eq!(
            said(RunState::Exited, Health::None, Some(0)),
            "Exited (0) 5 seconds ago"
        );
        assert_eq!(
            said(RunState::Restarting, Health::None, Some(1)),
            "Restarting (1) 5 seconds ago"
        );
    }

    #[test]
    fn a_code_that_nobody_knows_is_not_made_up() {
        assert_eq!(
            said(RunState::Exited, Health::None, None),
            "Exited (code unknown) 5 seconds ago"
        );
    }
}
