//! Files into documents; what cannot be read is a mistake at the place that asked for it.

use std::path::Path;
use std::sync::Arc;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::load::has_errors;
use crate::compose::load::layer::Loader;
use crate::compose::source::Files;
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
        let documents = yaml::parse(file, &text, &mut self.budget, &mut self.faults);
        let is_whole = !has_errors(&self.faults[before..]);
        is_whole.then_some(Documents { file, documents })
    }

    /// Reads a text file and numbers it.
    pub(super) fn read(&mut self, path: &Path, asked_by: Option<Span>) -> Option<(u32, Arc<str>)> {
        let span = asked_by.unwrap_or_default();
        let bytes = match self.files.read(path, self.source) {
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
                let valid = error.utf8_error().valid_up_to();
                let fault = not_text(&mut self.files, (path, asked_by), error.as_bytes(), valid);
                self.faults.push(fault);
                None
            }
        }
    }
}

/// Says where a file stops being text.
pub(super) fn not_text(
    files: &mut Files,
    (path, asked_by): (&Path, Option<Span>),
    bytes: &[u8],
    valid: usize,
) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let span = Span {
        file: files.add(path, String::from_utf8_lossy(bytes).into(), asked_by),
        line: number(before.matches('\n').count() + 1),
        column: number(
            before
                .rsplit('\n')
                .next()
                .map_or(0, |line| line.chars().count())
                + 1,
        ),
        width: 1,
    };
    let fault = Diagnostic::error(span, "the file is not UTF-8 text");
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            fault.hint("it is written in UTF-16: save it as UTF-8")
        }
        _ if bytes.contains(&0) => fault.hint("it is no text at all: is it the right file?"),
        _ => fault.hint("save it as UTF-8"),
    }
}
