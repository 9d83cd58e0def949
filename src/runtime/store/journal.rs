//! One append-only journal per project: what was about to be done, and what became of it.
//!
//! A line is `<checksum in hex> <JSON>`. A torn or damaged line ends the journal: what follows it was
//! never acknowledged. An intent without its `done` is work that a crash interrupted; whoever opens
//! the journal next finishes or undoes it. Where nothing is pending, nothing needs to be known: the journal starts
//! anew, so that it stays as short as what is going on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Durability, StoreError, atomic, make_dir, open_append};
use crate::runtime::kernel::failpoint;

/// The most that is read of a journal.
const LIMIT_BYTES: u64 = 64 << 20;

/// What is about to be done, by the name of the thing it is done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    /// A network's record, link and rules are made.
    CreateNetwork {
        /// Real name of the network.
        name: String,
    },
    /// A network's link, rules and record are removed.
    RemoveNetwork {
        /// Real name of the network.
        name: String,
    },
    /// A container's folder, leases and record are made.
    CreateContainer {
        /// Id of the container.
        id: String,
    },
    /// A container that may run is changed in place.
    UpdateContainer {
        /// Id of the container.
        id: String,
    },
    /// A container's lease on a network and its interface there come or go.
    PlugContainer {
        /// Id of the container.
        id: String,
        /// Real name of the network.
        network: String,
    },
    /// A container's processes, leases, folder and record are removed.
    RemoveContainer {
        /// Id of the container.
        id: String,
        /// Whether its anonymous volumes are removed as well.
        anonymous_volumes: Fate,
    },
}

/// What becomes of a thing when what it belongs to is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It stays.
    Kept,
    /// It goes too.
    Removed,
}

/// An intent without its `done`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Number of the intent in this journal.
    pub number: u64,
    /// What was about to be done.
    pub entry: Entry,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Line {
    Intent { number: u64, entry: Entry },
    Done { number: u64 },
}

/// An open journal; its project's lock must be held.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// How many bytes are whole lines.
    length_bytes: u64,
    next: u64,
    pending: BTreeMap<u64, Entry>,
    is_torn: bool,
}

impl Journal {
    /// Opens the journal at `path`, makes it where it is missing, and cuts off a torn tail.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(parent) = path.parent() {
            make_dir(parent)?;
        }
        let bytes = match atomic::read_bounded(path, LIMIT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => return Err(error),
        };
        let (pending, next, good_bytes) = replay(&bytes);
        let failed = |source| StoreError::Write {
            path: path.to_owned(),
            source,
        };
        let file = open_append(path).map_err(failed)?;
        let length_bytes = if pending.is_empty() { 0 } else { good_bytes };
        if length_bytes < bytes.len() {
            file.set_len(length_bytes as u64).map_err(failed)?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            length_bytes: length_bytes as u64,
            next,
            pending,
            is_torn: good_bytes < bytes.len(),
        })
    }

    /// Reports whether a part of it could not be read when it was opened.
    pub fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Returns the intents that no `done` follows, oldest first.
    pub fn pending(&self) -> Vec<Pending> {
        let pending = self.pending.iter();
        pending
            .map(|(&number, entry)| Pending {
                number,
                entry: entry.clone(),
            })
            .collect()
    }

    /// Writes an intent, before the act; returns its number for [`Journal::done`].
    pub fn intent(&mut self, entry: Entry, durability: Durability) -> Result<u64, StoreError> {
        let number = self.next;
        self.next += 1;
        self.append(&Line::Intent {
            number,
            entry: entry.clone(),
        })?;
        drop(self.pending.insert(number, entry));
        if durability == Durability::Synced {
            self.sync()?;
        }
        Ok(number)
    }

    /// Writes that the act of this intent is complete.
    pub fn done(&mut self, number: u64) -> Result<(), StoreError> {
        if self.pending.keys().eq([&number]) {
            self.start_anew()?;
        } else {
            self.append(&Line::Done { number })?;
        }
        drop(self.pending.remove(&number));
        Ok(())
    }

    fn start_anew(&mut self) -> Result<(), StoreError> {
        failpoint::hit("journal.empty")
            .and_then(|()| self.file.set_len(0))
            .map_err(|source| StoreError::Write {
                path: self.path.clone(),
                source,
            })?;
        self.length_bytes = 0;
        Ok(())
    }

    /// Returns once all that was written is on the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        failpoint::hit("journal.sync")
            .and_then(|()| self.file.sync_data())
            .map_err(|source| StoreError::Write {
                path: self.path.clone(),
                source,
            })
    }

    fn append(&mut self, line: &Line) -> Result<(), StoreError> {
        let failed = |source| StoreError::Write {
            path: self.path.clone(),
            source,
        };
        let json = serde_json::to_string(line).map_err(|source| StoreError::Parse {
            path: self.path.clone(),
            source,
        })?;
        let text = format!("{} {json}\n", checksum(json.as_bytes()));
        failpoint::hit("journal.append").map_err(failed)?;
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // Behind half a line nothing would be read again. Where even that fails, so does the rest.
            self.file.set_len(self.length_bytes).map_err(failed)?;
            return Err(failed(error));
        }
        self.length_bytes += text.len() as u64;
        Ok(())
    }
}

/// Returns what is pending, the next number, and how many bytes are whole lines.
fn replay(bytes: &[u8]) -> (BTreeMap<u64, Entry>, u64, usize) {
    let mut pending = BTreeMap::new();
    let mut next = 0;
    let mut good_bytes = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Some(parsed) = parse(line) else { break };
        match parsed {
            Line::Intent { number, entry } => {
                next = number + 1;
                drop(pending.insert(number, entry));
            }
            Line::Done { number } => drop(pending.remove(&number)),
        }
        good_bytes += line.len();
    }
    (pending, next, good_bytes)
}

fn parse(line: &[u8]) -> Option<Line> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (sum, json) = text.split_once(' ')?;
    (sum == checksum(json.as_bytes())).then(|| serde_json::from_str(json).ok())?
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str) -> Entry {
        Entry::CreateNetwork {
            name: name.to_owned(),
        }
    }

    #[test]
    fn an_intent_without_done_is_pending_for_the_next_who_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        let first = journal.intent(network("a"), Durability::Cached).unwrap();
        let _second = journal.intent(network("b"), Durability::Synced).unwrap();
        journal.done(first).unwrap();
        drop(journal);
        let pending = Journal::open(&path).unwrap().pending();
        assert_eq!(pending.len(), 1);
        assert_eq!(pending[0].entry, network("b"));
    }

    #[test]
    fn a_journal_cut_or_damaged_anywhere_opens_with_a_prefix_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        let numbers =
            ["a", "b", "c"].map(|name| journal.intent(network(name), Durability::Cached).unwrap());
        journal.done(numbers[0]).unwrap();
        journal.done(numbers[2]).unwrap();
        // What is pending after each line.
        let states: [&[&str]; 6] = [
            &[],
            &["a"],
            &["a", "b"],
            &["a", "b", "c"],
            &["b", "c"],
            &["b"],
        ];
        let whole = std::fs::read(&path).unwrap();
        let lines_before = |byte: usize| whole[..byte].iter().filter(|&&it| it == b'\n').count();
        let opens_with = |bytes: &[u8], lines: usize, what: &str| {
            std::fs::write(&path, bytes).unwrap();
            let pending = Journal::open(&path).unwrap().pending();
            let pending: Vec<Entry> = pending.into_iter().map(|it| it.entry).collect();
            let expected: Vec<Entry> = states[lines].iter().map(|name| network(name)).collect();
            assert_eq!(pending, expected, "{what}");
        };
        for cut in 0..=whole.len() {
            opens_with(&whole[..cut], lines_before(cut), &format!("cut at {cut}"));
        }
        for flip in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[flip] ^= 0x20;
            opens_with(&damaged, lines_before(flip), &format!("flip at {flip}"));
        }
    }

    #[test]
    fn a_journal_of_which_nothing_is_pending_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        let first = journal.intent(network("a"), Durability::Cached).unwrap();
        let second = journal.intent(network("b"), Durability::Cached).unwrap();
        journal.done(second).unwrap();
        assert_ne!(std::fs::read(&path).unwrap(), b"");
        journal.done(first).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        let third = journal.intent(network("c"), Durability::Cached).unwrap();
        assert!(third > second);
        let pending = Journal::open(&path).unwrap().pending();
        assert_eq!(pending.len(), 1);
    }
}
