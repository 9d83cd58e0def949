//! Updates → one line each: plain text for a pipe, JSON for a program.

use std::io;

use serde::Serialize;

use super::{Rehearsal, Update};
use crate::report::output::Output;

/// Writes one line for each change; bytes that arrive are no change.
pub(super) fn write_plain(
    output: &mut Output,
    update: &Update,
    rehearsal: Rehearsal,
) -> io::Result<()> {
    if update.amount.is_some() {
        return Ok(());
    }
    let Update {
        id, text, details, ..
    } = update;
    let prefix = rehearsal.prefix();
    let line = format!("{prefix} {id}  {text} {details}");
    output.line(line.trim_end())
}

/// The shape of Docker Compose's `--progress json`.
#[derive(Serialize)]
struct Message<'update> {
    #[serde(rename = "dry-run", skip_serializing_if = "is_default")]
    dry_run: bool,
    id: &'update str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'update str>,
    status: &'static str,
    text: &'update str,
    #[serde(skip_serializing_if = "is_default")]
    details: &'update str,
    #[serde(skip_serializing_if = "is_default")]
    current: u64,
    #[serde(skip_serializing_if = "is_default")]
    total: u64,
    #[serde(skip_serializing_if = "is_default")]
    percent: u64,
}

/// Writes one JSON object.
pub(super) fn write_json(
    output: &mut Output,
    update: &Update,
    rehearsal: Rehearsal,
) -> io::Result<()> {
    let message = Message {
        dry_run: rehearsal == Rehearsal::Yes,
        id: &update.id,
        parent_id: update.parent.as_deref(),
        status: update.status.word(),
        text: &update.text,
        details: &update.details,
        current: update.amount.map_or(0, |amount| amount.current),
        total: update.amount.map_or(0, |amount| amount.total),
        percent: update.amount.map_or(0, super::Amount::percent),
    };
    output.line(&serde_json::to_string(&message)?)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
