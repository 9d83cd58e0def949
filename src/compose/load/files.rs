//! Files into documents; what cannot be read is a mistake at the place that asked for it.

use std::path::Path;
use std::sync::Arc;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::load::layer::Loader;
use crate::compose::tree::Span;
use crate::compose::yaml::{self, Document};

/// The documents of one file.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) file: u32,
    pub(super) documents: Vec<Document>,
}

impl Loader<'_> {
    /// Reads and parses the files of a project; those that fail are left out.
    pub(super) fn parse_all(
        &mut self,
        paths: &[std::path::PathBuf],
        directory: &Path,
    ) -> Vec<Documents> {
        paths
            .iter()
            .filter_map(|path| self.parse(path, directory, None))
            .collect()
    }

    /// Reads and parses one file, whose relative paths start from `directory`.
    pub(super) fn parse(
        &mut self,
        path: &Path,
        directory: &Path,
        asked_by: Option<Span>,
    ) -> Option<Documents> {
        let (file, text) = self.read(path, asked_by)?;
        self.files.bind(file, self.bounds(path, directory));
        let before = self.faults.len();
        let documents = yaml::parse(file, &text, &mut self.faults);
        (self.faults.len() == before).then_some(Documents { file, documents })
    }

    /// Reads a text file and numbers it.
    pub(super) fn read(&mut self, path: &Path, asked_by: Option<Span>) -> Option<(u32, Arc<str>)> {
        let span = asked_by.unwrap_or_default();
        let bytes = match self.source.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                self.faults.push(Diagnostic::error(span, message));
                return None;
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text: Arc<str> = text.into();
                let file = self.files.add(path, Arc::clone(&text), asked_by);
                Some((file, text))
            }
            Err(error) => {
                let valid =
                    String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
                let line = valid.matches('\n').count() + 1;
                let message = format!("`{}` is not UTF-8 text: line {line}", path.display());
                self.faults.push(Diagnostic::error(span, message));
                None
            }
        }
    }
}
