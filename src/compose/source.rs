//! Where files come from, and the table of files that spans point into.
//!
//! **Invariant:** no other file of this room touches the file system.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::compose::budget::TOO_MANY_FILES;
use crate::compose::tree::{Span, VariableOrigin, VariableUse};
use crate::value::{GitSource, ImageRef, Place, RegistryRef};

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
    /// Brings a project here from another machine, or finds what an earlier call brought.
    fn fetch(&self, remote: &Remote) -> Result<Fetched, FetchError>;
}

/// A project on another machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remote {
    /// In a git repository.
    Git(GitSource),
    /// In a registry, as an OCI artifact.
    Oci(RegistryRef),
}

/// What an artifact's address begins with.
const OCI_PREFIX: &str = "oci://";

impl Remote {
    /// Says whether a text means something on another machine.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(OCI_PREFIX) || GitSource::is_meant(text)
    }

    /// Reads such a text; nothing for a path on this machine.
    pub fn read(text: &str) -> Option<Result<Self, String>> {
        if let Some(name) = text.strip_prefix(OCI_PREFIX) {
            return Some(match name.parse() {
                Ok(ImageRef::Registry(reference)) => Ok(Self::Oci(reference)),
                Ok(ImageRef::Local(_)) | Err(_) => {
                    Err("expected `oci://registry/repository`, with `:tag` or `@digest`".to_owned())
                }
            });
        }
        GitSource::is_meant(text).then(|| match text.parse() {
            Ok(source) => Ok(Self::Git(source)),
            Err(error) => {
                let error: crate::value::GitSourceError = error;
                Err(error.reason().to_owned())
            }
        })
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(source) => source.fmt(f),
            Self::Oci(reference) => write!(f, "{OCI_PREFIX}{reference}"),
        }
    }
}

/// A project that was brought here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The folder that holds all of it; what its files name lies in it too.
    pub root: PathBuf,
    /// The Compose file, somewhere below, or the directory that has it under one of its usual names.
    pub file: PathBuf,
    /// What the project is called where nothing else names it.
    pub name: String,
    /// What is worth saying about it.
    pub warning: Option<String>,
}

/// Why a project could not be brought here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchError {
    /// What went wrong, as a fragment.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl FetchError {
    /// Says what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The real file system; it fetches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

/// How long a pipe may be silent: what writes into it may have to ask somebody first.
const PIPE_TIMEOUT_S: i64 = 20;
/// How long a device may be silent.
const DEVICE_TIMEOUT_S: i64 = 1;
/// How much is read of a pipe at once.
const PIPE_CHUNK_BYTES: usize = 64 * 1024;

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
            let kind = std::fs::metadata(path)?.file_type();
            if kind.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            bytes = if kind.is_file() {
                read_bounded(path)?
            } else {
                read_in_time(path)?
            };
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

    fn fetch(&self, _remote: &Remote) -> Result<Fetched, FetchError> {
        Err(FetchError {
            reason: "nothing is fetched from other machines here".to_owned(),
            hint: None,
        })
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a pipe or a device, such as a shell's `<(…)`: it may be that nothing ever comes out of it.
fn read_in_time(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .read(true)
        .custom_flags(without_waiting)
        .open(path)?;
    let is_pipe = file.metadata()?.file_type().is_fifo();
    let refused = |message: &str| io::Error::new(io::ErrorKind::TimedOut, message.to_owned());
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; PIPE_CHUNK_BYTES]);
    while bytes.len() as u64 <= FILE_LIMIT_BYTES {
        match file.read(&mut chunk) {
            Ok(0) if bytes.is_empty() && is_pipe => {
                return Err(refused("it is a pipe that nobody writes into"));
            }
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let seconds = if is_pipe {
                    PIPE_TIMEOUT_S
                } else {
                    DEVICE_TIMEOUT_S
                };
                if !is_ready(&file, seconds)? {
                    let message = format!("nothing came out of it in {seconds} seconds");
                    return Err(refused(&message));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Waits until something can be read.
fn is_ready(file: &std::fs::File, seconds: i64) -> io::Result<bool> {
    let timeout = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let count = poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&timeout))?;
    Ok(count > 0)
}

/// Files that live in memory: for tests, fuzzing and other programs.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    links: BTreeMap<PathBuf, PathBuf>,
    remotes: BTreeMap<String, Fetched>,
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
            ..Self::default()
        }
    }

    /// Has a project on another machine, whose files are among those below its root.
    #[must_use]
    pub fn with_remote(mut self, address: &str, fetched: Fetched) -> Self {
        self.remotes.insert(address.to_owned(), fetched);
        self
    }

    /// Has a symbolic link, which resolves to something else; reading does not follow it.
    #[must_use]
    pub fn with_link(mut self, path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.links.insert(path.into(), target.into());
        self
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
        self.links
            .get(path)
            .map_or_else(|| path.to_owned(), PathBuf::clone)
    }

    fn fetch(&self, remote: &Remote) -> Result<Fetched, FetchError> {
        let found = self.remotes.get(&remote.to_string());
        found.cloned().ok_or_else(|| FetchError {
            reason: "nobody has it".to_owned(),
            hint: None,
        })
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
    /// Where what it names may lie; empty for a file of this machine, which may name anything.
    pub bounds: Vec<PathBuf>,
    /// Where its lines begin, as soon as somebody asks for one.
    line_starts: OnceLock<Vec<usize>>,
}

impl File {
    /// Returns a line by its number from zero, without what ends it.
    fn line(&self, number: usize) -> Option<&str> {
        // Lines may end as on machines that nobody has any more.
        let end = if self.text.contains('\n') { '\n' } else { '\r' };
        let starts = self.line_starts.get_or_init(|| {
            let ends = self.text.match_indices(end).map(|(at, _)| at + 1);
            std::iter::once(0).chain(ends).collect()
        });
        let line = &self.text[*starts.get(number)?..];
        let line = line.split_once(end).map_or(line, |(line, _)| line);
        Some(
            line.strip_suffix('\r')
                .unwrap_or(line)
                .trim_start_matches('\u{feff}'),
        )
    }
}

/// How many files one load reads.
const COUNT_LIMIT: usize = 1_000;
/// How much text they may have together.
const TOTAL_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// How many files are followed back to those that named them.
const WAY_LIMIT: usize = 50;

/// The files of one load, numbered in the order in which they were read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    files: Vec<File>,
    /// The variables that filled values, by the places of these.
    filled: Arc<BTreeMap<Span, Vec<VariableUse>>>,
}

impl Files {
    /// Adds a file and returns its number.
    pub(crate) fn add(&mut self, path: &Path, text: Arc<str>, asked_by: Option<Span>) -> u32 {
        self.files.push(File {
            path: path.to_owned(),
            text,
            asked_by,
            bounds: Vec::new(),
            line_starts: OnceLock::new(),
        });
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// Reads one more file; a load cannot read files without end.
    pub(crate) fn read(&self, path: &Path, source: &dyn Source) -> io::Result<Vec<u8>> {
        let refused = || io::Error::new(io::ErrorKind::FileTooLarge, TOO_MANY_FILES);
        if self.files.len() >= COUNT_LIMIT {
            return Err(refused());
        }
        let bytes = source.read(path)?;
        let known: usize = self.files.iter().map(|file| file.text.len()).sum();
        if known + bytes.len() > TOTAL_LIMIT_BYTES {
            return Err(refused());
        }
        Ok(bytes)
    }

    /// Remembers which variables filled the value at a place.
    pub(crate) fn fill(&mut self, span: Span, variables: Vec<VariableUse>) {
        Arc::make_mut(&mut self.filled).insert(span, variables);
    }

    /// Tells which variables filled the value at a place, and where these came from.
    pub(crate) fn variables(&self, span: Span) -> Vec<String> {
        let told = |variable: &VariableUse| {
            let name = &variable.name;
            match (&variable.origin, &variable.value) {
                (VariableOrigin::Shell, Some(_)) => format!("`{name}` is set in the shell"),
                (VariableOrigin::EnvFile(file), _) => {
                    format!("`{name}` is set in `{}`", file.display())
                }
                (VariableOrigin::Default(_), _) => {
                    format!("`{name}` is not set: its default is used")
                }
                (VariableOrigin::Unset | VariableOrigin::Shell, _) => {
                    format!("`{name}` is not set")
                }
            }
        };
        self.filled
            .get(&span)
            .into_iter()
            .flatten()
            .map(told)
            .collect()
    }

    /// Limits where what a file names may lie.
    pub(crate) fn bind(&mut self, number: u32, bounds: Vec<PathBuf>) {
        if let Some(file) = self.files.get_mut(number as usize) {
            file.bounds = bounds;
        }
    }

    /// Says whether a path leads where the file that it is written in may not lead.
    ///
    /// A file that came from another machine names what came with it, and what lies below the
    /// directory that its relative paths start from: nothing else, and not by a symbolic link.
    pub(crate) fn strays(&self, span: Span, path: &Path, source: &dyn Source) -> bool {
        let file = (span.line > 0).then(|| self.get(span.file)).flatten();
        let Some(file) = file.filter(|file| !file.bounds.is_empty()) else {
            return false;
        };
        let real = source.resolve_links(path);
        !file.bounds.iter().any(|bound| {
            path.starts_with(bound)
                && (real == path || real.starts_with(source.resolve_links(bound)))
        })
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
        self.get(span.file)?.line(line)
    }
}
