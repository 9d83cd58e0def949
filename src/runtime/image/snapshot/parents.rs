//! Directories in which something must be made before the container runs, but that nobody here may write
//! to: in a user namespace, those of a host directory whose owner has no id there.
//!
//! A directory of ours in their place in the upper directory shows what is in them and lets us write.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::make_like;
use crate::runtime::image::ImageError;

/// What the kernel shows as the owner that a user namespace has no id for.
const NO_ID: u32 = 65_534;

/// Makes the directories above each of `paths` ours where their owner has no id in this user namespace.
pub(super) fn take_over(
    lower: &Path,
    upper: &Path,
    paths: impl Iterator<Item = impl AsRef<Path>>,
) -> Result<(), ImageError> {
    for path in paths {
        let parents = path.as_ref().parent().unwrap_or(Path::new("/"));
        let names = parents.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            Component::RootDir
            | Component::CurDir
            | Component::ParentDir
            | Component::Prefix(_) => None,
        });
        let mut below = PathBuf::new();
        for name in names {
            below.push(name);
            // A link leads elsewhere, and what is not there is made by the step that needs it.
            let Ok(found) = fs::symlink_metadata(lower.join(&below)) else {
                break;
            };
            if !found.is_dir() {
                break;
            }
            let has_parent = below
                .parent()
                .is_some_and(|parent| upper.join(parent).is_dir());
            if has_parent && (found.uid() == NO_ID || found.gid() == NO_ID) {
                make_like(&upper.join(&below), &lower.join(&below))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_that_are_nobodys_are_taken_over_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (lower, upper) = (dir.path().join("lower"), dir.path().join("upper"));
        for name in ["lower/ours/in", "upper"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("/etc", lower.join("link")).unwrap();
        let paths = ["/ours/in/file", "/link/file", "/none/file"].map(Path::new);
        take_over(&lower, &upper, paths.into_iter()).unwrap();
        assert_eq!(fs::read_dir(&upper).unwrap().count(), 0);
        if rustix::process::geteuid().is_root() {
            let nobody = Some(NO_ID);
            std::os::unix::fs::chown(lower.join("ours"), nobody, nobody).unwrap();
            take_over(&lower, &upper, paths.into_iter()).unwrap();
            assert!(upper.join("ours").is_dir());
            assert!(!upper.join("ours/in").exists() && !upper.join("link").exists());
        }
    }
}
