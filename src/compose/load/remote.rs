//! Names of files into places: on this machine, or brought here from another one.
//!
//! **Invariant:** what a file from another machine names came with it, or lies below the directory
//! that its relative paths start from. [`Files::strays`] decides; this file and the stages that
//! resolve and read paths ask it.
//!
//! [`Files::strays`]: crate::compose::source::Files

use std::path::{Path, PathBuf};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::load::layer::Loader;
use crate::compose::load::locate::{FILE_NAMES, first_of};
use crate::compose::settle::absolute;
use crate::compose::source::{FetchError, Fetched, Remote};
use crate::compose::tree::{Node, Span};

impl Loader<'_> {
    /// Returns where the Compose file is that a node names.
    pub(super) fn named_file(&mut self, node: &Node, directory: &Path) -> Option<PathBuf> {
        let text = node.value.to_plain();
        if Remote::is_meant(&text) {
            return Some(self.fetch(&text, node.span)?.file);
        }
        let path = absolute(directory, Path::new(&text));
        self.keep_inside(&path, &text, node.span).then_some(path)
    }

    /// Refuses a path that leads where its file may not lead; says whether it may.
    pub(super) fn keep_inside(&mut self, path: &Path, shown: &str, span: Span) -> bool {
        let strays = self.files.strays(span, path, self.source);
        if strays {
            self.faults.push(Diagnostic::astray(shown, span));
        }
        !strays
    }

    /// Brings a project here.
    pub(super) fn fetch(&mut self, text: &str, span: Span) -> Option<Fetched> {
        let refused = |shown: &str, error: FetchError| {
            let message = format!("cannot fetch `{shown}`: {}", error.reason);
            Diagnostic::error(span, message).maybe_hint(error.hint)
        };
        let remote = match Remote::read(text)? {
            Ok(remote) => remote,
            Err(reason) => {
                let message = format!("this address of another machine is malformed: {reason}");
                self.faults.push(Diagnostic::error(span, message));
                return None;
            }
        };
        match self.source.fetch(&remote) {
            Ok(mut fetched) => {
                if let Some(warning) = &fetched.warning {
                    self.faults.push(Diagnostic::warning(span, warning));
                }
                self.roots.push(fetched.root.clone());
                fetched.file = self.usual_file(fetched.file, &remote, span)?;
                Some(fetched)
            }
            Err(error) => {
                self.faults.push(refused(&remote.to_string(), error));
                None
            }
        }
    }

    /// Looks for the usual names where a directory was fetched; override files are not looked for.
    fn usual_file(&mut self, place: PathBuf, remote: &Remote, span: Span) -> Option<PathBuf> {
        if !self.source.is_dir(&place) {
            return Some(place);
        }
        let found = first_of(&FILE_NAMES, &place, self);
        if found.is_none() {
            let message = format!("there is no Compose file in `{remote}`");
            let names = FILE_NAMES.join("`, `");
            self.faults.push(
                Diagnostic::error(span, message).hint(format!("it would be called `{names}`")),
            );
        }
        found
    }

    /// Returns where what a file names may lie; nothing if it was written on this machine.
    pub(super) fn bounds(&self, path: &Path, directory: &Path) -> Vec<PathBuf> {
        let root = self.roots.iter().find(|root| path.starts_with(root));
        root.map(|root| vec![root.clone(), directory.to_owned()])
            .unwrap_or_default()
    }
}
