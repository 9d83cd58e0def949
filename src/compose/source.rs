//! Where files come from, and the table of files that spans point into.
//!
//! **Invariant:** no other file of this room touches the file system.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compose::tree::Span;
use crate::value::Place;

/// What the loader asks of the world: file contents and a few questions about paths.
pub trait Source {
    /// Reads a whole file; `-` is standard input.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Returns whether something is at the path.
    fn exists(&self, path: &Path) -> bool;
    /// Returns whether the path is a directory.
    fn is_dir(&self, path: &Path) -> bool;
    /// Returns the path with its symbolic links resolved, if that works.
    fn resolve_links(&self, path: &Path) -> PathBuf;
}

/// The real file system.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

/// The largest file that is read.
pub const FILE_LIMIT_BYTES: u64 = 10 * 1024 * 1024;

impl Source for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            io::stdin()
                .lock()
                .take(FILE_LIMIT_BYTES + 1)
                .read_to_end(&mut bytes)?;
        } else {
            let file = std::fs::File::open(path)?;
            if file.metadata()?.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            file.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
        }
        if bytes.len() as u64 > FILE_LIMIT_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than 10 MiB",
            ));
        }
        Ok(bytes)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn resolve_links(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

/// Files that live in memory: for tests, fuzzing and other programs.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Memory {
    /// Makes a source of the given files.
    pub fn new<P: Into<PathBuf>, C: Into<Vec<u8>>>(
        files: impl IntoIterator<Item = (P, C)>,
    ) -> Self {
        Self {
            files: files
                .into_iter()
                .map(|(path, text)| (path.into(), text.into()))
                .collect(),
        }
    }
}

impl Source for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path) || self.is_dir(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.files
            .keys()
            .any(|file| file != path && file.starts_with(path))
    }

    fn resolve_links(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// One file that was read.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path as the user would name it.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// Where it was asked for: the `include` or `extends` that named it.
    pub asked_by: Option<Span>,
}

/// How many files are followed back to those that named them.
const WAY_LIMIT: usize = 50;

/// The files of one load, numbered in the order in which they were read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    files: Vec<File>,
}

impl Files {
    /// Adds a file and returns its number.
    pub(crate) fn add(&mut self, path: &Path, text: Arc<str>, asked_by: Option<Span>) -> u32 {
        self.files.push(File {
            path: path.to_owned(),
            text,
            asked_by,
        });
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// Returns a file by its number.
    pub fn get(&self, number: u32) -> Option<&File> {
        self.files.get(number as usize)
    }

    /// Returns all files.
    pub fn iter(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Returns the place of a span, if it was written in a file.
    pub fn place(&self, span: Span) -> Option<Place> {
        if span.line == 0 {
            return None;
        }
        let file = self.get(span.file)?;
        Some(Place {
            file: file.path.clone(),
            line: span.line,
            column: span.column,
        })
    }

    /// Returns where the file of a span was asked for, where that file was asked for, and so on.
    pub(crate) fn way(&self, span: Span) -> Vec<Span> {
        let asked_by = |span: &Span| {
            let file = (span.line > 0).then(|| self.get(span.file))??;
            file.asked_by.filter(|asker| asker.line > 0)
        };
        std::iter::successors(asked_by(&span), asked_by)
            .take(WAY_LIMIT)
            .collect()
    }

    /// Returns the file of a path.
    pub(crate) fn named(&self, path: &Path) -> Option<u32> {
        let number = self.files.iter().position(|file| file.path == path)?;
        u32::try_from(number).ok()
    }

    /// Returns the line of text that a span points at.
    pub fn line(&self, span: Span) -> Option<&str> {
        let line = (span.line as usize).checked_sub(1)?;
        self.get(span.file)?.text.lines().nth(line)
    }
}
