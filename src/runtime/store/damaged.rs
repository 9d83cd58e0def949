//! Files that cannot be read, moved out of the way of every command and kept for a person to look at.
//!
//! ```text
//! <state>/damaged/<number>/
//! ├── <file>                        as it was found
//! └── reason                        where it was, and why it could not be read
//! ```
//!
//! **Invariant:** only the newest [`KEPT`] are kept. Files of the run directory are not kept: they may hold
//! secrets, which never reach a disk, and are written anew with each start.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{Durability, StoreError, make_dir, names_in, remove_tree, write_atomic};

/// How many damaged files are kept.
const KEPT: usize = 64;

/// Moves the file at `path` into the folder of damaged files; says where it is now.
///
/// `None` where it is gone already: another command set it aside.
pub fn set_aside(
    damaged: &Path,
    path: &Path,
    reason: &StoreError,
) -> Result<Option<PathBuf>, StoreError> {
    let failed = |source| StoreError::Write {
        path: damaged.to_owned(),
        source,
    };
    make_dir(damaged)?;
    let folder = new_folder(damaged).map_err(failed)?;
    let kept = folder.join(path.file_name().unwrap_or_default());
    match fs::rename(path, &kept) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            remove_tree(&folder)?;
            return Ok(None);
        }
        // Where it cannot be kept, it goes: it must not stop the next command as well.
        Err(_) => remove_tree(path)?,
    }
    let text = format!("{}: {}\n", path.display(), reason.reason());
    write_atomic(&folder.join("reason"), text.as_bytes(), Durability::Cached)?;
    forget_oldest(damaged)?;
    Ok(Some(folder))
}

fn new_folder(damaged: &Path) -> io::Result<PathBuf> {
    let mut number = numbers(damaged)
        .map_err(io::Error::other)?
        .last()
        .map_or(1, |last| last + 1);
    loop {
        let folder = damaged.join(number.to_string());
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|()| folder),
        }
    }
}

fn numbers(damaged: &Path) -> Result<Vec<u64>, StoreError> {
    let names = names_in(damaged)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn forget_oldest(damaged: &Path) -> Result<(), StoreError> {
    let numbers = numbers(damaged)?;
    let surplus = numbers.len().saturating_sub(KEPT);
    for number in numbers.iter().take(surplus) {
        remove_tree(&damaged.join(number.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_kept_with_its_reason_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let (damaged, path) = (dir.path().join("damaged"), dir.path().join("record.json"));
        let reason = StoreError::TooLarge {
            path: path.clone(),
            limit_bytes: 7,
        };
        assert_eq!(set_aside(&damaged, &path, &reason).unwrap(), None);
        for round in 0..KEPT + 2 {
            fs::write(&path, format!("{round}")).unwrap();
            let kept = set_aside(&damaged, &path, &reason).unwrap().unwrap();
            assert!(!path.exists());
            assert_eq!(
                fs::read(kept.join("record.json")).unwrap(),
                format!("{round}").as_bytes()
            );
            let text = String::from_utf8(fs::read(kept.join("reason")).unwrap()).unwrap();
            assert!(text.ends_with("it has more than 7 bytes\n"), "{text}");
        }
        let kept = numbers(&damaged).unwrap();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept.first(), Some(&3));
    }
}
