//! `--format` → rows as JSON or through a template.

use serde::Serialize;

use super::error::{CommandError, ExitStatus};
use crate::compose::render;
use crate::report::{Output, Row, Template, WriteError};

/// How rows are written.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// In columns, with a header.
    Table,
    /// As JSON.
    Json,
    /// Through a template.
    Template(Template),
}

impl Rows {
    /// Reads the flag; nothing means a table.
    pub(super) fn from_flag(text: Option<&str>) -> Result<Self, CommandError> {
        match text {
            None | Some("" | "table") => Ok(Self::Table),
            Some("json") => Ok(Self::Json),
            Some(template) => Template::parse(template)
                .map(Self::Template)
                .map_err(|error| CommandError::room(ExitStatus::Usage, error)),
        }
    }
}

/// Reads the flag of a list that a text without fields cannot be meant for.
pub(super) fn rows_with_fields(text: Option<&str>) -> Result<Rows, CommandError> {
    let rows = Rows::from_flag(text)?;
    match (text, &rows) {
        (Some(text), Rows::Template(_)) if !text.contains("{{") => {
            let error = CommandError::usage(format!("`--format {text}` is not known"));
            Err(error.hint("use `table`, `json`, or a template such as `{{.Name}}`"))
        }
        _ => Ok(rows),
    }
}

/// Writes rows as JSON, one on each line, or through a template; of a table, the verb itself knows the columns.
pub(super) fn write_rows<T: Row>(
    output: &mut Output,
    rows: &[T],
    template: Option<&Template>,
) -> Result<(), CommandError> {
    match template {
        None => rows.iter().try_for_each(|row| write_json(output, row)),
        Some(template) => template.write(output, rows).map_err(|error| match error {
            WriteError::Output(error) => error.into(),
            WriteError::Template(error) => CommandError::room(ExitStatus::Usage, error),
            WriteError::Row(_) => CommandError::room(ExitStatus::Bug, error),
        }),
    }
}

/// Writes one JSON document on one line.
pub(super) fn write_json<T: Serialize>(
    output: &mut Output,
    document: &T,
) -> Result<(), CommandError> {
    Ok(output.line(&to_value(document)?.to_string())?)
}

/// Writes a JSON document on several lines.
pub(super) fn pretty_json<T: Serialize>(document: &T) -> Result<String, CommandError> {
    Ok(render::pretty(&to_value(document)?) + "\n")
}

fn to_value<T: Serialize>(row: &T) -> Result<serde_json::Value, CommandError> {
    serde_json::to_value(row).map_err(|error| CommandError::room(ExitStatus::Bug, error))
}
