//! Mistakes and warnings → annotations beside the lines of a change, where GitHub Actions runs us.
//!
//! They go to standard error beside the text for people: the runner reads both streams, and standard output
//! stays what the verb promises.

use std::path::PathBuf;

use super::environment::Environment;
use crate::compose::diagnostic::annotation;
use crate::compose::{Report, Severity};
use crate::value::Place;

/// Whether annotations are written.
#[derive(Debug)]
pub(super) enum Annotations {
    /// Nobody would read them.
    Off,
    /// Files are named from this directory, if it is known.
    On { root: Option<PathBuf> },
}

impl Annotations {
    /// Finds out who runs us.
    pub(super) fn wanted_by(environment: &Environment) -> Self {
        if environment.says_yes("GITHUB_ACTIONS") {
            Self::On {
                root: environment.get("GITHUB_WORKSPACE").map(PathBuf::from),
            }
        } else {
            Self::Off
        }
    }

    /// Returns the annotations of all diagnostics.
    pub(super) fn of_report(&self, report: &Report) -> String {
        match self {
            Self::Off => String::new(),
            Self::On { root } => report.to_github(root.as_deref()),
        }
    }

    /// Returns one annotation.
    pub(super) fn one(&self, severity: Severity, place: Option<&Place>, text: &str) -> String {
        match self {
            Self::Off => String::new(),
            Self::On { root } => annotation(severity, place, text, root.as_deref()),
        }
    }
}
