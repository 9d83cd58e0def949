//! Events, tables and errors → bytes for people and programs; the only room that knows colours.
//!
//! **Invariant:** only this room and `cli/error.rs` write to the process's streams.

mod escape;
mod output;
mod human;
mod table;
mod template;
mod logs;
mod progress;
mod steps;
mod plan;
mod status;
mod ports;
mod containers;
mod listings;
mod images;
mod events;
mod usage;

pub use containers::{ContainerRow, Truncation, write_containers};
pub use events::{EventRow, write_event};
pub use human::{ago, duration, elapsed, event_time, local_time, memory, rfc3339, since, size};
pub use images::{
    DigestColumn, HistoryRow, JsonRow, NONE, StoredImageRow, shortened, write_history,
    write_stored_images,
};
pub use listings::{
    ImageRow, ProcessLine, ProjectRow, VariableRow, VolumeRow, write_images, write_processes,
    write_projects, write_variables, write_volumes,
};
pub use logs::{LogPrinter, LogStyle, Prefix, Timestamps};
#[cfg(test)]
pub(crate) use output::memory;
pub use output::{Ansi, Output, Size, Span, Style};
pub use plan::{PlanDocument, write_plan};
pub use ports::{Publisher, address};
pub use progress::{Amount, Progress, ProgressStyle, Rehearsal, Status, Update};
pub use steps::{Shown, critical_path, rehearsed, shown};
pub use table::write as write_table;
pub use template::{Row, Template, TemplateError, WriteError};
pub use usage::{Redraw, Usage, UsageRow, write_usage};
