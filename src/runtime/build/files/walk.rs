//! Everything below a folder that sieves let through, with the folders on the way to it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, OFlags, Stat};

use super::view::Sieve;
use crate::runtime::build::BuildError;
use crate::runtime::kernel::rooted::{EntryKind, Root};
use crate::value::IgnoreMatched;

/// How deep folders are looked into.
const DEPTH_LIMIT: usize = 1_000;

/// Something below a folder.
#[derive(Debug)]
pub(in crate::runtime::build) struct Item {
    /// Its path from the folder.
    pub(in crate::runtime::build) path: PathBuf,
    /// What is known of it.
    pub(in crate::runtime::build) stat: Stat,
    /// Whether it is meant itself, or is only on the way to something that is.
    pub(in crate::runtime::build) is_meant: bool,
}

/// A folder, and what of the things below it is wanted.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) root: &'a Root,
    /// Where the folder is in the root, without any link.
    pub(super) folder: &'a Path,
    /// A sieve for paths from the root, and those for paths from the folder.
    pub(super) view: Sieve<'a>,
    pub(super) sieves: Vec<Sieve<'a>>,
    /// How many levels are looked at.
    pub(super) levels: usize,
}

impl Walk<'_> {
    /// Lists what is wanted, parents before children, by name.
    pub(super) fn run(&self) -> Result<Vec<Item>, BuildError> {
        let mut view = IgnoreMatched::default();
        let mut above = PathBuf::new();
        for part in self.folder {
            above.push(part);
            view = self.view.entry(&view, &above.to_string_lossy());
        }
        let tops = vec![IgnoreMatched::default(); self.sieves.len()];
        let mut items = Vec::new();
        self.level(Path::new(""), (&view, &tops), &mut items)?;
        Ok(items)
    }

    fn level(
        &self,
        path: &Path,
        (view, matched): (&IgnoreMatched, &[IgnoreMatched]),
        items: &mut Vec<Item>,
    ) -> Result<(), BuildError> {
        let depth = path.components().count();
        if depth >= self.levels.min(DEPTH_LIMIT) {
            return Ok(());
        }
        for (name, stat) in list(self.root, &self.folder.join(path))? {
            let inside = path.join(&name);
            let text = inside.to_string_lossy();
            let whole = self.folder.join(&inside);
            let own_view = self.view.entry(view, &whole.to_string_lossy());
            let sieves = self.sieves.iter().zip(matched);
            let own: Vec<IgnoreMatched> = sieves
                .map(|(sieve, matched)| sieve.entry(matched, &text))
                .collect();
            let both = || self.sieves.iter().zip(&own);
            let is_meant =
                self.view.passes(&own_view) && both().all(|(sieve, own)| sieve.passes(own));
            let is_dir = EntryKind::of(&stat) == EntryKind::Directory;
            let leads_on = is_dir
                && self
                    .view
                    .may_pass_below(&own_view, &whole.to_string_lossy())
                && both().all(|(sieve, own)| sieve.may_pass_below(own, &text));
            if !is_meant && !leads_on {
                continue;
            }
            let before = items.len();
            items.push(Item {
                path: inside.clone(),
                stat,
                is_meant,
            });
            if leads_on {
                self.level(&inside, (&own_view, &own), items)?;
            }
            if !is_meant && items.len() == before + 1 {
                drop(items.pop());
            }
        }
        Ok(())
    }
}

/// Lists a folder by name.
fn list(root: &Root, folder: &Path) -> Result<Vec<(PathBuf, Stat)>, BuildError> {
    let act = || format!("list `/{}`", folder.display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let dir = root
        .open_at(folder, flags)
        .map_err(BuildError::kernel(act()))?;
    let mut found = Vec::new();
    for entry in Dir::read_from(&dir).map_err(BuildError::io(act()))? {
        let entry = entry.map_err(BuildError::io(act()))?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => found.push((PathBuf::from(OsStr::from_bytes(name.to_bytes())), stat)),
            // It was removed meanwhile.
            Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(BuildError::io(act())(errno)),
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}
