//! Files of variables: `.env`, `env_file`, `label_file`.

mod dotenv;
mod raw;

use std::collections::BTreeMap;

use crate::compose::diagnostic::{Diagnostic, Severity};
use crate::compose::tree::Span;

pub(crate) use dotenv::{lines as dotenv_lines, parse as parse_dotenv};
pub(crate) use raw::parse as parse_raw;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// What is wrong in a file of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineError {
    /// The line, from one.
    pub(crate) line: u32,
    /// The column, from one.
    column: u32,
    /// How many characters it is about.
    width: u32,
    /// What is wrong there.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl LineError {
    /// Makes one without a hint.
    fn new(line: u32, message: impl Into<String>) -> Self {
        Self {
            line,
            column: 1,
            width: 1,
            message: message.into(),
            hint: None,
        }
    }

    /// Says where in its line it is.
    fn at(self, column: u32, width: u32) -> Self {
        Self {
            column,
            width: width.max(1),
            ..self
        }
    }

    /// Says what to do.
    fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Turns it into a mistake, or into something to warn of, at a line of a file.
    pub(crate) fn told(self, severity: Severity, file: u32) -> Diagnostic {
        let span = Span {
            file,
            line: self.line,
            column: self.column,
            width: self.width,
        };
        let told = match severity {
            Severity::Error => Diagnostic::error(span, self.message),
            Severity::Warning => Diagnostic::warning(span, self.message),
        };
        told.maybe_hint(self.hint)
    }
}

/// Reads a file of variables that the command line names; names without a value are taken from `environment`.
pub fn read_variables(text: &str, environment: &Variables) -> Result<Variables, VariablesError> {
    let mut variables = Variables::new();
    let lookup = |name: &str| environment.get(name).cloned();
    match parse_dotenv(text, &mut variables, &lookup) {
        Ok(_doubts) => Ok(variables),
        Err(LineError { line, message, .. }) => Err(VariablesError { line, message }),
    }
}

/// What is wrong in a file of variables that the command line names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct VariablesError {
    line: u32,
    message: String,
}

/// Refuses a file with a NUL byte: no process can be given such a variable.
pub(super) fn check_bytes(text: &str) -> Result<(), LineError> {
    let Some(at) = text.find('\0') else {
        return Ok(());
    };
    let before = text[..at].bytes().filter(|byte| *byte == b'\n').count();
    let line = u32::try_from(before + 1).unwrap_or(u32::MAX);
    let message = "a NUL character cannot be part of a variable";
    Err(LineError::new(line, message))
}

/// How many variables files may set together.
const VARIABLE_LIMIT: usize = 100_000;

/// Refuses one variable more than there may be.
pub(super) fn check_count(variables: &Variables, line: u32) -> Result<(), LineError> {
    if variables.len() < VARIABLE_LIMIT {
        return Ok(());
    }
    let message = format!("there are more than {VARIABLE_LIMIT} variables");
    Err(LineError::new(line, message))
}

/// Answers what a variable outside the file is.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;
