//! Observed containers → the rows of `ps`, in the shape that Docker Compose gives them.

use std::collections::BTreeMap;
use std::io;
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Serialize;

use super::output::Output;
use super::template::Row;
use super::{human, ports, status, table};
use crate::observed::{ObservedContainer, RunState};
use crate::value::{NetworkName, ProjectName};

const SHORT_ID: usize = 12;
const SHORT_COMMAND: usize = 20;
const SHORT_MOUNT: usize = 15;

/// Whether long values are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    /// Ids, commands and mounts are cut.
    Short,
    /// Everything is shown in full.
    Full,
}

/// One container, with Docker Compose's field names.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerRow {
    /// What it was started as, in quotes.
    pub command: String,
    /// When it was made, in words.
    pub created_at: String,
    /// The exit code of the last run; null when it ended and the code is not known.
    pub exit_code: Option<i32>,
    /// What its health check says; empty without one.
    pub health: &'static str,
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The image as it was asked for.
    pub image: String,
    /// All labels, with commas.
    pub labels: String,
    /// How many named volumes it mounts.
    pub local_volumes: String,
    /// The named volumes it mounts, with commas.
    pub mounts: String,
    /// Its name.
    pub name: String,
    /// Its names, with commas.
    pub names: String,
    /// The networks it is on, with commas.
    pub networks: String,
    /// Its ports, in words.
    pub ports: String,
    /// The project it belongs to.
    pub project: String,
    /// Its ports.
    pub publishers: Vec<ports::Publisher>,
    /// How long ago it was made, in words.
    pub running_for: String,
    /// The service it is a replica of.
    pub service: String,
    /// The size of what it wrote; not measured.
    pub size: String,
    /// Whether it runs.
    pub state: &'static str,
    /// How it is, in words.
    pub status: String,
    /// All labels, by name.
    #[serde(skip)]
    pub labels_by_name: BTreeMap<String, String>,
}

impl Row for ContainerRow {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.labels_by_name)
    }
}

impl ContainerRow {
    /// Says what there is to say about a container.
    pub fn new(
        container: &ObservedContainer,
        project: &ProjectName,
        truncation: Truncation,
        now: SystemTime,
    ) -> Self {
        let cut = |text: &str, width| match truncation {
            Truncation::Short => shortened(text, width),
            Truncation::Full => text.to_owned(),
        };
        let id = match truncation {
            Truncation::Short => container
                .id
                .get(..SHORT_ID)
                .unwrap_or(&container.id)
                .to_owned(),
            Truncation::Full => container.id.clone(),
        };
        let labels: Vec<String> = container
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mounts: Vec<String> = container
            .volumes
            .iter()
            .map(|name| cut(name, SHORT_MOUNT))
            .collect();
        let networks: Vec<&str> = container
            .endpoints
            .keys()
            .map(NetworkName::as_str)
            .collect();
        Self {
            command: format!("{:?}", cut(&container.command, SHORT_COMMAND)),
            created_at: container.created.map(human::local_time).unwrap_or_default(),
            exit_code: exit_code(container),
            health: container.health.as_str(),
            id,
            image: container.image.clone(),
            labels: labels.join(","),
            local_volumes: container.volumes.len().to_string(),
            mounts: mounts.join(","),
            name: container.name.to_string(),
            names: container.name.to_string(),
            networks: networks.join(","),
            ports: ports::in_words(&container.ports),
            project: project.to_string(),
            publishers: ports::publishers(&container.ports),
            running_for: human::ago(container.created.unwrap_or(now), now),
            service: container.service.to_string(),
            size: human::size(0),
            state: container.state.as_str(),
            status: status::status(container, now),
            labels_by_name: container.labels.clone(),
        }
    }
}

/// Writes the table of `ps`.
pub fn write_containers(output: &mut Output, rows: &[ContainerRow]) -> io::Result<()> {
    let header = [
        "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS",
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let cells = [
                &row.name,
                &row.image,
                &row.command,
                &row.service,
                &row.running_for,
                &row.status,
                &row.ports,
            ];
            cells.map(Clone::clone).to_vec()
        })
        .collect();
    table::write(output, &header, &cells)
}

fn exit_code(container: &ObservedContainer) -> Option<i32> {
    let has_ended = matches!(container.state, RunState::Exited | RunState::Dead);
    if has_ended {
        container.exit_code
    } else {
        Some(container.exit_code.unwrap_or(0))
    }
}

/// Cuts a text to a number of characters, of which the last then says that there is more.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width - 1).collect();
    short.push('…');
    short
}
