//! What containers use of the machine → the rows of `stats`.

use std::io;

use serde::Serialize;

use super::output::Output;
use super::{human, table};
use crate::observed::ObservedContainer;

const SHORT_ID: usize = 12;
/// What stands for what is not known.
const UNKNOWN: &str = "--";

/// What was measured of one container; nothing where that is not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time between two readings, in hundredths of one processor.
    pub cpu_percent: Option<f64>,
    /// Memory in use.
    pub memory_bytes: Option<u64>,
    /// Memory at most: of the container, or of the machine.
    pub memory_limit_bytes: u64,
    /// Bytes received on all networks.
    pub received_bytes: u64,
    /// Bytes sent on all networks.
    pub sent_bytes: u64,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// One container, with Docker's field names.
#[derive(Clone, Debug, Serialize)]
pub struct UsageRow {
    #[serde(rename = "BlockIO")]
    block_io: String,
    #[serde(rename = "CPUPerc")]
    cpu: String,
    #[serde(rename = "Container")]
    container: String,
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "MemPerc")]
    memory_percent: String,
    #[serde(rename = "MemUsage")]
    memory: String,
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "NetIO")]
    net_io: String,
    #[serde(rename = "PIDs")]
    pids: String,
}

impl super::Row for UsageRow {}

impl UsageRow {
    /// Says what a container uses; nothing of one that does not run.
    #[expect(
        clippy::cast_precision_loss,
        reason = "two decimals of a ratio are shown"
    )]
    pub fn new(container: &ObservedContainer, usage: Option<Usage>, id: super::Truncation) -> Self {
        let id = match id {
            super::Truncation::Short => container.id.get(..SHORT_ID).unwrap_or(&container.id),
            super::Truncation::Full => &container.id,
        };
        let unknown = || UNKNOWN.to_owned();
        let say =
            |words: &dyn Fn(Usage) -> Option<String>| usage.and_then(words).unwrap_or_else(unknown);
        Self {
            // What is read from and written to devices is not counted.
            block_io: unknown(),
            cpu: say(&|it| Some(format!("{:.2}%", it.cpu_percent?))),
            container: container.id.clone(),
            id: id.to_owned(),
            memory_percent: say(&|it| {
                let limit = it.memory_limit_bytes.max(1) as f64;
                Some(format!("{:.2}%", it.memory_bytes? as f64 * 100.0 / limit))
            }),
            memory: say(&|it| {
                let limit = human::memory(it.memory_limit_bytes);
                Some(format!("{} / {limit}", human::memory(it.memory_bytes?)))
            }),
            name: container.name.to_string(),
            net_io: say(&|it| Some(pair(it.received_bytes, it.sent_bytes))),
            pids: say(&|it| Some(it.pids?.to_string())),
        }
    }
}

/// Whether a table takes the place of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redraw {
    /// The terminal is cleared first.
    Over,
    /// It is written below.
    Below,
}

/// Writes the table of `stats`.
pub fn write_usage(output: &mut Output, rows: &[UsageRow], redraw: Redraw) -> io::Result<()> {
    let header = [
        "CONTAINER ID",
        "NAME",
        "CPU %",
        "MEM USAGE / LIMIT",
        "MEM %",
        "NET I/O",
        "BLOCK I/O",
        "PIDS",
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let cells = [
                &row.id,
                &row.name,
                &row.cpu,
                &row.memory,
                &row.memory_percent,
                &row.net_io,
                &row.block_io,
                &row.pids,
            ];
            cells.map(Clone::clone).to_vec()
        })
        .collect();
    if redraw == Redraw::Over {
        output.bytes(b"\x1b[H\x1b[J")?;
    }
    table::write(output, &header, &cells)
}

fn pair(first: u64, second: u64) -> String {
    format!("{} / {}", human::size(first), human::size(second))
}
