//! Places that were only made so that something could be mounted on them, taken away again.

use std::path::{Path, PathBuf};

use crate::runtime::build::BuildError;
use crate::runtime::build::files::resolve;
use crate::runtime::kernel::rooted::{EntryKind, Root};

/// Places in a root that were not there before a container ran.
#[derive(Debug)]
pub(super) struct Traces {
    /// Those above before those below.
    missing: Vec<PathBuf>,
}

impl Traces {
    /// Finds which of these places, and of the folders above them, are not there yet.
    pub(super) fn before(root: &Root, targets: &[PathBuf]) -> Result<Self, BuildError> {
        let mut missing: Vec<PathBuf> = Vec::new();
        for target in targets {
            let mut path = PathBuf::new();
            for part in &resolve(root, target)? {
                path.push(part);
                let act = format!("look at `/{}`", path.display());
                let stat = root.stat_link(&path).map_err(BuildError::kernel(act))?;
                if stat.is_none() && !missing.contains(&path) {
                    missing.push(path.clone());
                }
            }
        }
        Ok(Self { missing })
    }

    /// Removes them again where they are still empty.
    pub(super) fn remove(&self, root: &Root) {
        for path in self.missing.iter().rev() {
            remove_empty(root, path);
        }
    }
}

/// What is not empty, or not there, was made or removed by the command itself.
fn remove_empty(root: &Root, path: &Path) {
    let Ok(Some(stat)) = root.stat_link(path) else {
        return;
    };
    match EntryKind::of(&stat) {
        EntryKind::Directory => drop(root.rmdir(path)),
        EntryKind::Regular if stat.st_size == 0 => drop(root.unlink(path)),
        EntryKind::Regular | EntryKind::Symlink | EntryKind::Special => {}
    }
}
