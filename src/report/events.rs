//! What happened to a container → the lines of `events`.

use std::collections::BTreeMap;
use std::io;
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Serialize;

use super::human;
use super::output::Output;

/// One event, with Docker Compose's field names.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EventRow {
    /// What happened.
    action: String,
    /// What else is known of the container: its name, image and labels.
    attributes: BTreeMap<String, String>,
    /// The container's id.
    id: String,
    /// The service it belongs to.
    service: String,
    /// When it happened, as RFC 3339.
    time: String,
    /// What it happened to: always `container`.
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip)]
    at: SystemTime,
}

impl EventRow {
    /// Says what happened to the container `id` of `service`.
    pub fn new(
        at: SystemTime,
        service: String,
        id: String,
        action: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) -> Self {
        let time = human::rfc3339(at);
        Self {
            action: action.into(),
            attributes,
            id,
            service,
            time,
            kind: "container",
            at,
        }
    }
}

/// Writes one line: time, what happened, to which container, and more about it.
pub fn write_event(output: &mut Output, event: &EventRow) -> io::Result<()> {
    let attributes: Vec<String> = event
        .attributes
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let time = human::event_time(event.at);
    let EventRow {
        kind, action, id, ..
    } = event;
    output.line(&format!(
        "{time} {kind} {action} {id} ({})",
        attributes.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_shape_of_docker_compose() {
        let attributes = BTreeMap::from([("image".to_owned(), "redis".to_owned())]);
        let service = "cache".to_owned();
        let event = EventRow::new(
            SystemTime::UNIX_EPOCH,
            service,
            "1a2b".to_owned(),
            "start",
            attributes,
        );
        insta::assert_snapshot!(
            serde_json::to_string(&event).unwrap(),
            @r#"{"action":"start","attributes":{"image":"redis"},"id":"1a2b","service":"cache","time":"1970-01-01T00:00:00.000000000Z","type":"container"}"#
        );
    }
}
