//! `--format '{{.Name}}: {{json .Ports}}'` and rows of fields → lines of text.
//!
//! Go's templates on rows: fields, `.Label "name"`, variables, `if`, `with`, `range`, `define`, `template`, `block`,
//! pipes, parentheses, Go's functions and Docker's, and the `table` prefix that prints a header. `call` is not there:
//! rows have no functions.

mod error;
mod token;
mod parse;
mod functions;
mod escape;
mod printf;
mod fill;

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde_json::Value;

use super::output::Output;
use super::table;
pub use error::TemplateError;
use fill::Subject;
use parse::Parsed;

/// Something that a template is filled with.
pub trait Row: Serialize {
    /// Returns the labels that `.Label "name"` looks in; nothing where there cannot be any.
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        None
    }
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    has_header: bool,
    parsed: Parsed,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (has_header, body) = match text.strip_prefix("table ") {
            Some(body) => (true, body.trim_start()),
            None => (false, text),
        };
        let body = body.replace("\\t", "\t").replace("\\n", "\n");
        let parsed = parse::parse(&body)?;
        Ok(Self { has_header, parsed })
    }

    /// Writes one line for each row, and the header first where the template asks for it.
    pub fn write<T: Row>(&self, output: &mut Output, rows: &[T]) -> Result<(), WriteError> {
        let mut lines = Vec::with_capacity(rows.len() + 1);
        if self.has_header {
            lines.push(fill::fill(&self.parsed, Subject::Header)?);
        }
        for row in rows {
            let fields: Value = serde_json::to_value(row)?;
            let labels = row.labels();
            let fields = &fields;
            lines.push(fill::fill(&self.parsed, Subject::Row { fields, labels })?);
        }
        if self.has_header {
            let cells: Vec<Vec<String>> = lines
                .iter()
                .map(|line| line.split('\t').map(str::to_owned).collect())
                .collect();
            table::write_rows(output, cells.iter())?;
        } else {
            for line in &lines {
                output.line(line)?;
            }
        }
        Ok(())
    }
}

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The template does not fit the rows.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A row is no data: a bug.
    #[error("turn a row into data")]
    Row(#[from] serde_json::Error),
    /// The output is gone.
    #[error(transparent)]
    Output(#[from] io::Error),
}

#[cfg(test)]
mod tests;
