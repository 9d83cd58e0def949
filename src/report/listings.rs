//! Projects, images, volumes and processes → the rows of `ls`, `images`, `volumes` and `top`.

use std::collections::BTreeMap;
use std::io;
use std::time::SystemTime;

use serde::Serialize;

use super::output::Output;
use super::table::Spacing;
use super::template::Row;
use super::{human, table};
use crate::observed::{ObservedContainer, ObservedImage, ObservedVolume, ProjectSummary};
use crate::value::ImageRef;

const SHORT_ID: usize = 12;

/// One project, with Docker Compose's field names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProjectRow {
    /// Its name.
    pub name: String,
    /// How many of its containers are in which state: `exited(1), running(2)`.
    pub status: String,
    /// The files it was loaded from, with commas.
    pub config_files: String,
}

impl Row for ProjectRow {}

impl ProjectRow {
    /// Says what there is to say about a project.
    pub fn new(project: &ProjectSummary) -> Self {
        let mut states: Vec<String> = project
            .states
            .iter()
            .map(|(state, count)| format!("{state}({count})"))
            .collect();
        states.sort_unstable();
        Self {
            name: project.name.to_string(),
            status: states.join(", "),
            config_files: project.config_files.clone(),
        }
    }
}

/// Writes the table of `ls`.
pub fn write_projects(output: &mut Output, rows: &[ProjectRow]) -> io::Result<()> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.name.clone(),
                row.status.clone(),
                row.config_files.clone(),
            ]
        })
        .collect();
    let header = ["NAME", "STATUS", "CONFIG FILES"];
    table::write_spaced(output, Spacing::WIDE, &header, &cells)
}

/// The image of one container, with Docker Compose's field names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageRow {
    /// The image's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The container that was made from it.
    pub container_name: String,
    /// The name it was asked for, without a tag.
    pub repository: String,
    /// The tag it was asked for.
    pub tag: String,
    /// What it runs on.
    pub platform: String,
    /// How large it is.
    pub size: u64,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When it was last fetched or named here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tag_time: Option<String>,
    #[serde(skip)]
    created_at: Option<SystemTime>,
}

impl Row for ImageRow {}

impl ImageRow {
    /// Says which image a container was made from; the image itself may be gone.
    pub fn new(container: &ObservedContainer, image: Option<&ObservedImage>) -> Self {
        let (repository, tag) = match container.image.parse() {
            Ok(ImageRef::Registry(name)) => (
                name.familiar_name(),
                name.tag().unwrap_or_default().to_owned(),
            ),
            Ok(ImageRef::Local(_)) | Err(_) => (container.image.clone(), String::new()),
        };
        let created_at = image.and_then(|image| image.created);
        let platform = image.and_then(|image| image.platform.as_ref());
        Self {
            id: container.image_id.clone(),
            container_name: container.name.to_string(),
            repository,
            tag,
            platform: platform.map(ToString::to_string).unwrap_or_default(),
            size: image.map_or(0, |image| image.size_bytes),
            created: created_at.map(human::json_time),
            last_tag_time: image.and_then(|image| image.fetched).map(human::json_time),
            created_at,
        }
    }
}

/// Writes the table of `images`.
pub fn write_images(output: &mut Output, rows: &[ImageRow], now: SystemTime) -> io::Result<()> {
    let header = [
        "CONTAINER",
        "REPOSITORY",
        "TAG",
        "PLATFORM",
        "IMAGE ID",
        "SIZE",
        "CREATED",
    ];
    let or_none = |text: &str| {
        if text.is_empty() {
            "<none>".to_owned()
        } else {
            text.to_owned()
        }
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let hex = row.id.strip_prefix("sha256:").unwrap_or(&row.id);
            vec![
                row.container_name.clone(),
                or_none(&row.repository),
                or_none(&row.tag),
                row.platform.clone(),
                hex.get(..SHORT_ID).unwrap_or(hex).to_owned(),
                human::size(row.size),
                row.created_at
                    .map_or_else(|| "N/A".to_owned(), |time| human::ago(time, now)),
            ]
        })
        .collect();
    table::write_spaced(output, Spacing::WIDE, &header, &cells)
}

/// What Docker says where it has nothing to say about a volume.
const NOTHING: &str = "N/A";

/// One volume, with Docker's field names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeRow {
    /// Of volumes of clusters only.
    pub availability: &'static str,
    /// Who keeps it.
    pub driver: &'static str,
    /// Of volumes of clusters only.
    pub group: &'static str,
    /// All labels, with commas.
    pub labels: String,
    /// How many containers mount it; not counted.
    pub links: &'static str,
    /// Where its files are.
    pub mountpoint: String,
    /// Its name.
    pub name: String,
    /// Where it can be used.
    pub scope: &'static str,
    /// How large it is; not measured.
    pub size: &'static str,
    /// Of volumes of clusters only.
    pub status: &'static str,
    /// All labels, by name.
    #[serde(skip)]
    pub labels_by_name: BTreeMap<String, String>,
}

impl Row for VolumeRow {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.labels_by_name)
    }
}

impl VolumeRow {
    /// Says what there is to say about a volume.
    pub fn new(volume: &ObservedVolume) -> Self {
        let labels: Vec<String> = volume
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Self {
            availability: NOTHING,
            driver: "local",
            group: NOTHING,
            labels: labels.join(","),
            links: NOTHING,
            mountpoint: volume
                .mountpoint
                .as_ref()
                .map_or_else(|| NOTHING.to_owned(), |path| path.display().to_string()),
            name: volume.name.to_string(),
            scope: "local",
            size: NOTHING,
            status: NOTHING,
            labels_by_name: volume.labels.clone(),
        }
    }
}

/// Writes the table of `volumes`.
pub fn write_volumes(output: &mut Output, rows: &[VolumeRow]) -> io::Result<()> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| vec![row.driver.to_owned(), row.name.clone()])
        .collect();
    table::write(output, &["DRIVER", "VOLUME NAME"], &cells)
}

/// A variable that Compose files use, with Docker Compose's field names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VariableRow {
    /// Its name.
    pub name: String,
    /// Whether it must be set.
    pub required: bool,
    /// What it is without a value.
    pub default_value: String,
    /// What replaces its value where it has one.
    pub presence_value: String,
}

/// Writes the table of `config --variables`.
pub fn write_variables(output: &mut Output, rows: &[VariableRow]) -> io::Result<()> {
    let header = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let required = row.required.to_string();
            vec![
                row.name.clone(),
                required,
                row.default_value.clone(),
                row.presence_value.clone(),
            ]
        })
        .collect();
    table::write(output, &header, &cells)
}

/// One process of one container.
#[derive(Clone, Debug)]
pub struct ProcessLine {
    /// The service of the container.
    pub service: String,
    /// The number of the replica.
    pub number: u32,
    /// The user's name or number.
    pub user: String,
    /// Its id on the host.
    pub pid: u32,
    /// The id of its parent on the host.
    pub parent_pid: u32,
    /// When it started.
    pub started: SystemTime,
    /// The processor time it has used, in milliseconds.
    pub cpu_ms: u64,
    /// Its terminal.
    pub tty: String,
    /// Its command line.
    pub command: String,
}

/// Writes the table of `top`.
pub fn write_processes(
    output: &mut Output,
    lines: &[ProcessLine],
    now: SystemTime,
) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let header = [
        "SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD",
    ];
    let cells: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            vec![
                line.service.clone(),
                line.number.to_string(),
                line.user.clone(),
                line.pid.to_string(),
                line.parent_pid.to_string(),
                used_percent(line, now).to_string(),
                human::clock(line.started),
                line.tty.clone(),
                human::processor_time(line.cpu_ms),
                line.command.clone(),
            ]
        })
        .collect();
    table::write_spaced(output, Spacing::NARROW, &header, &cells)
}

/// Returns how much of a processor a process has used in its life, in hundredths, as `ps -f` says it.
fn used_percent(line: &ProcessLine, now: SystemTime) -> u128 {
    let lived_ms = human::since(line.started, now).as_millis();
    (u128::from(line.cpu_ms) * 100)
        .checked_div(lived_ms)
        .unwrap_or(0)
        .min(99)
}
